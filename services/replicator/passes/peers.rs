//! A peer that is slow, busy or gone stalls only itself.

use std::time::Duration;

use ssync_receiver::ReceiverConfig;
use ssync_types::{Reason, Refusal};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Overrides,
    testing::{Cluster, policy},
};

/// Node 0 has 60 objects; it shares partitions 0 to 3 with node 1 and partitions 4 to 7 with node 2.
fn cluster() -> Cluster {
    let cluster = Cluster::new(policy(3, &[&[0; 8], &[1, 1, 1, 1, 2, 2, 2, 2]]));
    for number in 0..60 {
        cluster.put(0, &format!("o-{number}"), number, b"body");
    }
    cluster
}

#[tokio::test]
async fn a_peer_that_never_answers_does_not_hold_all_workers() {
    let mut cluster = cluster();
    cluster.config.concurrency = 2;
    cluster.config.http_timeout = Duration::from_secs(600);
    cluster.node(1).store.fault.lock().unwrap().all_hashes_hang = true;
    let (replicator, drain, overrides) =
        (cluster.replicator(0), CancellationToken::new(), Overrides::default());
    let pass = replicator.run_once(&overrides, drain);
    let others = async {
        while cluster.node(2).partitions().len() < 4 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), async {
        tokio::select! {
            _ = pass => panic!("it waits for the peer that hangs"),
            () = others => {}
        }
    })
    .await
    .expect("the other peer gets its partitions meanwhile");
    assert!(cluster.node(1).files().is_empty());
}

#[tokio::test]
async fn a_dead_peer_is_not_asked_by_each_partition() {
    let cluster = cluster();
    cluster.node(1).store.fault.lock().unwrap().hashes = Some(Refusal::new(Reason::Unreachable, "no route"));
    let replicator = cluster.replicator(0);
    let stats = replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
    assert_eq!((stats.failure, stats.success, stats.failure_nodes["10.0.0.1"]["d1"]), (4, 4, 4));
    let asked = cluster.node(1).store.take_asked().hashes;
    assert!(asked <= 4, "{asked} times");
    // The next pass knows.
    let begin = Instant::now();
    let stats = replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
    assert_eq!((stats.failure, stats.success), (4, 4));
    let asked = cluster.node(1).store.take_asked().hashes;
    assert!(asked <= 1 + begin.elapsed().as_secs() as usize, "{asked} times in {:?}", begin.elapsed());
    cluster.node(1).store.fault.lock().unwrap().hashes = None;
    let healed = async {
        while !replicator.run_once(&Overrides::default(), CancellationToken::new()).await.complete() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), healed).await.expect("it is asked again in time");
    assert_eq!(cluster.node(1).partitions().len(), 4);
}

#[tokio::test]
async fn a_busy_peer_is_left_alone_for_as_long_as_it_asked_and_others_go_on() {
    let cluster = cluster();
    let busy = Refusal::new(Reason::ReceiverBusy, "not now").retry_after(Duration::from_secs(2));
    cluster.node(1).store.fault.lock().unwrap().sessions = [busy].into();
    let begin = Instant::now();
    let stats = cluster.pass(0).await;
    assert!(stats.complete(), "{stats:?}");
    assert!(begin.elapsed() >= Duration::from_secs(2));
    // Those that found something to send meanwhile.
    assert!((1..=8).contains(&stats.put_back), "{stats:?}");
    let first = |node: u32| cluster.node(node).store.take_asked().sessions_at[0];
    let (busy, other) = (first(1), first(2));
    assert!(busy.duration_since(other) >= Duration::from_secs(1), "the other one did not wait");
}

/// All primaries have to answer, and one is dead: the others get their copies, once, and nothing goes.
#[tokio::test]
async fn a_handoff_with_one_dead_primary_brings_the_rest_home_once() {
    let cluster = Cluster::new(policy(4, &[&[0], &[1], &[2]]));
    for number in 0..20 {
        cluster.put(3, &format!("o-{number}"), number, b"body");
    }
    let files = cluster.node(3).files();
    cluster.node(2).store.fault.lock().unwrap().all_sessions =
        Some(Refusal::new(Reason::Unreachable, "down"));
    let replicator = cluster.replicator(3);
    let mut puts = Vec::new();
    for _ in 0..3 {
        let stats = replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
        assert_eq!((stats.released, stats.handoffs_remaining, stats.failure), (0, 1, 1), "{stats:?}");
        let asked = cluster.node(0).store.take_asked();
        puts.push(asked.operations.iter().filter(|op| **op == "put").count());
        assert_eq!(cluster.node(3).files(), files);
    }
    assert_eq!(puts, [20, 0, 0], "no body goes twice");
    assert_eq!(cluster.node(1).files(), files);
}

#[tokio::test]
async fn a_peer_that_admits_fewer_sessions_than_there_are_workers_is_kept_busy_and_hardly_refuses() {
    let one = ReceiverConfig { grpc_sessions_per_device: 1, ..ReceiverConfig::default() };
    let mut cluster = Cluster::with_receiver(policy(2, &[&[0; 64], &[1; 64]]), &one);
    cluster.config.concurrency = 4;
    for number in 0..150 {
        cluster.put(0, &format!("o-{number}"), number, b"body");
    }
    let stats = cluster.pass(0).await;
    assert!(stats.complete(), "{stats:?}");
    let pushed = cluster.node(1).partitions().len();
    let asked = cluster.node(1).store.take_asked().sessions;
    assert!(asked >= pushed && asked <= pushed + pushed / 4, "{asked} sessions for {pushed} partitions");
}
