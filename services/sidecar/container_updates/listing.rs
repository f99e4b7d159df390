//! The updates of a container's listing (Swift: obj/server.py container_update).

use bytes::Bytes;
use ssync_protocol::unquote;
use ssync_types::{ContainerPath, Invalid, PendingUpdate};

use super::{Change, Target, Update, row::Row, sendable::sendable};

/// One for each server that the proxy has named; none when it has named no partition, which replication never does.
pub(super) fn updates(change: &Change<'_>, row: Row) -> Vec<Update> {
    let hosts = change.list("X-Container-Host");
    let devices = change.list("X-Container-Device");
    if hosts.len() != devices.len() {
        tracing::error!(
            hosts = %shown(change, "X-Container-Host"),
            devices = %shown(change, "X-Container-Device"),
            object = %change.object.path,
            "no container update: the proxy has named different numbers of hosts and devices",
        );
        return Vec::new();
    }
    let partition = change.headers.get("X-Container-Partition").filter(|partition| !partition.is_empty());
    let Some(partition) = partition else { return Vec::new() };
    let mut headers = row.headers;
    change.sign(&mut headers);
    headers.set("X-Backend-Storage-Policy-Index", change.object.partition.policy.to_string());
    let update = PendingUpdate {
        device: change.object.partition.device.clone(),
        policy: change.object.partition.policy,
        op: row.op,
        path: change.object.path.clone(),
        headers: sendable(&headers),
        container_path: container_path(change),
        db_state: change.headers.get("X-Container-Root-Db-State").cloned(),
    };
    let targets = hosts.into_iter().zip(devices).map(|(host, device)| Target::of(host, device, partition));
    Update::for_each(&update, targets.collect())
}

impl Target {
    /// `None` where a part is missing.
    pub(super) fn of(host: &[u8], device: &[u8], partition: &[u8]) -> Option<Self> {
        if [host, device, partition].iter().any(|part| part.is_empty()) {
            return None;
        }
        let host = std::str::from_utf8(host).ok()?.to_owned();
        Some(Self { host, device: device.to_vec(), partition: partition.to_vec() })
    }
}

/// The shard that has the row, where the proxy names one. What is no path of a container does not stop the update: it goes
/// to the container itself.
fn container_path(change: &Change<'_>) -> Option<ContainerPath> {
    let named = |name: &str| change.headers.get(name).filter(|path| !path.is_empty());
    let path = match named("X-Backend-Quoted-Container-Path") {
        Some(quoted) => Bytes::from(unquote(quoted)),
        None => named("X-Backend-Container-Path")?.clone(),
    };
    // Names are text, as all of Swift's are; what is none must not become the name of another container.
    let text = std::str::from_utf8(&path).map_err(|error| {
        Invalid::new("container_path", format!("{:?}: {error}", path.escape_ascii().to_string()))
    });
    text.and_then(|text| ContainerPath::parse(text.to_owned()))
        .inspect_err(|invalid| {
            tracing::error!(object = %change.object.path, %invalid, "the update goes to the container itself");
        })
        .ok()
}

fn shown<'c>(change: &Change<'c>, name: &str) -> std::borrow::Cow<'c, str> {
    String::from_utf8_lossy(change.headers.get(name).map(Bytes::as_ref).unwrap_or_default())
}
