//! A partition's primaries: each, some of them, and how many must answer.

use ssync_types::ReleaseOpen;

/// Most primaries of a partition: what fits into a [`PeerSet`]. Rings have three or so.
pub const PRIMARIES_MAX: usize = ReleaseOpen::PRIMARIES_MAX;
const _: () = assert!(PRIMARIES_MAX <= u64::BITS as usize);

/// A primary's place in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIndex(u8);

impl PeerIndex {
    /// The only one, where there is one.
    pub const FIRST: Self = Self(0);

    /// The primary at `place`; `None` beyond [`PRIMARIES_MAX`].
    #[must_use]
    pub fn new(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|&small| usize::from(small) < PRIMARIES_MAX).map(Self)
    }

    /// The place it was made of.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// Some of a job's primaries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerSet(u64);

impl PeerSet {
    /// These, and `peer`.
    #[must_use]
    pub fn with(self, peer: PeerIndex) -> Self {
        Self(self.0 | 1 << peer.0)
    }

    /// These, but not `peer`.
    #[must_use]
    pub fn without(self, peer: PeerIndex) -> Self {
        Self(self.0 & !(1 << peer.0))
    }

    /// Whether `peer` is among them.
    #[must_use]
    pub fn has(self, peer: PeerIndex) -> bool {
        self.0 & 1 << peer.0 != 0
    }

    /// How many.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How many primaries must answer for an object, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quorum {
    primaries: usize,
    needed: usize,
}

impl Quorum {
    /// All of `primaries`, or `handoff_delete` of them if that is fewer (Swift: replicator.py revert). `None` when there is
    /// nobody to ask: nothing is ever released then (rule S3).
    #[must_use]
    pub fn of(primaries: usize, handoff_delete: Option<usize>) -> Option<Self> {
        if primaries == 0 || primaries > PRIMARIES_MAX {
            return None;
        }
        let needed =
            handoff_delete.filter(|&count| count > 0).map_or(primaries, |count| count.min(primaries));
        Some(Self { primaries, needed })
    }

    /// Primaries whose answers suffice.
    #[must_use]
    pub fn needed(self) -> usize {
        self.needed
    }

    /// Whether `confirmed` are enough. A primary beyond those of the job counts for nothing.
    pub(super) fn reached(self, confirmed: PeerSet) -> bool {
        self.counting(confirmed) >= self.needed
    }

    /// Whether enough are left when `refused` never will.
    pub(super) fn can_be_reached(self, refused: PeerSet) -> bool {
        self.primaries - self.counting(refused) >= self.needed
    }

    fn counting(self, peers: PeerSet) -> usize {
        let all = u64::MAX >> (u64::BITS as usize - self.primaries);
        PeerSet(peers.0 & all).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_most_primaries_count_and_no_more() {
        assert_eq!(PeerIndex::new(PRIMARIES_MAX), None);
        let everyone = (0..PRIMARIES_MAX).filter_map(PeerIndex::new).fold(PeerSet::default(), PeerSet::with);
        assert_eq!(everyone.len(), PRIMARIES_MAX);
        let last = PeerIndex::new(PRIMARIES_MAX - 1).unwrap();
        assert!(Quorum::of(PRIMARIES_MAX, None).unwrap().reached(everyone));
        assert!(!Quorum::of(PRIMARIES_MAX, None).unwrap().reached(everyone.without(last)));
    }

    #[test]
    fn a_primary_of_another_job_counts_for_nothing() {
        let stranger = PeerSet::default().with(PeerIndex::new(2).unwrap());
        let two = Quorum::of(2, Some(1)).unwrap();
        assert!(!two.reached(stranger));
        assert!(Quorum::of(2, None).unwrap().can_be_reached(stranger));
        assert!(!Quorum::of(2, None).unwrap().can_be_reached(stranger.with(PeerIndex::FIRST)));
    }
}
