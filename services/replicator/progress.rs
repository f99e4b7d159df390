//! How far the pass is, for bars and reports: one place that the jobs write to and anybody may watch.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_statsd::Statsd;
use ssync_types::DeviceName;
use tokio::sync::watch;

use crate::{stats::PassStats, tally::Tally, totals::Totals};

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
    counts: Arc<Mutex<Counts>>,
    progress: watch::Sender<Progress>,
    pub(crate) statsd: Statsd,
}

#[derive(Debug, Default)]
struct Counts {
    /// Of the whole pass.
    total: PassStats,
    /// The same by local device. As many as the rings have of this node.
    devices: BTreeMap<DeviceName, PassStats>,
    /// What the passes before this one did.
    before: BTreeMap<DeviceName, Totals>,
    /// Partitions at the last report.
    reported: u64,
}

impl Meter {
    pub(crate) fn new(statsd: Statsd) -> Self {
        Self { counts: Arc::default(), progress: watch::Sender::new(Progress::default()), statsd }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The counters of one local device; what is counted there counts for the pass as well.
    pub(crate) fn of(&self, device: &DeviceName) -> Tally {
        Tally::new(self.clone(), device.clone())
    }

    /// Forgets the pass before and begins one.
    pub(crate) fn begin(&self) {
        let mut counts = self.lock();
        for (device, stats) in std::mem::take(&mut counts.devices) {
            counts.before.entry(device).or_default().add(&stats);
        }
        (counts.total, counts.reported) = (PassStats::default(), 0);
        drop(counts);
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
        self.lock().total.clone()
    }

    /// The counters of the pass by local device.
    pub(crate) fn by_device(&self) -> BTreeMap<DeviceName, PassStats> {
        self.lock().devices.clone()
    }

    /// What each device has seen done since the daemon started.
    pub(crate) fn totals(&self) -> BTreeMap<DeviceName, Totals> {
        let counts = self.lock();
        let mut totals = counts.before.clone();
        for (device, stats) in &counts.devices {
            totals.entry(device.clone()).or_default().add(stats);
        }
        totals
    }

    /// The lines of a report, since the last one (Swift: replicator.py stats_line).
    pub(crate) fn report(&self, elapsed: Duration) -> Vec<String> {
        let mut counts = self.lock();
        let lines = counts.total.lines(counts.reported, elapsed);
        counts.reported = counts.total.attempted;
        lines
    }

    /// Changes the counters of the pass, and tells who watches.
    pub(crate) fn count(&self, change: impl FnOnce(&mut PassStats)) {
        let mut counts = self.lock();
        change(&mut counts.total);
        self.tell(counts);
    }

    /// Changes the counters of a device, and of the pass.
    pub(crate) fn count_of(&self, device: &DeviceName, change: impl Fn(&mut PassStats)) {
        let mut counts = self.lock();
        change(&mut counts.total);
        change(counts.devices.entry(device.clone()).or_default());
        self.tell(counts);
    }

    fn tell(&self, counts: MutexGuard<'_, Counts>) {
        let now = counts.total.clone_counts();
        drop(counts);
        self.progress.send_modify(|progress| {
            *progress = Progress {
                pass: progress.pass,
                running: progress.running,
                partitions_done: progress.partitions_done,
                ..now
            };
        });
    }

    /// A job is done with.
    pub(crate) fn job_done(&self) {
        self.progress.send_modify(|progress| progress.partitions_done += 1);
    }

    // A job that panicked has left counts behind, not a broken invariant.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::peer::Pushed;

    #[test]
    fn what_is_counted_is_seen() {
        let meter = Meter::new(Statsd::disabled());
        let device: DeviceName = "d1".parse().unwrap();
        let watch = meter.watch();
        meter.begin();
        meter.count(|stats| stats.partitions = 3);
        meter.job_done();
        meter.of(&device).pushed(&Pushed { objects: 5, bytes: 50, ..Pushed::default() });
        let seen = *watch.borrow();
        assert_eq!((seen.partitions_done, seen.partitions_total, seen.objects, seen.bytes), (1, 3, 5, 50));
        assert!(seen.running && seen.pass == 1);
        assert_eq!(meter.end().objects, 5);
        meter.begin();
        assert_eq!(meter.snapshot(), PassStats::default());
        assert_eq!(*watch.borrow(), Progress { pass: 2, running: true, ..Progress::default() });
        meter.of(&device).pushed(&Pushed { objects: 2, ..Pushed::default() });
        assert_eq!(meter.by_device()[&device].objects, 2);
        assert_eq!(meter.totals()[&device].objects, 7, "both passes");
    }

    #[test]
    fn a_report_tells_of_what_came_since_the_last_one() {
        let meter = Meter::new(Statsd::disabled());
        meter.begin();
        meter.count(|stats| (stats.partitions, stats.attempted) = (2, 1));
        let second = Duration::from_secs(1);
        assert!(meter.report(second)[0].starts_with("1/2 (50.00%) partitions replicated"));
        assert_eq!(meter.report(second), ["Nothing replicated for 1 seconds."]);
        meter.begin();
        meter.count(|stats| (stats.partitions, stats.attempted) = (1, 1));
        assert!(meter.report(second)[0].starts_with("1/1"), "a pass begins anew");
    }
}
