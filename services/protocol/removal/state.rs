//! The states of an object that a handoff wants to be rid of.

use ssync_types::{ObjectHash, Offer, Outcome, ReleaseFile, ReleaseItem, ReleaseOutcome};

use super::quorum::{PeerIndex, PeerSet, Quorum};

/// An object of a handoff of which no primary knows yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unsynced {
    offer: Offer,
    files: Vec<ReleaseFile>,
}

impl Unsynced {
    /// As it was listed, under the partition's lock: its version, and all files of its directory.
    #[must_use]
    pub fn new(offer: Offer, files: Vec<ReleaseFile>) -> Self {
        Self { offer, files }
    }

    /// It is being offered to the primaries.
    #[must_use]
    pub fn offered(self) -> Offered {
        Offered { listed: self, confirmed_by: PeerSet::default(), refused_by: PeerSet::default() }
    }
}

/// An object that waits for its primaries' answers, confirmed by some of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Offered {
    listed: Unsynced,
    confirmed_by: PeerSet,
    refused_by: PeerSet,
}

/// Where an answer leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Others have to answer yet.
    Waiting(Offered),
    /// It may go.
    Releasable(Releasable),
    /// It stays: those who have not refused are too few.
    Kept,
}

impl Offered {
    /// The primaries that have a copy of this version, or a newer one, and have said nothing else.
    #[must_use]
    pub fn confirmed_by(&self) -> PeerSet {
        self.confirmed_by
    }

    /// Takes the answer of a primary for `offer`. An answer for another version than the one that was listed counts as
    /// none, and so does every answer of a primary that has once answered otherwise.
    #[must_use]
    pub fn answer(mut self, peer: PeerIndex, offer: &Offer, outcome: &Outcome, quorum: Quorum) -> Step {
        if outcome.is_safe() && *offer == self.listed.offer && !self.refused_by.has(peer) {
            self.confirmed_by = self.confirmed_by.with(peer);
        } else {
            self.confirmed_by = self.confirmed_by.without(peer);
            self.refused_by = self.refused_by.with(peer);
        }
        if quorum.reached(self.confirmed_by) {
            return Step::Releasable(Releasable { listed: self.listed, confirmed_by: self.confirmed_by });
        }
        if !quorum.can_be_reached(self.refused_by) {
            return Step::Kept;
        }
        Step::Waiting(self)
    }
}

/// An object whose version is safe at enough primaries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Releasable {
    listed: Unsynced,
    confirmed_by: PeerSet,
}

impl Releasable {
    /// The object.
    #[must_use]
    pub fn hash(&self) -> ObjectHash {
        self.listed.offer.hash
    }

    /// The primaries whose answers made it so.
    #[must_use]
    pub fn confirmed_by(&self) -> PeerSet {
        self.confirmed_by
    }

    /// What the receiver is to remove: exactly the files that were listed.
    #[must_use]
    pub fn into_item(self) -> ReleaseItem {
        ReleaseItem { hash: self.listed.offer.hash, files: self.listed.files }
    }
}

/// What the receiver made of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Its files are gone.
    Unlinked,
    /// It is still here: it changed, or could not be removed.
    Kept,
}

impl From<&ReleaseOutcome> for End {
    fn from(outcome: &ReleaseOutcome) -> Self {
        match outcome {
            ReleaseOutcome::Released => Self::Unlinked,
            ReleaseOutcome::Changed | ReleaseOutcome::Failed(_) => Self::Kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use ssync_types::{ObjectKind, Reason, Refusal, Timestamp};

    use super::*;

    fn offer(seconds: u64) -> Offer {
        Offer::of_one_time(
            ObjectHash::from_bytes([7; 16]),
            Timestamp::from_seconds(seconds),
            Some(ObjectKind::Data),
        )
    }

    fn listed() -> Unsynced {
        let files = vec![ReleaseFile { name: "0000000100.00000.data".into(), inode: 42 }];
        Unsynced::new(offer(100), files)
    }

    fn outcomes() -> Vec<Outcome> {
        vec![
            Outcome::Applied,
            Outcome::AppliedUnflushed,
            Outcome::Confirmed,
            Outcome::Superseded(Timestamp::from_seconds(101)),
            Outcome::NotFound,
            Outcome::NotPrimary,
            Outcome::Failed(Refusal::new(Reason::ObjectIo, "broken")),
        ]
    }

    /// Every answer that a peer can give: each outcome, for the version listed and for another one.
    fn answers() -> Vec<(Offer, Outcome)> {
        [100, 101].into_iter().flat_map(|at| outcomes().into_iter().map(move |o| (offer(at), o))).collect()
    }

    /// Plays a whole history and says whether the object was ever releasable.
    fn releasable(history: &[(usize, &(Offer, Outcome))], quorum: Quorum) -> bool {
        let mut state = listed().offered();
        for &(peer, (offer, outcome)) in history {
            match state.answer(PeerIndex::new(peer).unwrap(), offer, outcome, quorum) {
                Step::Waiting(next) => state = next,
                Step::Releasable(releasable) => {
                    let item = releasable.into_item();
                    assert_eq!((item.hash, item.files), (listed().offer.hash, listed().files));
                    return true;
                }
                Step::Kept => return false,
            }
        }
        false
    }

    /// All histories of three answers from any of three primaries, repeated ones included, for every quorum.
    #[test]
    fn nothing_is_released_before_enough_primaries_answered_for_this_version() {
        let answers = answers();
        let moves: Vec<(usize, &(Offer, Outcome))> =
            (0..3).flat_map(|peer| answers.iter().map(move |answer| (peer, answer))).collect();
        let mut released = 0;
        for needed in 1..=3 {
            let quorum = Quorum::of(3, Some(needed)).unwrap();
            for a in &moves {
                for b in &moves {
                    for c in &moves {
                        let history = [*a, *b, *c];
                        // The rule, said in another way: some prefix has enough primaries that said nothing but safe things.
                        let rule = (1..=3).any(|length| {
                            let safe = |peer| {
                                let said: Vec<_> =
                                    history[..length].iter().filter(|(p, _)| *p == peer).collect();
                                let good = |(_, (o, outcome)): &&(usize, &(Offer, Outcome))| {
                                    outcome.is_safe() && *o == offer(100)
                                };
                                !said.is_empty() && said.iter().all(good)
                            };
                            (0..3).filter(|&peer| safe(peer)).count() >= needed
                        });
                        assert_eq!(releasable(&history, quorum), rule, "{needed} of 3: {history:?}");
                        released += usize::from(rule);
                    }
                }
            }
        }
        assert!(released > 0);
    }

    #[test]
    fn one_primary_alone_never_suffices_for_all() {
        let all = Quorum::of(3, None).unwrap();
        let good = (offer(100), Outcome::Confirmed);
        assert!(!releasable(&[(0, &good), (0, &good), (0, &good)], all));
        assert!(!releasable(&[(0, &good), (1, &good)], all));
        assert!(releasable(&[(0, &good), (2, &good), (1, &good)], all));
    }

    #[test]
    fn only_a_released_item_is_unlinked() {
        let failed = ReleaseOutcome::Failed(Refusal::new(Reason::ObjectIo, "broken"));
        assert_eq!(End::from(&ReleaseOutcome::Released), End::Unlinked);
        assert_eq!(End::from(&ReleaseOutcome::Changed), End::Kept);
        assert_eq!(End::from(&failed), End::Kept);
    }
}
