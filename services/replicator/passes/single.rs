//! One partition done by itself, beside any pass.

use std::time::Duration;

use ssync_types::{Reason, Refusal};
use tokio_util::sync::CancellationToken;

use crate::{
    Overrides,
    testing::{Cluster, policy},
};

/// Nodes 0 and 1 are the primaries of both partitions; node 2 is a handoff.
fn cluster(holder: u32) -> Cluster {
    let cluster = Cluster::new(policy(3, &[&[0, 0], &[1, 1]]));
    for number in 0..20 {
        cluster.put(holder, &format!("o-{number}"), number, b"body");
    }
    cluster
}

#[tokio::test]
async fn one_partition_goes_to_its_peer_and_comes_back_to_a_busy_one() {
    let cluster = cluster(0);
    let replicator = cluster.replicator(0);
    let mut jobs = replicator.jobs(&Overrides::default()).await.primaries;
    assert_eq!((jobs.len(), *replicator.progress().borrow()), (2, crate::Progress::default()));
    let busy = Refusal::new(Reason::ReceiverBusy, "not now").retry_after(Duration::from_millis(10));
    cluster.node(1).store.fault.lock().unwrap().sessions = [busy].into();
    let job = jobs.remove(0);
    let partition = job.partition.to_string();
    let single = replicator.single(job, CancellationToken::new()).await;
    let progress = single.progress();
    let stats = single.run().await;
    assert!(stats.complete() && stats.put_back == 1 && stats.objects > 0, "{stats:?}");
    assert_eq!(cluster.node(1).partitions(), [partition].into());
    let seen = *progress.borrow();
    assert_eq!((seen.running, seen.partitions_done, seen.objects), (false, 1, stats.objects));
}

/// Who asks one primary alone has no right to let go of anything, however well that one answers (rule S2).
#[tokio::test]
async fn a_handoff_that_is_limited_to_one_primary_lets_go_of_nothing() {
    let cluster = cluster(2);
    let files = cluster.node(2).files();
    let replicator = cluster.replicator(2);
    for job in replicator.jobs(&Overrides::default()).await.handoffs {
        let d1 = job.targets.iter().filter(|target| target.device.as_str() == "d1").cloned().collect();
        let job = job.limited_to(d1);
        let stats = replicator.single(job, CancellationToken::new()).await.run().await;
        assert!(stats.complete() && stats.released == 0, "{stats:?}");
    }
    assert_eq!(cluster.node(2).files(), files);
    assert_eq!(cluster.node(1).files(), files);
    assert!(cluster.node(0).files().is_empty(), "it was not asked for");
}

#[tokio::test]
async fn a_handoff_with_all_its_primaries_goes_home() {
    let cluster = cluster(2);
    let replicator = cluster.replicator(2);
    for job in replicator.jobs(&Overrides::default()).await.handoffs {
        let stats = replicator.single(job, CancellationToken::new()).await.run().await;
        assert!(stats.complete() && stats.remove == 1, "{stats:?}");
    }
    assert!(cluster.node(2).files().is_empty());
}
