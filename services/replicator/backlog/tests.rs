//! What passes of real nodes leave behind, and what two of them say of a third.

use ssync_types::{Outcome, Reason, Refusal};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Overrides, Replicator,
    testing::{Cluster, policy},
};

/// Three nodes with two partitions, each of them on all.
fn cluster() -> Cluster {
    let cluster = Cluster::new(policy(3, &[&[0, 0], &[1, 1], &[2, 2]]));
    for number in 0..20 {
        cluster.put(0, &format!("o-{number}"), number, b"12345");
    }
    cluster
}

async fn pass(replicator: &Replicator) -> Outlook {
    replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
    replicator.outlook()
}

fn node(outlook: &Outlook, id: u32) -> &NodeWork {
    let address = format!("10.0.0.{id}:6200");
    outlook.nodes.iter().find(|node| node.node == address).unwrap()
}

#[tokio::test]
async fn what_is_brought_is_not_pending() {
    let cluster = cluster();
    let replicator = cluster.replicator(0);
    assert_eq!(replicator.outlook().pending.in_sync, None, "nothing was seen");
    let outlook = pass(&replicator).await;
    assert_eq!(outlook.pending.known, Amount::default());
    assert!(outlook.pending.in_sync.is_some());
    assert_eq!((outlook.pending.uncompared, outlook.forecast), (0, None), "the pass is over");
    for id in [1, 2] {
        let node = node(&outlook, id);
        assert_eq!((node.done, node.total, node.under_way), (2, 2, 0));
        assert!(node.objects_per_second > 0.0);
    }
    let device = outlook.devices[&"d0".parse::<DeviceName>().unwrap()];
    assert_eq!((device.done, device.total, device.known), (2, 2, Amount::default()));
    let moved: u64 = outlook.samples.iter().map(|sample| sample.objects).sum();
    assert_eq!(moved, 0, "the step is not over yet");
}

#[tokio::test]
async fn two_nodes_say_the_same_of_what_a_third_does_not_take() {
    let cluster = cluster();
    pass(&cluster.replicator(0)).await;
    // New on both, in another order of files, with a deletion and metadata that are no objects.
    for (number, body) in [(30, &b"123"[..]), (31, b"1234567")] {
        [0, 1].into_iter().for_each(|id| cluster.put(id, &format!("n-{number}"), number, body));
    }
    [0, 1].into_iter().for_each(|id| cluster.delete(id, "o-3", 40));
    [1, 0].into_iter().for_each(|id| cluster.post(id, "o-4", 41, "blue"));
    let full = Refusal::new(Reason::DeviceFull, "no space");
    cluster.node(2).store.fault.lock().unwrap().all_sessions = Some(full);
    let replicators = [0, 1].map(|id| cluster.replicator(id));
    for replicator in &replicators {
        let outlook = pass(replicator).await;
        assert_eq!(outlook.pending.known, Amount::of(2, 10), "{outlook:?}");
        assert_eq!(node(&outlook, 2).pending.known, Amount::of(2, 10));
        assert_eq!(outlook.pending.in_sync, None);
        assert!(outlook.pending.oldest.is_some() && outlook.pending.unknown == 0);
    }
    cluster.node(2).store.fault.lock().unwrap().all_sessions = None;
    let outlook = pass(&replicators[0]).await;
    assert_eq!((outlook.pending.known, outlook.pending.oldest), (Amount::default(), None));
    let other = pass(&replicators[1]).await;
    assert_eq!(other.pending.known, Amount::default(), "the other has brought them");
    assert!(other.pending.in_sync.is_some());
}

#[tokio::test]
async fn an_object_that_is_not_taken_stays_pending_and_the_others_do_not() {
    let cluster = cluster();
    let failed = Outcome::Failed(Refusal::new(Reason::ObjectIo, "input/output error"));
    cluster.node(2).store.fault.lock().unwrap().verdict_of = Some((cluster.hash("o-7"), failed));
    let outlook = pass(&cluster.replicator(0)).await;
    // It was stored, and the answer tells otherwise: the next look finds it.
    assert_eq!(node(&outlook, 1).pending.known, Amount::default());
    assert_eq!(node(&outlook, 2).pending.in_sync, None);
    assert!(node(&outlook, 1).pending.in_sync.is_some());
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_known() {
    let cluster = cluster();
    let replicator = cluster.replicator(0);
    let gone = Refusal::new(Reason::Unreachable, "nobody is there");
    cluster.node(1).store.fault.lock().unwrap().hashes = Some(gone);
    let outlook = pass(&replicator).await;
    assert_eq!((node(&outlook, 1).pending.unknown, outlook.pending.known), (2, Amount::default()));
    assert_eq!(outlook.pending.in_sync, None);
    cluster.node(1).store.fault.lock().unwrap().hashes = None;
    assert_eq!(pass(&replicator).await.pending.unknown, 0);
}
