//! Peers that are silent, stuck, or not there.

use std::sync::atomic::Ordering::SeqCst;

use futures_util::{StreamExt as _, stream};
use ssync_api::status::from_status;
use tokio::{io::AsyncReadExt as _, sync::mpsc};
use tonic::Code;

use super::*;

const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> RemoteSettings {
    RemoteSettings {
        connect_timeout: SHORT,
        silence_timeout: SHORT,
        unary_timeout: SHORT,
        progress_timeout: 5 * SHORT,
        ..RemoteSettings::default()
    }
}

fn assert_unreachable(refusal: &Refusal, address: &str) {
    assert_eq!(refusal.reason, Reason::Unreachable, "{refusal}");
    assert!(refusal.message.contains(address), "{refusal}");
}

#[tokio::test]
async fn a_silent_client_is_ended() {
    let settings = GrpcSettings { silence_timeout: SHORT, ..settings() };
    let node = Node::start_with(Fake::default(), settings, Server::builder()).await;
    let mut client = node.replication().await;
    let requests = stream::iter([v1::UpdatesRequest::from(open())]).chain(stream::pending());
    let mut responses = client.updates(requests).await.unwrap().into_inner();
    let status = loop {
        match soon(responses.message()).await {
            Ok(message) => assert!(message.is_some()),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), from_status(&status).reason), (Code::DeadlineExceeded, Reason::IdleTimeout));
    eventually("the session is over", || node.store.sessions.load(SeqCst) == 0).await;
    // Before the first message as well.
    let status = soon(client.missing_check(stream::pending::<v1::MissingCheckRequest>())).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::IdleTimeout);
}

#[tokio::test]
async fn the_store_hears_that_who_asks_is_alive() {
    let node = Node::start(Fake::default()).await;
    let first = v1::MissingCheckRequest { partition: Some(partition().into()), offers: Vec::new() };
    let requests = stream::iter([first, v1::MissingCheckRequest::default()]).chain(stream::pending());
    let _responses = node.replication().await.missing_check(requests).await.unwrap();
    eventually("the heartbeat arrives", || *node.store.batches.lock().unwrap() == [0]).await;
}

#[tokio::test]
async fn a_silent_peer_is_gone() {
    // Its heartbeats are an hour apart.
    let settings = GrpcSettings { heartbeat_interval: Duration::from_secs(3600), ..settings() };
    let node = Node::start_with(Fake::default(), settings, Server::builder()).await;
    let remote = node.remote_with(impatient());
    let address = node.address.to_string();
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;
    let refusal = soon(session.events.recv()).await.unwrap().unwrap_err();
    assert_unreachable(&refusal, &address);
    assert!(refusal.message.contains("said nothing"), "{refusal}");
    soon(session.messages.closed()).await;
    let (_offers, queue) = mpsc::channel(1);
    let mut answers = remote.missing_check(partition(), queue).await.unwrap();
    assert_unreachable(&soon(answers.recv()).await.unwrap().unwrap_err(), &address);
    let mut release = remote.release(release_open()).await.unwrap();
    assert_unreachable(&soon(release.results.recv()).await.unwrap().unwrap_err(), &address);
    eventually("the peer has heard of it", || node.store.sessions.load(SeqCst) == 0).await;
}

#[tokio::test]
async fn heartbeats_are_no_progress() {
    let settings = GrpcSettings { heartbeat_interval: SHORT / 10, ..settings() };
    let script = fake::Script { mute: true, stalled_device: Some("sdb1"), ..Default::default() };
    let node = Node::start_with(Fake::told(script), settings, Server::builder()).await;
    let remote = node.remote_with(RemoteSettings { progress_timeout: 2 * SHORT, ..impatient() });

    let (offers, queue) = mpsc::channel(1);
    let mut answers = remote.missing_check(partition(), queue).await.unwrap();
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;
    // Nothing is owed: alive is enough.
    tokio::time::sleep(4 * SHORT).await;
    while let Ok(event) = session.events.try_recv() {
        assert_eq!(event, Ok(SessionEvent::Heartbeat));
    }
    assert!(!session.events.is_closed());

    offers.send(vec![offer(1)]).await.unwrap();
    session.messages.send(delete(1)).await.unwrap();
    let refusal = soon(answers.recv()).await.unwrap().unwrap_err();
    assert_eq!(refusal.reason, Reason::IdleTimeout, "{refusal}");
    let refusal = loop {
        match soon(session.events.recv()).await.unwrap() {
            Ok(event) => assert_eq!(event, SessionEvent::Heartbeat),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.reason, Reason::IdleTimeout, "{refusal}");
    assert!(refusal.message.contains(&node.address.to_string()), "{refusal}");
}

#[tokio::test]
async fn who_has_answered_owes_nothing() {
    let settings = GrpcSettings { heartbeat_interval: SHORT / 10, ..settings() };
    let node = Node::start_with(Fake::default(), settings, Server::builder()).await;
    let remote = node.remote_with(RemoteSettings { progress_timeout: SHORT, ..impatient() });
    let (offers, queue) = mpsc::channel(1);
    let mut answers = remote.missing_check(partition(), queue).await.unwrap();
    let mut release = remote.release(release_open()).await.unwrap();
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;

    let confirm = UpdateOp::Confirm((0..10).map(offer).collect());
    let messages = [
        put(1, "o", 3, None),
        UpdateMessage::Chunk("abc".into()),
        UpdateMessage::End(complete()),
        put(2, "p", 3, Some(b"abc")),
        UpdateMessage::Update(Update { id: 3, op: confirm }),
    ];
    for message in messages {
        session.messages.send(message).await.unwrap();
    }
    assert_eq!(results(&mut session, 12).await.len(), 12);
    offers.send(vec![offer(1), offer(2)]).await.unwrap();
    assert_eq!(soon(answers.recv()).await.unwrap().unwrap().answered_offers, 2);
    let item = release_item(5);
    release.items.send(vec![item]).await.unwrap();
    assert_eq!(soon(release.results.recv()).await.unwrap().unwrap().len(), 1);

    tokio::time::sleep(4 * SHORT).await;
    while let Ok(event) = session.events.try_recv() {
        assert_eq!(event, Ok(SessionEvent::Heartbeat));
    }
    assert!(!session.events.is_closed());
    assert_eq!(answers.try_recv(), Err(mpsc::error::TryRecvError::Empty));
    assert_eq!(release.results.try_recv(), Err(mpsc::error::TryRecvError::Empty));
}

#[tokio::test]
async fn a_server_of_ours_is_found_to_speak_grpc() {
    let node = Node::start(Fake::default()).await;
    let book = ssync_store::PeerBook::default();
    assert_eq!(book.kind(&node.address.to_string()).await, Ok(ssync_store::PeerKind::Grpc));
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = listener.local_addr().unwrap().to_string();
    let swallow = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            held.push(tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
            }));
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    for address in [mute, closed] {
        let remote = RemoteStore::new(StoreAddress::Tcp(address.clone()), impatient()).unwrap();
        let options = ReadOptions::default;
        assert_unreachable(&soon(remote.head_object(object("o"), options())).await.unwrap_err(), &address);
        assert_unreachable(
            &soon(remote.get_object(object("o"), vec![], options())).await.unwrap_err(),
            &address,
        );
        assert_unreachable(&soon(remote.updates(open())).await.unwrap_err(), &address);
        assert_unreachable(&soon(remote.release(release_open())).await.unwrap_err(), &address);
        let (_offers, queue) = mpsc::channel(1);
        assert_unreachable(&soon(remote.missing_check(partition(), queue)).await.unwrap_err(), &address);
    }
    swallow.abort();
}

#[tokio::test]
async fn a_peer_that_dies_is_unreachable_and_its_next_life_is_found() {
    let node = Node::start(Fake::default()).await;
    let address = node.address;
    let proxy = Proxy::start(address).await;
    let remote =
        RemoteStore::new(StoreAddress::Tcp(proxy.address.to_string()), RemoteSettings::default()).unwrap();
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;
    proxy.cut();
    let refusal = soon(session.events.recv()).await.unwrap().unwrap_err();
    assert_unreachable(&refusal, &proxy.address.to_string());
    eventually("the session is over", || node.store.sessions.load(SeqCst) == 0).await;

    let mut session = soon(remote.updates(open())).await.unwrap();
    accepted(&mut session).await;
}

/// Copies bytes until it is told to cut all connections.
struct Proxy {
    address: SocketAddr,
    cut: tokio::sync::watch::Sender<u64>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, watched) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut watched = watched.clone();
                watched.mark_unchanged();
                tokio::spawn(async move {
                    let mut to = tokio::net::TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                        _ = watched.changed() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }

    fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}
