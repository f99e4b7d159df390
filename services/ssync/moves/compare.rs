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
    let mut devices: BTreeMap<String, DeviceMoves> = BTreeMap::new();
    for device in now.devices().chain(new.devices()) {
        let name = Target::from(device).to_string();
        let own = is_own(device).then(|| device.device.clone());
        devices.entry(name.clone()).or_insert(DeviceMoves { name, own, ..DeviceMoves::default() });
    }
    let places: BTreeMap<String, usize> = devices.keys().cloned().zip(0..).collect();
    let mut devices: Vec<DeviceMoves> = devices.into_values().collect();
    let (before, after) = (Placed::of(now, &places), Placed::of(new, &places));
    if !after.places.iter().flatten().any(|place| before.places.contains(&Some(*place))) {
        return Err(
            "it has none of the devices of the present ring: it is of another policy or cluster".to_owned()
        );
    }
    let mut moves = Moves { partitions: now.partition_count(), ..Moves::default() };
    for number in 0..now.partition_count() {
        let Ok(number) = u32::try_from(number) else { break };
        let partition = Partition::new(number);
        let (old, next) = (before.primaries(partition), after.primaries(partition));
        moves.crowded.0 += u64::from(old.is_crowded);
        moves.crowded.1 += u64::from(next.is_crowded);
        moves.add(partition, &old.devices, &next.devices, &mut devices);
    }
    devices.sort_by(|a, b| b.arriving.cmp(&a.arriving).then_with(|| a.name.cmp(&b.name)));
    moves.devices = devices;
    Ok(moves)
}

impl Moves {
    fn add(&mut self, partition: Partition, old: &[usize], next: &[usize], devices: &mut [DeviceMoves]) {
        self.replicas += old.len() as u64;
        let mut arriving = 0;
        for place in next {
            let Some(device) = devices.get_mut(*place) else { continue };
            device.after += 1;
            if !old.contains(place) {
                device.arriving += 1;
                arriving += 1;
            }
        }
        for place in old {
            let Some(device) = devices.get_mut(*place) else { continue };
            device.before += 1;
            if !next.contains(place) {
                device.leaving += 1;
                if let Some(own) = &device.own {
                    self.leaving.entry(own.clone()).or_default().push(partition);
                }
            }
        }
        self.moving += arriving;
        self.of_several += u64::from(arriving > 1);
        self.of_all += u64::from(!old.is_empty() && !old.iter().any(|place| next.contains(place)));
    }
}

/// A ring whose devices have places in a list that both rings share.
struct Placed<'a> {
    ring: &'a Ring,
    /// By the device's number.
    places: Vec<Option<usize>>,
    limits: Limits,
}

/// The devices of a partition.
struct Primaries {
    devices: Vec<usize>,
    is_crowded: bool,
}

impl<'a> Placed<'a> {
    fn of(ring: &'a Ring, places: &BTreeMap<String, usize>) -> Self {
        let mut all = Vec::new();
        for device in ring.devices() {
            let id = usize::try_from(device.id).unwrap_or_default();
            if all.len() <= id {
                all.resize(id + 1, None);
            }
            if let Some(place) = all.get_mut(id) {
                *place = places.get(&Target::from(device).to_string()).copied();
            }
        }
        Self { ring, places: all, limits: Limits::of(ring) }
    }

    fn primaries(&self, partition: Partition) -> Primaries {
        let primaries = self.ring.primaries(partition);
        let devices: Vec<&RingDevice> = primaries.iter().map(|primary| primary.device).collect();
        let place =
            |device: &&RingDevice| self.places.get(usize::try_from(device.id).ok()?).copied().flatten();
        Primaries {
            is_crowded: self.limits.is_crowded(&devices),
            devices: devices.iter().filter_map(place).collect(),
        }
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

    fn is_crowded(&self, devices: &[&RingDevice]) -> bool {
        let count = |same: &dyn Fn(&RingDevice) -> bool| devices.iter().filter(|device| same(device)).count();
        devices.iter().any(|one| {
            count(&|other| (other.region, other.zone) == (one.region, one.zone)) > self.zone
                || count(&|other| other.ip == one.ip) > self.address
        })
    }
}
