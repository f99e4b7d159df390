//! An object that fails again and again stops nothing but itself, and a large one keeps nobody waiting.

use std::fs;

use ssync_types::{Outcome, Reason, Refusal};
use tokio_util::sync::CancellationToken;

use crate::{
    Overrides, PassStats, Replicator,
    testing::{Cluster, policy},
};

async fn pass(replicator: &Replicator) -> PassStats {
    replicator.run_once(&Overrides::default(), CancellationToken::new()).await
}

fn fill(cluster: &Cluster, node: u32) {
    for number in 0..20 {
        cluster.put(node, &format!("o-{number}"), number, b"body");
    }
    cluster.put(node, "bad", 1, &vec![7; 300_000]);
}

fn broken() -> Outcome {
    Outcome::Failed(Refusal::new(Reason::ObjectIo, "input/output error"))
}

#[tokio::test]
async fn a_damaged_body_goes_to_quarantine_and_is_not_tried_again() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    fill(&cluster, 0);
    // Shorter on disk than its metadata says, as after a crash without a flush.
    let file = fs::read_dir(cluster.directory(0, "bad")).unwrap().next().unwrap().unwrap().path();
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(1000).unwrap();
    let replicator = cluster.replicator(0);
    let stats = pass(&replicator).await;
    assert_eq!(
        (stats.failure, stats.objects),
        (1, 20),
        "its partition goes on, and is not in sync: {stats:?}"
    );
    let stats = pass(&replicator).await;
    assert!(stats.complete() && replicator.parked().is_empty(), "{stats:?}");
    assert!(!cluster.directory(0, "bad").exists() && !cluster.directory(1, "bad").exists());
}

#[tokio::test]
async fn an_object_that_its_peer_never_takes_is_parked_for_that_peer_alone() {
    let cluster = Cluster::new(policy(3, &[&[0], &[1], &[2]]));
    fill(&cluster, 0);
    cluster.node(1).store.fault.lock().unwrap().verdict_of = Some((cluster.hash("bad"), broken()));
    // Its copy is taken away again, so that the peer wants it each time.
    let replicator = cluster.replicator(0);
    for _ in 0..3 {
        let stats = pass(&replicator).await;
        assert_eq!((stats.failure, stats.success), (1, 1), "{stats:?}");
        fs::remove_dir_all(cluster.directory(1, "bad")).unwrap();
        forget_hashes(&cluster, "bad");
    }
    let parked = replicator.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].peer.as_deref(), Some("10.0.0.1:6200/d1"));
    assert_eq!(parked[0].cause.reason, Reason::ObjectIo);
    cluster.node(1).store.take_asked();
    cluster.put(0, "new", 100, b"new");
    let stats = pass(&replicator).await;
    assert_eq!((stats.parked, stats.failure, stats.success), (1, 1, 1), "not in sync (rule S4): {stats:?}");
    assert_eq!(cluster.node(1).store.take_asked().operations, ["put"], "it is not tried, the others are");
    assert!(cluster.directory(2, "bad").exists() && !cluster.directory(1, "bad").exists());
}

/// Another primary has brought it there meanwhile.
#[tokio::test]
async fn what_came_to_the_peer_by_another_way_is_parked_no_more() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    cluster.put(0, "bad", 1, b"body");
    cluster.node(1).store.fault.lock().unwrap().verdict_of = Some((cluster.hash("bad"), broken()));
    let replicator = cluster.replicator(0);
    for _ in 0..3 {
        pass(&replicator).await;
        fs::remove_dir_all(cluster.directory(1, "bad")).unwrap();
        forget_hashes(&cluster, "bad");
    }
    assert_eq!(replicator.parked().len(), 1);
    cluster.put(1, "bad", 1, b"body");
    // Something else in the same suffix, so that both are offered.
    let suffix = cluster.hash("bad").suffix();
    let near =
        (0..).map(|number| format!("near-{number}")).find(|name| cluster.hash(name).suffix() == suffix);
    cluster.put(0, &near.unwrap(), 5, b"body");
    let stats = pass(&replicator).await;
    assert!(stats.complete() && stats.objects == 1, "{stats:?}");
    assert!(replicator.parked().is_empty());
}

fn forget_hashes(cluster: &Cluster, name: &str) {
    let partition = cluster.directory(1, name).ancestors().nth(2).unwrap().to_owned();
    for file in ["hashes.pkl", "hashes.invalid"] {
        drop(fs::remove_file(partition.join(file)));
    }
}

/// What is not tried has no answer, so it stays (rules S2, S4).
#[tokio::test]
async fn a_parked_object_of_a_handoff_stays() {
    let cluster = Cluster::new(policy(3, &[&[0], &[1]]));
    fill(&cluster, 2);
    cluster.node(1).store.fault.lock().unwrap().verdict_of = Some((cluster.hash("bad"), broken()));
    let replicator = cluster.replicator(2);
    for round in 0..3 {
        let stats = pass(&replicator).await;
        assert_eq!(stats.released, if round == 0 { 20 } else { 0 }, "{stats:?}");
        fs::remove_dir_all(cluster.directory(1, "bad")).unwrap();
    }
    let stats = pass(&replicator).await;
    assert_eq!((stats.parked, stats.released, stats.handoffs_remaining), (1, 0, 1), "{stats:?}");
    assert_eq!(cluster.node(2).files().len(), 1);
}

#[tokio::test]
async fn small_objects_arrive_before_a_large_one_is_begun() {
    for handoff in [false, true] {
        let (cluster, holder) = match handoff {
            false => (Cluster::new(policy(2, &[&[0], &[1]])), 0),
            true => (Cluster::new(policy(3, &[&[0], &[1]])), 2),
        };
        for number in 0..50 {
            cluster.put(holder, &format!("o-{number}"), number, b"body");
        }
        for number in 0..3 {
            cluster.put(holder, &format!("large-{number}"), number, &vec![7; 5 << 20]);
        }
        let files = cluster.node(holder).files();
        let stats = pass(&cluster.replicator(holder)).await;
        assert!(stats.complete() && stats.objects % 53 == 0, "{stats:?}");
        assert_eq!(cluster.node(1).files(), files);
        let operations = cluster.node(1).store.take_asked().operations;
        let first_piece = operations.iter().position(|op| *op == "chunk").unwrap();
        let before = operations[..first_piece].iter().filter(|op| **op == "put").count();
        assert_eq!(before, 51, "all small ones, and the head of the first large one");
    }
}
