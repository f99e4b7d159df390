//! Every call, through [`RemoteStore`] and back.

use crate::tests::upload;
use bytes::Bytes;
use ssync_store::Upload;
use ssync_types::Rehash;
use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn a_check_answers_every_offer_whatever_the_batches() {
    let node = Node::start(Fake::default()).await;
    let (offers, queue) = mpsc::channel(8);
    let mut answers = node.remote().missing_check(partition(), queue).await.unwrap();
    let sender = tokio::spawn(async move {
        for batch in [0..1, 1..1, 1..3500, 3500..5000] {
            offers.send(batch.map(offer).collect()).await.unwrap();
        }
    });
    let (mut wants, mut answered) = (Vec::new(), 0);
    while let Some(answer) = soon(answers.recv()).await {
        let answer = answer.unwrap();
        assert!(answer.answered_offers >= answered);
        answered = answer.answered_offers;
        wants.extend(answer.wants.into_iter().map(|want| want.hash));
    }
    soon(sender).await.unwrap();
    assert_eq!(answered, 5000);
    assert_eq!(wants, (0..5000).filter(|n| n % 2 == 1).map(hash).collect::<Vec<_>>());
    // None empty, none over the limit: a large batch was cut.
    assert_eq!(*node.store.batches.lock().unwrap(), [1, 1000, 1000, 1000, 499, 1000, 500]);
}

#[tokio::test]
async fn a_session_carries_every_kind_of_update_and_verdict() {
    let node = Node::start(Fake::default()).await;
    let ringed = SessionOpen { ring_digest: Some(vec![7; 16]), non_durable: true, ..open() };
    let mut session = node.remote().updates(ringed).await.unwrap();
    let opened = soon(session.events.recv()).await.unwrap().unwrap();
    assert_eq!(opened, SessionEvent::Opened { ring_differs: true });
    assert!(accepted(&mut session).await.non_durable);

    let large = Bytes::from(vec![b'x'; 3 * 1024 * 1024]);
    let post = UpdateOp::Post {
        path: object("p").path,
        timestamp: time(5),
        metadata: metadata(),
        content_type: None,
    };
    let messages = [
        put(1, "inline", 3, Some(b"abc")),
        put(2, "empty", 0, Some(b"")),
        put(3, "large", large.len() as u64, None),
        UpdateMessage::Chunk(large.clone()),
        UpdateMessage::Chunk(Bytes::new()),
        UpdateMessage::End(complete()),
        put(4, "aborted", 9, None),
        UpdateMessage::Chunk("abc".into()),
        UpdateMessage::End(BodyEnd::Abort("read error".into())),
        put(5, "short", 9, None),
        UpdateMessage::Chunk("abc".into()),
        UpdateMessage::End(complete()),
        UpdateMessage::Update(Update { id: 6, op: post }),
        delete(7),
        UpdateMessage::Update(Update { id: 8, op: UpdateOp::Commit { hash: hash(8), timestamp: time(8) } }),
        UpdateMessage::Update(Update { id: 9, op: UpdateOp::Confirm(vec![offer(1), offer(2)]) }),
        UpdateMessage::Heartbeat,
    ];
    for message in messages {
        session.messages.send(message).await.unwrap();
    }
    let outcomes: Vec<_> =
        results(&mut session, 10).await.into_iter().map(|r| (r.update_id, r.outcome)).collect();
    let short = Refusal::new(Reason::BodyLength, "3 bytes instead of 9").at(time(5));
    let expected = [
        (1, Outcome::Applied),
        (2, Outcome::AppliedUnflushed),
        (3, Outcome::Applied),
        (4, Outcome::Failed(Refusal::new(Reason::ObjectIo, "read error"))),
        (5, Outcome::Failed(short)),
        (6, Outcome::NotFound),
        (7, Outcome::Superseded(time(7))),
        (8, Outcome::NotPrimary),
        (9, Outcome::Confirmed),
        (9, Outcome::Confirmed),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(node.store.objects.lock().unwrap()[&object("large").path].1, large);

    drop(session.messages);
    let summary = Summary { applied: 2, confirmed: 2, superseded: 0, failed: 1 };
    assert_eq!(soon(session.events.recv()).await, Some(Ok(SessionEvent::Summary(summary))));
    assert_eq!(soon(session.events.recv()).await, None);
    assert_eq!(*node.store.log.lock().unwrap(), ["heartbeat", "ended between updates"]);
}

#[tokio::test]
async fn a_release_by_this_node_is_carried_out() {
    let node = Node::start(Fake::default()).await;
    let mut release = node.remote().release(release_open()).await.unwrap();
    assert_eq!(node.store.releases.load(std::sync::atomic::Ordering::SeqCst), 1);
    release.items.send((0..1500).map(release_item).collect()).await.unwrap();
    release.items.send(vec![]).await.unwrap();
    drop(release.items);
    let mut results = Vec::new();
    while let Some(more) = soon(release.results.recv()).await {
        results.extend(more.unwrap());
    }
    assert_eq!(results.len(), 1500);
    assert_eq!(results[0].outcome, ReleaseOutcome::Changed);
    assert_eq!(results[1].outcome, ReleaseOutcome::Failed(Refusal::new(Reason::NotHandoff, "not here")));
    assert_eq!(results[1499], ReleaseResult { hash: hash(1499), outcome: ReleaseOutcome::Released });
    eventually("the lock is let go", || node.store.releases.load(std::sync::atomic::Ordering::SeqCst) == 0)
        .await;
}

#[tokio::test]
async fn hashes_and_stale_suffixes_arrive() {
    let node = Node::start(Fake::default()).await;
    let suffixes: Vec<Suffix> = (0..4096).map(Suffix::from_low_bits).collect();
    let hashes = node.remote().suffix_hashes(partition(), suffixes.clone().into()).await.unwrap();
    assert_eq!(hashes.keys().copied().collect::<Vec<_>>(), suffixes);
    assert!(node.remote().suffix_hashes(partition(), Rehash::default()).await.unwrap().is_empty());
    let listed = Rehash { list: true, ..Rehash::default() };
    assert_eq!(node.remote().suffix_hashes(partition(), listed).await.unwrap().len(), 1);
    node.remote().invalidate_suffixes(partition(), suffixes.clone()).await.unwrap();
    assert_eq!(*node.store.stale.lock().unwrap(), suffixes);
}

fn put_object(name: &str) -> ObjectPut {
    ObjectPut {
        object: object(name),
        timestamp: time(1),
        content_length: None,
        metadata: metadata(),
        if_none_match: vec![],
        commit: ssync_types::CommitMode::AtOnce,
        next_part_power: None,
    }
}

/// Sends a body in odd pieces.
fn body(data: Bytes, end: Option<BodyEnd>) -> mpsc::Receiver<BodyEvent> {
    let (events, body) = mpsc::channel(2);
    tokio::spawn(async move {
        for piece in data.chunks(1_500_000) {
            if events.send(BodyEvent::Chunk(Bytes::copy_from_slice(piece))).await.is_err() {
                return;
            }
        }
        if let Some(end) = end {
            let _ = events.send(BodyEvent::End(end)).await;
        }
    });
    body
}

async fn read(mut body: ssync_store::Body) -> Result<Vec<u8>, Refusal> {
    let mut data = Vec::new();
    while let Some(piece) = soon(body.recv()).await {
        data.extend_from_slice(&piece?);
    }
    Ok(data)
}

#[tokio::test]
async fn an_object_is_stored_read_changed_and_deleted() {
    let node = Node::start(Fake::default()).await;
    let remote = node.remote();
    let data = Bytes::from((0..5_000_000_u32).map(|n| n as u8).collect::<Vec<u8>>());
    let mut footers = Metadata::new();
    footers.set("X-Object-Sysmeta-Footer", "late");
    let end = BodyEnd::Complete { etag: None, footers: footers.clone() };
    let stored = upload(&remote, put_object("o"), body(data.clone(), Some(end))).await.unwrap();
    assert_eq!((stored.content_length, stored.previous), (5_000_000, None));

    let mut expected = metadata();
    expected.extend(footers);
    let (info, content) = remote.get_object(object("o"), vec![], ReadOptions::default()).await.unwrap();
    assert_eq!((&info.metadata, info.content_length), (&expected, 5_000_000));
    assert_eq!(read(content).await.unwrap(), data);
    assert_eq!(remote.head_object(object("o"), ReadOptions::default()).await.unwrap(), info);
    let range = ByteRange { first: 300, last: 999 };
    let (_, content) = remote.get_object(object("o"), vec![range], ReadOptions::default()).await.unwrap();
    assert_eq!(read(content).await.unwrap(), data[300..1000]);
    let ranges = vec![range, ByteRange { first: 5, last: 5 }];
    let (_, content) = remote.get_object(object("o"), ranges, ReadOptions::default()).await.unwrap();
    assert_eq!(read(content).await.unwrap(), [&data[300..1000], &data[5..6]].concat());

    let stored = upload(&remote, put_object("o"), body(Bytes::new(), Some(complete()))).await.unwrap();
    assert_eq!((stored.content_length, stored.previous), (0, Some(expected)));
    let (_, content) = remote.get_object(object("o"), vec![], ReadOptions::default()).await.unwrap();
    assert_eq!(read(content).await.unwrap(), b"");

    let post = ObjectPost {
        object: object("o"),
        timestamp: time(2),
        metadata: metadata(),
        content_type: Some(time(2)),
        open_expired: false,
        next_part_power: None,
    };
    assert_eq!(remote.post_object(post).await.unwrap().info.metadata, metadata());
    let delete =
        ObjectDelete { object: object("o"), timestamp: time(9), if_delete_at: None, next_part_power: None };
    let deleted = remote.delete_object(delete.clone()).await.unwrap();
    assert_eq!((deleted.existed, deleted.timestamp), (true, time(9)));
    assert!(!remote.delete_object(delete).await.unwrap().existed);
}

#[tokio::test]
async fn a_put_of_two_phases_waits_for_its_commit() {
    let node = Node::start(Fake::default()).await;
    let put = ObjectPut { commit: CommitMode::SecondPhase, ..put_object("o") };
    let Upload { body, mut steps } = node.remote().put_object(put).await.unwrap();
    body.send(BodyEvent::Chunk("abc".into())).await.unwrap();
    body.send(BodyEvent::End(complete())).await.unwrap();
    assert_eq!(soon(steps.recv()).await, Some(Ok(PutStep::Prepared)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(steps.try_recv().is_err(), "nobody has committed it");
    body.send(BodyEvent::Commit).await.unwrap();
    assert!(matches!(soon(steps.recv()).await, Some(Ok(PutStep::Stored(_)))));
    assert_eq!(soon(steps.recv()).await, None);
}

#[tokio::test]
async fn updates_of_listings_are_kept() {
    let node = Node::start(Fake::default()).await;
    let mut headers = metadata();
    headers.set("X-Timestamp", "0000000005.00000");
    let update = PendingUpdate {
        device: "sdb1".parse().unwrap(),
        policy: PolicyIndex::new(1),
        op: ListingOp::Delete,
        path: object("o").path,
        headers,
        container_path: Some(ContainerPath::parse(".shards_a/c").unwrap()),
        db_state: None,
    };
    node.remote().queue_update(update.clone()).await.unwrap();
    assert_eq!(*node.store.pending.lock().unwrap(), [update]);
}

#[tokio::test]
async fn a_body_without_its_end_is_not_stored() {
    let node = Node::start(Fake::default()).await;
    let remote = node.remote();
    let refusal = upload(&remote, put_object("o"), body("abc".into(), None)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BodyLength);
    let aborted = body("abc".into(), Some(BodyEnd::Abort("client went away".into())));
    assert_eq!(upload(&remote, put_object("o"), aborted).await.unwrap_err().reason, Reason::BodyLength);
    assert!(node.store.objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_read_error_in_a_body_is_no_end_of_it() {
    let node =
        Node::start(Fake::told(fake::Script { damaged_after: Some(100_000), ..Default::default() })).await;
    let remote = node.remote();
    let data = Bytes::from(vec![1; 1_000_000]);
    upload(&remote, put_object("o"), body(data, Some(complete()))).await.unwrap();
    let (_, content) = remote.get_object(object("o"), vec![], ReadOptions::default()).await.unwrap();
    assert_eq!(read(content).await, Err(Refusal::new(Reason::ObjectDamaged, "moved to quarantine")));
}

#[tokio::test]
async fn every_refusal_survives_with_all_it_says() {
    let node = Node::start(Fake::default()).await;
    let remote = node.remote();
    for reason in Reason::ALL {
        let refusal = Refusal {
            reason,
            message: format!("sdb1: {} \u{e4}", reason.name()),
            field: Some("object.path".into()),
            retry_after: Some(Duration::from_millis(1500)),
            timestamp: Some(time(77)),
        };
        node.store.script.lock().unwrap().refuse = Some(refusal.clone());
        let expected = match reason {
            // The address is the only thing that is added, and only here.
            Reason::Unreachable => {
                Refusal { message: format!("{}: {}", remote.address(), refusal.message), ..refusal }
            }
            _ => refusal,
        };
        let heads = remote.head_object(object("o"), ReadOptions::default()).await.unwrap_err();
        assert_eq!(heads, expected);
        assert_eq!(remote.updates(open()).await.unwrap_err(), expected);
        assert_eq!(remote.release(release_open()).await.unwrap_err(), expected);
        let (_offers, queue) = mpsc::channel(1);
        assert_eq!(remote.missing_check(partition(), queue).await.unwrap_err(), expected);
        assert_eq!(remote.suffix_hashes(partition(), Rehash::default()).await.unwrap_err(), expected);
        assert_eq!(remote.invalidate_suffixes(partition(), vec![]).await.unwrap_err(), expected);
        let got = remote.get_object(object("o"), vec![], ReadOptions::default()).await;
        assert_eq!(got.unwrap_err(), expected);
        // Refused before the body was read.
        let endless = body(vec![0; 50_000_000].into(), None);
        assert_eq!(soon(upload(&remote, put_object("o"), endless)).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn what_ends_a_session_is_its_last_event() {
    let ratio = Refusal::new(Reason::FailureRatio, "101 of 200 updates failed");
    let script = fake::Script { refuse_session: Some(ratio.clone()), ..Default::default() };
    let node = Node::start(Fake::told(script)).await;
    let mut session = node.remote().updates(open()).await.unwrap();
    accepted(&mut session).await;
    assert_eq!(soon(session.events.recv()).await, Some(Err(ratio)));
    assert_eq!(soon(session.events.recv()).await, None);
    soon(session.messages.closed()).await;
}

#[tokio::test]
async fn a_unix_socket_does_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receiver.sock");
    let (replication, objects, devices) = services(Arc::new(Fake::default()), settings());
    let listener = UnixListener::bind(&path).unwrap();
    let router = Server::builder().add_service(replication).add_service(objects).add_service(devices);
    let server = tokio::spawn(router.serve_with_incoming(UnixListenerStream::new(listener)));
    let remote = RemoteStore::new(StoreAddress::Unix(path.clone()), RemoteSettings::default()).unwrap();
    // Local, so that even a release is granted.
    drop(soon(remote.release(release_open())).await.unwrap());
    let mut session = remote.updates(open()).await.unwrap();
    accepted(&mut session).await;
    session.messages.send(put(1, "o", 3, Some(b"abc"))).await.unwrap();
    assert_eq!(results(&mut session, 1).await[0].outcome, Outcome::Applied);
    assert_eq!(remote.survey_devices().await, Ok(fake::survey()));
    server.abort();

    let nobody =
        RemoteStore::new(StoreAddress::Unix("/nonexistent/x.sock".into()), RemoteSettings::default())
            .unwrap();
    let refusal = nobody.head_object(object("o"), ReadOptions::default()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unreachable);
    assert!(refusal.message.contains("unix:/nonexistent/x.sock"), "{}", refusal.message);
}
