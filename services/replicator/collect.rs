//! Finds the partitions of this node and what is to be done with each (Swift: replicator.py collect_jobs).

use std::{collections::BTreeMap, sync::Arc};

use ssync_diskfile::Devices;
use ssync_ring::RingDevice;
use ssync_types::DeviceName;

use crate::{
    config::{Overrides, ReplicatorConfig},
    job::{Job, Kind},
    places::{Places, PolicyPlaces, Role, local_addresses},
    progress::Meter,
    shuffle::Shuffle,
    source::LocalDevice,
};

/// The jobs of a pass, in random order.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) handoffs: Vec<Job>,
    pub(crate) primaries: Vec<Job>,
}

/// Looks through the devices of this node.
pub(crate) async fn collect(
    config: &ReplicatorConfig,
    policies: Vec<PolicyPlaces>,
    devices: &Arc<Devices>,
    overrides: &Overrides,
    meter: &Meter,
) -> Collected {
    let mut collected = Collected::default();
    // A device that several policies use has one share of threads.
    let mut opened: BTreeMap<DeviceName, LocalDevice> = BTreeMap::new();
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
            let name = device.device.clone();
            let new = || LocalDevice::new(Arc::clone(devices), name.clone());
            let local = opened.entry(name.clone()).or_insert_with(new).clone();
            collect_device(local, &device, &places, overrides, meter, &mut collected).await;
        }
    }
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
fn device_failed(places: &Places, meter: &Meter) {
    meter.count(|stats| {
        stats.devices_failed += 1;
        for device in places.0.ring.devices() {
            stats.fail(&device.replication_ip, &device.device);
        }
    });
}

async fn collect_device(
    local: LocalDevice,
    device: &RingDevice,
    places: &Arc<Places>,
    overrides: &Overrides,
    meter: &Meter,
    collected: &mut Collected,
) {
    let policy = places.0.policy;
    let listing = local.run(move |device| device.partitions(policy)).await;
    let listing = match listing {
        Ok(listing) => listing,
        Err(refusal) => {
            tracing::warn!("{refusal}");
            return device_failed(places, meter);
        }
    };
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
        let jobs =
            if matches!(kind, Kind::Handoff) { &mut collected.handoffs } else { &mut collected.primaries };
        jobs.push(Job {
            policy,
            partition,
            device: device.device.clone(),
            local: local.clone(),
            region: device.region,
            kind,
            targets,
            places: Arc::clone(places),
            returns: 0,
        });
    }
}
