//! What a pass did, with Swift's names (Swift: replicator.py class Stats), and its lines for the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ssync_types::DeviceName;

use crate::peer::Target;

/// Most partition times kept for the report.
const TIMES_MAX: usize = 1 << 20;

/// Why a pass ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// A ring was replaced.
    RingChanged,
    /// `handoffs_first`, and some handoffs remain.
    HandoffsRemain,
    /// The daemon is shutting down.
    Draining,
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PassStats {
    /// Partitions that the pass found.
    pub partitions: u64,
    /// Partitions begun.
    pub attempted: u64,
    /// Nodes brought up to date.
    pub success: u64,
    /// Nodes that failed.
    pub failure: u64,
    /// Failures by node address and device.
    pub failure_nodes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Peers found equal.
    pub hashmatch: u64,
    /// Handoff partitions that could be let go.
    pub remove: u64,
    /// Pushes (the name is Swift's; it counts SSYNC too).
    pub rsync: u64,
    /// Suffixes compared.
    pub suffix_count: u64,
    /// Suffixes hashed anew.
    pub suffix_hash: u64,
    /// Suffixes pushed.
    pub suffix_sync: u64,
    /// Objects that peers stored.
    pub objects: u64,
    /// Bytes of bodies that peers stored.
    pub bytes: u64,
    /// Objects of handoffs that were let go.
    pub released: u64,
    /// Handoff partitions that are still here.
    pub handoffs_remaining: u64,
    /// Handoff partitions whose lock was held elsewhere.
    pub lock_failures: u64,
    /// Of these, those that stay because an operator has paused their device.
    pub handoffs_paused: u64,
    /// Partitions that were only looked at, because an operator has paused their device, or the node.
    pub paused: u64,
    /// Partitions that the ring does not have, or that have nowhere to go: kept (rule S3).
    pub partitions_outside: u64,
    /// Objects that were not tried, because they have failed again and again.
    pub parked: u64,
    /// Times that a busy peer made us come back.
    pub put_back: u64,
    /// Local devices that could not be used.
    pub devices_failed: u64,
    /// Local devices that nothing is pushed from, because they were away for longer than `reclaim_age` (rule S5), once for
    /// each policy. They count as devices that could not be used as well.
    pub devices_away: u64,
    /// Why it ended early.
    pub aborted: Option<Abort>,
    /// How long it took.
    pub elapsed: Duration,
    pub(crate) times: Vec<f32>,
    pub(crate) failed_devices: BTreeSet<DeviceName>,
}

impl PassStats {
    /// Whether everything that was to be done was done.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.failure == 0
            && self.handoffs_remaining == 0
            && self.paused == 0
            && self.partitions_outside == 0
            && self.devices_failed == 0
            && self.aborted.is_none()
    }

    pub(crate) fn fail(&mut self, ip: &str, device: &DeviceName) {
        self.failure += 1;
        *self.failure_nodes.entry(ip.to_owned()).or_default().entry(device.to_string()).or_default() += 1;
    }

    /// A local device could not be used; it counts once, however many of its partitions suffer.
    pub(crate) fn device_failed(&mut self, device: &DeviceName) {
        if self.failed_devices.insert(device.clone()) {
            self.devices_failed += 1;
        }
    }

    pub(crate) fn partition_took(&mut self, time: Duration) {
        if self.times.len() < TIMES_MAX {
            self.times.push(time.as_secs_f32());
        }
    }

    /// The lines of a report (Swift: replicator.py stats_line). `before` is `attempted` of the last report.
    pub(crate) fn lines(&self, before: u64, elapsed: Duration) -> Vec<String> {
        let seconds = elapsed.as_secs_f64().max(0.000_001);
        if self.attempted <= before {
            return vec![format!("Nothing replicated for {seconds} seconds.")];
        }
        let done = self.attempted as f64;
        let total = self.partitions.max(self.attempted) as f64;
        let (left, unit) = eta(seconds, done, total);
        let mut lines = vec![
            format!(
                "{}/{} ({:.2}%) partitions replicated in {seconds:.2}s ({:.2}/sec, {left}{unit} remaining)",
                self.attempted,
                self.partitions,
                done * 100.0 / total,
                done / seconds,
            ),
            format!("{} successes, {} failures", self.success, self.failure),
        ];
        if self.suffix_count > 0 {
            let percent = |part: u64| part as f64 * 100.0 / self.suffix_count as f64;
            lines.push(format!(
                "{} suffixes checked - {:.2}% hashed, {:.2}% synced",
                self.suffix_count,
                percent(self.suffix_hash),
                percent(self.suffix_sync)
            ));
            lines.extend(self.times_line());
        }
        lines
    }

    fn times_line(&self) -> Option<String> {
        let mut times = self.times.clone();
        times.sort_by(f32::total_cmp);
        let (min, max, med) = (times.first()?, times.last()?, times.get(times.len() / 2)?);
        Some(format!("Partition times: max {max:.4}s, min {min:.4}s, med {med:.4}s"))
    }
}

/// Swift: common/utils compute_eta.
fn eta(seconds: f64, done: f64, total: f64) -> (u64, char) {
    let left = (seconds / (done / total) - seconds).max(0.0);
    match left as u64 {
        left if left >= 3600 => (left / 3600, 'h'),
        left if left >= 60 => (left / 60, 'm'),
        left => (left, 's'),
    }
}

/// The nodes of one job, each counted once: as a failure if anything failed, else as a success.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    tried: BTreeSet<(String, DeviceName)>,
    failed: BTreeSet<(String, DeviceName)>,
}

impl Nodes {
    pub(crate) fn tried(&mut self, target: &Target) {
        self.tried.insert((target.ip.clone(), target.device.clone()));
    }

    pub(crate) fn failed(&mut self, target: &Target) {
        self.failed.insert((target.ip.clone(), target.device.clone()));
    }

    /// What became of it is not its own doing: it counts neither way.
    pub(crate) fn forget(&mut self, target: &Target) {
        self.tried.remove(&(target.ip.clone(), target.device.clone()));
    }

    pub(crate) fn has_failed(&self, target: &Target) -> bool {
        self.failed.contains(&(target.ip.clone(), target.device.clone()))
    }

    /// Nodes that were tried and have not failed.
    pub(crate) fn good(&self) -> usize {
        self.tried.difference(&self.failed).count()
    }

    pub(crate) fn count(&self, stats: &mut PassStats) {
        stats.success += self.good() as u64;
        for (ip, device) in &self.failed {
            stats.fail(ip, device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(device: &str) -> Target {
        Target {
            ip: "10.0.0.1".into(),
            port: 6200,
            device: device.parse().unwrap(),
            region: 1,
            meta: String::new(),
        }
    }

    #[test]
    fn writes_the_lines_that_operators_grep_for() {
        let mut stats = PassStats {
            partitions: 200,
            attempted: 50,
            success: 99,
            failure: 1,
            suffix_count: 400,
            suffix_hash: 4,
            suffix_sync: 2,
            ..PassStats::default()
        };
        for time in [0.5, 0.25, 1.0] {
            stats.partition_took(Duration::from_secs_f64(time));
        }
        assert_eq!(
            stats.lines(0, Duration::from_secs(100)),
            [
                "50/200 (25.00%) partitions replicated in 100.00s (0.50/sec, 5m remaining)",
                "99 successes, 1 failures",
                "400 suffixes checked - 1.00% hashed, 0.50% synced",
                "Partition times: max 1.0000s, min 0.2500s, med 0.5000s",
            ]
        );
        assert_eq!(stats.lines(50, Duration::from_secs(7)), ["Nothing replicated for 7 seconds."]);
    }

    #[test]
    fn every_node_is_counted_once() {
        let (mut nodes, mut stats) = (Nodes::default(), PassStats::default());
        for device in ["d1", "d2"] {
            nodes.tried(&target(device));
            nodes.tried(&target(device));
        }
        nodes.failed(&target("d2"));
        nodes.failed(&target("d2"));
        nodes.count(&mut stats);
        assert_eq!((stats.success, stats.failure), (1, 1));
        assert_eq!(stats.failure_nodes["10.0.0.1"]["d2"], 1);
        assert!(!stats.complete());
    }
}
