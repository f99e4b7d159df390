//! What the two halves of a session say and wait for, against a node that is a pair of queues.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ssync_types::{
    Accepted, BodyEnd, Durability, Metadata, ObjectHash, ObjectPath, Offer, Outcome, Reason, Refusal,
    SessionEvent, Summary, Timestamp, UpdateMessage, UpdateOp, UpdateResult,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

use crate::{Event, Put, Updates, Verdicts, come_back_after};

const INLINE_BYTES_MAX: u32 = 4;

struct Node {
    heard: mpsc::Receiver<UpdateMessage>,
    say: mpsc::Sender<Result<SessionEvent, Refusal>>,
}

fn session(outstanding_updates_max: u32) -> (Updates, Verdicts, Node) {
    let (messages, heard) = mpsc::channel(16);
    let (say, events) = mpsc::channel(16);
    let terms = Accepted {
        non_durable: false,
        inline_bytes_max: INLINE_BYTES_MAX,
        outstanding_updates_max,
        durability: Durability::Batch,
        session_updates_max: 3,
        session_time_max: Duration::ZERO,
    };
    let room = Arc::new(Semaphore::new(outstanding_updates_max as usize));
    (Updates::new(messages, terms, Arc::clone(&room)), Verdicts::new(events, room), Node { heard, say })
}

fn path() -> ObjectPath {
    ObjectPath::of("a", "c", "o").unwrap()
}

fn put(content_length: u64) -> Put {
    Put { path: path(), timestamp: Timestamp::from_seconds(1), content_length, metadata: Metadata::new() }
}

fn results(update_id: u64) -> Result<SessionEvent, Refusal> {
    let hash = ObjectHash::from_bytes([1; 16]);
    Ok(SessionEvent::Results(vec![UpdateResult { update_id, hash, outcome: Outcome::Applied }]))
}

/// What was said, in short.
fn heard(node: &mut Node) -> Vec<String> {
    let mut said = Vec::new();
    while let Ok(message) = node.heard.try_recv() {
        said.push(match message {
            UpdateMessage::Update(update) => match update.op {
                UpdateOp::Put(put) if put.inline_body.is_some() => format!("{} whole", update.id),
                UpdateOp::Put(_) => format!("{} head", update.id),
                UpdateOp::Post { .. } => format!("{} post", update.id),
                UpdateOp::Delete { .. } => format!("{} delete", update.id),
                UpdateOp::Confirm(offers) => format!("{} confirm {}", update.id, offers.len()),
                UpdateOp::Commit { .. } => format!("{} commit", update.id),
            },
            UpdateMessage::Chunk(data) => format!("chunk {}", data.len()),
            UpdateMessage::End(BodyEnd::Complete { etag, .. }) => format!("end {}", etag.unwrap_or_default()),
            UpdateMessage::End(BodyEnd::Abort(_)) => "abort".to_owned(),
            UpdateMessage::Heartbeat => "heartbeat".to_owned(),
        });
    }
    said
}

#[tokio::test]
async fn small_bodies_go_whole_and_large_ones_in_pieces() {
    let (mut updates, _verdicts, mut node) = session(8);
    assert_eq!(updates.put(put(4), "body".into(), "e1").await, Ok(1));
    assert_eq!(updates.put(put(100_000), Bytes::from(vec![0; 100_000]), "e2").await, Ok(2));
    assert!(!updates.is_full());
    assert_eq!(updates.delete(path(), Timestamp::from_seconds(2)).await, Ok(3));
    assert!(updates.is_full(), "session_updates_max is 3");
    assert_eq!(heard(&mut node), ["1 whole", "2 head", "chunk 65536", "chunk 34464", "end e2", "3 delete"]);
}

#[tokio::test]
async fn a_body_that_is_dropped_is_broken_off_before_the_next_update() {
    let (mut updates, _verdicts, mut node) = session(8);
    let mut body = updates.begin(put(10)).await.unwrap();
    body.chunk("half".into()).await.unwrap();
    drop(body);
    updates.post(path(), Timestamp::from_seconds(2), Metadata::new(), None).await.unwrap();
    updates.begin(put(10)).await.unwrap().abort("cannot be read").await.unwrap();
    assert_eq!(heard(&mut node), ["1 head", "chunk 4", "abort", "2 post", "3 head", "abort"]);
}

#[tokio::test]
async fn who_writes_waits_for_results_and_who_reads_makes_room() {
    let (mut updates, mut verdicts, node) = session(1);
    updates.put(put(1), "1".into(), "e").await.unwrap();
    let early = timeout(Duration::from_millis(50), updates.put(put(1), "2".into(), "e")).await;
    assert!(early.is_err(), "one result is due, and no more may be");
    node.say.send(results(1)).await.unwrap();
    assert!(matches!(verdicts.next().await, Ok(Some(Event::Results(_)))));
    let second = timeout(Duration::from_secs(5), updates.put(put(1), "2".into(), "e")).await;
    assert_eq!(second.expect("there is room"), Ok(2));
}

#[tokio::test]
async fn a_refusal_ends_both_halves() {
    let (mut updates, mut verdicts, node) = session(1);
    updates.put(put(1), "1".into(), "e").await.unwrap();
    let refusal = Refusal::new(Reason::Draining, "the node shuts down");
    node.say.send(Err(refusal.clone())).await.unwrap();
    assert_eq!(verdicts.next().await, Err(refusal.clone()));
    let after = timeout(Duration::from_secs(5), updates.put(put(1), "2".into(), "e")).await;
    assert_eq!(after.expect("nobody waits for it").unwrap_err().reason, Reason::Unreachable);
    assert!(come_back_after(&refusal).is_some());
    assert_eq!(come_back_after(&Refusal::new(Reason::PolicyUnknown, "no")), None);
}

#[tokio::test]
async fn an_end_without_a_summary_is_none_in_order() {
    let (_updates, mut verdicts, node) = session(1);
    drop(node);
    assert_eq!(verdicts.next().await.unwrap_err().reason, Reason::Unreachable);
    let (_updates, mut verdicts, node) = session(1);
    node.say.send(Ok(SessionEvent::Summary(Summary::default()))).await.unwrap();
    drop(node);
    assert_eq!(verdicts.next().await, Ok(Some(Event::Summary(Summary::default()))));
    assert_eq!(verdicts.next().await, Ok(None));
}

#[tokio::test]
async fn questions_are_no_more_than_a_node_takes() {
    let (mut updates, _verdicts, mut node) = session(2);
    let offer = Offer::of_one_time(ObjectHash::from_bytes([1; 16]), Timestamp::from_seconds(1), None);
    for count in [0, 3] {
        let refused = updates.confirm(vec![offer.clone(); count]).await;
        assert_eq!(refused.unwrap_err().reason, Reason::InvalidArgument, "{count}");
    }
    assert_eq!(updates.confirm(vec![offer; 2]).await, Ok(1));
    assert_eq!(heard(&mut node), ["1 confirm 2"]);
}
