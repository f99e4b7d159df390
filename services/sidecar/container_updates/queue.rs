//! The queue of Swift's object expirer: a row for each object that expires, in containers by time (Swift: obj/server.py
//! delete_at_update, obj/expirer.py ExpirerConfig and build_task_obj).

use bytes::Bytes;
use ssync_types::{
    HashPathConfig, ListingOp, Metadata, ObjectPath, PendingUpdate, Timestamp, python_integer,
};

use super::{Change, Target, Update, sendable::sendable};
use crate::fields::is_true;

/// Containers over which the entries of one time are spread.
const CONTAINERS: u64 = 100;
/// Swift knows no later time.
const SECONDS_MAX: u64 = 9_999_999_999;
/// MD5 of nothing.
const ETAG_OF_NOTHING: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// Where the entries of the queue are.
#[derive(Debug, Clone)]
pub(crate) struct ExpirerQueue {
    account: String,
    divisor: u64,
    hash_path: HashPathConfig,
}

/// What an entry says of its object.
#[derive(Debug)]
pub(super) struct Entry {
    /// Bytes of the object, or of its fragment.
    pub(super) bytes: u64,
    /// The time of the body.
    pub(super) body: Timestamp,
}

/// When an object with this metadata expires, in seconds.
pub(super) fn delete_at(metadata: &Metadata) -> Option<u64> {
    let seconds = python_integer(metadata.get_str("X-Delete-At")?, 10)?;
    u64::try_from(seconds).ok().filter(|&seconds| seconds > 0)
}

impl ExpirerQueue {
    /// The queue in `.{account_name}`, with containers for `divisor` seconds each.
    pub(crate) fn new(account_name: &str, divisor: u64, hash_path: HashPathConfig) -> Self {
        Self { account: format!(".{account_name}"), divisor: divisor.max(1), hash_path }
    }

    /// What a new expiry means: an entry for it, and none for the old one any more.
    pub(super) fn updates(
        &self,
        change: &Change<'_>,
        old: Option<u64>,
        new: Option<u64>,
        entry: &Entry,
    ) -> Vec<Update> {
        let mut updates = new.map(|new| self.entries(change, new, entry)).unwrap_or_default();
        updates.extend(old.filter(|_| old != new).and_then(|old| self.removal(change, old)));
        updates
    }

    /// The entry, at each server that the proxy has named. Where it has named none, other object servers were told to.
    fn entries(&self, change: &Change<'_>, delete_at: u64, entry: &Entry) -> Vec<Update> {
        if is_true(change.headers, "X-Backend-Replication")
            || change.headers.get("X-Delete-At-Host").is_none()
        {
            return Vec::new();
        }
        let mut headers = self.headers(change);
        headers.set("X-Size", "0");
        headers.set("X-Etag", ETAG_OF_NOTHING);
        headers.set("X-Content-Type", format!("text/plain;swift_expirer_bytes={}", entry.bytes));
        headers.set("X-Content-Type-Timestamp", entry.body.internal());
        let container = self.container_of_proxy(change, delete_at);
        let Some(update) = self.update(change, ListingOp::Put, delete_at, &container, &headers) else {
            return Vec::new();
        };
        let partition = change.headers.get("X-Delete-At-Partition").map(Bytes::as_ref).unwrap_or_default();
        let pairs = change.list("X-Delete-At-Host").into_iter().zip(change.list("X-Delete-At-Device"));
        let targets: Vec<_> =
            pairs.filter_map(|(host, device)| Target::of(host, device, partition)).collect();
        if targets.is_empty() {
            return vec![Update { target: None, update }];
        }
        Update::for_each(&update, targets.into_iter().map(Some).collect())
    }

    /// The end of an old entry. It is in no hurry, so it is always kept for the updater.
    pub(super) fn removal(&self, change: &Change<'_>, delete_at: u64) -> Option<Update> {
        let cleans = change.headers.get("X-Backend-Clean-Expiring-Object-Queue").is_none()
            || is_true(change.headers, "X-Backend-Clean-Expiring-Object-Queue");
        if is_true(change.headers, "X-Backend-Replication") || !cleans {
            return None;
        }
        let container = self.container(delete_at, &change.object.path);
        let headers = self.headers(change);
        let update = self.update(change, ListingOp::Delete, delete_at, &container, &headers)?;
        Some(Update { target: None, update })
    }

    fn headers(&self, change: &Change<'_>) -> Metadata {
        let mut headers = Metadata::new();
        // Swift's own accounts are always of the first policy.
        headers.set("X-Backend-Storage-Policy-Index", "0");
        headers.set("X-Timestamp", change.timestamp.internal());
        change.sign(&mut headers);
        headers
    }

    fn update(
        &self,
        change: &Change<'_>,
        op: ListingOp,
        delete_at: u64,
        container: &str,
        headers: &Metadata,
    ) -> Option<PendingUpdate> {
        let entry = format!("{}-", seconds(delete_at));
        let name = change.object.path.as_bytes().get(1..).unwrap_or_default();
        let row = [b"/", self.account.as_bytes(), b"/", container.as_bytes(), b"/", entry.as_bytes(), name]
            .concat();
        let path = ObjectPath::parse(row)
            .inspect_err(
                |invalid| tracing::error!(object = %change.object.path, %invalid, "no entry for the expirer"),
            )
            .ok()?;
        Some(PendingUpdate {
            device: change.object.partition.device.clone(),
            policy: change.object.partition.policy,
            op,
            path,
            headers: sendable(headers),
            container_path: None,
            db_state: None,
        })
    }

    /// The container of an entry.
    fn container(&self, delete_at: u64, path: &ObjectPath) -> String {
        let hash = u128::from_be_bytes(*self.hash_path.hash(path).as_bytes());
        let shard = u64::try_from(hash % u128::from(CONTAINERS)).unwrap_or_default();
        let begin = delete_at.min(SECONDS_MAX) / self.divisor * self.divisor;
        seconds(begin.saturating_sub(shard))
    }

    /// The container that the proxy has named, which goes with the servers that it has named.
    fn container_of_proxy(&self, change: &Change<'_>, delete_at: u64) -> String {
        let own = self.container(delete_at, &change.object.path);
        let named = change.headers.get("X-Delete-At-Container").filter(|named| !named.is_empty());
        let Some(named) = named else {
            tracing::warn!(
                object = %change.object.path, container = own,
                "the proxy has named no X-Delete-At-Container, which is a guess now"
            );
            return own;
        };
        let number = std::str::from_utf8(named).ok().and_then(|text| text.trim().parse::<f64>().ok());
        match number.filter(|number| !number.is_nan()) {
            // What is beyond the range is brought into it.
            Some(number) => seconds(number as u64),
            None => {
                tracing::warn!(
                    object = %change.object.path, named = %String::from_utf8_lossy(named), container = own,
                    "the proxy's X-Delete-At-Container is no time"
                );
                own
            }
        }
    }
}

/// Ten digits (Swift: normalize_delete_at_timestamp).
fn seconds(seconds: u64) -> String {
    format!("{:010}", seconds.min(SECONDS_MAX))
}
