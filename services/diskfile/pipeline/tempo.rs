//! How many sheaves of one caller are under way at once, found by measuring.

use std::time::Duration;

/// As many as keep the processors busy while one of them waits.
const HANDS_MIN: usize = 2;
/// Most at once: half of the threads that a device has by default.
const HANDS_MAX: usize = 16;
/// How many there are before anything was measured: nowhere slow.
const HANDS_FIRST: usize = 8;
/// How much of what was measured before still counts after one sheaf more.
const KEPT: f64 = 0.875;

/// While one sheaf is published, which is mostly waiting for flushes, others can be written. So there are as many as the one
/// takes longer than the other: on a device whose flushes cost nothing few, which are large then and make little work for
/// the threads, and where flushes are slow many, whose flushes the file system joins.
#[derive(Debug, Default)]
pub(crate) struct Tempo {
    /// Seconds, of the last sheaves.
    writing: f64,
    publishing: f64,
}

impl Tempo {
    /// A sheaf took so long.
    pub(crate) fn observe(&mut self, writing: Duration, publishing: Duration) {
        self.writing = self.writing * KEPT + writing.as_secs_f64();
        self.publishing = self.publishing * KEPT + publishing.as_secs_f64();
    }

    pub(crate) fn hands(&self) -> usize {
        if self.writing <= 0.0 {
            return HANDS_FIRST;
        }
        // A cast saturates.
        (1 + (self.publishing / self.writing).ceil() as usize).clamp(HANDS_MIN, HANDS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hands(writing: u64, publishing: u64) -> usize {
        let mut tempo = Tempo::default();
        tempo.observe(Duration::from_secs(9), Duration::from_secs(1));
        (0..100)
            .for_each(|_| tempo.observe(Duration::from_micros(writing), Duration::from_micros(publishing)));
        tempo.hands()
    }

    #[test]
    fn as_many_as_publishing_takes_longer_than_writing() {
        assert_eq!(hands(100, 1), HANDS_MIN);
        assert_eq!(hands(100, 690), 8);
        assert_eq!(hands(100, 50_000), HANDS_MAX);
        assert_eq!(hands(1, u64::from(u32::MAX)), HANDS_MAX);
    }

    #[test]
    fn what_was_not_measured_is_neither_slow_nor_fast() {
        assert_eq!(Tempo::default().hands(), HANDS_FIRST);
        let mut tempo = Tempo::default();
        tempo.observe(Duration::ZERO, Duration::ZERO);
        assert_eq!(tempo.hands(), HANDS_FIRST);
    }
}
