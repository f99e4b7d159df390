//! What a job counts: for its device, for the pass, and for StatsD by Swift's names (Swift: replicator.py update, revert).

use std::time::Duration;

use ssync_types::DeviceName;

use crate::{peer::Pushed, progress::Meter, stats::PassStats};

/// The counters of one local device.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    meter: Meter,
    device: DeviceName,
}

impl Tally {
    /// Counts in `meter`, for `device`.
    pub(crate) fn new(meter: Meter, device: DeviceName) -> Self {
        Self { meter, device }
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl Fn(&mut PassStats)) {
        self.meter.count_of(&self.device, change);
    }

    /// A partition that belongs here is begun.
    pub(crate) fn update_begins(&self) {
        self.count(|stats| stats.attempted += 1);
        self.meter.statsd.increment(&format!("partition.update.count.{}", self.device));
    }

    /// A partition that does not is begun.
    pub(crate) fn revert_begins(&self) {
        self.count(|stats| stats.attempted += 1);
        self.meter.statsd.increment(&format!("partition.delete.count.{}", self.device));
    }

    /// A partition that belongs here has been worked on for so long, and is done with.
    pub(crate) fn update_ends(&self, took: Duration) {
        self.count(|stats| stats.partition_took(took));
        self.meter.statsd.timing("partition.update.timing", took, None);
    }

    /// The same of one that does not.
    pub(crate) fn revert_ends(&self, took: Duration) {
        self.count(|stats| stats.partition_took(took));
        self.meter.statsd.timing("partition.delete.timing", took, None);
    }

    /// A partition has so many suffixes, of which `hashed` were hashed for it.
    pub(crate) fn suffixes(&self, suffixes: usize, hashed: u64) {
        self.count(|stats| {
            stats.suffix_count += suffixes as u64;
            stats.suffix_hash += hashed;
        });
        self.meter.statsd.add("suffix.hashes", hashed);
    }

    /// So many were hashed a second time, to be sure that they differ. In Swift's figures of a pass they have no place.
    pub(crate) fn hashed_again(&self, hashed: u64) {
        self.meter.statsd.add("suffix.hashes", hashed);
    }

    /// A push of so many suffixes to a primary has ended, well or not.
    pub(crate) fn push_ended(&self, suffixes: u64) {
        self.count(|stats| {
            stats.rsync += 1;
            stats.suffix_sync += suffixes;
        });
        self.meter.statsd.add("suffix.syncs", suffixes);
    }

    /// What a push amounted to.
    pub(crate) fn pushed(&self, pushed: &Pushed) {
        self.count(|stats| {
            stats.objects += pushed.objects;
            stats.bytes += pushed.bytes;
            stats.parked += pushed.parked;
        });
    }

    /// A handoff's lock is held elsewhere.
    pub(crate) fn lock_failed(&self) {
        self.count(|stats| stats.lock_failures += 1);
        self.meter.statsd.increment("partition.lock-failure.count");
    }
}
