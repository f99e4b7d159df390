//! How far the pass is, for bars and reports: one place that the jobs write to and anybody may watch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{peer::Pushed, stats::PassStats};

/// How far a pass is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Passes begun.
    pub pass: u64,
    /// Whether one is under way.
    pub running: bool,
    /// Partitions done with.
    pub partitions_done: u64,
    /// Partitions of this pass.
    pub partitions_total: u64,
    /// Objects that peers stored.
    pub objects: u64,
    /// Bytes of bodies that peers stored.
    pub bytes: u64,
    /// Objects of handoffs that were let go.
    pub released: u64,
    /// Nodes that failed.
    pub failures: u64,
}

/// The counters of the pass under way.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    stats: Arc<Mutex<PassStats>>,
    progress: watch::Sender<Progress>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { stats: Arc::default(), progress: watch::Sender::new(Progress::default()) }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Forgets the pass before and begins one.
    pub(crate) fn begin(&self) {
        *self.lock() = PassStats::default();
        self.progress.send_modify(|progress| {
            *progress = Progress { pass: progress.pass + 1, running: true, ..Progress::default() };
        });
    }

    /// Ends the pass and returns its counters.
    pub(crate) fn end(&self) -> PassStats {
        self.progress.send_modify(|progress| progress.running = false);
        self.snapshot()
    }

    pub(crate) fn snapshot(&self) -> PassStats {
        self.lock().clone()
    }

    /// Changes the counters, and tells who watches.
    pub(crate) fn count(&self, change: impl FnOnce(&mut PassStats)) {
        let mut stats = self.lock();
        change(&mut stats);
        let now = stats.clone_counts();
        drop(stats);
        self.progress.send_modify(|progress| {
            *progress = Progress {
                pass: progress.pass,
                running: progress.running,
                partitions_done: progress.partitions_done,
                ..now
            };
        });
    }

    /// A push ended.
    pub(crate) fn pushed(&self, pushed: &Pushed) {
        self.count(|stats| {
            stats.objects += pushed.objects;
            stats.bytes += pushed.bytes;
        });
    }

    /// A job is done with.
    pub(crate) fn job_done(&self) {
        self.progress.send_modify(|progress| progress.partitions_done += 1);
    }

    // A job that panicked has left counts behind, not a broken invariant.
    fn lock(&self) -> MutexGuard<'_, PassStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PassStats {
    fn clone_counts(&self) -> Progress {
        Progress {
            partitions_total: self.partitions,
            objects: self.objects,
            bytes: self.bytes,
            released: self.released,
            failures: self.failure,
            ..Progress::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_seen() {
        let meter = Meter::new();
        let watch = meter.watch();
        meter.begin();
        meter.count(|stats| stats.partitions = 3);
        meter.job_done();
        meter.pushed(&Pushed { objects: 5, bytes: 50, ..Pushed::default() });
        let seen = *watch.borrow();
        assert_eq!((seen.partitions_done, seen.partitions_total, seen.objects, seen.bytes), (1, 3, 5, 50));
        assert!(seen.running && seen.pass == 1);
        assert_eq!(meter.end().objects, 5);
        meter.begin();
        assert_eq!(meter.snapshot(), PassStats::default());
        assert_eq!(*watch.borrow(), Progress { pass: 2, running: true, ..Progress::default() });
    }
}
