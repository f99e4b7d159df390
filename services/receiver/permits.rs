//! So many at a time, by a limit that may be changed while they are under way.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Permits, as many as the limit says at the moment that one is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Shared by those with the same limit; 0 for none.
    max: Arc<AtomicU32>,
    used: AtomicU32,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Inner>);

impl Permits {
    pub(crate) fn new(max: Arc<AtomicU32>) -> Self {
        Self(Arc::new(Inner { max, used: AtomicU32::new(0) }))
    }

    /// `None` while all are taken.
    pub(crate) fn take(&self) -> Option<Permit> {
        let max = self.max();
        let one_more = |used: u32| (max == 0 || used < max).then(|| used.saturating_add(1));
        let taken = self.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| Permit(Arc::clone(&self.0)))
    }

    /// The limit; 0 for none.
    pub(crate) fn max(&self) -> u32 {
        self.0.max.load(Ordering::Relaxed)
    }

    /// Those that are taken: more than the limit where that was lowered.
    pub(crate) fn used(&self) -> u32 {
        self.0.used.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_takes_nothing_away_and_a_higher_one_counts_at_once() {
        let max = Arc::new(AtomicU32::new(2));
        let permits = Permits::new(Arc::clone(&max));
        let (one, two) = (permits.take().unwrap(), permits.take().unwrap());
        assert!(permits.take().is_none());
        max.store(1, Ordering::Relaxed);
        assert_eq!(permits.used(), 2);
        drop(two);
        assert!(permits.take().is_none(), "one is taken of one");
        max.store(2, Ordering::Relaxed);
        let two = permits.take().unwrap();
        max.store(0, Ordering::Relaxed);
        let more: Vec<_> = (0..9).map(|_| permits.take().unwrap()).collect();
        drop((one, two, more));
        assert_eq!(permits.used(), 0);
    }
}
