//! Finds the partitions of this node and what is to be done with each (Swift: replicator.py collect_jobs).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use ssync_diskfile::PartitionListing;
use ssync_ring::RingDevice;
use ssync_types::{Partition, PolicyIndex, Reason, Refusal};
use tokio::time::timeout;

use crate::{
    blocking::blocking,
    config::{Overrides, ReplicatorConfig},
    job::{Job, Kind},
    places::{Places, PolicyPlaces, Role, local_addresses},
    progress::Meter,
    source::{LocalDevice, LocalDevices},
    stats::PassStats,
    tally::Tally,
};

/// How long a device may take to list its partitions. One that hangs is left out of the pass.
const COLLECT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Whether looking through a device also puts it in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upkeep {
    /// What lies in a partition's place, and what is old in `tmp`, is removed.
    Tidy,
    /// Nothing is changed.
    LookOnly,
}

/// The jobs of a pass, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) handoffs: Vec<Job>,
    pub(crate) primaries: Vec<Job>,
    /// A policy was left out, since its part power is being raised.
    pub(crate) left_out: bool,
}

impl Collected {
    pub(crate) fn len(&self) -> usize {
        self.handoffs.len() + self.primaries.len()
    }
}

/// Looks through the devices of this node, all at once, so that none waits for another.
pub(crate) async fn collect(
    config: &ReplicatorConfig,
    policies: Vec<PolicyPlaces>,
    devices: &LocalDevices,
    overrides: &Overrides,
    meter: &Meter,
    upkeep: Upkeep,
) -> Collected {
    let (mut looks, mut left_out) = (Vec::new(), false);
    for policy in policies {
        if policy.ring.next_part_power().is_some() {
            tracing::warn!("next_part_power set in policy '{}'. Skipping", policy.name);
            left_out = true;
            continue;
        }
        if !overrides.policy(policy.policy) {
            continue;
        }
        let local = local_devices(config, &policy, overrides).await;
        let places = Arc::new(Places(policy));
        for device in local {
            let local = devices.get(&device.device);
            let (places, push_returned_devices) = (Arc::clone(&places), config.push_returned_devices);
            let look = Look { local, device, places, overrides, meter, upkeep, push_returned_devices };
            looks.push(look.jobs());
        }
    }
    let jobs = join_all(looks).await.into_iter().flatten();
    let (handoffs, primaries) = jobs.partition(|job| matches!(job.kind, Kind::Handoff));
    let collected = Collected { handoffs, primaries, left_out };
    let total = collected.len() as u64;
    meter.count(|stats| stats.partitions = total);
    collected
}

/// The devices of this node that are wanted.
pub(crate) async fn local_devices(
    config: &ReplicatorConfig,
    policy: &PolicyPlaces,
    overrides: &Overrides,
) -> Vec<RingDevice> {
    let (config, ring) = (config.clone(), Arc::clone(&policy.ring));
    // Host names in the ring are looked up.
    let look = move || {
        let addresses = local_addresses(&config)?;
        let devices: Vec<RingDevice> = ring.local_devices(&addresses).cloned().collect();
        Ok::<_, std::io::Error>((devices, addresses.to_string()))
    };
    let (mut devices, addresses) = match blocking(look).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::error!(%error, "the addresses of this machine are not to be had; set ring_ip");
            return Vec::new();
        }
        Err(_) => return Vec::new(),
    };
    devices.retain(|device| overrides.device(&device.device));
    if devices.is_empty() {
        tracing::error!(
            "Can't find itself in policy with index {} with {addresses} in ring file, not replicating",
            policy.policy
        );
    }
    devices
}

/// Why nothing is pushed from a device that was away for too long (rule S5), and what to do about it.
pub(crate) const HELD_BACK: &str = "objects on it may have been deleted elsewhere, so nothing is pushed from it. Wipe it, and \
     its peers fill it again; or set push_returned_devices for one pass";

/// How long a device was away.
pub(crate) fn absent(since: SystemTime) -> String {
    let days = SystemTime::now().duration_since(since).unwrap_or_default().as_secs() / 86_400;
    format!("was away for {days} days, longer than reclaim_age")
}

/// A look at one device in one policy.
struct Look<'a> {
    local: LocalDevice,
    device: RingDevice,
    places: Arc<Places>,
    overrides: &'a Overrides,
    meter: &'a Meter,
    upkeep: Upkeep,
    push_returned_devices: bool,
}

impl Look<'_> {
    async fn jobs(self) -> Vec<Job> {
        // A device without partitions has figures too.
        self.tally().count(|_| {});
        let listing = match self.list().await {
            Ok(listing) => listing,
            Err(refusal) => {
                tracing::warn!(device = %self.device.device, policy = %self.policy(), "{refusal}");
                self.failed();
                return Vec::new();
            }
        };
        if self.is_held_back().await {
            self.failed();
            let is_handoff = |partition: &Partition| {
                matches!(self.places.role(*partition, self.device.id), Role::Handoff(_))
            };
            let wanted = listing.partitions.iter().filter(|partition| self.overrides.partition(**partition));
            let handoffs = wanted.copied().filter(is_handoff).count() as u64;
            self.tally().count(|stats| {
                stats.devices_away += 1;
                stats.handoffs_remaining += handoffs;
            });
            return Vec::new();
        }
        let PartitionListing { partitions, files, unexpected } = listing;
        // What it does not get done in the time goes on by itself, or comes in a later pass.
        if self.upkeep == Upkeep::Tidy
            && timeout(COLLECT_WAIT_MAX, self.tidy(files, unexpected)).await.is_err()
        {
            tracing::warn!(device = %self.device.device, policy = %self.policy(),
                "was not tidied within {COLLECT_WAIT_MAX:?}; look at the disk");
        }
        let wanted = partitions.into_iter().filter(|&partition| self.overrides.partition(partition));
        wanted.filter_map(|partition| self.job(partition)).collect()
    }

    fn tally(&self) -> Tally {
        self.meter.of(&self.device.device)
    }

    fn policy(&self) -> PolicyIndex {
        self.places.0.policy
    }

    async fn list(&self) -> Result<PartitionListing, Refusal> {
        let policy = self.policy();
        let late = |_| {
            let message =
                format!("did not list its partitions within {COLLECT_WAIT_MAX:?}; look at the disk");
            Err(Refusal::new(Reason::ObjectIo, message))
        };
        let listing = self.local.run(move |device| device.partitions(policy));
        timeout(COLLECT_WAIT_MAX, listing).await.unwrap_or_else(late)
    }

    /// Whether nothing may be pushed from the device: it was away for so long that what it has may have been deleted elsewhere,
    /// and forgotten (rule S5). One that is in service is noted as such.
    async fn is_held_back(&self) -> bool {
        let (name, tidy) = (&self.device.device, self.upkeep == Upkeep::Tidy);
        let allowed = self.push_returned_devices;
        let absence = match timeout(COLLECT_WAIT_MAX, self.local.run(|device| device.absence())).await {
            Ok(Ok(absence)) => absence,
            failed => {
                let problem = failed.map_or_else(|late| late.to_string(), |read| format!("{read:?}"));
                tracing::error!(device = %name, policy = %self.policy(),
                    "whether the device was away cannot be read, so nothing is pushed from it; look at the disk: {problem}");
                return true;
            }
        };
        let note = self.local.run(move |device| match absence {
            None if tidy => device.note_service(),
            Some(_) if tidy && allowed => device.end_absence(),
            None | Some(_) => Ok(()),
        });
        match timeout(COLLECT_WAIT_MAX, note).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => {
                tracing::warn!(device = %name, %refusal, "its time of service cannot be noted");
            }
            Err(_) => {
                tracing::warn!(device = %name, "its time of service was not noted within {COLLECT_WAIT_MAX:?}");
            }
        }
        let Some(since) = absence else { return false };
        let absent = absent(since);
        if allowed {
            tracing::warn!(device = %name, "the device {absent}, and is pushed from all the same \
                 (push_returned_devices): what was deleted meanwhile may come back");
            return false;
        }
        tracing::error!(device = %name, policy = %self.policy(), "the device {absent}: {HELD_BACK}");
        true
    }

    /// As Swift does: every device of the ring counts as a failure, since this one tells none of them anything.
    fn failed(&self) {
        self.tally().count(|stats| {
            stats.device_failed(&self.device.device);
            self.fail_all(stats);
        });
    }

    fn fail_all(&self, stats: &mut PassStats) {
        for device in self.places.0.ring.devices() {
            stats.fail(&device.replication_ip, &device.device);
        }
    }

    /// What is no partition, and what crashes left in `tmp` when it is old enough.
    async fn tidy(&self, files: Vec<Partition>, unexpected: Vec<String>) {
        let (name, policy) = (&self.device.device, self.policy());
        for entry in unexpected {
            tracing::warn!(device = %name, %policy, "{entry:?} is no partition; it is left alone");
            // As Swift counts it.
            self.tally().count(|stats| self.fail_all(stats));
        }
        for partition in files.into_iter().filter(|&partition| self.overrides.partition(partition)) {
            match self.local.run(move |device| device.remove_partition_file(policy, partition)).await {
                Ok(()) => {
                    tracing::warn!(device = %name, %policy, "Removing partition directory which was a file: {}",
                        self.local.partition_path(policy, partition).display());
                }
                Err(refusal) => tracing::warn!(device = %name, %policy, "{refusal}"),
            }
        }
        if let Err(refusal) = self.local.run(move |device| device.make_objects_directory(policy)).await {
            tracing::error!("ERROR creating {}: {refusal}", self.local.objects_path(policy).display());
        }
        match self.local.run(|device| device.keep_reserve()).await {
            Ok(()) => {}
            // It is to be had again when a drain has made room.
            Err(refusal) if refusal.reason == Reason::DeviceFull => {}
            Err(refusal) => {
                tracing::warn!(device = %name, %refusal, "no room is kept for letting go of objects");
            }
        }
        match self.local.run(move |device| device.sweep_temporaries(policy)).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(device = %name, %policy, "{count} old files were removed from tmp"),
            Err(refusal) => {
                tracing::warn!(device = %name, %policy, %refusal, "old files in tmp could not be removed");
            }
        }
    }

    fn job(&self, partition: Partition) -> Option<Job> {
        let (policy, device) = (self.policy(), &self.device);
        let (kind, targets) = match self.places.role(partition, device.id) {
            Role::Primary(targets) => (Kind::primary(), targets),
            Role::Handoff(targets) => (Kind::Handoff, targets),
            Role::Outside => {
                tracing::error!(
                    device = %device.device, %policy,
                    "partition {partition} has no place in the ring; it is left alone. Compare the ring file with those of other nodes"
                );
                self.tally().count(|stats| stats.partitions_outside += 1);
                return None;
            }
        };
        Some(Job {
            policy,
            partition,
            device: device.device.clone(),
            local: self.local.for_job(),
            region: device.region,
            kind,
            targets,
            places: Arc::clone(&self.places),
            returns: 0,
            waits_for: None,
            gone: false,
            limited: false,
        })
    }
}

#[cfg(test)]
mod tests;
