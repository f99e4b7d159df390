//! How many batches a device commits at once, found by trying.

use std::time::{Duration, Instant};

/// Most batches at once.
const LEADERS_MAX: usize = 64;
/// How many it begins with: about as if each object were flushed alone, which is nowhere slow.
const LEADERS_FIRST: usize = 16;
/// Publications between two looks at the rate.
const WINDOW: usize = 256;
/// A change must be better than this for it to have been an improvement: what is less is noise.
const GAIN: f64 = 1.02;

/// Which way is right depends on the file system: XFS is fastest with few large batches, ext4 with many small ones. So the
/// number of batches at once is doubled or halved each time a window of publications has passed, and turns round when the
/// rate got worse.
#[derive(Debug)]
pub(crate) struct Pace {
    leaders: usize,
    growing: bool,
    /// Publications a second in the window before.
    rate: f64,
    published: usize,
    /// When the window began; `None` while nobody had to wait.
    since: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { leaders: LEADERS_FIRST, growing: true, rate: 0.0, published: 0, since: None }
    }
}

impl Pace {
    /// How many batches may be committed at once now; at least one.
    pub(crate) fn leaders(&self) -> usize {
        self.leaders
    }

    /// A batch that began then has ended. Only while others wait (`crowded`) does the rate tell of the device, not of its
    /// callers.
    pub(crate) fn observe(&mut self, published: usize, began: Instant, crowded: bool) {
        if !crowded {
            (self.published, self.since) = (0, None);
            return;
        }
        let since = *self.since.get_or_insert(began);
        self.published += published;
        if self.published >= WINDOW {
            self.turn(self.published, since.elapsed());
            (self.published, self.since) = (0, None);
        }
    }

    fn turn(&mut self, published: usize, elapsed: Duration) {
        let rate = published as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        if rate < self.rate * GAIN {
            self.growing = !self.growing;
        }
        self.rate = rate;
        self.leaders = if self.growing { self.leaders * 2 } else { self.leaders / 2 }.clamp(1, LEADERS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publications a second by leaders; gives the leaders of each of the last windows.
    fn settle(rate: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut pace = Pace::default();
        (0..60)
            .map(|_| {
                let seconds = WINDOW as f64 / rate(pace.leaders());
                pace.turn(WINDOW, Duration::from_secs_f64(seconds));
                pace.leaders()
            })
            .skip(20)
            .collect()
    }

    #[test]
    fn stays_about_what_is_best() {
        for best in [1, 2, 4, 16, 64] {
            let by_distance = |leaders: usize| {
                let distance = (leaders as f64 / f64::from(best)).log2().abs();
                10_000.0 / (1.0 + distance)
            };
            let tried = settle(by_distance);
            let near = |leaders: &&usize| (**leaders as f64 / f64::from(best)).log2().abs() <= 1.0;
            let often = tried.iter().filter(near).count();
            assert!(often * 3 >= tried.len() * 2, "best {best}, tried {tried:?}");
        }
    }

    #[test]
    fn stays_within_its_bounds() {
        assert!(settle(|leaders| leaders as f64).iter().all(|leaders| *leaders <= LEADERS_MAX));
        assert!(settle(|leaders| 1.0 / leaders as f64).iter().all(|leaders| *leaders >= 1));
    }

    #[test]
    fn says_nothing_of_a_device_that_nobody_waits_for() {
        let mut pace = Pace::default();
        for _ in 0..WINDOW * 4 {
            pace.observe(1, Instant::now(), false);
        }
        assert_eq!(pace.leaders(), LEADERS_FIRST);
    }
}
