//! The decisions as tables: time is small numbers.

use ssync_types::{ObjectHash, ObjectKind, Offer, Timestamp, Want};

use super::*;

fn hash() -> ObjectHash {
    ObjectHash::from_bytes([7; 16])
}

fn at(ticks: u64) -> Timestamp {
    Timestamp::new(ticks, 0).unwrap()
}

fn offer(data: u64, metadata: u64, content_type: u64) -> Offer {
    Offer {
        metadata: at(metadata),
        content_type: at(content_type),
        ..Offer::of_one_time(hash(), at(data), None)
    }
}

fn data(data: u64, metadata: u64, content_type: u64) -> LocalState {
    LocalState::of(LocalVersion::Data {
        data: at(data),
        metadata: at(metadata),
        content_type: at(content_type),
    })
}

fn tombstone(time: u64) -> LocalState {
    LocalState::of(LocalVersion::Tombstone(at(time)))
}

/// `d`, `m`, `c` as they are set.
fn text(want: Option<Want>) -> String {
    want.map_or(String::new(), |want| {
        assert_eq!(want.hash, hash());
        [(want.data, 'd'), (want.metadata, 'm'), (want.durable_mark, 'c')]
            .into_iter()
            .filter_map(|(set, letter)| set.then_some(letter))
            .collect()
    })
}

#[test]
fn wants_what_is_newer() {
    let table = [
        // local, offer (data, metadata, content type), wanted
        (LocalState::nothing(), offer(5, 5, 5), "dm"),
        (data(5, 5, 5), offer(5, 5, 5), ""),
        (data(5, 5, 5), offer(4, 4, 4), ""),
        (data(5, 5, 5), offer(6, 6, 6), "dm"),
        // Later metadata of the same body.
        (data(5, 5, 5), offer(5, 7, 5), "m"),
        (data(5, 7, 5), offer(5, 7, 5), ""),
        (data(5, 8, 5), offer(5, 7, 5), ""),
        // A newer body under older metadata than ours.
        (data(5, 9, 5), offer(6, 6, 6), "d"),
        // A later content type, though our metadata is newer.
        (data(5, 9, 5), offer(5, 7, 7), "m"),
        (data(5, 9, 7), offer(5, 7, 7), ""),
        // The content type of the offered body itself is no reason.
        (data(5, 9, 5), offer(6, 7, 6), "d"),
        // A tombstone here: metadata only with their body.
        (tombstone(5), offer(5, 5, 5), ""),
        (tombstone(5), offer(4, 9, 9), ""),
        (tombstone(5), offer(6, 6, 6), "d"),
        (tombstone(5), offer(6, 9, 6), "dm"),
    ];
    for (local, offer, wanted) in table {
        assert_eq!(text(want(&local, &offer)), wanted, "{local:?} {offer:?}");
    }
}

#[test]
fn a_tombstone_beats_a_body_of_its_time_where_the_sender_tells_them_apart() {
    let deleted = |time| Offer { kind: Some(ObjectKind::Tombstone), ..offer(time, time, time) };
    let stored = |time| Offer { kind: Some(ObjectKind::Data), ..offer(time, time, time) };
    assert_eq!(text(want(&data(5, 5, 5), &deleted(5))), "d");
    assert_eq!(text(want(&data(5, 5, 5), &deleted(4))), "");
    assert_eq!(text(want(&data(5, 5, 5), &offer(5, 5, 5))), "", "SSYNC does not tell");
    assert_eq!(text(want(&tombstone(5), &deleted(5))), "");
    assert_eq!(text(want(&tombstone(5), &stored(5))), "");
}

#[test]
fn offsets_order_writes_of_one_tick() {
    let offered = Offer::of_one_time(hash(), Timestamp::new(5, 1).unwrap(), None);
    assert_eq!(text(want(&data(5, 5, 5), &offered)), "dm");
}

#[test]
fn a_fragment_without_its_mark_is_marked_not_sent_again() {
    let undurable = |newest: LocalState, times: &[u64]| LocalState {
        undurable: times.iter().copied().map(at).collect(),
        ..newest
    };
    let rebuilt = |offer: Offer| Offer { durable: false, ..offer };
    let table = [
        // The offered fragment is here, the sender's is durable: mark ours.
        (undurable(LocalState::nothing(), &[5]), offer(5, 5, 5), "c"),
        (undurable(data(3, 3, 3), &[5]), offer(5, 5, 5), "c"),
        (undurable(LocalState::nothing(), &[5]), offer(5, 7, 5), "mc"),
        // Neither has the mark: nothing to do.
        (undurable(LocalState::nothing(), &[5]), rebuilt(offer(5, 5, 5)), ""),
        (undurable(data(3, 3, 3), &[5]), rebuilt(offer(5, 3, 3)), ""),
        // Another time than the offered one.
        (undurable(LocalState::nothing(), &[4]), offer(5, 5, 5), "dm"),
        (undurable(data(3, 3, 3), &[4]), offer(5, 5, 5), "dm"),
        // Something durable is as new: the fragment does not matter.
        (undurable(data(5, 5, 5), &[5]), offer(5, 5, 5), ""),
        (undurable(tombstone(6), &[5]), offer(5, 5, 5), ""),
    ];
    for (local, offer, wanted) in table {
        assert_eq!(text(want(&local, &offer)), wanted, "{local:?} {offer:?}");
    }
}

#[test]
fn a_session_ends_when_too_much_fails() {
    let limits = FailureLimits::default();
    let table = [
        // successes, failures, ended
        (0, 0, false),
        (0, 99, false),
        (0, 100, true),
        (99, 100, true),
        (100, 100, false),
        (1_000, 999, false),
        (1_000, 1_001, true),
    ];
    for (successes, failures, ended) in table {
        assert_eq!(limits.exceeded(successes, failures), ended, "{successes} {failures}");
    }
    assert!(FailureLimits { threshold: 0, ratio: 0.5 }.exceeded(10, 6));
    assert!(!FailureLimits { threshold: 0, ratio: 0.5 }.exceeded(10, 5));
}

#[test]
fn a_session_has_a_last_update() {
    assert!(may_go_on(0, 1));
    assert!(!may_go_on(1, 1));
    assert!(may_go_on(u64::MAX, 0), "0 is no limit");
}
