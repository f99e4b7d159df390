//! A pass that was interrupted goes on where it was, and nothing is skipped for good.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ssync_types::{Partition, Reason, Refusal};
use tokio_util::sync::CancellationToken;

use crate::{
    Abort, Overrides, PassStats, PolicyPlaces, Replicator, Rings,
    replicator::Going,
    testing::{Cluster, policy},
};

const PARTITIONS: u64 = 8;

/// Two nodes, each a primary of all partitions; node 0 has objects in each. One partition after the other.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(policy(2, &[&[0; PARTITIONS as usize], &[1; PARTITIONS as usize]]));
    for number in 0..80 {
        cluster.put(0, &format!("o-{number}"), number, b"body");
    }
    cluster.config.concurrency = 1;
    cluster
}

async fn daemon_pass(replicator: &Replicator, drain: &CancellationToken) -> PassStats {
    replicator.pass(&Overrides::default(), drain.clone(), Going::On).await
}

/// A pass that is stopped when it has come to the partition after the first `done`.
async fn stopped_after(cluster: &Cluster, replicator: &Replicator, done: usize) {
    let drain = CancellationToken::new();
    let stop = drain.clone();
    cluster.node(1).store.fault.lock().unwrap().at_hashes = Some((done, Box::new(move || stop.cancel())));
    let stats = daemon_pass(replicator, &drain).await;
    assert_eq!((stats.aborted, stats.attempted), (Some(Abort::Draining), done as u64 + 1));
}

async fn goes_on(replicator: &Replicator, left: u64) {
    let go = CancellationToken::new();
    let stats = daemon_pass(replicator, &go).await;
    assert_eq!((stats.partitions, stats.attempted, stats.aborted), (left, left, None), "only what is left");
    let stats = daemon_pass(replicator, &go).await;
    assert_eq!(stats.attempted, PARTITIONS, "and the next one looks at everything again");
}

#[tokio::test]
async fn a_pass_goes_on_where_it_was() {
    let cluster = cluster();
    let replicator = cluster.replicator(0);
    stopped_after(&cluster, &replicator, 3).await;
    // It is interrupted a second time.
    let drain = CancellationToken::new();
    let stop = drain.clone();
    cluster.node(1).store.fault.lock().unwrap().at_hashes = Some((2, Box::new(move || stop.cancel())));
    assert_eq!(daemon_pass(&replicator, &drain).await.partitions, PARTITIONS - 3);
    goes_on(&replicator, PARTITIONS - 5).await;
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
}

#[tokio::test]
async fn it_goes_on_after_a_restart_too() {
    let mut cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    cluster.config.recon_cache_path = Some(folder.path().to_owned());
    let file = folder.path().join("object-replicator.pass");
    for (rubbish, left) in [(false, PARTITIONS - 3), (true, PARTITIONS)] {
        stopped_after(&cluster, &cluster.replicator(0), 3).await;
        if rubbish {
            fs::write(&file, b"\x80\x02}q\x00.").unwrap();
        }
        let replicator = cluster.replicator(0);
        replicator.recall().await;
        goes_on(&replicator, left).await;
        assert!(!file.exists(), "a pass that is done is not remembered");
    }
}

#[tokio::test]
async fn one_that_somebody_asked_for_is_whole() {
    let cluster = cluster();
    let replicator = cluster.replicator(0);
    stopped_after(&cluster, &replicator, 3).await;
    let go = CancellationToken::new();
    assert_eq!(replicator.run_once(&Overrides::default(), go).await.attempted, PARTITIONS);
}

/// A ring that can be replaced.
#[derive(Debug)]
struct Replaced {
    policy: PolicyPlaces,
    changed: AtomicBool,
}

impl Rings for Replaced {
    fn current(&self) -> Vec<PolicyPlaces> {
        self.changed.store(false, Ordering::SeqCst);
        vec![self.policy.clone()]
    }

    fn changed(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_ring_file_that_was_replaced_by_the_same_ring_costs_nothing() {
    let mut cluster = cluster();
    cluster.config.ring_check_interval = Duration::ZERO;
    let rings = Arc::new(Replaced { policy: cluster.policy.clone(), changed: AtomicBool::new(false) });
    let replicator = cluster.replicator_by(0, Arc::clone(&rings) as Arc<dyn Rings>);
    let replaced = Arc::clone(&rings);
    let replace = move || replaced.changed.store(true, Ordering::SeqCst);
    // Time for a look passes with each of the jobs.
    cluster.node(1).store.fault.lock().unwrap().hashes_take = Duration::from_millis(30);
    cluster.node(1).store.fault.lock().unwrap().at_hashes = Some((3, Box::new(replace)));
    let stats = daemon_pass(&replicator, &CancellationToken::new()).await;
    assert_eq!(stats.aborted, Some(Abort::RingChanged));
    assert!((4..PARTITIONS).contains(&stats.attempted), "{stats:?}");
    goes_on(&replicator, PARTITIONS - stats.attempted).await;
}

#[tokio::test]
async fn handoffs_that_are_in_the_way_are_done_again_each_time() {
    // Node 2 is a handoff of partitions 0 to 2 and a primary of partition 3.
    let mut cluster = Cluster::new(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 2]]));
    for number in 0..40 {
        cluster.put(2, &format!("o-{number}"), number, b"body");
    }
    cluster.config.handoffs_first = true;
    cluster.node(1).store.fault.lock().unwrap().all_sessions =
        Some(Refusal::new(Reason::DeviceUnmounted, "no disk"));
    let (replicator, go) = (cluster.replicator(2), CancellationToken::new());
    for _ in 0..2 {
        let stats = daemon_pass(&replicator, &go).await;
        assert_eq!((stats.aborted, stats.attempted), (Some(Abort::HandoffsRemain), 3));
    }
    cluster.node(1).store.fault.lock().unwrap().all_sessions = None;
    let stats = daemon_pass(&replicator, &go).await;
    assert_eq!((stats.aborted, stats.attempted, stats.remove), (None, 4, 3), "{stats:?}");
}

/// A pass that is told to stop waits for its jobs without asking over and over whether they are done: on a clock that stands
/// still while anything runs, time would not pass at all.
#[tokio::test(start_paused = true)]
async fn to_wait_for_the_last_jobs_takes_no_work() {
    let mut cluster = cluster();
    cluster.config.http_timeout = Duration::from_secs(40);
    cluster.node(0).store.fault.lock().unwrap().all_hashes_hang = true;
    let (replicator, drain) = (cluster.replicator(0), CancellationToken::new());
    let stop = drain.clone();
    let begin = tokio::time::Instant::now();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.cancel();
    };
    let (stats, ()) = tokio::join!(daemon_pass(&replicator, &drain), stopping);
    assert_eq!(stats.aborted, Some(Abort::Draining));
    assert!(begin.elapsed() < Duration::from_secs(90), "{:?}", begin.elapsed());
}

/// A daemon that dies at the partition that it begins with, each time, does the others all the same.
#[tokio::test]
async fn one_poisonous_partition_does_not_starve_the_others() {
    let mut cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    cluster.config.recon_cache_path = Some(folder.path().to_owned());
    let file = folder.path().join("object-replicator.pass");
    let peer = Arc::clone(&cluster.node(1).store);
    // The first one that any daemon begins with. It lives long enough to note that.
    peer.fault.lock().unwrap().all_hashes_hang = true;
    let interval = std::mem::replace(&mut cluster.config.ring_check_interval, Duration::ZERO);
    let poison = dies_at(&cluster, |_| file.exists()).await;
    cluster.config.ring_check_interval = interval;
    {
        let mut fault = peer.fault.lock().unwrap();
        (fault.all_hashes_hang, fault.hashes_hang) = (false, Some(poison));
    }
    for deaths in 1..=3 {
        assert_eq!(dies_at(&cluster, |partition| partition == poison).await, poison);
        let arrived = cluster.node(1).partitions().len() as u64;
        assert_eq!(arrived, if deaths == 1 { 0 } else { PARTITIONS - 1 }, "at death {deaths}");
    }
    peer.fault.lock().unwrap().hashes_hang = None;
    let replicator = cluster.replicator(0);
    replicator.recall().await;
    assert!(daemon_pass(&replicator, &CancellationToken::new()).await.complete());
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    assert!(!file.exists());
}

/// A daemon that is killed while it is at such a partition; which one that was.
async fn dies_at(cluster: &Cluster, is_poison: impl Fn(Partition) -> bool) -> Partition {
    let replicator = cluster.replicator(0);
    replicator.recall().await;
    let go = CancellationToken::new();
    let watch = async {
        loop {
            let at = replicator.claims.list().first().map(|at| at.partition);
            if let Some(partition) = at.filter(|partition| is_poison(*partition)) {
                return partition;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let death = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::select! {
            stats = daemon_pass(&replicator, &go) => panic!("it comes to its end: {stats:?}"),
            partition = watch => partition,
        }
    });
    death.await.expect("it comes to that partition")
}
