//! What this crate's tests share: rings in memory, nodes with real disks and receivers, and a store that misbehaves.

mod faulty;
mod nodes;

use std::sync::Arc;

use ssync_ring::{Ring, RingDevice};
use ssync_types::PolicyIndex;

pub(crate) use faulty::Faulty;
pub(crate) use nodes::{Cluster, Node, at};

use crate::places::{PolicyPlaces, Rings};

/// Device `d<id>`, alone on its node `10.0.0.<id>`.
pub(crate) fn ring_device(id: u32, region: u32) -> RingDevice {
    let address = ([10, 0, 0, u8::try_from(id).unwrap()], 6200).into();
    RingDevice { region, ..RingDevice::local(id, 1, address, &format!("d{id}")).unwrap() }
}

/// Policy 0, with a ring of given rows of device numbers; devices from `remote_from` on are in region 2.
pub(crate) fn policy_of_regions(devices: u32, remote_from: u32, rows: &[&[u16]]) -> PolicyPlaces {
    let devices = (0..devices).map(|id| Some(ring_device(id, 1 + u32::from(id >= remote_from)))).collect();
    let part_power = rows[0].len().trailing_zeros();
    let ring = Ring::new(devices, part_power, rows.iter().map(|row| row.to_vec()).collect()).unwrap();
    PolicyPlaces { policy: PolicyIndex::new(0), name: "gold".into(), ring: Arc::new(ring) }
}

/// The same in one region.
pub(crate) fn policy(devices: u32, rows: &[&[u16]]) -> PolicyPlaces {
    policy_of_regions(devices, u32::MAX, rows)
}

/// Rings that never change.
#[derive(Debug)]
pub(crate) struct FixedRings(pub(crate) Vec<PolicyPlaces>);

impl Rings for FixedRings {
    fn current(&self) -> Vec<PolicyPlaces> {
        self.0.clone()
    }

    fn changed(&self) -> bool {
        false
    }
}
