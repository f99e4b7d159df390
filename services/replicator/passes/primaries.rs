//! A primary brings the others up to date.

use std::{fs, time::Duration};

use ssync_receiver::ReceiverConfig;
use ssync_types::{Outcome, Partition, Reason, Refusal};
use tokio_util::sync::CancellationToken;

use crate::{
    Abort, Overrides,
    testing::{Cluster, policy},
};

/// Two nodes, each a primary of all four partitions.
fn pair() -> Cluster {
    Cluster::new(policy(2, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]))
}

/// Objects of every kind on node 0.
fn fill(cluster: &Cluster) {
    for number in 0..40 {
        cluster.put(0, &format!("small-{number}"), number, format!("body {number}").as_bytes());
    }
    cluster.put(0, "empty", 1, b"");
    cluster.put(0, "large", 2, &vec![7; 300_000]);
    cluster.put(0, "posted", 3, b"posted");
    cluster.post(0, "posted", 4, "red");
    cluster.put(0, "deleted", 5, b"gone");
    cluster.delete(0, "deleted", 6);
    cluster.delete(0, "ghost", 7);
    cluster.put(0, "snow\u{2603}man%20", 8, b"unicode");
}

#[tokio::test]
async fn an_empty_peer_gets_everything_and_a_second_pass_finds_nothing_to_do() {
    let cluster = pair();
    fill(&cluster);
    let stats = cluster.pass(0).await;
    assert!(stats.complete(), "{stats:?}");
    // One device may not have all slots of the receiver, so a job may have to come back; that is not counted.
    assert_eq!((stats.attempted, stats.success, stats.rsync), (4, 4, 4), "{stats:?}");
    assert_eq!(stats.objects, 44);
    assert!(stats.bytes > 300_000);
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    let asked = cluster.node(1).store.take_asked();
    assert_eq!(asked.operations.iter().filter(|op| **op == "delete").count(), 2);
    assert_eq!(asked.operations.iter().filter(|op| **op == "chunk").count(), 5, "300,000 bytes in 64 KiB");
    assert!(!asked.operations.contains(&"confirm"), "a primary asks for no verdicts");
    for name in ["large", "posted"] {
        for entry in fs::read_dir(cluster.directory(0, name)).unwrap().map(Result::unwrap) {
            let there = cluster.directory(1, name).join(entry.file_name());
            assert_eq!(fs::read(entry.path()).unwrap(), fs::read(there).unwrap());
        }
    }
    let again = cluster.pass(0).await;
    assert!(again.complete());
    assert_eq!((again.hashmatch, again.rsync, again.objects), (4, 0, 0));
    assert_eq!(cluster.node(1).store.take_asked().sessions, 0);
}

/// Swift hashes all that differs once more before it is sent.
#[tokio::test]
async fn what_was_hashed_just_now_is_not_hashed_again_and_what_was_kept_is() {
    let cluster = Cluster::new(policy(2, &[&[0], &[1]]));
    fill(&cluster);
    let hashed = || cluster.node(0).store.take_asked().hashes;
    cluster.pass(0).await;
    assert_eq!((hashed(), cluster.node(1).files()), (1, cluster.node(0).files()));
    cluster.put(0, "small-7", 100, b"newer");
    cluster.pass(0).await;
    assert_eq!((hashed(), cluster.node(1).files()), (1, cluster.node(0).files()), "one was hashed");
    cluster.put(1, "small-7", 101, b"newer still");
    cluster.pass(0).await;
    assert_eq!(hashed(), 2, "what was kept of it may be wrong");
}

#[tokio::test]
async fn only_suffixes_that_differ_are_offered() {
    let cluster = pair();
    fill(&cluster);
    cluster.pass(0).await;
    cluster.node(1).store.take_asked();
    cluster.put(0, "small-7", 100, b"newer");
    let stats = cluster.pass(0).await;
    assert_eq!((stats.hashmatch, stats.suffix_sync, stats.objects), (3, 1, 1));
    let asked = cluster.node(1).store.take_asked();
    assert_eq!((asked.sessions, asked.offers.len()), (1, 1));
    assert_eq!(asked.operations, ["put"]);
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
}

/// A power cut can take the note of a new suffix with it. Without a listing nobody would hear of that suffix again.
#[tokio::test]
async fn a_suffix_that_nobody_reported_is_found_within_ten_passes() {
    let cluster = pair();
    fill(&cluster);
    cluster.pass(0).await;
    cluster.put(0, "unreported", 100, b"new");
    let object = cluster.directory(0, "unreported");
    let partition = object.ancestors().nth(2).unwrap();
    fs::write(partition.join("hashes.invalid"), "").unwrap();
    let replicator = cluster.replicator(0);
    let mut pushed = Vec::new();
    for _ in 0..10 {
        pushed.push(replicator.run_once(&Overrides::default(), CancellationToken::new()).await.objects);
    }
    assert_eq!(pushed.iter().sum::<u64>(), 1, "{pushed:?}");
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
}

#[tokio::test]
async fn new_metadata_goes_without_the_body() {
    let cluster = pair();
    fill(&cluster);
    cluster.pass(0).await;
    cluster.node(1).store.take_asked();
    cluster.post(0, "large", 100, "blue");
    let stats = cluster.pass(0).await;
    assert!(stats.complete());
    assert_eq!(cluster.node(1).store.take_asked().operations, ["post"]);
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
}

#[tokio::test]
async fn nothing_is_pulled_and_nothing_is_removed_at_the_peer() {
    let cluster = pair();
    cluster.put(0, "ours", 1, b"x");
    cluster.put(1, "theirs", 1, b"y");
    cluster.put(1, "ours", 2, b"newer there");
    let before = cluster.node(0).files();
    cluster.pass(0).await;
    assert_eq!(cluster.node(0).files(), before);
    assert_eq!(cluster.node(1).files().len(), 2);
}

#[tokio::test]
async fn a_busy_peer_is_asked_again() {
    let cluster = pair();
    fill(&cluster);
    let busy = |reason| Refusal::new(reason, "not now").retry_after(Duration::from_millis(10));
    cluster.node(1).store.fault.lock().unwrap().sessions =
        [Reason::ReceiverBusy, Reason::PartitionLocked, Reason::DeviceLocked].map(busy).into();
    let stats = cluster.pass(0).await;
    assert!(stats.complete(), "{stats:?}");
    // Whoever finds the peer busy has not asked it in vain.
    assert!(stats.put_back >= 3 && stats.attempted == 4, "{stats:?}");
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
}

#[tokio::test]
async fn a_session_that_had_enough_is_opened_again() {
    let cluster = pair();
    fill(&cluster);
    cluster.node(1).store.fault.lock().unwrap().session_updates_max = Some(3);
    let stats = cluster.pass(0).await;
    assert!(stats.complete(), "{stats:?}");
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    assert!(cluster.node(1).store.take_asked().sessions >= 46 / 3);
}

#[tokio::test]
async fn a_session_that_is_old_is_opened_again_and_goes_on() {
    let cluster = pair();
    fill(&cluster);
    cluster.node(1).store.fault.lock().unwrap().session_time_max = Some(Duration::from_nanos(1));
    let stats = cluster.pass(0).await;
    assert!(stats.complete() && stats.put_back == 0, "{stats:?}");
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    assert!(cluster.node(1).store.take_asked().sessions > 4 + 8, "an object each, or so");
}

#[tokio::test]
async fn a_session_that_the_peer_ends_because_it_is_full_is_opened_again() {
    for session_updates_max in [2, 3, 4, 7] {
        let config = ReceiverConfig { session_updates_max, ..ReceiverConfig::default() };
        let mut cluster = Cluster::with_receiver(policy(2, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]), &config);
        // One after the other: nobody is busy, so nothing has to come back.
        cluster.config.concurrency = 1;
        fill(&cluster);
        let stats = cluster.pass(0).await;
        assert!(stats.complete() && stats.put_back == 0, "{session_updates_max}: {stats:?}");
        assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    }
}

/// What it says then tells whether it shuts down, has had enough of one session, or admits none into this device.
#[tokio::test]
async fn a_peer_that_asks_to_end_is_asked_for_one_session_more() {
    let cluster = pair();
    fill(&cluster);
    cluster.node(1).store.fault.lock().unwrap().drains_once = true;
    let stats = cluster.pass(0).await;
    assert!(stats.complete(), "{stats:?}");
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    let refusals = cluster.node(1).store.take_asked();
    assert!(refusals.sessions > 4, "one of four partitions took a second session: {refusals:?}");
}

#[tokio::test]
async fn a_peer_that_drains_is_come_back_to() {
    for reason in [Reason::Draining, Reason::DeviceLocked] {
        let cluster = pair();
        fill(&cluster);
        let refusal = Refusal::new(reason, "it drains").retry_after(Duration::from_millis(50));
        let replicator = cluster.replicator(0);
        {
            let mut fault = cluster.node(1).store.fault.lock().unwrap();
            fault.drains_once = true;
            fault.refuse_after_drain = Some(refusal);
        }
        let stats = replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
        assert!(stats.complete(), "{reason:?}: {stats:?}");
        let refusals: Vec<&str> = replicator.gates.refusals().into_keys().collect();
        assert!(refusals.contains(&reason.name()), "{reason:?}: {refusals:?}");
        let of_node = refusals.contains(&Reason::Draining.name());
        assert_eq!(of_node, reason == Reason::Draining, "a device that drains is no node that does");
        assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    }
}

#[tokio::test]
async fn few_outstanding_updates_and_no_inline_bodies_are_enough() {
    for (outstanding_updates_max, inline_bytes_max) in [(1, 65_536), (1024, 4), (1, 4)] {
        let config =
            ReceiverConfig { outstanding_updates_max, inline_bytes_max, ..ReceiverConfig::default() };
        let cluster = Cluster::with_receiver(policy(2, &[&[0, 0, 0, 0], &[1, 1, 1, 1]]), &config);
        fill(&cluster);
        let pass = tokio::time::timeout(Duration::from_secs(30), cluster.pass(0)).await;
        let done = pass.is_ok_and(|stats| stats.complete());
        assert!(done, "{outstanding_updates_max} outstanding, {inline_bytes_max} inline");
        assert_eq!(cluster.node(1).files(), cluster.node(0).files());
    }
}

#[tokio::test]
async fn a_session_that_breaks_off_is_a_failure() {
    let cluster = pair();
    fill(&cluster);
    cluster.node(1).store.fault.lock().unwrap().cut_after_events = Some(2);
    let stats = cluster.pass(0).await;
    assert_eq!((stats.failure, stats.success), (4, 0));
    assert_eq!(stats.failure_nodes["10.0.0.1"]["d1"], 4);
}

#[tokio::test]
async fn what_a_peer_could_not_store_is_a_failure() {
    let cluster = pair();
    fill(&cluster);
    cluster.node(1).store.fault.lock().unwrap().verdict =
        Some(Outcome::Failed(Refusal::new(Reason::ObjectIo, "broken disk")));
    let stats = cluster.pass(0).await;
    assert_eq!((stats.failure, stats.objects), (4, 0));
}

#[tokio::test]
async fn a_handoff_gets_the_copy_of_an_unmounted_device_and_of_no_other() {
    let rows: &[&[u16]] = &[&[0, 0, 0, 0], &[1, 1, 1, 1]];
    for (reason, stands_in) in [(Reason::DeviceUnmounted, true), (Reason::Unreachable, false)] {
        // A fractional third replica gives device 2 a place in the ring, so that it can stand in.
        let cluster = Cluster::new(policy(3, &[rows[0], rows[1], &[2, 2]]));
        let name = (0..).map(|n| format!("o-{n}")).find(|name| cluster.partition(name).get() == 3).unwrap();
        cluster.put(0, &name, 1, b"x");
        cluster.node(1).store.fault.lock().unwrap().hashes = Some(Refusal::new(reason, "no disk"));
        let stats = cluster.pass(0).await;
        assert_eq!((stats.failure, stats.success), (1, u64::from(stands_in)), "{reason:?}");
        assert_eq!(cluster.node(2).files() == cluster.node(0).files(), stands_in);
    }
}

#[tokio::test]
async fn a_device_here_that_goes_away_is_no_fault_of_the_peer() {
    // Device 2 stands in for a peer without a disk: not for one whose disk is there.
    let cluster = Cluster::new(policy(3, &[&[0, 0, 0, 0], &[1, 1, 1, 1], &[2, 2]]));
    let name = (0..).map(|n| format!("o-{n}")).find(|name| cluster.partition(name).get() == 3).unwrap();
    cluster.put(0, &name, 1, &vec![7; 300_000]);
    cluster.node(1).store.fault.lock().unwrap().at_offers = Some(Box::new(cluster.later_unmount(0)));
    let stats = cluster.pass(0).await;
    assert_eq!((stats.devices_failed, stats.failure, stats.success), (1, 0, 0), "{stats:?}");
    assert!(!stats.complete());
    assert_eq!(cluster.node(2).store.take_asked().sessions, 0, "nobody stands in");
}

#[tokio::test]
async fn an_object_that_cannot_be_read_costs_itself_alone() {
    let cluster = pair();
    fill(&cluster);
    // Shorter on disk than its metadata says, as after a crash without a flush.
    let folder = cluster.directory(0, "large");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(1000).unwrap();
    let stats = cluster.pass(0).await;
    assert_eq!(stats.objects, 43);
    assert_eq!(stats.failure, 1);
    assert!(!cluster.directory(1, "large").join("x").exists());
    assert_eq!(cluster.node(1).files().len(), cluster.node(0).files().len());
}

#[tokio::test]
async fn rot_here_is_found_by_the_peer_and_goes_to_quarantine() {
    let cluster = pair();
    cluster.put(0, "large", 1, &vec![7; 300_000]);
    cluster.put(0, "small", 1, b"sound");
    for (name, length) in [("large", 300_000), ("small", 5)] {
        let file = fs::read_dir(cluster.directory(0, name)).unwrap().next().unwrap().unwrap().path();
        let data = vec![b'r'; length];
        use std::io::Write as _;
        fs::OpenOptions::new().write(true).open(file).unwrap().write_all(&data).unwrap();
    }
    let stats = cluster.pass(0).await;
    assert_eq!(stats.objects, 0);
    assert!(stats.failure > 0);
    assert!(cluster.node(1).files().is_empty(), "the stored MD5 is announced, not that of the bytes");
    assert!(cluster.node(0).files().is_empty(), "both are in quarantine");
}

#[tokio::test]
async fn overrides_limit_a_pass() {
    let cluster = pair();
    fill(&cluster);
    let overrides = Overrides { partitions: [Partition::new(2)].into(), ..Overrides::default() };
    let stats = cluster.replicator(0).run_once(&overrides, CancellationToken::new()).await;
    assert_eq!(stats.attempted, 1);
    assert_eq!(cluster.node(1).partitions(), ["2".to_owned()].into());
}

#[tokio::test]
async fn a_drained_replicator_begins_nothing() {
    let cluster = pair();
    fill(&cluster);
    let drain = CancellationToken::new();
    drain.cancel();
    let stats = cluster.replicator(0).run_once(&Overrides::default(), drain).await;
    assert_eq!((stats.aborted, stats.attempted), (Some(Abort::Draining), 0));
    assert!(cluster.node(1).files().is_empty());
}

#[tokio::test]
async fn progress_is_seen_while_it_is_made() {
    let cluster = pair();
    fill(&cluster);
    let replicator = cluster.replicator(0);
    let watch = replicator.progress();
    replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
    let seen = *watch.borrow();
    assert_eq!((seen.partitions_done, seen.partitions_total, seen.objects), (4, 4, 44));
    assert!(!seen.running);
}

#[tokio::test]
async fn the_recon_cache_is_written_but_for_passes_with_overrides() {
    let mut cluster = pair();
    let folder = tempfile::tempdir().unwrap();
    cluster.config.recon_cache_path = Some(folder.path().to_owned());
    let overrides = Overrides { partitions: [Partition::new(2)].into(), ..Overrides::default() };
    cluster.replicator(0).run_once(&overrides, CancellationToken::new()).await;
    assert!(!folder.path().join("object.recon").exists());
    cluster.pass(0).await;
    assert!(folder.path().join("object.recon").exists());
}

#[tokio::test]
async fn a_file_where_a_partition_should_be_is_removed_and_the_next_pass_can_fill_it() {
    let cluster = pair();
    fill(&cluster);
    let partition = cluster.partition("large");
    let there = cluster.directory(1, "large").ancestors().nth(2).unwrap().to_owned();
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    fs::write(&there, "").unwrap();
    let stats = cluster.pass(0).await;
    assert!(!stats.complete(), "nothing can be stored there: {stats:?}");
    cluster.pass(1).await;
    assert!(!there.exists(), "{partition} is free again");
    assert!(cluster.pass(0).await.complete());
    assert_eq!(cluster.node(1).files(), cluster.node(0).files());
}
