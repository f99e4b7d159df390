//! A handoff brings its partition home, and lets go of exactly what its primaries have answered for (rules S2, S3).

use std::fs;

use ssync_receiver::ReceiverConfig;
use ssync_types::{Outcome, Reason, Refusal};

use crate::testing::{Cluster, at, policy, policy_of_regions};

/// Nodes 0 and 1 are the primaries of everything; node 2 is a handoff with some objects.
fn cluster() -> Cluster {
    let cluster = Cluster::new(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]));
    fill(&cluster, 2);
    cluster
}

fn fill(cluster: &Cluster, node: u32) {
    for number in 0..30 {
        cluster.put(node, &format!("o-{number}"), number, format!("body {number}").as_bytes());
    }
    cluster.put(node, "large", 1, &vec![1; 200_000]);
    cluster.put(node, "posted", 2, b"posted");
    cluster.post(node, "posted", 3, "red");
    cluster.delete(node, "deleted", 4);
}

#[tokio::test]
async fn everything_goes_home_and_nothing_stays() {
    let cluster = cluster();
    let files = cluster.node(2).files();
    let stats = cluster.pass(2).await;
    assert!(stats.complete(), "{stats:?}");
    assert_eq!((stats.attempted, stats.remove, stats.released), (4, 4, 33));
    assert_eq!(cluster.node(0).files(), files);
    assert_eq!(cluster.node(1).files(), files);
    assert!(cluster.node(2).files().is_empty());
    assert!(cluster.node(2).partitions().is_empty());
}

#[tokio::test]
async fn what_the_primaries_have_is_confirmed_not_sent() {
    let cluster = cluster();
    fill(&cluster, 0);
    fill(&cluster, 1);
    let stats = cluster.pass(2).await;
    assert_eq!((stats.released, stats.objects), (33, 0));
    let operations = cluster.node(0).store.take_asked().operations;
    assert!(!operations.is_empty() && operations.iter().all(|op| *op == "confirm"), "{operations:?}");
    assert!(cluster.node(2).files().is_empty());
}

#[tokio::test]
async fn sessions_that_are_full_are_opened_again() {
    for session_updates_max in [3, 4, 7] {
        let config = ReceiverConfig { session_updates_max, ..ReceiverConfig::default() };
        let mut cluster = Cluster::with_receiver(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]), &config);
        // One after the other: nobody is busy, so nothing has to come back.
        cluster.config.concurrency = 1;
        fill(&cluster, 2);
        // Some are confirmed, some sent, and some both.
        cluster.put(0, "posted", 2, b"posted");
        cluster.put(1, "large", 1, &vec![1; 200_000]);
        let stats = cluster.pass(2).await;
        assert!(stats.complete() && stats.put_back == 0, "{session_updates_max}: {stats:?}");
        assert!(cluster.node(2).files().is_empty());
    }
}

#[tokio::test]
async fn a_device_here_that_goes_away_is_no_fault_of_the_primaries() {
    let cluster = Cluster::new(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]));
    cluster.put(2, "large", 1, &vec![1; 200_000]);
    cluster.node(1).store.fault.lock().unwrap().at_offers = Some(Box::new(cluster.later_unmount(2)));
    let stats = cluster.pass(2).await;
    assert_eq!((stats.devices_failed, stats.failure, stats.released), (1, 0, 0), "{stats:?}");
    assert!(!stats.complete());
}

#[tokio::test]
async fn metadata_alone_does_not_answer_for_the_body() {
    let cluster = cluster();
    for node in [0, 1] {
        cluster.put(node, "large", 1, &vec![1; 200_000]);
    }
    cluster.post(2, "large", 50, "blue");
    cluster.pass(2).await;
    assert!(cluster.node(2).files().is_empty());
    let operations = cluster.node(0).store.take_asked().operations;
    let after_post = operations.iter().skip_while(|op| **op != "post").nth(1);
    assert!(operations.contains(&"post") && after_post.is_some());
}

/// Whatever one of two primaries does wrong, every file stays.
#[tokio::test]
async fn nothing_goes_while_one_primary_does_not_answer_for_it() {
    let refused = |reason| Refusal::new(reason, "no");
    let verdicts = [
        Outcome::NotPrimary,
        Outcome::NotFound,
        Outcome::AppliedUnflushed,
        Outcome::Failed(refused(Reason::ObjectIo)),
    ];
    for verdict in verdicts {
        let cluster = cluster();
        let files = cluster.node(2).files();
        cluster.node(1).store.fault.lock().unwrap().verdict = Some(verdict.clone());
        let stats = cluster.pass(2).await;
        assert_eq!((stats.released, stats.handoffs_remaining), (0, 4), "{verdict:?}");
        assert_eq!(cluster.node(2).files(), files, "{verdict:?}");
        assert_eq!(cluster.node(0).files(), files, "the other primary has its copy all the same");
    }
    for reason in [Reason::Unreachable, Reason::DeviceUnmounted, Reason::RingMismatch] {
        let cluster = cluster();
        let files = cluster.node(2).files();
        cluster.node(1).store.fault.lock().unwrap().all_sessions = Some(refused(reason));
        let stats = cluster.pass(2).await;
        assert_eq!((stats.released, stats.remove), (0, 0), "{reason:?}");
        assert!(stats.failure > 0);
        assert_eq!(cluster.node(2).files(), files, "{reason:?}");
    }
}

#[tokio::test]
async fn a_session_cut_off_before_its_results_releases_nothing() {
    let cluster = cluster();
    let files = cluster.node(2).files();
    cluster.node(1).store.fault.lock().unwrap().cut_after_events = Some(2);
    let stats = cluster.pass(2).await;
    assert_eq!(stats.released, 0);
    assert_eq!(cluster.node(2).files(), files);
}

#[tokio::test]
async fn an_object_that_changed_after_its_offer_stays() {
    let cluster = cluster();
    let changed = cluster.later_put(2, "o-7", 500);
    cluster.node(1).store.fault.lock().unwrap().at_offers = Some(Box::new(changed));
    // One partition at a time, so that the change comes between the listing and the end of its own partition.
    let stats = cluster.pass(2).await;
    let left = cluster.node(2).files();
    // The change may come before its partition was listed; then the newer version went home like all others.
    let newer_is_home = [0, 1].iter().all(|&node| holds_newer(&cluster, node));
    assert!(holds_newer(&cluster, 2) || newer_is_home, "the newer version is lost: {left:?} {stats:?}");
    cluster.pass(2).await;
    assert!(cluster.node(2).files().is_empty());
    assert!([0, 1].iter().all(|&node| holds_newer(&cluster, node)));
}

fn holds_newer(cluster: &Cluster, node: u32) -> bool {
    fs::read_dir(cluster.directory(node, "o-7")).is_ok_and(|mut entries| {
        entries.any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(&at(500).internal()))
    })
}

#[tokio::test]
async fn only_the_changed_object_stays_when_all_else_is_confirmed() {
    let cluster = Cluster::new(policy(3, &[&[0], &[1]]));
    fill(&cluster, 2);
    let changed = cluster.later_put(2, "o-7", 500);
    cluster.node(1).store.fault.lock().unwrap().at_offers = Some(Box::new(changed));
    let stats = cluster.pass(2).await;
    assert_eq!((stats.released, stats.handoffs_remaining), (32, 1));
    assert!(holds_newer(&cluster, 2));
    assert_eq!(cluster.node(2).files().len(), 1);
}

#[tokio::test]
async fn a_partition_beyond_the_ring_is_left_alone() {
    let cluster = cluster();
    let from = cluster.directory(2, "large");
    let partition = cluster.partition("large").to_string();
    let objects = from.ancestors().nth(3).unwrap().to_owned();
    fs::rename(objects.join(partition), objects.join("999")).unwrap();
    let stats = cluster.pass(2).await;
    assert_eq!((stats.partitions_outside, stats.attempted), (1, 3));
    assert!(!stats.complete());
    assert_eq!(cluster.node(2).partitions(), ["999".to_owned()].into());
    assert!(!cluster.node(2).files().is_empty());
}

#[tokio::test]
async fn handoff_delete_lets_go_before_all_have_answered() {
    let mut cluster = cluster();
    cluster.config.handoff_delete = Some(1);
    cluster.node(1).store.fault.lock().unwrap().all_sessions =
        Some(Refusal::new(Reason::Unreachable, "down"));
    let files = cluster.node(2).files();
    let stats = cluster.pass(2).await;
    assert_eq!(stats.released, 33);
    assert!(stats.failure > 0, "the node that is down is a failure all the same");
    assert_eq!(cluster.node(0).files(), files);
    assert!(cluster.node(2).files().is_empty());
}

#[tokio::test]
async fn handoff_delete_of_all_replicas_means_all() {
    let mut cluster = cluster();
    cluster.config.handoff_delete = Some(2);
    cluster.node(1).store.fault.lock().unwrap().all_sessions =
        Some(Refusal::new(Reason::Unreachable, "down"));
    assert_eq!(cluster.pass(2).await.released, 0);
}

#[tokio::test]
async fn a_busy_primary_is_asked_again_and_then_all_goes() {
    let cluster = cluster();
    let busy =
        Refusal::new(Reason::ReceiverBusy, "not now").retry_after(std::time::Duration::from_millis(10));
    cluster.node(1).store.fault.lock().unwrap().sessions = [busy.clone(), busy].into();
    let stats = cluster.pass(2).await;
    assert!(stats.complete(), "{stats:?}");
    // More often when jobs at once find too few slots.
    assert!(stats.put_back >= 2 && stats.attempted == 4, "{stats:?}");
    assert!(cluster.node(2).files().is_empty());
}

#[tokio::test]
async fn a_handoff_whose_lock_is_held_is_left_alone() {
    let cluster = Cluster::new(policy(3, &[&[0], &[1]]));
    fill(&cluster, 2);
    let files = cluster.node(2).files();
    let device = cluster.node(2).devices.open(&cluster.node(2).name).unwrap();
    let partition = cluster.partition("large");
    let _lock = device
        .lock_partition(ssync_types::PolicyIndex::new(0), partition, std::time::Duration::from_millis(10))
        .unwrap();
    let stats = cluster.pass(2).await;
    assert_eq!((stats.lock_failures, stats.handoffs_remaining, stats.released), (1, 1, 0));
    assert_eq!(cluster.node(2).files(), files);
    assert_eq!(cluster.node(0).store.take_asked().sessions, 0, "no offer without the lock");
}

#[tokio::test]
async fn handoffs_first_ends_the_pass_when_some_remain() {
    // Node 2 is a handoff of partitions 0 to 2 and a primary of partition 3.
    let mut cluster = Cluster::new(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 2]]));
    fill(&cluster, 2);
    cluster.config.handoffs_first = true;
    cluster.node(1).store.fault.lock().unwrap().all_sessions =
        Some(Refusal::new(Reason::Unreachable, "down"));
    let stats = cluster.pass(2).await;
    assert_eq!((stats.aborted, stats.attempted), (Some(crate::Abort::HandoffsRemain), 3));
    cluster.node(1).store.fault.lock().unwrap().all_sessions = None;
    let stats = cluster.pass(2).await;
    assert_eq!((stats.aborted, stats.attempted), (None, 4));
    assert_eq!(cluster.node(2).partitions(), ["3".to_owned()].into());
}

#[tokio::test]
async fn a_remote_region_gets_one_copy_and_all_its_primaries_are_asked() {
    // Node 3, the handoff, is in region 1 with node 0; nodes 4 and 5 are primaries in region 2.
    let cluster = Cluster::new(policy_of_regions(6, 4, &[&[0], &[4], &[5]]));
    fill(&cluster, 3);
    let stats = cluster.pass(3).await;
    assert_eq!((stats.released, stats.handoffs_remaining), (0, 1));
    assert_eq!(cluster.node(4).files(), cluster.node(3).files());
    assert!(cluster.node(5).files().is_empty(), "the region has its copy; the rest is its own affair");
    cluster.pass(4).await;
    assert_eq!(cluster.node(5).files(), cluster.node(4).files());
    let stats = cluster.pass(3).await;
    assert_eq!((stats.released, stats.handoffs_remaining), (33, 0));
    assert!(cluster.node(3).files().is_empty());
}
