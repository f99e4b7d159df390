//! A ring for a small cluster of our own making, without a builder file.

use std::cmp::Ordering;

use crate::{Ring, RingDevice, RingError};

/// Largest part power of a ring that is made here; beyond that Swift's own builder is the tool.
const BALANCED_POWER_MAX: u32 = 16;

impl Ring {
    /// A ring in which each replica of a partition is on a device of its own: in a region, a zone, at an address of its own
    /// as far as there are enough, and else where the load by weight is least. Devices are numbered as they stand.
    pub fn balanced(devices: Vec<RingDevice>, part_power: u32, replicas: usize) -> Result<Self, RingError> {
        let usable = devices.iter().filter(|device| device.weight > 0.0).count();
        if part_power > BALANCED_POWER_MAX {
            return Err(RingError::Parts(format!(
                "part power {part_power} is beyond {BALANCED_POWER_MAX}; use swift-ring-builder"
            )));
        }
        if replicas == 0 || replicas > usable {
            return Err(RingError::Parts(format!(
                "{replicas} replicas need as many devices with a weight; there are {usable}"
            )));
        }
        let mut loads = vec![0_u32; devices.len()];
        let mut rows = vec![Vec::with_capacity(1 << part_power); replicas];
        for _ in 0..1_u32 << part_power {
            let mut holders = Vec::with_capacity(replicas);
            for row in &mut rows {
                let Some(next) = best(&devices, &loads, &holders) else { break };
                holders.push(next);
                if let (Some(load), Ok(id)) = (loads.get_mut(next), u16::try_from(next)) {
                    *load += 1;
                    row.push(id);
                }
            }
        }
        Self::new(devices.into_iter().map(Some).collect(), part_power, rows)
    }
}

/// The place of the best device for a replica, beside those that hold one already.
fn best(devices: &[RingDevice], loads: &[u32], holders: &[usize]) -> Option<usize> {
    let free = devices
        .iter()
        .zip(loads)
        .enumerate()
        .filter(|(place, (device, _))| device.weight > 0.0 && !holders.contains(place));
    let rank = |device: &RingDevice, load: u32| {
        let others = || holders.iter().filter_map(|&place| devices.get(place));
        let same_region = others().any(|other| other.region == device.region);
        let same_zone = others().any(|other| (other.region, other.zone) == (device.region, device.zone));
        let same_ip = others().any(|other| other.ip == device.ip);
        ((same_region, same_zone, same_ip), f64::from(load) / device.weight)
    };
    let order = |(_, (a, load_a)): &(usize, (&RingDevice, &u32)),
                 (_, (b, load_b)): &(usize, (&RingDevice, &u32))|
     -> Ordering {
        let ((near_a, full_a), (near_b, full_b)) = (rank(a, **load_a), rank(b, **load_b));
        near_a.cmp(&near_b).then(full_a.total_cmp(&full_b))
    };
    free.min_by(order).map(|(place, _)| place)
}
