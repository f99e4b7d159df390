//! What streams do besides carrying things: batches, heartbeats, drain, clients that go away.

use crate::tests::upload;
use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn results_that_are_ready_go_together() {
    let node = Node::start(Fake::default()).await;
    let mut client = node.replication().await;
    let confirm = UpdateOp::Confirm((0..1000).map(offer).collect());
    let confirm = UpdateMessage::Update(Update { id: 1, op: confirm });
    let requests = stream::iter([v1::UpdatesRequest::from(open()), confirm.into()]);
    let mut responses = client.updates(requests).await.unwrap().into_inner();
    let (mut messages, mut results) = (0, 0);
    while let Some(response) = soon(responses.message()).await.unwrap() {
        if let Some(v1::updates_response::Message::Results(batch)) = response.message {
            messages += 1;
            results += batch.results.len();
        }
    }
    assert_eq!(results, 1000);
    assert!(messages < 250, "{messages} messages for 1000 results");
}

#[tokio::test]
async fn idle_streams_say_that_they_are_alive_and_both_ends_hear_it() {
    let settings = GrpcSettings {
        heartbeat_interval: Duration::from_millis(40),
        silence_timeout: Duration::from_millis(400),
        ..settings()
    };
    let node = Node::start_with(Fake::default(), settings, Server::builder()).await;
    let remote = node.remote_with(RemoteSettings {
        heartbeat_interval: Duration::from_millis(40),
        silence_timeout: Duration::from_millis(400),
        ..RemoteSettings::default()
    });
    let (offers, queue) = mpsc::channel(1);
    let mut answers = remote.missing_check(partition(), queue).await.unwrap();
    let mut release = remote.release(release_open()).await.unwrap();
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;
    let mut heartbeats = 0;
    // Three times the time after which a silent stream is ended.
    let _ = tokio::time::timeout(Duration::from_millis(1200), async {
        loop {
            assert_eq!(session.events.recv().await, Some(Ok(SessionEvent::Heartbeat)));
            heartbeats += 1;
        }
    })
    .await;
    assert!(heartbeats >= 5, "{heartbeats} heartbeats");

    session.messages.send(delete(1)).await.unwrap();
    assert_eq!(results(&mut session, 1).await.len(), 1);
    offers.send(vec![offer(1)]).await.unwrap();
    assert_eq!(soon(answers.recv()).await.unwrap().unwrap().answered_offers, 1);
    let item = release_item(5);
    release.items.send(vec![item]).await.unwrap();
    assert_eq!(soon(release.results.recv()).await.unwrap().unwrap().len(), 1);
    assert!(node.store.log.lock().unwrap().iter().any(|line| line == "heartbeat"));
}

#[tokio::test]
async fn draining_is_passed_on_and_ends_checks_and_releases() {
    let script = fake::Script { draining: true, ..Default::default() };
    let node = Node::start(Fake::told(script)).await;
    let remote = node.remote();
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;
    assert_eq!(soon(session.events.recv()).await, Some(Ok(SessionEvent::Draining("SIGTERM".into()))));

    let (_offers, queue) = mpsc::channel(1);
    let mut answers = remote.missing_check(partition(), queue).await.unwrap();
    let mut release = remote.release(release_open()).await.unwrap();
    node.drain.cancel();
    assert_eq!(soon(answers.recv()).await.unwrap().unwrap_err().reason, Reason::Draining);
    assert_eq!(soon(release.results.recv()).await.unwrap().unwrap_err().reason, Reason::Draining);
    // The session is the store's to end.
    session.messages.send(delete(1)).await.unwrap();
    assert_eq!(results(&mut session, 1).await.len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_within_a_body_leaves_nothing() {
    let node = Node::start(Fake::default()).await;
    let remote = node.remote();
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;
    session.messages.send(put(1, "o", 100, None)).await.unwrap();
    session.messages.send(UpdateMessage::Chunk("abc".into())).await.unwrap();
    session.messages.send(UpdateMessage::Heartbeat).await.unwrap();
    eventually("the body has begun", || !node.store.log.lock().unwrap().is_empty()).await;
    let Session { messages, events } = session;
    drop(events);
    eventually("the session is over", || node.store.sessions.load(SeqCst) == 0).await;
    assert_eq!(*node.store.log.lock().unwrap(), ["heartbeat", "ended within a body"]);
    soon(messages.closed()).await;

    let (events, body) = mpsc::channel(1);
    let head = ObjectPut {
        object: object("o"),
        timestamp: time(1),
        content_length: None,
        metadata: metadata(),
        if_none_match: vec![],
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    };
    let putting = tokio::spawn(async move { upload(&remote, head, body).await });
    events.send(BodyEvent::Chunk("abc".into())).await.unwrap();
    eventually("the put has begun", || node.store.sessions.load(SeqCst) == 1).await;
    putting.abort();
    eventually("the put is over", || node.store.sessions.load(SeqCst) == 0).await;
    soon(events.closed()).await;
    assert!(node.store.objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn dropping_the_answers_ends_every_kind_of_stream() {
    let node = Node::start(Fake::default()).await;
    let remote = node.remote();
    node.store
        .objects
        .lock()
        .unwrap()
        .insert(object("o").path, (metadata(), Bytes::from(vec![0; 10_000_000])));
    let (offers, queue) = mpsc::channel(1);
    let answers = remote.missing_check(partition(), queue).await.unwrap();
    let release = remote.release(release_open()).await.unwrap();
    let (_, body) = remote.get_object(object("o"), vec![], ReadOptions::default()).await.unwrap();
    assert_eq!((node.store.sessions.load(SeqCst), node.store.releases.load(SeqCst)), (2, 1));
    drop((answers, release.results, body));
    eventually("all are over", || {
        node.store.sessions.load(SeqCst) == 0 && node.store.releases.load(SeqCst) == 0
    })
    .await;
    soon(offers.closed()).await;
    soon(release.items.closed()).await;
}
