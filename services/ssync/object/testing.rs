//! Answers for tests.

use std::time::Duration;

use ssync_ring::PolicyKind;
use ssync_types::{FragmentIndex, FragmentSet, Partition, PolicyIndex, Timestamp};

use super::{Answer, Copy, Place, Seen, Site, sites::Role};

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

pub(super) fn place() -> Place {
    Place {
        policy: PolicyIndex::new(0),
        kind: PolicyKind::Replication,
        partition: Partition::new(7),
        reclaim_age: Duration::from_secs(7 * 86_400),
    }
}

fn site(role: Role, ip: String, device: &str) -> Site {
    Site { role, address: format!("{ip}:6200"), replication: (ip, 6200), device: device.parse().unwrap() }
}

pub(super) fn primary(number: usize, answer: Answer) -> Seen {
    Seen { site: site(Role::Primary(number), format!("10.0.0.{number}"), &format!("d{number}")), answer }
}

pub(super) fn handoff(number: usize, answer: Answer) -> Seen {
    Seen { site: site(Role::Handoff(number), format!("10.0.1.{number}"), &format!("h{number}")), answer }
}

pub(super) fn data(seconds: u64) -> Answer {
    posted(seconds, seconds)
}

pub(super) fn posted(seconds: u64, metadata: u64) -> Answer {
    Answer::Data(Box::new(Copy {
        data: at(seconds),
        newest: at(metadata),
        content_type: (seconds == metadata).then(|| at(seconds)),
        durable: Some(at(seconds)),
        etag: "etag".to_owned(),
        bytes: Some(5),
        fragments: Vec::new(),
        delete_at: None,
    }))
}

pub(super) fn with_etag(seconds: u64, etag: &str) -> Answer {
    let Answer::Data(copy) = data(seconds) else { unreachable!() };
    Answer::Data(Box::new(Copy { etag: etag.to_owned(), ..*copy }))
}

pub(super) fn fragment(seconds: u64, index: u16, durable: bool) -> Answer {
    let Answer::Data(copy) = data(seconds) else { unreachable!() };
    let set = FragmentSet { timestamp: at(seconds), indexes: vec![FragmentIndex::new(index)], durable };
    Answer::Data(Box::new(Copy { durable: durable.then(|| at(seconds)), fragments: vec![set], ..*copy }))
}

pub(super) fn tombstone(seconds: u64) -> Answer {
    Answer::Tombstone(at(seconds))
}

pub(super) fn failed() -> Answer {
    Answer::Failed("cannot be reached".to_owned())
}
