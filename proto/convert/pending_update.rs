//! Updates of listings that wait for their delivery.

use bytes::Bytes;
use ssync_types::{ContainerPath, Invalid, ListingOp, ObjectPath, PendingUpdate, PolicyIndex};

use super::{
    TEXT_BYTES_MAX, at_most,
    metadata::{from_metadata, metadata},
    named,
};
use crate::v1;

impl From<PendingUpdate> for v1::QueueUpdateRequest {
    fn from(update: PendingUpdate) -> Self {
        let operation = match update.op {
            ListingOp::Put => v1::ListingOperation::Put,
            ListingOp::Delete => v1::ListingOperation::Delete,
        };
        Self {
            device: update.device.to_string(),
            policy_index: update.policy.get(),
            operation: operation.into(),
            path: update.path.to_bytes(),
            headers: from_metadata(update.headers),
            container_path: update.container_path.map(|path| path.to_bytes()),
            root_db_state: update.db_state,
        }
    }
}

impl TryFrom<v1::QueueUpdateRequest> for PendingUpdate {
    type Error = Invalid;

    fn try_from(request: v1::QueueUpdateRequest) -> Result<Self, Invalid> {
        let op = match request.operation() {
            v1::ListingOperation::Put => ListingOp::Put,
            v1::ListingOperation::Delete => ListingOp::Delete,
            v1::ListingOperation::Unspecified => {
                return Err(Invalid::new("operation", "is neither PUT nor DELETE"));
            }
        };
        let headers = metadata(request.headers, &[]).map_err(named("headers"))?;
        let update = Self {
            device: request.device.parse()?,
            policy: PolicyIndex::new(request.policy_index),
            op,
            path: ObjectPath::parse(request.path)?,
            headers,
            container_path: request.container_path.map(ContainerPath::parse).transpose()?,
            db_state: request.root_db_state.map(db_state).transpose()?,
        };
        update.timestamp()?;
        Ok(update)
    }
}

fn db_state(value: Bytes) -> Result<Bytes, Invalid> {
    at_most(value.len(), TEXT_BYTES_MAX, "root_db_state")?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use ssync_types::Metadata;

    use super::*;
    use crate::convert::METADATA_ITEMS_MAX;

    fn update() -> PendingUpdate {
        let mut headers = Metadata::new();
        headers.set("X-Timestamp", "0000000005.00000");
        headers.set("X-Content-Type", &b"\xff"[..]);
        PendingUpdate {
            device: "sdb1".parse().unwrap(),
            policy: PolicyIndex::new(2),
            op: ListingOp::Put,
            path: ObjectPath::of(".expiring_objects", "0001386200", "0001386201-a/c/o").unwrap(),
            headers,
            container_path: Some(ContainerPath::parse(".shards_a/c").unwrap()),
            db_state: Some("sharding".into()),
        }
    }

    fn sent(update: PendingUpdate) -> v1::QueueUpdateRequest {
        let bytes = v1::QueueUpdateRequest::from(update).encode_to_vec();
        v1::QueueUpdateRequest::decode(&bytes[..]).unwrap()
    }

    #[test]
    fn survives() {
        let bare = PendingUpdate { op: ListingOp::Delete, container_path: None, db_state: None, ..update() };
        for update in [update(), bare] {
            assert_eq!(PendingUpdate::try_from(sent(update.clone())).unwrap(), update);
        }
    }

    #[test]
    fn is_refused_by_field() {
        let good = sent(update());
        let refused = |change: &dyn Fn(&mut v1::QueueUpdateRequest)| {
            let mut bad = good.clone();
            change(&mut bad);
            PendingUpdate::try_from(bad).unwrap_err().field
        };
        let entry = |name: &str, value: &str| v1::MetadataEntry {
            name: Bytes::copy_from_slice(name.as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
        };
        assert_eq!(refused(&|bad| bad.device = "../x".into()), "device");
        assert_eq!(refused(&|bad| bad.operation = 0), "operation");
        assert_eq!(refused(&|bad| bad.operation = 9), "operation");
        assert_eq!(refused(&|bad| bad.path = "/a/c".into()), "path");
        assert_eq!(refused(&|bad| bad.container_path = Some("a".into())), "container_path");
        assert_eq!(refused(&|bad| bad.root_db_state = Some("x".repeat(1025).into())), "root_db_state");
        assert_eq!(refused(&|bad| bad.headers.clear()), "headers");
        assert_eq!(refused(&|bad| bad.headers.push(entry("a b", ""))), "headers");
        let many = (0..METADATA_ITEMS_MAX).map(|n| entry(&format!("x-{n}"), ""));
        assert_eq!(refused(&|bad| bad.headers.extend(many.clone())), "headers");
        assert_eq!(refused(&|bad| bad.headers = vec![entry("x-timestamp", "soon")]), "headers.timestamp");
    }
}
