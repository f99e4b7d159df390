//! Two rings of one policy, partition by partition.

use std::collections::{BTreeMap, BTreeSet};

use ssync_replicator::Target;
use ssync_ring::{Ring, RingDevice};
use ssync_types::{DeviceName, Partition};

/// What happens to a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeviceMoves {
    /// `ip:port/device`.
    pub(crate) name: String,
    /// Its name, where it is one of this node's.
    pub(crate) own: Option<DeviceName>,
    /// Partitions that it holds by each ring.
    pub(crate) before: u64,
    pub(crate) after: u64,
    pub(crate) arriving: u64,
    pub(crate) leaving: u64,
}

/// What moves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moves {
    pub(crate) partitions: u64,
    /// Replicas of partitions by the present ring, and those that get another device.
    pub(crate) replicas: u64,
    pub(crate) moving: u64,
    /// Partitions of which more than one replica moves, and those of which none stays.
    pub(crate) of_several: u64,
    pub(crate) of_all: u64,
    /// Partitions with more replicas in a zone, or at an address, than there have to be: by each ring.
    pub(crate) crowded: (u64, u64),
    /// Most arriving first.
    pub(crate) devices: Vec<DeviceMoves>,
    /// The partitions that leave each device of this node.
    pub(crate) leaving: BTreeMap<DeviceName, Vec<Partition>>,
}

/// Compares the present ring with another. `Err` says why that is no other ring of the same policy.
pub(crate) fn compare(now: &Ring, new: &Ring, is_own: impl Fn(&RingDevice) -> bool) -> Result<Moves, String> {
    if now.part_power() != new.part_power() {
        return Err(format!(
            "its partition power is {}, and that of the present ring {}: it is of another policy or cluster, or part of a raise, \
             which swift-object-relinker does without moving anything",
            new.part_power(),
            now.part_power()
        ));
    }
    let names = |ring: &Ring| -> BTreeMap<u32, String> {
        ring.devices().map(|device| (device.id, Target::from(device).to_string())).collect()
    };
    let (before, after) = (names(now), names(new));
    let known: BTreeSet<&String> = before.values().collect();
    if !after.values().any(|name| known.contains(name)) {
        return Err(
            "it has none of the devices of the present ring: it is of another policy or cluster".to_owned()
        );
    }
    let mut devices: BTreeMap<String, DeviceMoves> = BTreeMap::new();
    for device in now.devices().chain(new.devices()) {
        let name = Target::from(device).to_string();
        let own = is_own(device).then(|| device.device.clone());
        devices.entry(name.clone()).or_insert(DeviceMoves { name, own, ..DeviceMoves::default() });
    }
    let mut moves = Moves { partitions: now.partition_count(), ..Moves::default() };
    let limits = (Limits::of(now), Limits::of(new));
    for number in 0..now.partition_count() {
        let Ok(number) = u32::try_from(number) else { break };
        let partition = Partition::new(number);
        let (old, next) = (now.primaries(partition), new.primaries(partition));
        moves.crowded.0 += u64::from(limits.0.is_crowded(old.iter().map(|primary| primary.device)));
        moves.crowded.1 += u64::from(limits.1.is_crowded(next.iter().map(|primary| primary.device)));
        let name = |names: &'_ BTreeMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_default();
        let old: BTreeSet<String> = old.iter().map(|primary| name(&before, primary.device.id)).collect();
        let next: BTreeSet<String> = next.iter().map(|primary| name(&after, primary.device.id)).collect();
        moves.replicas += old.len() as u64;
        old.iter().for_each(|name| count(&mut devices, name, |device| device.before += 1));
        next.iter().for_each(|name| count(&mut devices, name, |device| device.after += 1));
        let arriving: Vec<&String> = next.difference(&old).collect();
        moves.moving += arriving.len() as u64;
        moves.of_several += u64::from(arriving.len() > 1);
        moves.of_all += u64::from(!old.is_empty() && next.is_disjoint(&old));
        arriving.into_iter().for_each(|name| count(&mut devices, name, |device| device.arriving += 1));
        for name in old.difference(&next) {
            count(&mut devices, name, |device| device.leaving += 1);
            if let Some(own) = devices.get(name).and_then(|device| device.own.clone()) {
                moves.leaving.entry(own).or_default().push(partition);
            }
        }
    }
    moves.devices = devices.into_values().collect();
    moves.devices.sort_by(|a, b| b.arriving.cmp(&a.arriving).then_with(|| a.name.cmp(&b.name)));
    Ok(moves)
}

fn count(devices: &mut BTreeMap<String, DeviceMoves>, name: &str, add: impl Fn(&mut DeviceMoves)) {
    if let Some(device) = devices.get_mut(name) {
        add(device);
    }
}

/// How many replicas there have to be in one zone, and at one address.
struct Limits {
    zone: usize,
    address: usize,
}

impl Limits {
    fn of(ring: &Ring) -> Self {
        let used = || ring.devices().filter(|device| device.weight > 0.0);
        let zones: BTreeSet<_> = used().map(|device| (device.region, device.zone)).collect();
        let addresses: BTreeSet<_> = used().map(|device| device.ip.as_str()).collect();
        let replicas = ring.replica_count().ceil() as usize;
        Self {
            zone: replicas.div_ceil(zones.len().max(1)),
            address: replicas.div_ceil(addresses.len().max(1)),
        }
    }

    fn is_crowded<'a>(&self, devices: impl Iterator<Item = &'a RingDevice>) -> bool {
        let (mut zones, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for device in devices {
            *zones.entry((device.region, device.zone)).or_insert(0_usize) += 1;
            *addresses.entry(device.ip.as_str()).or_insert(0_usize) += 1;
        }
        zones.values().any(|count| *count > self.zone)
            || addresses.values().any(|count| *count > self.address)
    }
}
