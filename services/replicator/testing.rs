//! What this crate's tests share: a ring in memory.

use std::sync::Arc;

use ssync_types::{Partition, PolicyIndex};

use crate::{
    peer::Target,
    places::{PolicyPlaces, PolicyRing, RingDevice, Rings},
};

/// Device `id`, alone on its node `10.0.0.<id>`.
pub(crate) fn ring_device(id: u32) -> RingDevice {
    let target = Target {
        ip: format!("10.0.0.{id}"),
        port: 6200,
        device: format!("d{id}").parse().unwrap(),
        region: 1,
        meta: String::new(),
    };
    RingDevice { id, target }
}

/// A ring of given rows of device numbers.
#[derive(Debug, Clone)]
pub(crate) struct FakeRing {
    pub(crate) devices: Vec<RingDevice>,
    pub(crate) rows: Vec<Vec<u32>>,
    pub(crate) next_part_power: Option<u32>,
}

impl FakeRing {
    pub(crate) fn new(devices: u32, rows: &[&[u32]]) -> Self {
        let rows = rows.iter().map(|row| row.to_vec()).collect();
        Self { devices: (0..devices).map(ring_device).collect(), rows, next_part_power: None }
    }

    pub(crate) fn into_policy(self, index: u32) -> PolicyPlaces {
        PolicyPlaces {
            policy: PolicyIndex::new(index),
            name: format!("policy-{index}"),
            ring: Arc::new(self),
        }
    }

    fn device(&self, id: u32) -> RingDevice {
        self.devices.iter().find(|device| device.id == id).unwrap().clone()
    }
}

impl PolicyRing for FakeRing {
    fn partition_count(&self) -> u64 {
        self.rows.iter().map(Vec::len).max().unwrap_or(0) as u64
    }

    fn replica_count(&self) -> usize {
        self.rows.len()
    }

    fn devices(&self) -> Vec<RingDevice> {
        self.devices.clone()
    }

    fn primaries(&self, partition: Partition) -> Vec<RingDevice> {
        let mut ids: Vec<u32> = Vec::new();
        for id in self.rows.iter().filter_map(|row| row.get(partition.get() as usize)) {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids.into_iter().map(|id| self.device(id)).collect()
    }

    fn handoffs(&self, partition: Partition) -> Box<dyn Iterator<Item = RingDevice> + '_> {
        let primaries = self.primaries(partition);
        Box::new(self.devices.iter().filter(move |device| !primaries.contains(device)).cloned())
    }

    fn next_part_power(&self) -> Option<u32> {
        self.next_part_power
    }

    fn digest(&self) -> Option<Vec<u8>> {
        None
    }
}

/// Rings that never change.
pub(crate) struct FixedRings(pub(crate) Vec<PolicyPlaces>);

impl Rings for FixedRings {
    fn current(&self) -> Vec<PolicyPlaces> {
        self.0.clone()
    }

    fn changed(&self) -> bool {
        false
    }
}
