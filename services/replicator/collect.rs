//! Finds the partitions of this node and what is to be done with each (Swift: replicator.py collect_jobs).

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use ssync_diskfile::Device;
use ssync_ring::RingDevice;
use ssync_types::{DeviceName, Partition, PolicyIndex, Reason, Refusal};
use tokio::time::timeout;

use crate::{
    config::{Overrides, ReplicatorConfig},
    job::{Job, Kind},
    places::{Places, PolicyPlaces, Role, local_addresses},
    progress::Meter,
    shuffle::Shuffle,
    source::{LocalDevice, LocalDevices},
};

/// How long a device may take to list its partitions. One that hangs is left out of the pass.
const COLLECT_WAIT_MAX: Duration = Duration::from_secs(60);

/// The jobs of a pass, in random order.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) handoffs: Vec<Job>,
    pub(crate) primaries: Vec<Job>,
}

/// Looks through the devices of this node, all at once, so that none waits for another.
pub(crate) async fn collect(
    config: &ReplicatorConfig,
    policies: Vec<PolicyPlaces>,
    devices: &LocalDevices,
    overrides: &Overrides,
    meter: &Meter,
) -> Collected {
    let mut looks = Vec::new();
    for policy in policies.into_iter().filter(|policy| overrides.policy(policy.policy)) {
        if policy.ring.next_part_power().is_some() {
            tracing::warn!("next_part_power set in policy '{}'. Skipping", policy.name);
            continue;
        }
        let local = local_devices(config, &policy).await;
        if local.is_empty() {
            tracing::error!("Can't find itself in policy with index {}, not replicating", policy.policy);
            continue;
        }
        let places = Arc::new(Places(policy));
        for device in local.into_iter().filter(|device| overrides.device(&device.device)) {
            looks.push(collect_device(
                devices.get(&device.device),
                device,
                Arc::clone(&places),
                overrides,
                meter,
            ));
        }
    }
    let jobs = join_all(looks).await.into_iter().flatten();
    let (handoffs, primaries) = jobs.partition(|job| matches!(job.kind, Kind::Handoff));
    let mut collected = Collected { handoffs, primaries };
    let mut shuffle = Shuffle::new();
    shuffle.shuffle(&mut collected.handoffs);
    shuffle.shuffle(&mut collected.primaries);
    let total = (collected.handoffs.len() + collected.primaries.len()) as u64;
    meter.count(|stats| stats.partitions = total);
    collected
}

async fn local_devices(config: &ReplicatorConfig, policy: &PolicyPlaces) -> Vec<RingDevice> {
    let (config, ring) = (config.clone(), Arc::clone(&policy.ring));
    // Host names in the ring are looked up.
    let look = move || match local_addresses(&config) {
        Ok(addresses) => ring.local_devices(&addresses).cloned().collect(),
        Err(error) => {
            tracing::error!(%error, "the addresses of this machine are not to be had; set ring_ip");
            Vec::new()
        }
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// As Swift does: every device of the ring counts as a failure, since this one tells none of them anything.
fn device_failed(device: &RingDevice, places: &Places, meter: &Meter) {
    meter.count(|stats| {
        stats.device_failed(&device.device);
        for device in places.0.ring.devices() {
            stats.fail(&device.replication_ip, &device.device);
        }
    });
}

/// What crashes left in `tmp` goes when it is old enough. Blocks.
fn sweep(device: &Device, policy: PolicyIndex) {
    match device.sweep_temporaries(policy) {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(device = %device.name(), %policy, "{count} old files were removed from tmp");
        }
        Err(error) => tracing::warn!(%error, "old files in tmp could not be removed"),
    }
}

async fn remove_file(local: &LocalDevice, name: &DeviceName, policy: PolicyIndex, partition: Partition) {
    let removed = local.run(move |device| device.remove_partition_file(policy, partition)).await;
    match removed {
        Ok(()) => {
            tracing::warn!(device = %name, %policy, "Removing partition directory which was a file: {partition}");
        }
        Err(refusal) => tracing::warn!(device = %name, %policy, "{refusal}"),
    }
}

async fn collect_device(
    local: LocalDevice,
    device: RingDevice,
    places: Arc<Places>,
    overrides: &Overrides,
    meter: &Meter,
) -> Vec<Job> {
    let policy = places.0.policy;
    let late = |_| {
        let message = format!("did not list its partitions within {COLLECT_WAIT_MAX:?}; look at the disk");
        Err(Refusal::new(Reason::ObjectIo, message))
    };
    let list = move |device: &Arc<Device>| {
        sweep(device, policy);
        device.partitions(policy)
    };
    let listing = timeout(COLLECT_WAIT_MAX, local.run(list)).await;
    let listing = match listing.unwrap_or_else(late) {
        Ok(listing) => listing,
        Err(refusal) => {
            tracing::warn!(device = %device.device, %policy, "{refusal}");
            device_failed(&device, &places, meter);
            return Vec::new();
        }
    };
    let mut jobs = Vec::new();
    for partition in listing.files.into_iter().filter(|partition| overrides.partition(*partition)) {
        remove_file(&local, &device.device, policy, partition).await;
    }
    for name in listing.unexpected {
        tracing::warn!(device = %device.device, %policy, "{name:?} is no partition; it is left alone");
    }
    for partition in listing.partitions.into_iter().filter(|partition| overrides.partition(*partition)) {
        let (kind, targets) = match places.role(partition, device.id) {
            Role::Primary(targets) => (Kind::primary(), targets),
            Role::Handoff(targets) => (Kind::Handoff, targets),
            Role::Outside => {
                tracing::error!(
                    device = %device.device, %policy,
                    "partition {partition} has no place in the ring; it is left alone. Compare the ring file with those of other nodes"
                );
                meter.count(|stats| stats.partitions_outside += 1);
                continue;
            }
        };
        jobs.push(Job {
            policy,
            partition,
            device: device.device.clone(),
            local: local.for_job(),
            region: device.region,
            kind,
            targets,
            places: Arc::clone(&places),
            returns: 0,
        });
    }
    jobs
}

#[cfg(test)]
mod tests;
