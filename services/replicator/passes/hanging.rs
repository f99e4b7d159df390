//! A disk that hangs holds up itself alone.

use std::{fs, sync::Arc, time::Duration};

use ssync_types::{Partition, PolicyIndex};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Abort, Overrides,
    testing::{Cluster, policy},
};

/// Two nodes, each a primary of all four partitions; node 0 has an object in each, and one partition of it hangs.
fn hanging() -> Cluster {
    let mut cluster = Cluster::new(policy(2, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]));
    // A job is stuck after some seconds. The peers of a cluster have time-outs of their own.
    cluster.config.http_timeout = Duration::from_millis(200);
    for number in 0..40 {
        cluster.put(0, &format!("o-{number}"), number, b"body");
    }
    cluster.node(0).store.fault.lock().unwrap().hashes_hang = Some(Partition::new(1));
    cluster
}

#[tokio::test]
async fn a_job_that_hangs_is_left_behind_and_the_pass_ends() {
    let cluster = hanging();
    let stats = timeout(Duration::from_secs(60), cluster.pass(0)).await.expect("the pass ends");
    assert!(!stats.complete());
    assert_eq!((stats.devices_failed, stats.failure, stats.aborted), (1, 1, None));
    assert_eq!(cluster.node(1).partitions(), ["0", "2", "3"].map(str::to_owned).into());
    cluster.node(0).store.fault.lock().unwrap().hashes_hang = None;
    assert!(cluster.pass(0).await.complete(), "the next pass takes it up again");
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
}

#[tokio::test]
async fn a_drain_does_not_wait_long_for_a_job_that_hangs() {
    let mut cluster = hanging();
    cluster.config.concurrency = 1;
    let drain = CancellationToken::new();
    let replicator = cluster.replicator(0);
    let overrides = Overrides::default();
    let pass = replicator.run_once(&overrides, drain.clone());
    let stop = async {
        sleep(Duration::from_millis(500)).await;
        drain.cancel();
    };
    let ends = timeout(Duration::from_secs(60), async { tokio::join!(pass, stop) }).await;
    assert_eq!(ends.expect("the pass ends").0.aborted, Some(Abort::Draining));
}

/// What a handoff that hangs keeps here is in the way of what comes after it.
#[tokio::test]
async fn handoffs_of_a_device_that_is_left_out_remain() {
    // Node 2 is a handoff of partitions 0 to 2 and a primary of partition 3.
    let mut cluster = Cluster::new(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 2]]));
    for number in 0..40 {
        cluster.put(2, &format!("o-{number}"), number, b"body");
    }
    cluster.config.http_timeout = Duration::from_millis(200);
    (cluster.config.handoffs_first, cluster.config.concurrency) = (true, 1);
    cluster.node(1).store.fault.lock().unwrap().sessions_hang = true;
    let stats = timeout(Duration::from_secs(60), cluster.pass(2)).await.expect("the pass ends");
    assert_eq!((stats.devices_failed, stats.handoffs_remaining), (1, 3), "{stats:?}");
    assert_eq!((stats.aborted, stats.attempted), (Some(Abort::HandoffsRemain), 1));
}

/// They remain until the operator has decided about the device, and that is no reason to let all others wait.
#[tokio::test]
async fn handoffs_of_a_device_that_is_held_back_are_counted_and_in_nobodys_way() {
    let mut cluster = Cluster::new(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 2]]));
    for number in 0..40 {
        cluster.put(2, &format!("o-{number}"), number, b"body");
    }
    cluster.config.handoffs_first = true;
    // Whether it was away cannot be read.
    fs::create_dir(cluster.node(2).real(".ssync-away")).unwrap();
    let stats = cluster.pass(2).await;
    assert_eq!((stats.devices_away, stats.handoffs_remaining, stats.attempted), (1, 3, 0), "{stats:?}");
    assert_eq!(stats.aborted, None);
    assert!(!stats.complete());
}

/// A partition that nobody has hashed yet may have more suffixes than are hashed in the time after which a job hangs.
#[tokio::test]
async fn a_long_hashing_that_gets_on_is_waited_for() {
    let mut cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    cluster.config.http_timeout = Duration::from_millis(200);
    cluster.put(0, "o", 1, b"body");
    cluster.node(0).store.fault.lock().unwrap().hashes_take = Duration::from_secs(7);
    let (devices, name) = (Arc::clone(&cluster.node(0).devices), cluster.node(0).name.clone());
    let (suffix, partition) = (cluster.hash("o").suffix(), Partition::new(0));
    let hashing = async {
        loop {
            let device = devices.open(&name).unwrap();
            device.suffix_hashes(PolicyIndex::new(0), partition, &[suffix], false).unwrap();
            sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        stats = cluster.pass(0) => assert!(stats.complete() && stats.objects == 1, "{stats:?}"),
        () = hashing => {}
    }
}
