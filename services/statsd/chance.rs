//! Which of many events are sent: cheap random numbers, good enough to sample by.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// Step of the sequence (Weyl; Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sequence of random numbers for all threads.
#[derive(Debug)]
pub(crate) struct Chance(AtomicU64);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }

    /// True in so many of all cases.
    pub(crate) fn hits(&self, share: f64) -> bool {
        share >= 1.0 || self.next() < share
    }

    /// From 0 up to but not 1.
    fn next(&self) -> f64 {
        let mut word = self.0.fetch_add(STEP, Ordering::Relaxed);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_as_often_as_it_should() {
        let chance = Chance::new();
        for share in [0.0, 0.1, 0.8, 1.0] {
            let hits = (0..100_000).filter(|_| chance.hits(share)).count() as f64 / 100_000.0;
            assert!((hits - share).abs() < 0.02, "{hits} of {share}");
        }
    }
}
