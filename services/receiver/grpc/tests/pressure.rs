//! Readers that stall: memory stays bounded, and nobody else is stopped.

use crate::tests::upload;
use ssync_types::Rehash;
use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;

const KIB: u32 = 1024;
const WINDOW: u32 = 64 * KIB - 1;

fn on(device: &str) -> SessionOpen {
    let partition = PartitionRef { device: device.parse().unwrap(), ..partition() };
    SessionOpen { partition, ..open() }
}

fn stalling() -> Fake {
    Fake::told(fake::Script { stalled_device: Some("stalled"), ..Default::default() })
}

/// Writes until nothing more is taken for a while; how many bytes were.
async fn fill(session: &Session) -> usize {
    let chunk = Bytes::from(vec![0; 64 * KIB as usize]);
    session.messages.send(put(1, "o", 1 << 40, None)).await.unwrap();
    let mut written = 0;
    loop {
        let sent = session.messages.send(UpdateMessage::Chunk(chunk.clone()));
        match tokio::time::timeout(Duration::from_millis(500), sent).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => return written,
        }
        written += chunk.len();
        assert!(written < 1 << 30, "nothing holds the writer back");
    }
}

/// A whole exchange on a session of its own.
async fn works(remote: &RemoteStore, device: &str) {
    let mut session = soon(remote.updates(on(device))).await.unwrap();
    accepted(&mut session).await;
    let body = vec![Bytes::from(vec![7; 64 * KIB as usize]); 16];
    session.messages.send(put(1, device, 16 * 64 * u64::from(KIB), None)).await.unwrap();
    for chunk in body {
        soon(session.messages.send(UpdateMessage::Chunk(chunk))).await.unwrap();
    }
    session.messages.send(UpdateMessage::End(complete())).await.unwrap();
    assert_eq!(results(&mut session, 1).await[0].outcome, Outcome::Applied);
}

async fn checks_work(remote: &RemoteStore) {
    let (offers, queue) = mpsc::channel(8);
    let mut answers = soon(remote.missing_check(partition(), queue)).await.unwrap();
    offers.send((0..3000).map(offer).collect()).await.unwrap();
    drop(offers);
    let mut answered = 0;
    while let Some(answer) = soon(answers.recv()).await {
        answered = answer.unwrap().answered_offers;
    }
    assert_eq!(answered, 3000);
}

#[tokio::test]
async fn a_stalled_receiver_holds_its_sender_back() {
    let server = Server::builder()
        .initial_stream_window_size(8 * KIB * KIB)
        .initial_connection_window_size(32 * KIB * KIB);
    let node = Node::start_with(stalling(), settings(), server).await;
    let mut session = node.remote().updates(on("stalled")).await.unwrap();
    accepted(&mut session).await;
    let written = fill(&session).await;
    // Two queues of 64 chunks, the stream's window, and what the transport buffers.
    assert!(written < 20 << 20, "{written} bytes under way to nobody");
}

#[tokio::test]
async fn a_stalled_reader_holds_the_disk_back() {
    let node = Node::start(Fake::default()).await;
    let whole = 64 << 20;
    node.store.objects.lock().unwrap().insert(object("o").path, (metadata(), Bytes::from(vec![0; whole])));
    let (_, mut body) = node.remote().get_object(object("o"), vec![], ReadOptions::default()).await.unwrap();
    soon(body.recv()).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let read = node.store.read.load(SeqCst);
    assert!(read < 4 << 20, "{read} bytes read for a reader that does not read");
    let mut received = 64 * KIB as usize;
    while let Some(piece) = soon(body.recv()).await {
        received += piece.unwrap().len();
    }
    assert_eq!(received, whole);
}

/// The worst that a server can do: a stalled stream takes the whole window of its connection.
#[tokio::test]
async fn with_64_kib_windows_a_stalled_session_stops_no_other() {
    let server =
        || Server::builder().initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let node = Node::start_with(stalling(), settings(), server()).await;
    let remote = node.remote();
    let mut stalled = remote.updates(on("stalled")).await.unwrap();
    accepted(&mut stalled).await;
    assert!(fill(&stalled).await < 10 << 20);
    tokio::join!(works(&remote, "sda"), works(&remote, "sdb"), works(&remote, "sdc"), checks_work(&remote));
}

/// All of them stalled: questions are still answered.
#[tokio::test]
async fn with_every_session_stalled_checks_go_on() {
    let server = Server::builder().initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let node = Node::start_with(stalling(), settings(), server).await;
    let remote = node.remote_with(RemoteSettings { session_connections_max: 2, ..RemoteSettings::default() });
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let mut session = soon(remote.updates(on("stalled"))).await.unwrap();
        accepted(&mut session).await;
        sessions.push(session);
    }
    for session in &sessions {
        fill(session).await;
    }
    checks_work(&remote).await;
    assert!(soon(remote.suffix_hashes(partition(), Rehash::default())).await.is_ok());
}

/// What a mesh gives: 64 KiB a stream, 1 MiB a connection, and as few connections as it likes.
#[tokio::test]
async fn sharing_a_connection_a_stalled_session_stops_no_other() {
    let server =
        Server::builder().initial_stream_window_size(WINDOW).initial_connection_window_size(KIB * KIB);
    let node = Node::start_with(stalling(), settings(), server).await;
    let remote = node.remote_with(RemoteSettings { session_connections_max: 1, ..RemoteSettings::default() });
    let mut stalled = remote.updates(on("stalled")).await.unwrap();
    accepted(&mut stalled).await;
    fill(&stalled).await;
    tokio::join!(works(&remote, "sda"), works(&remote, "sdb"), works(&remote, "sdc"));
}

#[tokio::test]
async fn at_most_eight_offer_messages_are_unanswered() {
    let node = Node::start(Fake::told(fake::Script { mute: true, ..Default::default() })).await;
    let (offers, queue) = mpsc::channel(64);
    let _answers = node.remote().missing_check(partition(), queue).await.unwrap();
    for number in 0..30 {
        offers.send(vec![offer(number)]).await.unwrap();
    }
    eventually("eight are there", || node.store.batches.lock().unwrap().len() == 8).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(node.store.batches.lock().unwrap().len(), 8);
}

/// Readers that do not read take the places of bodies: who comes then is told so, and does not wait for them.
#[tokio::test]
async fn with_every_place_taken_a_body_is_refused_and_nothing_else() {
    let node = Node::start(Fake::default()).await;
    let body = Bytes::from(vec![0; 8 << 20]);
    node.store.objects.lock().unwrap().insert(object("o").path, (metadata(), body));
    let remote = node.remote_with(RemoteSettings {
        object_connections_max: 2,
        object_streams_max: 2,
        object_wait_timeout: Duration::from_millis(200),
        ..RemoteSettings::default()
    });
    let get = || remote.get_object(object("o"), vec![], ReadOptions::default());
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(soon(get()).await.unwrap());
    }
    assert_eq!(soon(get()).await.unwrap_err().reason, Reason::ReceiverBusy);
    let (_body, events) = mpsc::channel(1);
    assert_eq!(soon(upload(&remote, empty_object(), events)).await.unwrap_err().reason, Reason::ReceiverBusy);
    assert!(soon(remote.head_object(object("o"), ReadOptions::default())).await.is_ok());
    slow.pop();
    // The place is free when the peer's stream has ended.
    let freed = async { while get().await.is_err() {} };
    soon(freed).await;
}

fn empty_object() -> ObjectPut {
    ObjectPut {
        object: object("p"),
        timestamp: time(1),
        content_length: Some(0),
        metadata: metadata(),
        if_none_match: Vec::new(),
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    }
}

/// A server that takes fewer streams than there are places.
#[tokio::test]
async fn a_body_that_cannot_begin_does_not_wait_for_ever() {
    let node =
        Node::start_with(Fake::default(), settings(), Server::builder().max_concurrent_streams(1)).await;
    let body = Bytes::from(vec![0; 8 << 20]);
    node.store.objects.lock().unwrap().insert(object("o").path, (metadata(), body));
    let remote = node.remote_with(RemoteSettings {
        object_connections_max: 1,
        progress_timeout: Duration::from_millis(300),
        ..RemoteSettings::default()
    });
    let _slow = soon(remote.get_object(object("o"), vec![], ReadOptions::default())).await.unwrap();
    let (_body, events) = mpsc::channel(1);
    assert_eq!(soon(upload(&remote, empty_object(), events)).await.unwrap_err().reason, Reason::IdleTimeout);
}

/// As many bodies as a sidecar has clients, on as many streams as a server of ours takes: all of them are served.
#[tokio::test]
async fn slow_readers_stall_no_other_body() {
    let server = Server::builder().max_concurrent_streams(15);
    let node = Node::start_with(Fake::default(), settings(), server).await;
    let body = Bytes::from(vec![0; 4 << 20]);
    node.store.objects.lock().unwrap().insert(object("o").path, (metadata(), body));
    let remote = node.remote();
    let mut slow = Vec::new();
    for _ in 0..300 {
        slow.push(soon(remote.get_object(object("o"), vec![], ReadOptions::default())).await.unwrap());
    }
    let (_, mut body) = soon(remote.get_object(object("o"), vec![], ReadOptions::default())).await.unwrap();
    let mut read = 0;
    while let Some(piece) = soon(body.recv()).await {
        read += piece.unwrap().len();
    }
    assert_eq!(read, 4 << 20);
}
