//! The objects of a handoff that wait for their primaries' answers.

use std::collections::HashMap;

use ssync_diskfile::LocalObject;
use ssync_protocol::removal::{Offered, PeerIndex, Quorum, Step, Unsynced};
use ssync_types::{ObjectHash, ReleaseItem};

use crate::peer::Verdict;

/// Offered objects by hash. Holds at most a slice of a partition (see `listing::SLICE_OBJECTS_MAX`).
#[derive(Debug)]
pub(crate) struct Ledger {
    quorum: Quorum,
    waiting: HashMap<ObjectHash, Offered>,
}

impl Ledger {
    /// Releases by `quorum`.
    pub(crate) fn new(quorum: Quorum) -> Self {
        Self { quorum, waiting: HashMap::new() }
    }

    /// These are about to be offered to every primary.
    pub(crate) fn offered(&mut self, batch: &[LocalObject]) {
        for object in batch {
            let unsynced = Unsynced::new(object.offer.clone(), object.files.clone());
            self.waiting.insert(object.offer.hash, unsynced.offered());
        }
    }

    /// Takes a primary's answers; returns what may go now. An answer for an object that nobody offered changes nothing.
    pub(crate) fn answered(&mut self, peer: PeerIndex, verdicts: &[Verdict]) -> Vec<ReleaseItem> {
        let mut releasable = Vec::new();
        for verdict in verdicts {
            let Some(object) = self.waiting.remove(&verdict.offer.hash) else { continue };
            match object.answer(peer, &verdict.offer, &verdict.outcome, self.quorum) {
                Step::Waiting(object) => {
                    self.waiting.insert(verdict.offer.hash, object);
                }
                Step::Releasable(object) => releasable.push(object.into_item()),
                Step::Kept => {}
            }
        }
        releasable
    }

    /// Objects that still wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use ssync_types::{ObjectKind, Offer, Outcome, Timestamp};

    use super::*;

    fn object(number: u8) -> LocalObject {
        let offer = Offer::of_one_time(
            ObjectHash::from_bytes([number; 16]),
            Timestamp::from_seconds(1),
            Some(ObjectKind::Data),
        );
        LocalObject { offer, fragment: None, files: Vec::new() }
    }

    fn safe(number: u8) -> Verdict {
        Verdict { offer: object(number).offer, outcome: Outcome::Applied }
    }

    #[test]
    fn lets_go_one_by_one_and_forgets_what_is_decided() {
        let mut ledger = Ledger::new(Quorum::of(2, None).unwrap());
        let (one, two) = (PeerIndex::new(0).unwrap(), PeerIndex::new(1).unwrap());
        ledger.offered(&[object(1), object(2)]);
        assert!(ledger.answered(one, &[safe(1), safe(2), safe(9)]).is_empty());
        let gone = ledger.answered(two, &[safe(2)]);
        assert_eq!(gone.iter().map(|item| item.offer.hash).collect::<Vec<_>>(), [object(2).offer.hash]);
        assert_eq!(ledger.waiting(), 1);
        let refused = Verdict { outcome: Outcome::NotPrimary, ..safe(1) };
        assert!(ledger.answered(two, &[refused]).is_empty());
        assert_eq!(ledger.waiting(), 0);
        assert!(ledger.answered(two, &[safe(1)]).is_empty(), "a kept object does not come back");
    }
}
