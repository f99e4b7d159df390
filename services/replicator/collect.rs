//! Finds the partitions of this node and what is to be done with each (Swift: replicator.py collect_jobs).

use std::{collections::BTreeMap, sync::Arc};

use ssync_diskfile::{Devices, DiskError};
use ssync_types::{DeviceName, Refusal};

use crate::{
    config::{Overrides, ReplicatorConfig},
    job::{Job, Kind},
    places::{Ours, Places, PolicyPlaces, RingDevice, Role},
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
    let mut opened: BTreeMap<DeviceName, Option<LocalDevice>> = BTreeMap::new();
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
        for device in local.into_iter().filter(|device| overrides.device(&device.target.device)) {
            let name = &device.target.device;
            if !opened.contains_key(name) {
                opened.insert(name.clone(), open(devices, name, &places, meter).await);
            }
            if let Some(Some(local)) = opened.get(name) {
                collect_device(local.clone(), &device, &places, overrides, meter, &mut collected).await;
            }
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
    let (ours, devices) = (Ours::new(config), policy.ring.devices());
    let ask = move || devices.into_iter().filter(|device| ours.has(&device.target)).collect();
    tokio::task::spawn_blocking(ask).await.unwrap_or_default()
}

async fn open(
    devices: &Arc<Devices>,
    name: &DeviceName,
    places: &Places,
    meter: &Meter,
) -> Option<LocalDevice> {
    let (all, wanted) = (Arc::clone(devices), name.clone());
    let opened = tokio::task::spawn_blocking(move || all.open(&wanted)).await;
    match opened {
        Ok(Ok(device)) => Some(LocalDevice::new(device)),
        Ok(Err(error)) => {
            tracing::warn!("{error}");
            device_failed(places, meter);
            None
        }
        Err(_) => {
            tracing::warn!("opening device {name} was stopped");
            device_failed(places, meter);
            None
        }
    }
}

/// As Swift does: every device of the ring counts as a failure, since this one tells none of them anything.
fn device_failed(places: &Places, meter: &Meter) {
    let devices = places.0.ring.devices();
    meter.count(|stats| {
        stats.devices_failed += 1;
        for device in &devices {
            stats.fail(&device.target.ip, &device.target.device);
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
    let listing = match listing.and_then(|listing| listing.map_err(|error: DiskError| Refusal::from(error))) {
        Ok(listing) => listing,
        Err(refusal) => {
            tracing::warn!("{refusal}");
            return device_failed(places, meter);
        }
    };
    for name in listing.unexpected {
        tracing::warn!(device = %device.target.device, %policy, "{name:?} is no partition; it is left alone");
    }
    for partition in listing.partitions.into_iter().filter(|partition| overrides.partition(*partition)) {
        let (kind, targets) = match places.role(partition, device.id) {
            Role::Primary(targets) => (Kind::primary(), targets),
            Role::Handoff(targets) => (Kind::Handoff, targets),
            Role::Outside => {
                tracing::error!(
                    device = %device.target.device, %policy,
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
            device: device.target.device.clone(),
            local: local.clone(),
            region: device.target.region,
            kind,
            targets,
            places: Arc::clone(places),
            returns: 0,
        });
    }
}
