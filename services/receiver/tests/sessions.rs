//! What a session stores, and what it answers.

use std::time::Duration;

use bytes::Bytes;
use ssync_store::Store as _;
use ssync_types::{
    BodyEnd, FragmentIndex, InlineBody, Job, Metadata, ObjectKind, Offer, Outcome, PartitionRef, PolicyIndex,
    PutUpdate, Reason, Sender, SessionOpen, SessionProtocol, UpdateMessage, UpdateOp,
};

use super::support::{
    Node, at, complete, delete, grpc, head, lock, md5, metadata, partition, post, put, revert, ssync,
};

fn reason(outcome: &Outcome) -> Reason {
    match outcome {
        Outcome::Failed(refusal) => refusal.reason,
        other => panic!("{other:?} is no failure"),
    }
}

#[tokio::test]
async fn stores_bodies_metadata_and_tombstones() {
    let node = Node::new();
    let (small, large, gone) = (node.object(0), node.object(1), node.object(2));
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(put(&small, at(1), b"hello")).await, Outcome::Applied);
    talk.stream(head(&large, at(1), 700_000), &bytes, complete(&md5(&bytes))).await;
    assert_eq!(talk.outcomes(1).await, [Outcome::Applied]);
    assert_eq!(talk.outcome(post(&small, at(2))).await, Outcome::Applied);
    assert_eq!(talk.outcome(delete(&gone, at(3))).await, Outcome::Applied);
    let ended = talk.close().await;
    let summary = ended.summary.unwrap();
    assert_eq!((summary.applied, summary.failed, ended.error), (4, 0, None));

    assert_eq!(node.read(&small).await.unwrap(), b"hello");
    assert_eq!(node.read(&large).await.unwrap(), bytes);
    let info = node.receiver.head_object(node.reference(&small), Default::default()).await.unwrap();
    assert_eq!(info.metadata.get_str("x-object-meta-colour"), Some("blue"));
    assert_eq!(info.metadata.get_str("content-type"), Some("text/plain"));
    assert_eq!((info.data, info.timestamp), (at(1), at(2)));
    assert_eq!(node.files(&gone), [format!("{}.ts", at(3))]);
    assert_eq!(node.receiver.counters().updates_applied, 4);
}

#[tokio::test]
async fn what_is_as_new_here_is_confirmed_or_wins() {
    let node = Node::new();
    let (path, dead) = (node.object(0), node.object(1));
    let mut talk = node.open(grpc(0)).await;
    talk.outcome(put(&path, at(5), b"five")).await;
    talk.outcome(delete(&dead, at(5))).await;
    assert_eq!(talk.outcome(put(&path, at(5), b"five")).await, Outcome::Confirmed);
    assert_eq!(talk.outcome(put(&path, at(4), b"four")).await, Outcome::Superseded(at(5)));
    assert_eq!(talk.outcome(delete(&path, at(4))).await, Outcome::Superseded(at(5)));
    assert_eq!(talk.outcome(delete(&dead, at(5))).await, Outcome::Confirmed);
    // A tombstone beats a body of its time, whichever came first.
    assert_eq!(talk.outcome(put(&dead, at(5), b"late")).await, Outcome::Superseded(at(5)));
    assert_eq!(talk.outcome(delete(&path, at(5))).await, Outcome::Applied);
    assert_eq!(node.files(&path), [format!("{}.ts", at(5))]);
    assert_eq!(talk.outcome(put(&path, at(6), b"six")).await, Outcome::Applied);
    assert_eq!(talk.outcome(post(&path, at(8))).await, Outcome::Applied);
    assert_eq!(talk.outcome(post(&path, at(8))).await, Outcome::Confirmed);
    assert_eq!(talk.outcome(post(&path, at(7))).await, Outcome::Superseded(at(8)));
    // A newer body under newer metadata is taken.
    assert_eq!(talk.outcome(put(&path, at(7), b"seven")).await, Outcome::Applied);
    assert_eq!(node.read(&path).await.unwrap(), b"seven");
}

#[tokio::test]
async fn metadata_and_content_type_each_have_their_time() {
    let node = Node::new();
    let path = node.object(0);
    let typed = |time, colour: &str, kind: &str, kind_time| UpdateOp::Post {
        path: path.clone(),
        timestamp: at(time),
        metadata: super::support::metadata(&[("X-Object-Meta-Colour", colour), ("Content-Type", kind)]),
        content_type: Some(at(kind_time)),
    };
    let mut talk = node.open(grpc(0)).await;
    talk.outcome(put(&path, at(1), b"x")).await;
    assert_eq!(talk.outcome(typed(5, "green", "image/gif", 3)).await, Outcome::Applied);
    // Older metadata with a newer content type: only the content type is taken.
    assert_eq!(talk.outcome(typed(4, "grey", "image/png", 4)).await, Outcome::Applied);
    let info = node.receiver.head_object(node.reference(&path), Default::default()).await.unwrap();
    assert_eq!(info.metadata.get_str("x-object-meta-colour"), Some("green"));
    assert_eq!(info.metadata.get_str("content-type"), Some("image/png"));
    assert_eq!((info.timestamp, info.content_type), (at(5), at(4)));
    // Newer metadata without a content type keeps it.
    assert_eq!(talk.outcome(post(&path, at(6))).await, Outcome::Applied);
    let info = node.receiver.head_object(node.reference(&path), Default::default()).await.unwrap();
    assert_eq!(info.metadata.get_str("x-object-meta-colour"), Some("blue"));
    assert_eq!((info.metadata.get_str("content-type"), info.content_type), (Some("image/png"), at(4)));
}

#[tokio::test]
async fn a_post_without_a_body_finds_nothing() {
    let node = Node::new();
    let path = node.object(0);
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(post(&path, at(1))).await, Outcome::NotFound);
    talk.outcome(delete(&path, at(2))).await;
    assert_eq!(talk.outcome(post(&path, at(3))).await, Outcome::NotFound);
    let summary = talk.close().await.summary.unwrap();
    assert_eq!((summary.applied, summary.failed), (1, 0));
}

#[tokio::test]
async fn a_bad_body_costs_its_object_and_nothing_else() {
    let node = Node::new();
    let path = node.object(0);
    let inline = |length, etag: &str| {
        let inline_body =
            Some(InlineBody { data: Bytes::from_static(b"12345"), etag: Some(etag.to_owned()) });
        UpdateOp::Put(PutUpdate { inline_body, ..head(&path, at(1), length) })
    };
    let right = md5(b"12345");
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(reason(&talk.outcome(inline(4, &right)).await), Reason::BodyLength);
    assert_eq!(reason(&talk.outcome(inline(6, &right)).await), Reason::BodyLength);
    assert_eq!(reason(&talk.outcome(inline(5, &md5(b"other"))).await), Reason::EtagMismatch);

    let bytes = vec![7; 200_000];
    let right = md5(&bytes);
    let table = [
        (head(&path, at(1), 200_001), complete(&right), Reason::BodyLength),
        (head(&path, at(1), 199_999), complete(&right), Reason::BodyLength),
        (head(&path, at(1), 10), complete(&right), Reason::BodyLength),
        (head(&path, at(1), 200_000), complete(&md5(b"other")), Reason::EtagMismatch),
        (head(&path, at(1), 200_000), BodyEnd::Abort("bit rot".to_owned()), Reason::BodyLength),
        (head(&path, at(1), u64::MAX), complete(&right), Reason::InvalidArgument),
    ];
    for (put, end, expected) in table {
        talk.stream(put, &bytes, end).await;
        assert_eq!(reason(&talk.outcomes(1).await[0]), expected);
    }
    let elsewhere = node.objects(1).next().unwrap();
    assert_eq!(reason(&talk.outcome(put(&elsewhere, at(1), b"x")).await), Reason::RingMismatch);
    talk.stream(head(&elsewhere, at(1), 200_000), &bytes, complete(&right)).await;
    assert_eq!(reason(&talk.outcomes(1).await[0]), Reason::RingMismatch);
    assert_eq!(node.all_files(), Vec::<std::path::PathBuf>::new(), "nothing changed on the disk");

    assert_eq!(talk.outcome(put(&path, at(1), b"good")).await, Outcome::Applied);
    let summary = talk.close().await.summary.unwrap();
    assert_eq!((summary.applied, summary.failed), (1, 11));
    assert_eq!(node.all_files().len(), 1);
}

#[tokio::test]
async fn a_body_that_overruns_is_dropped_before_its_end() {
    let node = Node::new();
    let mut talk = node.open(grpc(0)).await;
    talk.send(UpdateOp::Put(head(&node.object(0), at(1), 10))).await;
    talk.chunk(&[1; 60_000]).await;
    assert_eq!(reason(&talk.outcomes(1).await[0]), Reason::BodyLength);
    // The rest is passed over; the stream goes on behind its end.
    for _ in 0..40 {
        talk.chunk(&[1; 60_000]).await;
    }
    talk.message(UpdateMessage::End(complete("x"))).await;
    assert_eq!(talk.outcome(put(&node.object(0), at(1), b"good")).await, Outcome::Applied);
}

#[tokio::test]
async fn a_body_that_is_broken_off_is_not_stored() {
    let node = Node::new();
    let mut talk = node.open(grpc(0)).await;
    talk.send(UpdateOp::Put(head(&node.object(0), at(1), 100_000))).await;
    talk.chunk(&[1; 50_000]).await;
    let ended = talk.close().await;
    assert_eq!(reason(&ended.results[0].outcome), Reason::BodyLength);
    assert!(node.all_files().is_empty());
}

#[tokio::test]
async fn messages_out_of_order_or_over_a_limit_end_the_session() {
    let node = Node::new();
    let path = node.object(0);
    let offer = Offer::of_one_time(node.hash_of(&path), at(1), None);
    let table = [
        (vec![UpdateMessage::Chunk(Bytes::from_static(b"x"))], Reason::ProtocolOrder),
        (vec![UpdateMessage::End(complete("x"))], Reason::ProtocolOrder),
        (
            vec![update(UpdateOp::Put(head(&path, at(1), 5))), update(delete(&path, at(2)))],
            Reason::ProtocolOrder,
        ),
        (vec![update(put(&path, at(1), &[0; 70_000]))], Reason::InvalidArgument),
        (vec![update(UpdateOp::Confirm(vec![offer; 1001]))], Reason::InvalidArgument),
        (
            vec![
                update(UpdateOp::Put(head(&path, at(1), 5_000_000))),
                UpdateMessage::Chunk(Bytes::from(vec![0; 2_000_000])),
            ],
            Reason::InvalidArgument,
        ),
    ];
    for (messages, expected) in table {
        let mut talk = node.open(grpc(0)).await;
        for message in messages {
            talk.message(message).await;
        }
        let ended = talk.rest(false).await;
        assert_eq!(ended.error.unwrap().reason, expected);
        assert!(ended.summary.is_some());
        assert!(node.all_files().is_empty());
    }
    // The slots and the lock are free again.
    node.open(grpc(0)).await.close().await;
}

#[tokio::test]
async fn ids_that_do_not_increase_end_the_session() {
    let node = Node::new();
    for (second, expected) in [(8, None), (7, Some(Reason::ProtocolOrder)), (3, Some(Reason::ProtocolOrder))]
    {
        let (one, other) = (node.object(second as usize), node.object(10 + second as usize));
        let mut talk = node.open(grpc(0)).await;
        for (id, path) in [(7, &one), (second, &other)] {
            let op = delete(path, at(1));
            talk.message(UpdateMessage::Update(ssync_types::Update { id, op })).await;
        }
        let ended = talk.close().await;
        assert_eq!(ended.error.map(|error| error.reason), expected, "7, then {second}");
        let answered: Vec<_> = ended.results.iter().map(|result| result.update_id).collect();
        assert!(answered.contains(&7), "across objects results come in any order");
        assert_eq!(answered.len() == 2 && node.files(&other).len() == 1, expected.is_none());
    }
}

fn update(op: UpdateOp) -> UpdateMessage {
    UpdateMessage::Update(ssync_types::Update { id: 1, op })
}

#[tokio::test]
async fn updates_of_one_object_are_applied_in_order() {
    let node = Node::new();
    let paths: Vec<_> = node.objects(0).take(150).collect();
    let mut talk = node.open(grpc(0)).await;
    let mut sent = 0;
    for path in &paths {
        for op in
            [put(path, at(1), b"one"), post(path, at(2)), delete(path, at(3)), put(path, at(4), b"four")]
        {
            talk.send(op).await;
            sent += 1;
        }
        talk.stream(head(path, at(5), 4), b"five", complete(&md5(b"five"))).await;
        talk.send(post(path, at(6))).await;
        sent += 2;
    }
    let outcomes = talk.outcomes(sent).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{outcomes:?}");
    for path in &paths {
        assert_eq!(node.files(path), [format!("{}.data", at(5)), format!("{}.meta", at(6))]);
    }
}

#[tokio::test]
async fn confirms_what_is_here_and_whole() {
    let node = Node::new();
    let (path, dead, lacking) = (node.object(0), node.object(1), node.object(2));
    let offer = |path, time, kind| Offer::of_one_time(node.hash_of(path), at(time), Some(kind));
    let mut talk = node.open(revert(0)).await;
    talk.outcome(put(&path, at(5), b"five")).await;
    talk.outcome(delete(&dead, at(5))).await;
    let offers = vec![
        offer(&path, 5, ObjectKind::Data),
        offer(&dead, 5, ObjectKind::Tombstone),
        offer(&lacking, 5, ObjectKind::Data),
    ];
    talk.send(UpdateOp::Confirm(offers.clone())).await;
    let mut outcomes = talk.outcomes(3).await;
    outcomes.sort_by_key(|outcome| *outcome == Outcome::NotFound);
    assert_eq!(outcomes, [Outcome::Confirmed, Outcome::Confirmed, Outcome::NotFound]);
    assert_eq!(
        talk.outcome(UpdateOp::Confirm(vec![offer(&path, 4, ObjectKind::Data)])).await,
        Outcome::Superseded(at(5))
    );
    assert_eq!(
        talk.outcome(UpdateOp::Confirm(vec![offer(&path, 6, ObjectKind::Data)])).await,
        Outcome::NotFound
    );

    // A body cut short is not whole.
    let file = node.all_files().into_iter().find(|file| file.extension().unwrap() == "data").unwrap();
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(2).unwrap();
    let outcome = talk.outcome(UpdateOp::Confirm(vec![offer(&path, 5, ObjectKind::Data)])).await;
    assert_eq!(outcome, Outcome::NotFound);
}

#[tokio::test]
async fn who_is_no_primary_licenses_no_removal_but_takes_what_is_new() {
    let node = Node::new();
    let path = node.object(0);
    let confirm =
        || UpdateOp::Confirm(vec![Offer::of_one_time(node.hash_of(&path), at(5), Some(ObjectKind::Data))]);
    let mut talk = node.open(revert(0)).await;
    node.ring.set(Some(false));
    assert_eq!(talk.outcome(put(&path, at(5), b"five")).await, Outcome::NotPrimary, "stored all the same");
    assert_eq!(talk.outcome(confirm()).await, Outcome::NotPrimary);
    assert_eq!(talk.outcome(put(&path, at(4), b"four")).await, Outcome::NotPrimary);
    node.ring.set(Some(true));
    assert_eq!(talk.outcome(confirm()).await, Outcome::Confirmed);
    talk.close().await;

    node.ring.set(Some(false));
    // A Swift sender does not say what it means to do, and holds its own lock until it has done it.
    let unsaid = ssync(0);
    let mut talk =
        node.open(SessionOpen { sender: Sender { job: Job::Unknown, ..unsaid.sender }, ..unsaid }).await;
    assert_eq!(talk.outcome(put(&path, at(5), b"five")).await, Outcome::Confirmed);
    assert_eq!(talk.outcome(confirm()).await, Outcome::Confirmed);
    talk.close().await;
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(put(&path, at(5), b"five")).await, Outcome::Confirmed, "a sync removes nothing");
    assert_eq!(talk.outcome(confirm()).await, Outcome::NotPrimary);
}

#[tokio::test]
async fn a_whole_copy_needs_its_stored_md5() {
    let node = Node::new();
    let path = node.object(0);
    let unchecked = |bytes: &'static [u8]| {
        // What stands in the metadata is not what the body is held against.
        let mut put = head(&path, at(1), bytes.len() as u64);
        put.metadata.extend(metadata(&[("ETag", &md5(bytes))]));
        put
    };
    let mut talk = node.open(grpc(0)).await;
    let inline_body = Some(InlineBody { data: Bytes::from_static(b"12345"), etag: None });
    talk.send(UpdateOp::Put(PutUpdate { inline_body, ..unchecked(b"12345") })).await;
    let end = BodyEnd::Complete { etag: None, footers: Metadata::new() };
    talk.stream(unchecked(&[7; 200_000]), &[7; 200_000], end).await;
    let expected = ["put.inline_body.etag", "end.complete.etag"];
    for (outcome, field) in talk.outcomes(2).await.iter().zip(expected) {
        let Outcome::Failed(refusal) = outcome else { panic!("{outcome:?}") };
        assert_eq!((refusal.reason, refusal.field.as_deref()), (Reason::InvalidArgument, Some(field)));
    }
    assert_eq!(node.all_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(talk.outcome(put(&path, at(1), b"12345")).await, Outcome::Applied, "the session goes on");
    talk.close().await;
    // A fragment that was just rebuilt was never stored.
    let coded =
        PartitionRef { policy: PolicyIndex::new(1), fragment: Some(FragmentIndex::new(2)), ..partition(0) };
    let mut talk = node.open(SessionOpen { partition: coded, ..grpc(0) }).await;
    let inline_body = Some(InlineBody { data: Bytes::from_static(b"12345"), etag: None });
    let rebuilt = UpdateOp::Put(PutUpdate { inline_body, ..head(&path, at(1), 5) });
    assert_eq!(talk.outcome(rebuilt).await, Outcome::Applied);
}

#[tokio::test]
async fn too_many_failures_end_the_session() {
    let node = Node::with(|config| config.replication_failure_threshold = 3);
    let path = node.object(0);
    let bad = || {
        let inline_body = Some(InlineBody { data: Bytes::new(), etag: Some(md5(b"")) });
        UpdateOp::Put(PutUpdate { inline_body, ..head(&path, at(1), 1) })
    };
    let mut talk = node.open(grpc(0)).await;
    for _ in 0..3 {
        talk.outcome(bad()).await;
    }
    let ended = talk.rest(false).await;
    assert_eq!(ended.error.unwrap().reason, Reason::FailureRatio);
    assert_eq!(ended.summary.unwrap().failed, 3);

    let mut talk = node.open(SessionOpen { failures_unlimited: true, ..grpc(0) }).await;
    for _ in 0..4 {
        talk.outcome(bad()).await;
    }
    assert_eq!(talk.outcome(put(&path, at(1), b"good")).await, Outcome::Applied);
    assert_eq!(talk.close().await.error, None);
}

#[tokio::test]
async fn a_session_has_a_last_update_and_all_before_it_are_answered() {
    let node = Node::with(|config| config.session_updates_max = 3);
    let mut talk = node.open(grpc(0)).await;
    for path in node.objects(0).take(2) {
        talk.send(put(&path, at(1), b"x")).await;
    }
    // So large that its writer falls behind, and its end waits with the last pieces.
    let bytes = vec![1; 6_000_000];
    talk.stream(head(&node.object(2), at(1), 6_000_000), &bytes, complete(&md5(&bytes))).await;
    let ended = talk.rest(false).await;
    assert!(ended.full && !ended.drained);
    assert_eq!(ended.error, None);
    assert_eq!(ended.results.iter().filter(|result| result.outcome == Outcome::Applied).count(), 3);
}

#[tokio::test]
async fn a_session_has_an_end_and_what_has_begun_is_finished() {
    let node = Node::with(|config| config.session_time_max = Duration::from_millis(200));
    let mut talk = node.open(grpc(0)).await;
    let bytes = vec![1; 300_000];
    talk.stream(head(&node.object(0), at(1), 300_000), &bytes, complete(&md5(&bytes))).await;
    let ended = talk.rest(false).await;
    assert!(ended.full && !ended.drained);
    assert_eq!(ended.error, None);
    assert_eq!(ended.results[0].outcome, Outcome::Applied);
    // One of SSYNC cannot go on in another.
    let mut talk = node.open(SessionOpen { protocol: SessionProtocol::Ssync, ..grpc(0) }).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(talk.outcome(put(&node.object(1), at(1), b"x")).await, Outcome::Applied);
    assert_eq!(talk.close().await.error, None);
}

#[tokio::test]
async fn a_body_does_not_wait_for_its_own_result() {
    let node = Node::with(|config| config.outstanding_updates_max = 1);
    let bytes = vec![1; 300_000];
    let mut talk = node.open(grpc(0)).await;
    for path in node.objects(0).take(3) {
        talk.stream(head(&path, at(1), 300_000), &bytes, complete(&md5(&bytes))).await;
    }
    assert_eq!(talk.outcomes(3).await, [Outcome::Applied, Outcome::Applied, Outcome::Applied]);
}

#[tokio::test]
async fn a_flood_is_answered_in_full() {
    let node = Node::with(|config| {
        config.outstanding_updates_max = 16;
        config.waiting_bytes_max = 70_000;
    });
    let paths: Vec<_> = node.objects(0).take(400).collect();
    let mut talk = node.open(grpc(0)).await;
    let bodies = vec![3; 30_000];
    let session = node.receiver.sessions();
    assert_eq!((session.len(), session[0].partition.partition.get()), (1, 0));
    // More than all queues hold: the sender must read while it writes.
    let mut results = 0;
    for (number, path) in paths.iter().enumerate() {
        talk.send(put(path, at(1), &bodies)).await;
        if number % 8 == 7 {
            results += talk.outcomes(1).await.len();
        }
    }
    let ended = talk.close().await;
    assert_eq!(ended.summary.unwrap().applied, 400);
    assert!(results + ended.results.len() <= 400);
    assert!(node.receiver.sessions().is_empty());
}

/// Small bodies go to the disk together: what is wrong with one of them is its own.
#[tokio::test]
async fn a_bad_body_among_many_costs_its_object_and_nothing_else() {
    let node = Node::new();
    let paths: Vec<_> = node.objects(0).take(60).collect();
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(put(&paths[0], at(1), b"x")).await, Outcome::Applied);
    // What comes while the first wait for this is handed over together.
    let held = lock(&node, "objects/0/.lock");
    for (number, path) in paths.iter().enumerate().skip(1) {
        let mut update = put(path, at(2), b"body");
        if number % 20 == 7
            && let UpdateOp::Put(put) = &mut update
        {
            put.inline_body =
                Some(InlineBody { data: Bytes::from_static(b"rots"), etag: Some(md5(b"body")) });
        }
        talk.send(update).await;
        if number == 30 {
            talk.send(put(&paths[0], at(1), b"x")).await;
        }
    }
    drop(held);
    let outcomes = talk.outcomes(60).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        // The one that is here already comes after the thirtieth.
        match number {
            30 => assert_eq!(*outcome, Outcome::Confirmed),
            6 | 26 | 47 => assert_eq!(reason(outcome), Reason::EtagMismatch, "{number}"),
            _ => assert_eq!(*outcome, Outcome::Applied, "{number}"),
        }
    }
    assert_eq!(node.all_files().len(), 57);
    let summary = talk.close().await.summary.unwrap();
    assert_eq!((summary.applied, summary.confirmed, summary.failed), (57, 1, 3));
}

#[tokio::test]
async fn a_sender_that_goes_away_ends_what_was_begun_and_begins_nothing() {
    const SENT: usize = 700;
    let node = Node::new();
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    let held = lock(&node, "objects/0/.lock");
    for path in node.objects(0).skip(1).take(SENT) {
        talk.send(put(&path, at(1), b"body")).await;
    }
    let waiting = || async { node.receiver.devices().await.iter().map(|device| device.waiting).sum::<u64>() };
    drop(talk);
    let gone = async {
        while waiting().await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("its work is withdrawn");
    drop(held);
    let freed = async {
        while !node.receiver.sessions().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), freed).await.expect("its slot is free");
    let files = node.all_files();
    assert!(files.len() < SENT, "{} of {SENT}", files.len());
    assert!(files.iter().all(|file| file.extension().is_some_and(|extension| extension == "data")));
    let path = node.objects(0).nth(SENT + 1).unwrap();
    assert_eq!(node.open(grpc(0)).await.outcome(put(&path, at(1), b"x")).await, Outcome::Applied);
}

#[tokio::test]
async fn a_fragment_is_stored_without_its_mark_and_marked_later() {
    let node = Node::new();
    let path = node.object(0);
    let coded =
        PartitionRef { policy: PolicyIndex::new(1), fragment: Some(FragmentIndex::new(2)), ..partition(0) };
    let hash = node.hash_of(&path);
    let offer = Offer::of_one_time(hash, at(1), Some(ObjectKind::Data));
    let wants = async || {
        let (offers, batches) = tokio::sync::mpsc::channel(1);
        offers.send(vec![offer.clone()]).await.unwrap();
        drop(offers);
        let mut answers = node.receiver.missing_check(coded.clone(), batches).await.unwrap();
        answers.recv().await.unwrap().unwrap().wants
    };
    assert!(wants().await[0].data);
    let mut talk = node.open(SessionOpen { partition: coded.clone(), ..grpc(0) }).await;
    let UpdateOp::Put(fragment) = put(&path, at(1), b"fragment") else { unreachable!() };
    let put = UpdateOp::Put(PutUpdate { durable: false, ..fragment });
    assert_eq!(talk.outcome(put.clone()).await, Outcome::Applied);
    let want = wants().await[0];
    assert_eq!((want.data, want.durable_mark), (false, true));
    assert_eq!(talk.outcome(UpdateOp::Commit { hash, timestamp: at(1) }).await, Outcome::Applied);
    assert!(wants().await.is_empty());
    assert_eq!(talk.outcome(put).await, Outcome::Confirmed);
    assert_eq!(talk.outcome(UpdateOp::Confirm(vec![offer.clone()])).await, Outcome::Confirmed);
    talk.close().await;
    // Of another index nothing is here, and there is none beyond the policy's.
    let of_index = |index| SessionOpen {
        partition: PartitionRef { fragment: Some(FragmentIndex::new(index)), ..coded.clone() },
        protocol: SessionProtocol::Ssync,
        ..grpc(0)
    };
    let mut talk = node.open(of_index(0)).await;
    assert_eq!(talk.outcome(UpdateOp::Confirm(vec![offer.clone()])).await, Outcome::NotFound);
    // But metadata and deletions are of the object, whichever fragment stands for it.
    let post = |time| UpdateOp::Post {
        path: path.clone(),
        timestamp: at(time),
        metadata: Metadata::new(),
        content_type: None,
    };
    assert_eq!(talk.outcome(post(3)).await, Outcome::Applied);
    assert_eq!(talk.outcome(post(2)).await, Outcome::Superseded(at(3)));
    let delete = |time| UpdateOp::Delete { path: path.clone(), timestamp: at(time) };
    assert_eq!(talk.outcome(delete(0)).await, Outcome::Superseded(at(3)));
    assert_eq!(talk.outcome(delete(4)).await, Outcome::Applied);
    assert_eq!(talk.outcome(delete(3)).await, Outcome::Confirmed, "nothing to delete is a success to Swift");
    assert_eq!(talk.outcome(post(5)).await, Outcome::NotFound);
    talk.close().await;
    let refused = node.receiver.updates(of_index(u16::MAX)).await.unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("partition.fragment_index"));
    // A session without a fragment has nothing to mark.
    let unnamed = PartitionRef { fragment: None, ..coded.clone() };
    let mut talk = node.open(SessionOpen { partition: unnamed, ..grpc(0) }).await;
    let outcome = talk.outcome(UpdateOp::Commit { hash, timestamp: at(1) }).await;
    assert_eq!(reason(&outcome), Reason::InvalidArgument);
}

#[tokio::test]
async fn a_device_that_goes_away_ends_the_session() {
    let node = Node::new();
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(put(&node.object(0), at(1), b"x")).await, Outcome::Applied);
    let gone = node.device().with_extension("gone");
    std::fs::rename(node.device(), &gone).unwrap();
    std::fs::create_dir(node.device()).unwrap();
    talk.send(put(&node.object(1), at(1), b"x")).await;
    let ended = talk.rest(false).await;
    assert_eq!(reason(&ended.results[0].outcome), Reason::DeviceUnmounted);
    assert_eq!(ended.error.unwrap().reason, Reason::DeviceUnmounted);
    assert_eq!(std::fs::read_dir(node.device()).unwrap().count(), 0, "nothing is written beneath");
    // The one that is there now is taken for what it is.
    let mut talk = node.open(grpc(0)).await;
    assert_eq!(talk.outcome(put(&node.object(1), at(1), b"x")).await, Outcome::Applied);
    assert_eq!(node.files(&node.object(1)).len(), 1);
}
