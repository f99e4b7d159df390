//! One node: the visits of the pass, and what they found.

use std::time::Duration;

use tokio::time::Instant;

use super::{NodeWork, Pending};
use crate::{
    forecast::{Forecast, Left, Pace, forecast},
    samples::{Amount, Samples},
};

/// Fewer visits tell less of the rest than those of the pass before.
const VISITS_MIN: f64 = 16.0;
/// Standard deviations that make 19 of 20.
const SIGMAS: f64 = 2.0;

/// What visits found to be lacking: sums, and sums of squares.
#[derive(Debug, Clone, Copy, Default)]
struct Findings {
    visits: f64,
    objects: f64,
    objects_squared: f64,
    bytes: f64,
    bytes_squared: f64,
}

impl Findings {
    fn add(&mut self, amount: Amount) {
        let (objects, bytes) = (amount.objects as f64, amount.bytes as f64);
        self.visits += 1.0;
        self.objects += objects;
        self.objects_squared += objects * objects;
        self.bytes += bytes;
        self.bytes_squared += bytes * bytes;
    }

    /// What so many more visits will find, and how far off that may be.
    fn expect(&self, more: f64) -> (Amount, Amount) {
        if self.visits < 1.0 {
            return Default::default();
        }
        let expect = |sum: f64, squares: f64| {
            let mean = sum / self.visits;
            let variance = (squares / self.visits - mean * mean).max(0.0);
            // Of the mean, and of what is still to come.
            let off = (variance * more * (1.0 + more / self.visits)).sqrt();
            (mean * more, SIGMAS * off)
        };
        let (objects, objects_off) = expect(self.objects, self.objects_squared);
        let (bytes, bytes_off) = expect(self.bytes, self.bytes_squared);
        (Amount::of(objects as u64, bytes as u64), Amount::of(objects_off as u64, bytes_off as u64))
    }
}

/// What is to be done with a node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) total: u64,
    pub(super) done: u64,
    failed: u64,
    pub(super) pace: Pace,
    /// Of places in all passes.
    pub(super) known: Amount,
    pub(super) unknown: u64,
    found: Findings,
    found_before: Findings,
    /// What this node had then is in its place.
    in_sync: Option<Instant>,
    pub(super) stored: Samples,
    /// Objects and bytes that it has stored since the daemon started.
    all: Amount,
}

impl Node {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            total: 0,
            done: 0,
            failed: 0,
            pace: Pace::new(now),
            known: Amount::default(),
            unknown: 0,
            found: Findings::default(),
            found_before: Findings::default(),
            in_sync: None,
            stored: Samples::new(now),
            all: Amount::default(),
        }
    }

    /// A pass begins, with so many visits to it.
    pub(super) fn begin(&mut self, now: Instant, visits: u64) {
        if self.found.visits > 0.0 {
            self.found_before = self.found;
        }
        (self.total, self.done, self.failed) = (visits, 0, 0);
        (self.pace, self.found) = (Pace::new(now), Findings::default());
    }

    /// The pass that began then has ended.
    pub(super) fn end(&mut self, begun: Instant, whole: bool) {
        if whole && self.failed == 0 && self.total > 0 && self.done >= self.total {
            self.in_sync = Some(begun);
        }
    }

    pub(super) fn is_visited(&self) -> bool {
        self.pace.under_way() > 0
    }

    /// A visit is done with.
    pub(super) fn visited(&mut self, now: Instant, took: Duration, found: Option<Amount>, well: bool) {
        self.done += 1;
        self.failed += u64::from(!well);
        self.pace.ended(now, took);
        if let Some(found) = found {
            self.found.add(found);
        }
    }

    /// It has stored this.
    pub(super) fn stored(&mut self, now: Instant, amount: Amount) {
        self.stored.add(now, amount);
        self.all.add(amount);
    }

    /// What so many objects have of bytes, judged by those that it has stored.
    pub(super) fn bytes_of(&self, objects: u64) -> u64 {
        (objects as f64 * self.all.bytes as f64 / self.all.objects.max(1) as f64) as u64
    }

    /// A look at it; with the workers, and the most visits to it at once, while a pass is under way.
    pub(super) fn work(
        &mut self,
        address: &str,
        oldest: Option<Duration>,
        now: Instant,
        running: Option<(u64, u64)>,
    ) -> NodeWork {
        let left = self.total.saturating_sub(self.done);
        let uncompared = if running.is_some() { left.saturating_sub(self.pace.under_way()) } else { 0 };
        let found = if self.found.visits >= VISITS_MIN { self.found } else { self.found_before };
        let (expected, margin) = found.expect(uncompared as f64);
        let (objects_per_second, bytes_per_second) = self.stored.rate(now);
        NodeWork {
            node: address.to_owned(),
            done: self.done,
            under_way: self.pace.under_way(),
            total: self.total,
            pending: Pending {
                known: self.known,
                expected,
                margin,
                uncompared,
                unknown: self.unknown,
                oldest,
                in_sync: self.in_sync.map(|at| now.saturating_duration_since(at)),
            },
            forecast: running.and_then(|running| self.forecast(left, running, now)),
            objects_per_second,
            bytes_per_second,
        }
    }

    fn forecast(&self, visits: u64, (workers, at_once_max): (u64, u64), now: Instant) -> Option<Forecast> {
        if visits == 0 {
            return None;
        }
        forecast(std::iter::once((&self.pace, Left { visits, at_once_max })), workers, now)
    }
}
