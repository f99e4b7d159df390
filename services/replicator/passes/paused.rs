//! What an operator has paused is looked at and stays where it is; what is resumed goes on.

use std::{sync::Arc, time::Duration};

use ssync_types::{DeviceName, Outcome, Partition, PolicyIndex, Reason, Refusal};
use tokio_util::sync::CancellationToken;

use crate::{
    Overrides, PassStats, PushOrder, Replicator,
    testing::{Cluster, policy},
};

const ENOUGH: Duration = Duration::from_secs(20);

async fn pass(replicator: &Replicator) -> PassStats {
    replicator.run_once(&Overrides::default(), CancellationToken::new()).await
}

/// Node 0 is a primary of partition 0, and a handoff for partition 1.
fn cluster() -> Cluster {
    let cluster = Cluster::new(policy(4, &[&[0, 1], &[1, 2]]));
    (0..20).for_each(|number| cluster.put(0, &format!("o-{number}"), number, b"body"));
    cluster
}

#[tokio::test]
async fn a_paused_node_pushes_and_removes_nothing_and_is_not_done() {
    let cluster = cluster();
    let replicator = cluster.replicator(0);
    let before = cluster.node(0).files();
    replicator.pause(&[]).await.unwrap();
    let stats = pass(&replicator).await;
    assert_eq!((stats.objects, stats.released, stats.paused, stats.attempted), (0, 0, 2, 2), "{stats:?}");
    assert_eq!((stats.failure, stats.handoffs_remaining), (0, 1), "{stats:?}");
    assert!(!stats.complete() && stats.aborted.is_none());
    assert_eq!(cluster.node(0).files(), before);
    assert!((1..4).all(|node| cluster.node(node).files().is_empty()));
    assert!(cluster.node(1).store.take_asked().sessions == 0, "nobody is asked for a session");

    let resumed = replicator.resume(&[]);
    assert!(resumed.node && !replicator.paused().any());
    let stats = pass(&replicator).await;
    assert!(stats.complete() && stats.objects > 20 && stats.released > 0, "{stats:?}");
}

#[tokio::test]
async fn a_device_is_paused_by_its_name_and_no_stranger_is() {
    let cluster = cluster();
    let replicator = cluster.replicator(0);
    let refusal = replicator.pause(&["d7".parse().unwrap()]).await.unwrap_err();
    assert!(refusal.message.contains("which have: d0"), "{refusal}");
    assert!(!replicator.paused().any());
    let own: DeviceName = "d0".parse().unwrap();
    assert!(replicator.pause(std::slice::from_ref(&own)).await.unwrap().holds(&own));
    assert_eq!(pass(&replicator).await.paused, 2);
}

/// Each body is an object of its own to stop at: what is offered and wanted is not sent any more.
#[tokio::test]
async fn a_push_under_way_ends_with_the_object_that_it_is_at_and_blames_nobody() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    (0..300).for_each(|number| cluster.put(0, &format!("o-{number}"), number, &vec![1; 100_000]));
    let replicator = Arc::new(cluster.replicator(0));
    let running = {
        let replicator = Arc::clone(&replicator);
        tokio::spawn(async move { pass(&replicator).await })
    };
    let files = || cluster.node(1).files().len();
    tokio::time::timeout(ENOUGH, async {
        while files() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the push begins");
    replicator.pause(&[]).await.unwrap();
    let stats = tokio::time::timeout(ENOUGH, running).await.unwrap().unwrap();
    let stored = files() as u64;
    assert!(stored < 300, "it was not ended");
    assert_eq!((stats.objects, stats.failure, stats.paused), (stored, 0, 1), "{stats:?}");
    assert!(replicator.left_alone().is_empty(), "the peer has done nothing wrong");
    assert!(replicator.failed_visits().is_empty(), "{:?}", replicator.failed_visits());
    replicator.resume(&[]);
    let stats = pass(&replicator).await;
    assert!(stats.complete() && stats.objects == 300 - stored, "{stats:?}");
}

#[tokio::test]
async fn who_orders_a_push_gets_it() {
    let cluster = cluster();
    let replicator = cluster.replicator(0);
    replicator.pause(&[]).await.unwrap();
    let order = PushOrder {
        device: "d0".parse().unwrap(),
        partition: Partition::new(0),
        policy: PolicyIndex::new(0),
        to: None,
    };
    let stats = replicator.order(&order, CancellationToken::new()).await.unwrap().run().await;
    assert!(stats.complete() && stats.objects > 0, "{stats:?}");
}

#[tokio::test]
async fn handoffs_that_are_paused_are_in_nobodys_way() {
    let mut cluster = cluster();
    cluster.config.handoffs_first = true;
    let replicator = cluster.replicator(0);
    replicator.pause(&[]).await.unwrap();
    let stats = pass(&replicator).await;
    assert_eq!((stats.aborted, stats.paused), (None, 2), "its primaries had their turn: {stats:?}");
}

#[tokio::test]
async fn a_daemon_that_sleeps_is_woken_by_what_goes_on() {
    let mut cluster = cluster();
    cluster.config.interval = Duration::from_secs(3600);
    let replicator = Arc::new(cluster.replicator(0));
    replicator.pause(&[]).await.unwrap();
    let drain = CancellationToken::new();
    let daemon = {
        let (replicator, drain) = (Arc::clone(&replicator), drain.clone());
        tokio::spawn(async move { replicator.run_forever(drain).await })
    };
    let until = async |what: &str, is_so: &dyn Fn() -> bool| {
        tokio::time::timeout(ENOUGH, async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{what}"));
    };
    until("it sleeps", &|| replicator.next_pass().is_some()).await;
    assert!(cluster.node(1).files().is_empty());
    replicator.resume(&[]);
    until("the next pass pushes", &|| replicator.progress().borrow().objects > 0).await;
    until("it sleeps again", &|| replicator.next_pass().is_some()).await;
    let retried = replicator.retry(&[]);
    assert!(retried.now && retried.unknown.is_empty());
    until("one more pass", &|| replicator.progress().borrow().pass == 3).await;
    drain.cancel();
    daemon.await.unwrap();
}

#[tokio::test]
async fn what_failed_is_told_until_it_goes_well_and_a_retry_makes_it_due() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    cluster.put(0, "bad", 1, b"body");
    let broken = Outcome::Failed(Refusal::new(Reason::ObjectIo, "input/output error"));
    let fault = || cluster.node(1).store.fault.lock().unwrap();
    fault().verdict_of = Some((cluster.hash("bad"), broken));
    let replicator = cluster.replicator(0);
    for _ in 0..3 {
        assert_eq!(pass(&replicator).await.failure, 1);
        std::fs::remove_dir_all(cluster.directory(1, "bad")).unwrap();
        let _ = std::fs::remove_file(cluster.objects(1).join("0/hashes.pkl"));
    }
    let visits = replicator.failed_visits();
    assert_eq!((visits.len(), visits[0].times), (1, 3), "{visits:?}");
    assert_eq!(visits[0].peer.as_deref(), Some("10.0.0.1:6200/d1"));
    assert!(visits[0].cause.message.contains("1 objects failed"), "{visits:?}");
    assert_eq!(replicator.parked().len(), 1);
    assert_eq!(pass(&replicator).await.parked, 1, "it is left alone");

    fault().verdict_of = None;
    let hash = cluster.hash("bad").to_string();
    let unknown = replicator.retry(&["d9".to_owned(), "43b598753b11d9b4af67a5d5646e7b03".to_owned()]);
    assert_eq!((unknown.objects, unknown.unknown.len()), (0, 2));
    assert_eq!(pass(&replicator).await.parked, 1, "it is another that was asked for");
    let retried = replicator.retry(&[hash]);
    assert_eq!((retried.objects, retried.now), (1, false));
    let stats = pass(&replicator).await;
    assert!(stats.complete() && stats.objects == 1, "{stats:?}");
    assert!(replicator.failed_visits().is_empty() && replicator.parked().is_empty());
}

#[tokio::test]
async fn a_peer_that_is_left_alone_is_asked_again_at_once() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    cluster.put(0, "o", 1, b"body");
    let down = Refusal::new(Reason::Unreachable, "it is down");
    cluster.node(1).store.fault.lock().unwrap().hashes = Some(down);
    let replicator = cluster.replicator(0);
    for _ in 0..3 {
        pass(&replicator).await;
    }
    assert_eq!(replicator.left_alone().len(), 1);
    assert_eq!(replicator.failed_visits()[0].cause.reason, Reason::Unreachable);
    cluster.node(1).store.fault.lock().unwrap().hashes = None;
    let left = replicator.left_alone()[0].left;
    assert!(left > Duration::from_millis(500), "longer each time: {left:?}");
    assert_eq!(replicator.retry(&["10.0.0.1:6200/d1".to_owned()]).peers, 1);
    assert!(replicator.left_alone().is_empty());
    let stats = pass(&replicator).await;
    assert!(stats.complete() && stats.objects == 1, "{stats:?}");
}
