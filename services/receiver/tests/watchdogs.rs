//! Peers that fall silent, and a node that shuts down.

use std::time::{Duration, Instant};

use ssync_store::Store as _;
use ssync_types::{Offer, Outcome, Reason, SessionEvent, UpdateMessage, UpdateOp};
use tokio::{sync::mpsc, time};

use super::{
    support::{Node, at, body, complete, grpc, head, lock, md5, partition, put, release_open},
    upload,
};

fn quick() -> Node {
    Node::with(|config| {
        config.client_timeout = Duration::from_millis(300);
        config.drain_timeout = Duration::from_millis(300);
        config.replication_concurrency = 1;
    })
}

#[tokio::test]
async fn a_silent_sender_loses_its_session() {
    let node = quick();
    let began = Instant::now();
    let ended = node.open(grpc(0)).await.rest(false).await;
    assert_eq!(ended.error.unwrap().reason, Reason::IdleTimeout);
    assert!(began.elapsed() >= Duration::from_millis(300));
    // And in the middle of a body.
    let mut talk = node.open(grpc(0)).await;
    talk.send(UpdateOp::Put(head(&node.object(0), at(1), 10))).await;
    talk.chunk(b"12345").await;
    let ended = talk.rest(false).await;
    assert_eq!(ended.error.unwrap().reason, Reason::IdleTimeout);
    assert!(node.all_files().is_empty());
    node.open(grpc(0)).await.close().await;
}

#[tokio::test]
async fn heartbeats_and_checks_of_the_partition_keep_a_session() {
    let node = Node::with(|config| config.client_timeout = Duration::from_secs(2));
    let pause = Duration::from_millis(500);
    let mut talk = node.open(grpc(0)).await;
    for _ in 0..5 {
        time::sleep(pause).await;
        talk.message(UpdateMessage::Heartbeat).await;
    }
    let (offers, batches) = mpsc::channel(1);
    let mut answers = node.receiver.missing_check(partition(0), batches).await.unwrap();
    for _ in 0..5 {
        time::sleep(pause).await;
        offers.send(vec![Offer::of_one_time(node.hash_of(&node.object(0)), at(1), None)]).await.unwrap();
        answers.recv().await.unwrap().unwrap();
    }
    assert_eq!(talk.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    assert_eq!(talk.close().await.error, None);
}

#[tokio::test]
async fn heartbeats_alone_do_not_keep_a_session_for_ever() {
    let node = Node::with(|config| config.client_timeout = Duration::from_millis(100));
    let mut talk = node.open(grpc(0)).await;
    // No disk takes part in what follows.
    time::pause();
    let began = time::Instant::now();
    while !node.receiver.sessions().is_empty() {
        assert!(began.elapsed() < Duration::from_millis(1200), "the session never ends");
        talk.message(UpdateMessage::Heartbeat).await;
        time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
    time::resume();
    assert_eq!(talk.rest(true).await.error.unwrap().reason, Reason::IdleTimeout);
}

#[tokio::test]
async fn heartbeats_keep_a_check_but_not_for_ever() {
    let node = Node::with(|config| config.client_timeout = Duration::from_millis(150));
    let (offers, batches) = mpsc::channel(1);
    let mut answers = node.receiver.missing_check(partition(0), batches).await.unwrap();
    let offer = || Offer::of_one_time(node.hash_of(&node.object(0)), at(1), None);
    // Only the answer to an offer comes from a disk.
    time::pause();
    for _ in 0..8 {
        time::sleep(Duration::from_millis(50)).await;
        offers.send(Vec::new()).await.unwrap();
    }
    time::resume();
    offers.send(vec![offer()]).await.unwrap();
    assert_eq!(answers.recv().await.unwrap().unwrap().answered_offers, 1, "a heartbeat has no answer");
    time::pause();
    let began = time::Instant::now();
    let refusal = loop {
        assert!(began.elapsed() < Duration::from_millis(1700), "the check never ends");
        let _ = offers.send(Vec::new()).await;
        match time::timeout(Duration::from_millis(50), answers.recv()).await {
            Ok(answer) => break answer.unwrap().unwrap_err(),
            Err(_) => continue,
        }
    };
    assert_eq!(refusal.reason, Reason::IdleTimeout);
    assert!(refusal.message.contains("heartbeats"), "{refusal}");
    assert!(began.elapsed() >= Duration::from_millis(1400));
}

#[tokio::test]
async fn heartbeats_of_a_check_are_not_those_of_a_session() {
    let node = quick();
    let talk = node.open(grpc(0)).await;
    let (offers, batches) = mpsc::channel(1);
    let _answers = node.receiver.missing_check(partition(0), batches).await.unwrap();
    let beats = async {
        loop {
            time::sleep(Duration::from_millis(100)).await;
            offers.send(Vec::new()).await.unwrap();
        }
    };
    let ended = tokio::select! {
        ended = talk.rest(false) => ended,
        () = beats => unreachable!(),
        () = time::sleep(Duration::from_secs(20)) => panic!("the session never ends"),
    };
    assert_eq!(ended.error.unwrap().reason, Reason::IdleTimeout);
}

#[tokio::test]
async fn a_session_says_that_it_lives() {
    let node = quick();
    let mut talk = node.open(grpc(0)).await;
    talk.message(UpdateMessage::Heartbeat).await;
    assert_eq!(talk.event().await.unwrap().unwrap(), SessionEvent::Heartbeat);
}

#[tokio::test]
async fn silent_checks_and_bodies_end() {
    let node = quick();
    let (_offers, batches) = mpsc::channel(1);
    let mut answers = node.receiver.missing_check(partition(0), batches).await.unwrap();
    assert_eq!(answers.recv().await.unwrap().unwrap_err().reason, Reason::IdleTimeout);
    assert!(answers.recv().await.is_none());

    let put = ssync_types::ObjectPut {
        object: node.reference(&node.object(0)),
        timestamp: at(1),
        content_length: Some(5),
        metadata: Default::default(),
        if_none_match: Vec::new(),
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    };
    let (_sender, events) = mpsc::channel(1);
    let refusal = upload(&*node.receiver, put.clone(), events).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::IdleTimeout);
    assert!(node.all_files().is_empty());
    upload(&*node.receiver, put, body(b"12345", complete(&md5(b"12345")))).await.unwrap();
}

#[tokio::test]
async fn sessions_into_a_device_that_hangs_are_ended_and_what_has_begun_has_its_result() {
    let node = Node::with(|config| {
        config.client_timeout = Duration::from_secs(8);
        config.device_timeout = Duration::from_secs(2);
    });
    let idle = node.open(grpc(1)).await;
    let mut busy = node.open(grpc(0)).await;
    assert_eq!(busy.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    let held = lock(&node, "objects/0/.lock");
    busy.send(put(&node.object(1), at(1), b"begun")).await;
    let began = Instant::now();
    assert_eq!(idle.rest(false).await.error.unwrap().reason, Reason::DeviceUnmounted);
    assert!(began.elapsed() >= Duration::from_secs(2));
    // The other one has seen it when it next says that it lives: it looks at its device then.
    while time::timeout(Duration::ZERO, busy.event()).await.is_ok() {}
    assert_eq!(busy.event().await.unwrap().unwrap(), SessionEvent::Heartbeat);
    drop(held);
    let ended = busy.rest(false).await;
    assert_eq!(ended.results.len(), 1);
    assert_eq!(ended.results[0].outcome, Outcome::Applied);
    assert_eq!(ended.error.unwrap().reason, Reason::DeviceUnmounted);
    node.open(grpc(0)).await.close().await;
}

#[tokio::test]
async fn a_draining_node_tells_its_sessions_and_takes_no_more() {
    let node = Node::new();
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(node.receiver.drain(), 1);
    assert!(node.drain.is_cancelled());
    assert!(matches!(talk.event().await, Some(Ok(SessionEvent::Draining(_)))));
    // What was on its way is taken; a sender that closes ends in order.
    assert_eq!(talk.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    let ended = talk.close().await;
    assert_eq!((ended.error, ended.summary.unwrap().applied), (None, 1));
    assert_eq!(node.receiver.updates(grpc(0)).await.unwrap_err().reason, Reason::Draining);
    assert_eq!(node.receiver.release(release_open(0)).await.unwrap_err().reason, Reason::Draining);
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let node = Node::with(|config| config.drain_timeout = Duration::from_millis(300));
    let idle = node.open(grpc(0)).await;
    let mut busy = node.open(grpc(1)).await;
    let path = node.objects(1).next().unwrap();
    busy.send(UpdateOp::Put(head(&path, at(1), 10))).await;
    node.receiver.drain();
    let began = Instant::now();
    for ended in [idle.rest(false).await, busy.rest(false).await] {
        assert!(ended.drained);
        assert_eq!(ended.error.unwrap().reason, Reason::Draining);
        assert!(ended.summary.is_some());
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(node.receiver.sessions().is_empty());
}
