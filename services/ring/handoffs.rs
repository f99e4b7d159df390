//! Where a partition goes when its primaries cannot take it, in Swift's order (Swift: ring.py get_more_nodes).

use std::collections::HashSet;

use md5::{Digest as _, Md5};
use ssync_types::Partition;

use crate::{Ring, RingDevice};

/// Partitions looked at in a pass, at most, before the steps between them grow.
const STEPS: u64 = 65536;

/// What a pass looks for that it has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Region,
    Zone,
    Ip,
    Device,
}

/// The handoffs of a partition, best first: the first of each unseen region, of each unseen zone, of each unseen address,
/// and then every other device, in the order in which the assignments of other partitions name them.
#[derive(Debug)]
pub struct Handoffs<'a> {
    ring: &'a Ring,
    walk: Walk,
    pass: Option<Pass>,
    step: u64,
    replica: usize,
    devices: HashSet<u32>,
    regions: HashSet<u32>,
    zones: HashSet<(u32, u32)>,
    ips: HashSet<(u32, u32, &'a str)>,
}

impl<'a> Handoffs<'a> {
    pub(crate) fn new(ring: &'a Ring, partition: Partition) -> Self {
        let mut handoffs = Self {
            ring,
            walk: Walk::new(ring, partition),
            pass: Some(Pass::Region),
            step: 0,
            replica: 0,
            devices: HashSet::new(),
            regions: HashSet::new(),
            zones: HashSet::new(),
            ips: HashSet::new(),
        };
        for primary in ring.primaries(partition) {
            handoffs.mark(primary.device);
        }
        handoffs
    }

    fn mark(&mut self, device: &'a RingDevice) {
        self.devices.insert(device.id);
        self.regions.insert(device.region);
        self.zones.insert((device.region, device.zone));
        self.ips.insert((device.region, device.zone, &device.ip));
    }

    /// Whether a pass has seen all there is.
    fn is_complete(&self, pass: Pass) -> bool {
        let totals = self.ring.totals();
        match pass {
            Pass::Region => self.regions.len() == totals.regions,
            Pass::Zone => self.zones.len() == totals.zones,
            Pass::Ip => self.ips.len() == totals.ips,
            Pass::Device => self.devices.len() == totals.devices,
        }
    }

    fn is_new(&self, pass: Pass, device: &RingDevice) -> bool {
        !self.devices.contains(&device.id)
            && match pass {
                Pass::Region => !self.regions.contains(&device.region),
                Pass::Zone => !self.zones.contains(&(device.region, device.zone)),
                Pass::Ip => !self.ips.contains(&(device.region, device.zone, device.ip.as_str())),
                Pass::Device => true,
            }
    }

    /// The next assignment of this pass, which may be nobody's; `None` at its end.
    fn assignment(&mut self) -> Option<Option<&'a RingDevice>> {
        let ring = self.ring;
        if self.replica == ring.rows().len() {
            self.replica = 0;
            self.step += 1;
        }
        let partition = self.walk.partition(self.step)?;
        let id = ring.rows().get(self.replica).and_then(|row| row.get(partition));
        self.replica += 1;
        Some(id.and_then(|id| ring.device(id)))
    }

    fn next_pass(&mut self, pass: Pass) {
        (self.step, self.replica) = (0, 0);
        self.pass = match pass {
            Pass::Region => Some(Pass::Zone),
            Pass::Zone => Some(Pass::Ip),
            Pass::Ip => Some(Pass::Device),
            Pass::Device => None,
        };
    }
}

impl<'a> Iterator for Handoffs<'a> {
    type Item = &'a RingDevice;

    fn next(&mut self) -> Option<&'a RingDevice> {
        while let Some(pass) = self.pass {
            let assignment = if self.is_complete(pass) { None } else { self.assignment() };
            match assignment {
                None => self.next_pass(pass),
                Some(Some(device)) if self.is_new(pass, device) => {
                    self.mark(device);
                    return Some(device);
                }
                Some(_) => {}
            }
        }
        None
    }
}

/// The partitions that a pass looks at: from a place that the partition's number decides, round to that place again.
#[derive(Debug)]
struct Walk {
    start: u64,
    increment: u64,
    partitions: u64,
}

impl Walk {
    fn new(ring: &Ring, partition: Partition) -> Self {
        let [a, b, c, d, ..] = <[u8; 16]>::from(Md5::digest(partition.to_string()));
        let start = u64::from(u32::from_be_bytes([a, b, c, d])) >> (32 - ring.part_power());
        let partitions = ring.partition_count();
        Self { start, increment: (partitions / STEPS).max(1), partitions }
    }

    /// The partition of a step. After the end it goes on at the place that the step would reach if the ring were round; with
    /// steps of one that is partition 1, so that partition 0 is left out, as in Swift.
    fn partition(&self, step: u64) -> Option<usize> {
        let ahead = self.partitions - self.start;
        let steps_ahead = ahead.div_ceil(self.increment);
        let partition = if step < steps_ahead {
            self.start + step * self.increment
        } else {
            let first = self.increment - ahead % self.increment;
            Some(first + (step - steps_ahead) * self.increment).filter(|&partition| partition < self.start)?
        };
        usize::try_from(partition).ok()
    }
}
