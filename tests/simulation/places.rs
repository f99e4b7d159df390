//! Rings: who holds what, as a seed decides, and each node's own idea of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ssync_diskfile::simulation::Random;
use ssync_receiver::Placement;
use ssync_replicator::{PolicyPlaces, Rings};
use ssync_ring::{Ring, RingDevice};
use ssync_types::{DeviceName, Partition, PolicyIndex};

pub(crate) const POLICY: PolicyIndex = PolicyIndex::new(0);
const PORT: u16 = 6200;

/// The devices of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) part_power: u32,
    pub(crate) replicas: usize,
    /// By number: the node, and the name.
    pub(crate) devices: Vec<(usize, DeviceName)>,
    ring_devices: Vec<RingDevice>,
}

impl Layout {
    pub(crate) fn new(replicas: usize, random: &mut Random) -> Self {
        let nodes = 4 + random.below(3);
        let regions = if random.once_in(4) { 2 } else { 1 };
        let (mut devices, mut ring_devices) = (Vec::new(), Vec::new());
        for node in 0..nodes {
            for disk in 0..1 + random.below(2) {
                let name = format!("n{node}d{disk}");
                let id = u32::try_from(devices.len()).unwrap();
                let address = ([10, 0, 0, u8::try_from(node).unwrap() + 1], PORT).into();
                let device = RingDevice::local(id, 1, address, &name).unwrap();
                ring_devices.push(RingDevice { region: 1 + node as u32 % regions, ..device });
                devices.push((node, name.parse().unwrap()));
            }
        }
        Self { part_power: 2 + random.below(2) as u32, replicas, devices, ring_devices }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.devices.iter().map(|(node, _)| node + 1).max().unwrap_or(0)
    }

    pub(crate) fn devices_of(&self, node: usize) -> impl Iterator<Item = &DeviceName> {
        self.devices.iter().filter(move |(of, _)| *of == node).map(|(_, name)| name)
    }

    /// A first ring, or one in which some of the places of another have gone to others.
    pub(crate) fn ring(&self, before: Option<&Ring>, random: &mut Random) -> Arc<Ring> {
        self.ring_among(|_| true, before, random)
    }

    /// Two rings, of which each has its primaries among the nodes of the other's; and which of them a node of a number has.
    pub(crate) fn opposed(&self, random: &mut Random) -> [Arc<Ring>; 2] {
        [1, 0].map(|side| self.ring_among(|node| node % 2 == side, None, random))
    }

    fn ring_among(
        &self,
        may: impl Fn(usize) -> bool,
        before: Option<&Ring>,
        random: &mut Random,
    ) -> Arc<Ring> {
        let partitions = 1_u32 << self.part_power;
        let mut rows = vec![Vec::new(); self.replicas];
        for partition in 0..partitions {
            let mut ids: Vec<usize> = before.map_or_else(Vec::new, |ring| {
                let primaries = ring.primaries(Partition::new(partition));
                primaries.iter().map(|primary| primary.device.id as usize).collect()
            });
            ids.retain(|_| !random.once_in(3));
            let mut taken: BTreeSet<usize> = ids.iter().map(|&id| self.devices[id].0).collect();
            while ids.len() < self.replicas {
                let id = random.below(self.devices.len());
                if may(self.devices[id].0) && taken.insert(self.devices[id].0) {
                    ids.push(id);
                }
            }
            for (row, id) in rows.iter_mut().zip(ids) {
                row.push(u16::try_from(id).unwrap());
            }
        }
        let devices = self.ring_devices.iter().cloned().map(Some).collect();
        Arc::new(Ring::new(devices, self.part_power, rows).unwrap())
    }
}

/// The node at a ring's address.
pub(crate) fn node_at(ip: &str) -> usize {
    ip.rsplit('.').next().and_then(|last| last.parse::<usize>().ok()).expect("an address of ours") - 1
}

/// What a node knows of the ring.
#[derive(Debug)]
pub(crate) struct Known(Mutex<(Arc<Ring>, bool)>);

impl Known {
    pub(crate) fn new(ring: Arc<Ring>) -> Self {
        Self(Mutex::new((ring, false)))
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<Ring>, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn learn(&self, ring: Arc<Ring>) {
        *self.lock() = (ring, true);
    }

    pub(crate) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.lock().0)
    }
}

impl Placement for Known {
    fn part_power(&self, policy: PolicyIndex) -> Option<u32> {
        (policy == POLICY).then(|| self.ring().part_power())
    }

    fn is_primary(&self, _: PolicyIndex, partition: Partition, device: &DeviceName) -> Option<bool> {
        Some(self.ring().primaries(partition).iter().any(|primary| primary.device.device == *device))
    }

    fn ring_digest(&self, _: PolicyIndex) -> Option<Vec<u8>> {
        Some(self.ring().digest().to_vec())
    }
}

impl Rings for Known {
    fn current(&self) -> Vec<PolicyPlaces> {
        let mut known = self.lock();
        known.1 = false;
        vec![PolicyPlaces { policy: POLICY, name: "gold".to_owned(), ring: Arc::clone(&known.0) }]
    }

    fn changed(&self) -> bool {
        self.lock().1
    }
}
