//! A change of a container's listing that waits for its delivery: Swift's async pending.

use std::fmt;

use bytes::Bytes;

use crate::{DeviceName, Invalid, Metadata, ObjectPath, PolicyIndex, Timestamp};

/// Longest path of a container taken from a peer.
const CONTAINER_PATH_BYTES_MAX: usize = 8192;

/// What becomes of an object's row in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingOp {
    /// It is there, as the headers say.
    Put,
    /// It is gone.
    Delete,
}

impl ListingOp {
    /// The method of the request to the container's server.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// `account/container`, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct ContainerPath(Bytes);

impl ContainerPath {
    /// Checks the form: two parts, none empty.
    pub fn parse(path: impl Into<Bytes>) -> Result<Self, Invalid> {
        let path: Bytes = path.into();
        let parts: Vec<&[u8]> = path.splitn(3, |&b| b == b'/').collect();
        let is_good = path.len() <= CONTAINER_PATH_BYTES_MAX
            && matches!(parts[..], [account, container] if !account.is_empty() && !container.is_empty());
        match is_good {
            true => Ok(Self(path)),
            false => {
                let shown = String::from_utf8_lossy(&path[..path.len().min(128)]).into_owned();
                Err(Invalid::new("container_path", format!("{shown:?} is not account/container")))
            }
        }
    }

    /// The whole path.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The whole path, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Debug for ContainerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A request to a container's servers that they did not take: kept on the object's device until Swift's object updater
/// delivers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingUpdate {
    /// The device of the object that it tells of.
    pub device: DeviceName,
    /// The policy of that object.
    pub policy: PolicyIndex,
    /// What becomes of the row.
    pub op: ListingOp,
    /// The row: of the object, or of its entry in the expirer's queue.
    pub path: ObjectPath,
    /// The request's headers.
    pub headers: Metadata,
    /// The shard that has the row; `None` for the container that `path` names.
    pub container_path: Option<ContainerPath>,
    /// State of the container's database, as the proxy told it.
    pub db_state: Option<Bytes>,
}

impl PendingUpdate {
    /// The time of the change, which orders updates of one row (Swift: obj/server.py async_update).
    pub fn timestamp(&self) -> Result<Timestamp, Invalid> {
        let value = self.headers.get("X-Meta-Timestamp").or_else(|| self.headers.get("X-Timestamp"));
        let value = value
            .ok_or_else(|| Invalid::new("headers", "there is neither X-Meta-Timestamp nor X-Timestamp"))?;
        Timestamp::parse(value).map_err(|invalid| invalid.within("headers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_path_has_two_parts() {
        assert_eq!(
            ContainerPath::parse(".shards_a/c\u{e9}").unwrap().as_bytes(),
            ".shards_a/c\u{e9}".as_bytes()
        );
        for bad in ["", "a", "/a", "a/", "/a/c", "a/c/", "a/c/o", "a//c"] {
            assert!(ContainerPath::parse(bad).is_err(), "{bad}");
        }
        assert!(ContainerPath::parse(format!("a/{}", "c".repeat(CONTAINER_PATH_BYTES_MAX))).is_err());
    }

    #[test]
    fn the_time_of_metadata_wins() {
        let mut update = PendingUpdate {
            device: "sdb1".parse().unwrap(),
            policy: PolicyIndex::new(0),
            op: ListingOp::Put,
            path: ObjectPath::of("a", "c", "o").unwrap(),
            headers: Metadata::new(),
            container_path: None,
            db_state: None,
        };
        assert_eq!(update.timestamp().unwrap_err().field, "headers");
        update.headers.set("X-Timestamp", "5");
        assert_eq!(update.timestamp(), Ok(Timestamp::from_seconds(5)));
        update.headers.set("X-Meta-Timestamp", "7");
        assert_eq!(update.timestamp(), Ok(Timestamp::from_seconds(7)));
        update.headers.set("X-Meta-Timestamp", "late");
        assert_eq!(update.timestamp().unwrap_err().field, "headers.timestamp");
    }
}
