//! Updates of listings, kept on the device of the object that they tell of.

use ssync_store::Store as _;
use ssync_types::{ListingOp, Metadata, PendingUpdate, PolicyIndex, Reason};

use super::support::Node;

fn update(node: &Node) -> PendingUpdate {
    let mut headers = Metadata::new();
    headers.set("X-Timestamp", "0000000005.00000");
    PendingUpdate {
        device: "d1".parse().unwrap(),
        policy: PolicyIndex::new(1),
        op: ListingOp::Put,
        path: node.object(0),
        headers,
        container_path: None,
        db_state: None,
    }
}

#[tokio::test]
async fn is_kept_and_counted() {
    let node = Node::new();
    let update = update(&node);
    let hash = node.hash_of(&update.path);
    node.receiver.queue_update(update).await.unwrap();
    let file = node.device().join(format!("async_pending-1/{}/{hash}-0000000005.00000", hash.suffix()));
    assert!(file.is_file(), "{}", file.display());
    assert_eq!(node.receiver.counters().async_pendings, 1);
}

#[tokio::test]
async fn is_refused_for_what_is_not_there() {
    let node = Node::new();
    let nowhere = PendingUpdate { device: "d9".parse().unwrap(), ..update(&node) };
    let of_no_policy = PendingUpdate { policy: PolicyIndex::new(9), ..update(&node) };
    let reason = |refused: Result<(), ssync_types::Refusal>| refused.unwrap_err().reason;
    assert_eq!(reason(node.receiver.queue_update(nowhere).await), Reason::DeviceUnmounted);
    assert_eq!(reason(node.receiver.queue_update(of_no_policy).await), Reason::PolicyUnknown);
    let mut timeless = update(&node);
    timeless.headers = Metadata::new();
    assert_eq!(reason(node.receiver.queue_update(timeless).await), Reason::InvalidArgument);
    assert_eq!(node.receiver.counters().async_pendings, 0);
}
