//! Who may replicate into the node, and until when.

use crate::tests::upload;
use std::{
    fs,
    time::{Duration, Instant},
};

use ssync_store::Store as _;
use ssync_types::{DeviceName, Outcome, PartitionRef, PolicyIndex, Reason, SessionOpen};

use super::support::{Node, at, complete, grpc, head, lock, md5, partition, put, ssync};

fn on(device: &str, number: u32) -> SessionOpen {
    let device: DeviceName = device.parse().unwrap();
    SessionOpen { partition: PartitionRef { device, ..partition(number) }, ..grpc(number) }
}

#[tokio::test]
async fn the_node_admits_so_many_sessions_of_all_protocols() {
    let node = Node::with(|config| config.replication_concurrency = 2);
    let one = node.open(grpc(0)).await;
    let two = node.open(ssync(1)).await;
    for open in [grpc(2), ssync(2), on("d2", 0)] {
        let refusal = node.refused(open).await;
        assert_eq!(refusal.reason, Reason::ReceiverBusy);
        assert!(refusal.retry_after.is_some());
    }
    let limits = node.receiver.limits();
    assert!(limits.iter().any(|limit| limit.name == "replication_concurrency" && limit.used == 2));
    one.close().await;
    // Who has seen the summary finds the slot free.
    let three = node.open(grpc(2)).await;
    two.close().await;
    three.close().await;
    assert_eq!(node.receiver.limits()[0].used, 0);
}

#[tokio::test]
async fn a_device_never_has_the_last_slot() {
    let node = Node::with(|config| config.replication_concurrency = 3);
    let one = node.open(grpc(0)).await;
    let two = node.open(grpc(1)).await;
    assert_eq!(node.refused(grpc(2)).await.reason, Reason::DeviceLocked);
    let elsewhere = node.open(on("d2", 0)).await;
    for talk in [one, two, elsewhere] {
        talk.close().await;
    }
}

#[tokio::test]
async fn updates_into_a_device_that_hangs_leave_room_for_those_into_another() {
    let node = Node::with(|config| {
        config.inline_bytes_max = 8 * 1024;
        config.waiting_bytes_max = 256 * 1024;
        config.threads_per_device = 1;
    });
    let mut hanging = node.open(grpc(0)).await;
    let mut other = node.open(on("d2", 0)).await;
    assert_eq!(hanging.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    let _held = lock(&node, "objects/0/.lock");
    let paths: Vec<_> = node.objects(0).take(65).collect();
    let (body, moment) = (vec![7; 8 * 1024], Duration::from_secs(1));
    for path in &paths[1..] {
        // When the budget of the device is used up, it takes no more.
        let sent = tokio::time::timeout(moment, hanging.send(put(path, at(1), &body))).await;
        if sent.is_err() {
            break;
        }
    }
    let waiting = || {
        let limits = node.receiver.limits();
        limits.into_iter().find(|limit| limit.name == "waiting_bytes_max").unwrap()
    };
    until("much of the device's part is used", || waiting().used >= 32 * 1024).await;
    assert_eq!(waiting().maximum, 256 * 1024);
    assert!(waiting().used <= 64 * 1024, "{:?}", waiting());
    let outcome = tokio::time::timeout(WAIT_MAX, other.outcome(put(&node.object(0), at(1), b"y")));
    assert_eq!(outcome.await.expect("a device that hangs stalls another"), Outcome::Applied);
}

#[tokio::test]
async fn sessions_into_a_device_that_hangs_leave_their_slots_and_keep_their_locks() {
    let node = Node::with(|config| {
        config.replication_concurrency = 2;
        config.replication_concurrency_per_device = 0;
        config.replication_lock_timeout = Duration::from_millis(50);
        config.device_timeout = Duration::from_secs(2);
    });
    let mut hanging = node.open(grpc(0)).await;
    let _idle = node.open(ssync(1)).await;
    let handle = node.receiver.core().devices.open(&partition(0).device).await.unwrap();
    assert_eq!(hanging.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    let held = lock(&node, "objects/0/.lock");
    hanging.send(put(&node.object(1), at(1), b"begun")).await;
    assert_eq!(node.refused(on("d2", 0)).await.reason, Reason::ReceiverBusy, "it may be no more than slow");
    until("the device hangs", || handle.refuse_if_it_hangs().is_err()).await;

    let elsewhere = [
        node.open(on("d2", 0)).await,
        node.open(SessionOpen { protocol: ssync(1).protocol, ..on("d2", 1) }).await,
    ];
    assert_eq!(
        node.refused(on("d2", 2)).await.reason,
        Reason::ReceiverBusy,
        "the limit holds for the others"
    );
    for open in [grpc(2), ssync(2), grpc(0)] {
        let refusal = node.receiver.updates(open).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::DeviceUnmounted);
        assert!(refusal.message.contains("device d1 hangs"), "{refusal}");
    }
    let devices = node.receiver.devices().await;
    assert!(devices[0].space.as_ref().unwrap_err().contains("device d1 hangs"), "{:?}", devices[0]);
    assert!(devices[1].space.is_ok(), "{:?}", devices[1]);

    drop(held);
    assert_eq!(hanging.outcomes(1).await, [Outcome::Applied]);
    for talk in elsewhere {
        talk.close().await;
    }
    // It works again, and the session without a slot has its locks still.
    assert_eq!(node.refused(ssync(0)).await.reason, Reason::PartitionLocked);
    hanging.close().await;
    assert_eq!(node.receiver.limits()[0].used, 0);
    node.open(grpc(0)).await.close().await;
}

#[tokio::test]
async fn what_an_abandoned_session_has_not_begun_holds_nothing() {
    let node = Node::with(|config| config.threads_per_device = 1);
    let mut hanging = node.open(grpc(0)).await;
    let mut queued = node.open(grpc(1)).await;
    let paths: Vec<_> = node.objects(1).take(2).collect();
    assert_eq!(hanging.outcome(put(&node.object(1), at(1), b"x")).await, Outcome::Applied);
    let held = lock(&node, "objects/0/.lock");
    hanging.send(put(&node.object(0), at(1), b"begun")).await;
    until("the write has begun", || open_files(&node, "(deleted)") == 1).await;
    queued.send(put(&paths[0], at(1), b"queued")).await;
    queued.send(put(&paths[0], at(2), b"behind it")).await;
    queued.stream(head(&paths[1], at(1), 3), b"abc", complete(&md5(b"abc"))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(queued);
    until("work that has not begun holds no slot", || node.receiver.limits()[0].used == 1).await;
    drop(held);
    assert_eq!(hanging.outcomes(1).await, [Outcome::Applied]);
    node.open(grpc(1)).await.close().await;
}

/// How long anything that is to come is waited for.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + WAIT_MAX;
    while !is_so() {
        assert!(Instant::now() < end, "never so: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Files below the node's first device that this process has open.
fn open_files(node: &Node, name: &str) -> usize {
    let links =
        fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    links.filter(|link| link.starts_with(node.device()) && link.to_string_lossy().contains(name)).count()
}

#[tokio::test]
async fn files_of_bodies_that_are_given_up_are_closed_by_a_thread_of_the_device() {
    let node = Node::with(|config| config.threads_per_device = 1);
    let (read, written) = (node.object(1), node.object(2));
    let large = vec![7; 4 << 20];
    let mut talk = node.open(grpc(0)).await;
    talk.stream(head(&read, at(1), large.len() as u64), &large, complete(&md5(&large))).await;
    assert_eq!(talk.outcomes(1).await, [Outcome::Applied]);

    let reading = node.receiver.get_object(node.reference(&read), vec![], Default::default()).await.unwrap();
    let (pieces, events) = tokio::sync::mpsc::channel(1);
    let request = ssync_types::ObjectPut {
        object: node.reference(&written),
        timestamp: at(1),
        content_length: None,
        metadata: Default::default(),
        if_none_match: Vec::new(),
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    };
    let receiver = std::sync::Arc::clone(&node.receiver);
    let writing = tokio::spawn(async move { upload(&*receiver, request, events).await });
    let piece = ssync_types::BodyEvent::Chunk(bytes::Bytes::from_static(b"abc"));
    pieces.send(piece).await.unwrap();
    until("both are open", || (open_files(&node, ".data"), open_files(&node, "(deleted)")) == (1, 1)).await;

    // Its only thread for clients is busy.
    let held = lock(&node, "objects/0/.lock");
    let delete = ssync_types::ObjectDelete {
        object: node.reference(&node.object(3)),
        timestamp: at(1),
        if_delete_at: None,
        next_part_power: None,
    };
    let receiver = std::sync::Arc::clone(&node.receiver);
    let deleting = tokio::spawn(async move { receiver.delete_object(delete).await });
    until("the write has begun", || open_files(&node, "(deleted)") == 2).await;
    drop(reading);
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((open_files(&node, ".data"), open_files(&node, "(deleted)")), (1, 2), "closed elsewhere");
    drop(held);
    assert!(!deleting.await.unwrap().unwrap().existed);
    until("all are closed", || open_files(&node, ".data") + open_files(&node, "(deleted)") == 0).await;
}

#[tokio::test]
async fn without_a_limit_there_is_none() {
    let node = Node::with(|config| {
        config.replication_concurrency = 0;
        config.grpc_sessions_per_device = 0;
    });
    let mut talks = Vec::new();
    for number in 0..4 {
        talks.push(node.open(grpc(number)).await);
        talks.push(node.open(on("d2", number)).await);
    }
    assert_eq!(node.receiver.sessions().len(), 8);
}

#[tokio::test]
async fn a_partition_has_one_session() {
    let node = Node::with(|config| config.replication_lock_timeout = Duration::from_secs(60));
    let _one = node.open(grpc(0)).await;
    let refused = tokio::time::timeout(WAIT_MAX, node.refused(grpc(0))).await.expect("gRPC does not wait");
    assert_eq!(refused.reason, Reason::PartitionLocked);

    let node = Node::with(|config| config.replication_lock_timeout = Duration::from_millis(150));
    let one = node.open(grpc(0)).await;
    let began = Instant::now();
    assert_eq!(node.refused(ssync(0)).await.reason, Reason::PartitionLocked);
    assert!(began.elapsed() >= Duration::from_millis(150), "SSYNC waits");
    one.close().await;
    node.open(grpc(0)).await.close().await;
}

#[tokio::test]
async fn ssync_waits_for_a_lock_of_another_daemon() {
    let node = Node::new();
    let held = lock(&node, "objects/0/.lock-replication");
    let free = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(held);
    });
    node.open(ssync(0)).await.close().await;
    free.await.unwrap();
}

#[tokio::test]
async fn ssync_takes_a_lock_of_the_device_and_grpc_a_permit() {
    let node = Node::with(|config| {
        config.replication_lock_timeout = Duration::from_millis(50);
        config.grpc_sessions_per_device = 1;
    });
    let held = lock(&node, ".lock");
    assert_eq!(node.refused(ssync(0)).await.reason, Reason::DeviceLocked);
    let one = node.open(grpc(0)).await;
    let refusal = node.refused(grpc(1)).await;
    assert_eq!(refusal.reason, Reason::DeviceLocked);
    assert!(refusal.retry_after.is_some());
    drop(held);
    // A refused session holds nothing.
    let two = node.open(ssync(1)).await;
    assert_eq!(node.refused(ssync(2)).await.reason, Reason::DeviceLocked);
    one.close().await;
    two.close().await;

    let node = Node::with(|config| config.grpc_device_lock = true);
    let _held = lock(&node, ".lock");
    assert_eq!(node.refused(grpc(0)).await.reason, Reason::DeviceLocked);
}

#[tokio::test]
async fn slot_and_lock_are_held_until_the_last_write_has_ended() {
    let node = Node::with(|config| config.replication_concurrency = 1);
    let path = node.object(0);
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(put(&node.object(1), at(1), b"x")).await, Outcome::Applied);
    // The write stops at the lock of the partition's hashes; meanwhile the sender goes away.
    let held = lock(&node, "objects/0/.lock");
    talk.send(put(&path, at(1), b"late")).await;
    until("the write has begun", || open_files(&node, "(deleted)") == 1).await;
    drop(talk);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(node.refused(grpc(1)).await.reason, Reason::ReceiverBusy);
    assert_eq!(node.receiver.sessions().len(), 1);
    drop(held);
    until("the slot is free", || node.receiver.limits()[0].used == 0).await;
    assert_eq!(node.files(&path).len(), 1, "what was begun is finished");
    assert!(node.receiver.sessions().is_empty());
}

#[tokio::test]
async fn a_request_for_what_does_not_exist_is_refused_at_once() {
    let node = Node::new();
    let unknown = PartitionRef { policy: PolicyIndex::new(7), ..partition(0) };
    let table = [
        (grpc(4), Reason::RingMismatch),
        (SessionOpen { partition: unknown, ..grpc(0) }, Reason::PolicyUnknown),
        (on("d9", 0), Reason::DeviceUnmounted),
    ];
    for (open, expected) in table {
        assert_eq!(node.receiver.updates(open).await.unwrap_err().reason, expected);
    }
    node.ring.set(None);
    assert_eq!(node.receiver.updates(grpc(0)).await.unwrap_err().reason, Reason::RingMismatch);
    assert_eq!(fs::read_dir(node.device()).unwrap().count(), 0, "nothing changed on the disk");
}

#[tokio::test]
async fn a_different_ring_is_reported_and_not_refused() {
    let node = Node::new();
    for (digest, differs) in [(None, false), (Some(vec![1, 2, 3]), false), (Some(vec![9]), true)] {
        let mut session =
            node.receiver.updates(SessionOpen { ring_digest: digest, ..grpc(0) }).await.unwrap();
        let opened = session.events.recv().await.unwrap().unwrap();
        assert_eq!(opened, ssync_types::SessionEvent::Opened { ring_differs: differs });
        drop(session.messages);
        while session.events.recv().await.is_some() {}
    }
}

#[tokio::test]
async fn devices_say_how_they_are() {
    let node = Node::new();
    let talk = node.open(grpc(0)).await;
    let devices = node.receiver.devices().await;
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["d1", "d2"]);
    assert_eq!((devices[0].sessions, devices[1].sessions), (1, 0));
    assert!(devices[0].space.as_ref().unwrap().total > 0);
    let absent = node.receiver.device_status(vec!["d9".parse().unwrap()]).await;
    assert!(absent[0].space.is_err());
    talk.close().await;
}
