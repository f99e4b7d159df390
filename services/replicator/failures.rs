//! What failed last: visits with a partition to a peer, and why, for operators.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_types::{PartitionRef, Refusal};
use tokio::time::Instant;

use crate::peer::Target;

/// Visits that are remembered.
const VISITS_MAX: usize = 200;
/// Visits to one peer that are: one that is gone does not push out the others.
const OF_PEER_MAX: usize = 20;

/// A visit that failed, and has not gone well since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedVisit {
    /// The partition here.
    pub at: PartitionRef,
    /// `ip:port/device` of the peer; `None` when it failed before any was visited.
    pub peer: Option<String>,
    /// Why, the last time.
    pub cause: Refusal,
    /// How often in a row.
    pub times: u32,
    /// Since the last time.
    pub ago: Duration,
}

#[derive(Debug)]
struct Failed {
    at: PartitionRef,
    peer: Option<String>,
    cause: Refusal,
    times: u32,
    when: Instant,
}

/// The visits that failed last, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<VecDeque<Failed>>>);

impl Failures {
    /// A visit to `peer`, or the look at the partition before it, has failed.
    pub(crate) fn note(&self, at: &PartitionRef, peer: Option<&Target>, cause: &Refusal) {
        let peer = peer.map(ToString::to_string);
        let mut visits = self.lock();
        let before = visits.iter().position(|visit| visit.at == *at && visit.peer == peer);
        let times = before.and_then(|place| visits.remove(place)).map_or(0, |visit| visit.times);
        let of_peer = |(_, visit): &(usize, &Failed)| visit.peer == peer;
        if visits.iter().filter(|visit| visit.peer == peer).count() >= OF_PEER_MAX {
            let oldest = visits.iter().enumerate().rev().find(of_peer).map(|(place, _)| place);
            oldest.and_then(|place| visits.remove(place));
        }
        visits.truncate(VISITS_MAX - 1);
        let (at, cause) = (at.clone(), cause.clone());
        visits.push_front(Failed { at, peer, cause, times: times.saturating_add(1), when: Instant::now() });
    }

    /// A visit to `peer` went well, and so did the look before it.
    pub(crate) fn went_well(&self, at: &PartitionRef, peer: &Target) {
        let mut visits = self.lock();
        if !visits.is_empty() {
            let peer = peer.to_string();
            let is_other = |other: &Option<String>| other.as_ref().is_some_and(|other| *other != peer);
            visits.retain(|visit| visit.at != *at || is_other(&visit.peer));
        }
    }

    pub(crate) fn list(&self) -> Vec<FailedVisit> {
        let told = |visit: &Failed| FailedVisit {
            at: visit.at.clone(),
            peer: visit.peer.clone(),
            cause: visit.cause.clone(),
            times: visit.times,
            ago: visit.when.elapsed(),
        };
        self.lock().iter().map(told).collect()
    }

    // Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ssync_types::{Partition, PolicyIndex, Reason};

    use super::*;

    fn at(partition: u32) -> PartitionRef {
        PartitionRef {
            device: "d1".parse().unwrap(),
            partition: Partition::new(partition),
            policy: PolicyIndex::new(0),
            fragment: None,
        }
    }

    fn peer(port: u16) -> Target {
        let device = "sdb1".parse().unwrap();
        Target { ip: "10.0.0.1".into(), port, device, region: 1, meta: String::new() }
    }

    fn gone() -> Refusal {
        Refusal::new(Reason::Unreachable, "it is gone")
    }

    #[test]
    fn what_failed_last_comes_first_and_is_counted() {
        let failures = Failures::default();
        failures.note(&at(1), Some(&peer(1)), &gone());
        failures.note(&at(2), None, &gone());
        failures.note(&at(1), Some(&peer(1)), &Refusal::new(Reason::DeviceFull, "full"));
        let list = failures.list();
        assert_eq!((list.len(), list[0].times, list[0].cause.reason), (2, 2, Reason::DeviceFull));
        assert_eq!(list[0].peer.as_deref(), Some("10.0.0.1:1/sdb1"));
        failures.went_well(&at(1), &peer(2));
        assert_eq!(failures.list().len(), 2, "another peer says nothing of this one");
        failures.went_well(&at(2), &peer(2));
        failures.went_well(&at(1), &peer(1));
        assert!(failures.list().is_empty());
    }

    #[test]
    fn there_is_a_bound_and_one_peer_has_a_part_of_it() {
        let failures = Failures::default();
        failures.note(&at(7), Some(&peer(9)), &gone());
        (0..500).for_each(|partition| failures.note(&at(partition), Some(&peer(1)), &gone()));
        assert_eq!(failures.list().len(), OF_PEER_MAX + 1, "the other peer's is still there");
        assert_eq!(failures.list()[0].at, at(499));
        (0..500).for_each(|port| failures.note(&at(1), Some(&peer(port)), &gone()));
        assert_eq!(failures.list().len(), VISITS_MAX);
    }
}
