//! Tests of what goes into a message, and in which order.

use ssync_types::{ObjectHash, Outcome, Want};

use super::*;

fn want() -> Want {
    Want { hash: ObjectHash::from_bytes([1; 16]), data: true, metadata: false, durable_mark: false }
}

fn result(update_id: u64) -> UpdateResult {
    UpdateResult { update_id, hash: ObjectHash::from_bytes([1; 16]), outcome: Outcome::Applied }
}

/// A want that came with an older count was once taken for one of an object that was never offered.
#[test]
fn wants_come_with_the_count_that_answers_their_offers() {
    let (mut answers, mut out) = (Answers::default(), VecDeque::new());
    answers.push(CheckAnswer { wants: vec![want(); 900], answered_offers: 1000 }, &mut out);
    answers.push(CheckAnswer { wants: vec![want(); 900], answered_offers: 2000 }, &mut out);
    assert_eq!(answers.heartbeat().unwrap().answered_offers, 1000);
    answers.flush(&mut out);
    let said: Vec<_> = out.iter().map(|message| (message.wants.len(), message.answered_offers)).collect();
    assert_eq!(said, [(900, 1000), (900, 2000)]);
    assert_eq!(answers.heartbeat().unwrap().answered_offers, 2000);

    out.clear();
    answers.flush(&mut out);
    assert!(out.is_empty(), "nothing to say");
    answers.push(CheckAnswer { wants: vec![], answered_offers: 2500 }, &mut out);
    answers.flush(&mut out);
    assert_eq!(out.len(), 1);
}

#[test]
fn results_keep_their_order_and_events_their_place() {
    let (mut events, mut out) = (Events::default(), VecDeque::new());
    for id in 0..1500 {
        events.push(SessionEvent::Results(vec![result(id)]), &mut out);
    }
    events.push(SessionEvent::Draining("x".into()), &mut out);
    events.push(SessionEvent::Results(vec![result(1500)]), &mut out);
    events.flush(&mut out);
    let read: Vec<SessionEvent> = out.into_iter().map(|message| message.try_into().unwrap()).collect();
    let expected = [
        SessionEvent::Results((0..1000).map(result).collect()),
        SessionEvent::Results((1000..1500).map(result).collect()),
        SessionEvent::Draining("x".into()),
        SessionEvent::Results(vec![result(1500)]),
    ];
    assert_eq!(read, expected);
}

#[test]
fn large_pieces_are_cut_and_empty_ones_left_out() {
    let (mut pieces, mut out) = (Pieces, VecDeque::new());
    let data = Bytes::from((0..600_000_u32).map(|n| n as u8).collect::<Vec<u8>>());
    pieces.push(data.clone(), &mut out);
    pieces.push(Bytes::new(), &mut out);
    let read: Vec<Bytes> = out
        .into_iter()
        .map(|message| match message.message {
            Some(v1::get_object_response::Message::Chunk(chunk)) => chunk.data,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(read.iter().all(|piece| piece.len() <= PIECE_BYTES_MAX));
    assert_eq!((read.len(), read.concat()), (3, data.to_vec()));
}
