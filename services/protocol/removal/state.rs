//! The states of an object that a handoff wants to be rid of.

use ssync_types::{Confirmed, ObjectHash, Offer, Outcome, ReleaseFile, ReleaseItem, ReleaseOutcome};

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
        Offered { listed: self, confirmed_by: Vec::new(), refused_by: PeerSet::default() }
    }
}

/// An object that waits for its primaries' answers, confirmed by some of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Offered {
    listed: Unsynced,
    /// In the order of the primaries, each once.
    confirmed_by: Vec<Confirmed>,
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
        peers(&self.confirmed_by)
    }

    /// Takes the answer of a primary for `offer`. An answer for another version than the one that was listed counts as
    /// none, and so does every answer of a primary that has once answered otherwise.
    #[must_use]
    pub fn answer(mut self, peer: PeerIndex, offer: &Offer, outcome: &Outcome, quorum: Quorum) -> Step {
        let primary = peer.place();
        self.confirmed_by.retain(|confirmed| confirmed.primary != primary);
        match outcome.assurance() {
            Some(assurance) if *offer == self.listed.offer && !self.refused_by.has(peer) => {
                self.confirmed_by.push(Confirmed { primary, assurance });
                self.confirmed_by.sort_unstable_by_key(|confirmed| confirmed.primary);
            }
            _ => self.refused_by = self.refused_by.with(peer),
        }
        if quorum.reached(self.confirmed_by()) {
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
    confirmed_by: Vec<Confirmed>,
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
        peers(&self.confirmed_by)
    }

    /// What the receiver is to remove: exactly the files that were listed; and on whose word.
    #[must_use]
    pub fn into_item(self) -> ReleaseItem {
        let Unsynced { offer, files } = self.listed;
        ReleaseItem { offer, files, confirmed_by: self.confirmed_by }
    }
}

fn peers(confirmed: &[Confirmed]) -> PeerSet {
    let places = confirmed.iter().filter_map(|confirmed| PeerIndex::new(confirmed.primary));
    places.fold(PeerSet::default(), PeerSet::with)
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
                    assert_eq!((item.offer, item.files), (listed().offer, listed().files));
                    assert!(item.confirmed_by.len() >= quorum.needed());
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
    fn the_item_says_who_answered_last_and_how() {
        let newer = Outcome::Superseded(Timestamp::from_seconds(101));
        let quorum = Quorum::of(3, Some(2)).unwrap();
        let mut state = listed().offered();
        let history = [(2, Outcome::Applied), (0, Outcome::NotFound), (2, newer.clone())];
        for (peer, outcome) in history {
            let step = state.answer(PeerIndex::new(peer).unwrap(), &offer(100), &outcome, quorum);
            let Step::Waiting(next) = step else { panic!("{step:?}") };
            state = next;
        }
        let step = state.answer(PeerIndex::new(1).unwrap(), &offer(100), &Outcome::Confirmed, quorum);
        let Step::Releasable(releasable) = step else { panic!("{step:?}") };
        assert_eq!(releasable.hash(), offer(100).hash);
        let said: Vec<_> = releasable.into_item().confirmed_by;
        let expected = [(1, Outcome::Confirmed), (2, newer)];
        let expected =
            expected.map(|(primary, outcome)| Confirmed { primary, assurance: outcome.assurance().unwrap() });
        assert_eq!(said, expected);
    }

    #[test]
    fn only_a_released_item_is_unlinked() {
        let failed = ReleaseOutcome::Failed(Refusal::new(Reason::ObjectIo, "broken"));
        assert_eq!(End::from(&ReleaseOutcome::Released), End::Unlinked);
        assert_eq!(End::from(&ReleaseOutcome::Changed), End::Kept);
        assert_eq!(End::from(&failed), End::Kept);
    }
}
