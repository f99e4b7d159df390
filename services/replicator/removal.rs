//! When a handoff may let go of an object (rule S2), as types: unsynced -> offered -> releasable -> unlinked.
//!
//! Each state is a type of its own and consumes the one before, so that no path leads from an object that was merely
//! listed to one that is removed: a [`Releasable`] is made in one place, when enough primaries have answered for exactly
//! the version that was offered.

use ssync_diskfile::LocalObject;
use ssync_types::{Offer, Outcome, ReleaseItem, ReleaseOutcome};

/// Most primaries of a partition: what fits into a [`PeerSet`]. Rings have three or so.
pub(crate) const PRIMARIES_MAX: usize = 64;

/// A primary's place in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerIndex(u8);

impl PeerIndex {
    /// The only one, where there is one.
    pub(crate) const FIRST: Self = Self(0);

    /// The primary at `place`; `None` beyond [`PRIMARIES_MAX`].
    pub(crate) fn new(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|&small| usize::from(small) < PRIMARIES_MAX).map(Self)
    }
}

/// Some of a job's primaries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct PeerSet(u64);

impl PeerSet {
    fn with(self, peer: PeerIndex) -> Self {
        Self(self.0 | 1 << peer.0)
    }

    fn without(self, peer: PeerIndex) -> Self {
        Self(self.0 & !(1 << peer.0))
    }

    fn has(self, peer: PeerIndex) -> bool {
        self.0 & 1 << peer.0 != 0
    }

    fn len(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// How many primaries must answer for an object, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quorum {
    primaries: usize,
    needed: usize,
}

impl Quorum {
    /// All of `primaries`, or `handoff_delete` of them if that is fewer (Swift: replicator.py revert). `None` when there is
    /// nobody to ask: nothing is ever released then (rule S3).
    pub(crate) fn of(primaries: usize, handoff_delete: Option<usize>) -> Option<Self> {
        if primaries == 0 || primaries > PRIMARIES_MAX {
            return None;
        }
        let needed =
            handoff_delete.filter(|&count| count > 0).map_or(primaries, |count| count.min(primaries));
        Some(Self { primaries, needed })
    }

    /// Primaries whose answers suffice.
    pub(crate) fn needed(self) -> usize {
        self.needed
    }
}

/// An object of a handoff of which no primary knows yet.
#[derive(Debug)]
pub(crate) struct Unsynced(LocalObject);

impl Unsynced {
    /// As it was listed, under the partition's lock.
    pub(crate) fn new(listed: LocalObject) -> Self {
        Self(listed)
    }

    /// It is being offered to the primaries.
    pub(crate) fn offered(self) -> Offered {
        Offered { listed: self.0, safe_at: PeerSet::default(), unsafe_at: PeerSet::default() }
    }
}

/// An object that waits for its primaries' answers.
#[derive(Debug)]
pub(crate) struct Offered {
    listed: LocalObject,
    safe_at: PeerSet,
    unsafe_at: PeerSet,
}

/// Where an answer leads.
#[derive(Debug)]
pub(crate) enum Step {
    /// Others have to answer yet.
    Waiting(Offered),
    /// It may go.
    Releasable(Releasable),
    /// It stays: those who have not refused are too few.
    Kept,
}

impl Offered {
    /// Takes the answer of a primary for `offer`. An answer for another version than the one that was listed counts as
    /// none, and so does every answer of a primary that has once answered otherwise.
    pub(crate) fn answer(
        mut self,
        peer: PeerIndex,
        offer: &Offer,
        outcome: &Outcome,
        quorum: Quorum,
    ) -> Step {
        if outcome.is_safe() && *offer == self.listed.offer && !self.unsafe_at.has(peer) {
            self.safe_at = self.safe_at.with(peer);
        } else {
            self.safe_at = self.safe_at.without(peer);
            self.unsafe_at = self.unsafe_at.with(peer);
        }
        if self.safe_at.len() >= quorum.needed {
            return Step::Releasable(Releasable(self.listed));
        }
        if quorum.primaries.saturating_sub(self.unsafe_at.len()) < quorum.needed {
            return Step::Kept;
        }
        Step::Waiting(self)
    }
}

/// An object whose version is safe at enough primaries.
#[derive(Debug)]
pub(crate) struct Releasable(LocalObject);

impl Releasable {
    /// What the receiver is to remove: exactly the files that were listed.
    pub(crate) fn into_item(self) -> ReleaseItem {
        ReleaseItem { hash: self.0.offer.hash, files: self.0.files }
    }
}

/// What the receiver made of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
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
    use ssync_types::{ObjectHash, ObjectKind, Reason, Refusal, ReleaseFile, Timestamp};

    use super::*;

    fn offer(seconds: u64) -> Offer {
        Offer::of_one_time(
            ObjectHash::from_bytes([7; 16]),
            Timestamp::from_seconds(seconds),
            Some(ObjectKind::Data),
        )
    }

    fn listed() -> LocalObject {
        let files = vec![ReleaseFile { name: "0000000100.00000.data".into(), inode: 42 }];
        LocalObject { offer: offer(100), fragment: None, files }
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
        let mut state = Unsynced::new(listed()).offered();
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
    fn nobody_to_ask_means_no_quorum() {
        assert_eq!(Quorum::of(0, None), None);
        assert_eq!(Quorum::of(0, Some(1)), None);
        assert_eq!(Quorum::of(PRIMARIES_MAX + 1, None), None);
        assert_eq!(Quorum::of(2, Some(0)).unwrap().needed(), 2);
        assert_eq!(Quorum::of(2, Some(5)).unwrap().needed(), 2);
        assert_eq!(Quorum::of(3, Some(2)).unwrap().needed(), 2);
    }

    #[test]
    fn only_a_released_item_is_unlinked() {
        let failed = ReleaseOutcome::Failed(Refusal::new(Reason::ObjectIo, "broken"));
        assert_eq!(End::from(&ReleaseOutcome::Released), End::Unlinked);
        assert_eq!(End::from(&ReleaseOutcome::Changed), End::Kept);
        assert_eq!(End::from(&failed), End::Kept);
    }
}
