//! What an operator tells a running receiver: devices drained and resumed, limits set live.

use std::time::Duration;

use ssync_store::Store as _;
use ssync_types::{DeviceName, Outcome, PartitionRef, Reason, SessionEvent, SessionOpen, UpdateOp};

use super::support::{Node, at, complete, grpc, head, md5, partition, put, release_open, ssync};
use crate::SessionLimits;

fn device(name: &str) -> DeviceName {
    name.parse().unwrap()
}

fn on(name: &str, number: u32) -> SessionOpen {
    SessionOpen { partition: PartitionRef { device: device(name), ..partition(number) }, ..grpc(number) }
}

#[tokio::test]
async fn a_drained_device_tells_its_sessions_and_admits_no_more() {
    let node = Node::new();
    let mut talk = node.open(grpc(0)).await;
    let elsewhere = node.open(on("d2", 0)).await;
    node.receiver.drain_device(&device("d1"));
    assert!(matches!(talk.event().await, Some(Ok(SessionEvent::Draining(_)))));
    // What was on its way is taken; a sender that closes ends in order.
    assert_eq!(talk.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    let ended = talk.close().await;
    assert_eq!((ended.error, ended.summary.unwrap().applied), (None, 1));
    for open in [grpc(1), ssync(1)] {
        let refusal = node.receiver.updates(open).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::DeviceLocked, "before a stock sender has its 200");
        assert!(refusal.retry_after.is_some() && refusal.message.contains("ssync resume d1"), "{refusal}");
    }
    assert!(!node.receiver.is_draining() && node.receiver.drained_devices() == [device("d1")]);
    // Others are not meant, and clients are served as before.
    node.open(on("d2", 1)).await.close().await;
    elsewhere.close().await;
    assert_eq!(node.read(&node.object(0)).await.unwrap(), b"x");
    assert!(node.receiver.resume_device(&device("d1")) && !node.receiver.resume_device(&device("d1")));
    node.open(grpc(1)).await.close().await;
}

/// Who does not listen is ended after the grace, but never in the middle of an object.
#[tokio::test]
async fn a_drain_of_a_device_ends_sessions_between_two_objects() {
    let node = Node::with(|config| config.drain_timeout = Duration::from_millis(300));
    let idle = node.open(grpc(0)).await;
    let mut busy = node.open(grpc(1)).await;
    let path = node.objects(1).next().unwrap();
    let bytes = vec![1; 300_000];
    busy.send(UpdateOp::Put(head(&path, at(1), 300_000))).await;
    node.receiver.drain_device(&device("d1"));
    let ended = idle.rest(false).await;
    assert!(ended.drained && ended.error.unwrap().reason == Reason::DeviceLocked);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(node.receiver.sessions().len(), 1, "its body may take as long as it needs");
    for piece in bytes.chunks(60_000) {
        busy.chunk(piece).await;
    }
    busy.message(ssync_types::UpdateMessage::End(complete(&md5(&bytes)))).await;
    let ended = busy.rest(false).await;
    assert_eq!(ended.results.len(), 1);
    assert_eq!(ended.results[0].outcome, Outcome::Applied, "what was begun is durable, and answered");
    assert!(node.receiver.sessions().is_empty());
}

#[tokio::test]
async fn a_node_that_drains_as_well_ends_even_a_body() {
    let node = Node::with(|config| config.drain_timeout = Duration::from_millis(300));
    let mut busy = node.open(grpc(0)).await;
    busy.send(UpdateOp::Put(head(&node.object(0), at(1), 10))).await;
    node.receiver.drain_device(&device("d1"));
    assert!(matches!(busy.event().await, Some(Ok(SessionEvent::Draining(_)))));
    node.receiver.drain();
    let ended = tokio::time::timeout(Duration::from_secs(5), busy.rest(false)).await.unwrap();
    assert_eq!(ended.error.unwrap().reason, Reason::Draining);
    assert_eq!(node.receiver.release(release_open(0)).await.unwrap_err().reason, Reason::Draining);
}

#[tokio::test]
async fn limits_that_are_set_count_for_the_next_session() {
    let node = Node::with(|config| config.replication_concurrency = 2);
    let set = |change: fn(&mut SessionLimits)| {
        let mut limits = node.receiver.session_limits().0;
        change(&mut limits);
        node.receiver.set_session_limits(limits);
    };
    let (one, two) = (node.open(grpc(0)).await, node.open(on("d2", 0)).await);
    assert_eq!(node.refused(on("d2", 1)).await.reason, Reason::ReceiverBusy);
    set(|limits| limits.replication_concurrency = 4);
    let three = node.open(on("d2", 1)).await;
    // Lowered below what is under way: nothing is broken off, and nothing more comes in.
    set(|limits| limits.replication_concurrency = 1);
    assert_eq!(node.refused(grpc(1)).await.reason, Reason::ReceiverBusy);
    assert_eq!(node.receiver.limits()[0].used, 3);
    for talk in [one, two] {
        assert_eq!(talk.close().await.error, None);
    }
    assert_eq!(node.refused(grpc(1)).await.reason, Reason::ReceiverBusy, "one of one");
    three.close().await;
    node.open(grpc(1)).await.close().await;

    set(|limits| (limits.replication_concurrency, limits.grpc_sessions_per_device) = (9, 1));
    let alone = node.open(grpc(0)).await;
    assert_eq!(node.refused(grpc(1)).await.reason, Reason::DeviceLocked);
    set(|limits| limits.grpc_sessions_per_device = 2);
    node.open(grpc(1)).await.close().await;
    alone.close().await;

    set(|limits| limits.session_updates_max = 1);
    let mut short = node.open(grpc(0)).await;
    short.send(put(&node.object(0), at(1), b"x")).await;
    assert!(short.rest(false).await.full, "it was told of the new limit, and held to it");

    let (_, configured) = node.receiver.session_limits();
    node.receiver.follow(configured);
    assert_eq!(node.receiver.session_limits().0, configured, "a reload puts back what the conf says");
    assert_eq!(configured.replication_concurrency, 2);
}
