//! One device: its partitions by the rings, its presence, and a sample, or all, of its suffixes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use indicatif::ProgressBar;
use ssync_diskfile::{Device, Devices, DiskError, Flaw, FlawKind};
use ssync_replicator::Shuffle;
use ssync_ring::Ring;
use ssync_types::{DeviceName, Partition, PolicyIndex};

use super::{
    Finding, Findings,
    suffix::{Place, Suspicion, look},
};
use crate::figures;

/// Longest that a sample of a device takes.
const SAMPLE_MAX: Duration = Duration::from_secs(5);
/// How often a suspicion is looked at again, and after how long: what is on its way is in its place by then.
const LOOKS_AGAIN: u32 = 3;
const AGAIN_AFTER: Duration = Duration::from_millis(400);
/// Most suspicions of a device that are looked at again; what comes beyond is counted as not judged.
const SUSPECTS_MAX: usize = 10_000;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Suffixes of partitions taken at random until so many objects were seen, of each device.
    Sample(u64),
    All,
}

/// A policy as it is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) policy: PolicyIndex,
    pub(crate) ring: Arc<Ring>,
    /// The device's number in that ring, where it has one.
    pub(crate) own: BTreeMap<DeviceName, u32>,
}

/// What was looked at on a device, and what was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeviceReport {
    pub(crate) device: String,
    pub(crate) partitions: u64,
    pub(crate) partitions_visited: u64,
    pub(crate) handoffs: u64,
    pub(crate) outside: u64,
    pub(crate) suffixes: u64,
    /// Suffixes whose hash was held against what is on record.
    pub(crate) compared: u64,
    pub(crate) objects: u64,
    pub(crate) tombstones: u64,
    pub(crate) reclaimable: u64,
    /// Suspicions that were too many to be looked at again.
    pub(crate) unjudged: u64,
    pub(crate) findings: Findings,
}

/// Looks at a device, at a low priority: the caller gives a thread for it that gives way.
pub(crate) fn inspect(
    devices: &Devices,
    name: &DeviceName,
    policies: &[Watched],
    depth: Depth,
    seed: u64,
    bar: &ProgressBar,
) -> DeviceReport {
    let root = devices.config().devices.join(name.as_str());
    let mut report = DeviceReport { device: name.to_string(), ..DeviceReport::default() };
    let device = match devices.open_to_look(name) {
        Ok(device) => device,
        Err(error) => {
            report.findings.add(unread(root.display().to_string(), &error));
            return report;
        }
    };
    let mut inspector = Inspector {
        device: &device,
        root,
        depth,
        until: Instant::now() + SAMPLE_MAX,
        random: Shuffle::seeded(seed),
        suspects: BTreeMap::new(),
        bar,
        report,
    };
    inspector.presence(devices);
    for policy in policies.iter().filter(|policy| devices.policy(policy.policy).is_some()) {
        if let Err(error) = inspector.policy(policy) {
            let path = devices.objects_path(name, policy.policy).display().to_string();
            inspector.report.findings.add(unread(path, &error));
        }
    }
    inspector.look_again(policies);
    inspector.report
}

fn unread(path: String, error: &DiskError) -> Finding {
    Finding::wrong(
        "S4",
        path,
        format!("cannot be looked at ({error}): what it holds is in sync with nobody"),
        "look at the disk, its mount and the kernel's log; then ask again",
    )
}

struct Inspector<'a> {
    device: &'a Arc<Device>,
    root: PathBuf,
    depth: Depth,
    until: Instant,
    random: Shuffle,
    suspects: BTreeMap<Place, Suspicion>,
    bar: &'a ProgressBar,
    report: DeviceReport,
}

impl Inspector<'_> {
    fn path(&self, below: &str) -> String {
        self.root.join(below).display().to_string()
    }

    /// Rule S5: a device that was away, or that nobody serves.
    fn presence(&mut self, devices: &Devices) {
        let remedy = "wipe it, and let its peers fill it; or set push_returned_devices for one pass, if nothing was deleted meanwhile";
        let seconds_ago = |time: SystemTime| figures::time(time.elapsed().unwrap_or_default());
        match self.device.absence() {
            Err(error) => self.report.findings.add(unread(self.path(".ssync-away"), &error)),
            Ok(Some(since)) => self.report.findings.add(Finding::wrong(
                "S5",
                self.path(".ssync-away"),
                format!(
                    "the device was away for longer than reclaim_age (last in service {} ago): nothing is pushed from it, for what \
                     was deleted meanwhile would come back",
                    seconds_ago(since)
                ),
                remedy,
            )),
            Ok(None) => {}
        }
        let age = self.device.last_served().ok().flatten().and_then(|served| served.elapsed().ok());
        if let Some(age) = age.filter(|age| *age > devices.config().reclaim_age) {
            self.report.findings.add(Finding::notice(
                "S5",
                self.path(".ssync-served"),
                format!("no pass of ssync's replicator was here for {}, longer than reclaim_age", figures::time(age)),
                "start the replicator; it holds the device back if stock Swift has not served it meanwhile either",
            ));
        }
    }

    fn policy(&mut self, of: &Watched) -> Result<(), DiskError> {
        let policy = of.policy;
        let (mut partitions, strays) = self.device.partition_numbers(policy)?;
        strays.iter().for_each(|flaw| self.report.findings.add(Finding::of(flaw, &self.root)));
        self.report.partitions += partitions.len() as u64;
        self.places(of, &partitions);
        for path in self.device.old_temporaries(policy)? {
            self.report.findings.add(Finding::notice(
                "S1",
                self.root.join(path).display().to_string(),
                "was not given its name before its writer was ended, longer than reclaim_age ago: nobody was told that it is stored",
                "nothing: the next pass of the replicator removes it",
            ));
        }
        if let Depth::Sample(_) = self.depth {
            self.random.shuffle(&mut partitions);
        }
        self.bar.inc_length(partitions.len() as u64);
        for partition in partitions {
            if self.is_enough() {
                break;
            }
            self.partition(of, partition)?;
            self.bar.inc(1);
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        match self.depth {
            Depth::All => false,
            // A partition without objects counts as one, so that empty ones have an end.
            Depth::Sample(most) => {
                self.report.objects + self.report.tombstones + self.report.partitions_visited >= most
                    || Instant::now() >= self.until
            }
        }
    }

    /// Rule S3: what the ring has no place for is still there, and is told of. It takes no look at the disk.
    fn places(&mut self, of: &Watched, partitions: &[Partition]) {
        let own = of.own.get(self.device.name());
        for partition in partitions {
            if of.ring.has_partition(*partition) {
                let at_home = own.is_some_and(|own| of.ring.is_primary(*own, *partition));
                self.report.handoffs += u64::from(!at_home);
                continue;
            }
            self.report.outside += 1;
            let objects = match of.policy.get() {
                0 => "objects".to_owned(),
                index => format!("objects-{index}"),
            };
            self.report.findings.add(Finding::wrong(
                "S3",
                self.path(&format!("{objects}/{partition}")),
                format!("is beyond the ring, which has {}: it is kept, and pushed nowhere", figures::counted(of.ring.partition_count(), "partition")),
                "after a partition power that was taken back: swift-object-relinker cleanup; else see which ring it is of",
            ));
        }
    }

    fn partition(&mut self, of: &Watched, partition: Partition) -> Result<(), DiskError> {
        let policy = of.policy;
        self.report.partitions_visited += 1;
        let found = match self.device.inspect_partition(policy, partition) {
            Ok(found) => found,
            Err(error @ DiskError::Unmounted { .. }) => return Err(error),
            Err(error) => {
                let name = self.device.name().to_string();
                self.report.findings.add(unread(format!("partition {partition} of {name}"), &error));
                return Ok(());
            }
        };
        for flaw in found.flaws {
            // What is being written has such a name for a moment.
            let still_there = || {
                thread::sleep(AGAIN_AFTER);
                self.device
                    .inspect_partition(policy, partition)
                    .is_ok_and(|again| again.flaws.contains(&flaw))
            };
            if still_there() {
                self.report.findings.add(Finding::of(&flaw, &self.root));
            }
        }
        let mut suffixes = found.suffixes;
        // A suffix that is on record and not there is one that was forgotten.
        suffixes.extend(self.device.records(policy, partition)?.suffixes());
        suffixes.sort_unstable();
        suffixes.dedup();
        if let Depth::Sample(_) = self.depth {
            self.random.shuffle(&mut suffixes);
        }
        for suffix in suffixes {
            if self.is_enough() {
                break;
            }
            self.suffix(Place { policy, partition, suffix }, of.ring.part_power())?;
        }
        Ok(())
    }

    fn suffix(&mut self, at: Place, part_power: u32) -> Result<(), DiskError> {
        self.report.suffixes += 1;
        let looked = match look(self.device, at, part_power) {
            Ok(looked) => looked,
            Err(error @ DiskError::Unmounted { .. }) => return Err(error),
            Err(error) => {
                let path =
                    format!("suffix {} of partition {} of {}", at.suffix, at.partition, self.device.name());
                self.report.findings.add(unread(path, &error));
                return Ok(());
            }
        };
        self.report.objects += looked.found.objects;
        self.report.tombstones += looked.found.tombstones;
        self.report.reclaimable += looked.reclaimable;
        self.report.compared += u64::from(looked.compared);
        if !looked.suspicion.is_empty() {
            if self.suspects.len() < SUSPECTS_MAX {
                self.suspects.insert(at, looked.suspicion);
            } else {
                self.report.unjudged += 1;
            }
        }
        Ok(())
    }

    /// What is wrong stays wrong; what was in the middle of a change does not.
    fn look_again(&mut self, policies: &[Watched]) {
        for _ in 0..LOOKS_AGAIN {
            if self.suspects.is_empty() {
                return;
            }
            thread::sleep(AGAIN_AFTER);
            for (at, suspicion) in std::mem::take(&mut self.suspects) {
                let policy = policies.iter().find(|policy| policy.policy == at.policy);
                let Some(power) = policy.map(|policy| policy.ring.part_power()) else { continue };
                let again = look(self.device, at, power).map(|looked| looked.suspicion).unwrap_or_default();
                let confirmed = suspicion.confirmed(&again);
                if !confirmed.is_empty() {
                    self.suspects.insert(at, confirmed);
                }
            }
        }
        for (at, suspicion) in std::mem::take(&mut self.suspects) {
            let objects = match at.policy.get() {
                0 => "objects".to_owned(),
                index => format!("objects-{index}"),
            };
            let suffix = format!("{objects}/{}/{}", at.partition, at.suffix);
            if let Some(stale) = suspicion.stale {
                self.report.findings.add(Finding::wrong(
                    "S1",
                    self.path(&suffix),
                    format!(
                        "its hash is stale and no note says so ({stale}): peers are told that it holds what it does not. A file was \
                         published without a note, or lost since; stock Swift's server can do the first by itself"
                    ),
                    format!("remove {}: the next pass calculates all of the partition", self.path(&format!("{objects}/{}/hashes.pkl", at.partition))),
                ));
            }
            let of_names = |flaw: &Flaw| !matches!(flaw.kind, FlawKind::Reclaimable);
            for flaw in suspicion.flaws.iter().filter(|flaw| of_names(flaw)) {
                self.report.findings.add(Finding::of(flaw, &self.root));
            }
        }
    }
}
