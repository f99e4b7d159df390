//! A ring: devices, and the partitions that each holds.

use std::collections::HashSet;

use ssync_types::{ObjectHash, Partition};

use crate::{DEVICES_MAX, Handoffs, LocalAddresses, RingDevice, RingError, assignments::Row, digest::digest};

/// Most replicas that a ring may have; erasure coding needs some dozens.
pub const REPLICAS_MAX: usize = 1024;

/// Largest part power: a partition is 32 bits of a hash at most.
const PART_POWER_MAX: u32 = 32;

/// A ring: devices, and the partitions that each holds.
#[derive(Debug, Clone)]
pub struct Ring {
    /// By number. A device that was removed leaves a hole.
    devices: Vec<Option<RingDevice>>,
    rows: Vec<Row>,
    part_power: u32,
    next_part_power: Option<u32>,
    version: Option<u64>,
    totals: Totals,
    digest: [u8; 32],
}

/// How many of each there are among the devices that hold anything: the marks at which a search for handoffs has seen all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) regions: usize,
    pub(crate) zones: usize,
    pub(crate) ips: usize,
    pub(crate) devices: usize,
}

/// A device that must hold a partition.
#[derive(Debug, Clone, Copy)]
pub struct Primary<'a> {
    /// Its place among the partition's distinct devices, from 0: the fragment it holds, in erasure coding.
    pub index: usize,
    /// The device.
    pub device: &'a RingDevice,
}

/// What a ring is made of.
pub(crate) struct Parts {
    pub(crate) devices: Vec<Option<RingDevice>>,
    pub(crate) rows: Vec<Row>,
    pub(crate) part_power: u32,
    pub(crate) next_part_power: Option<u32>,
    pub(crate) version: Option<u64>,
}

impl Ring {
    /// A ring of these devices. `rows` holds a device's number for every partition, one row a replica; the last may be short.
    pub fn new(
        devices: Vec<Option<RingDevice>>,
        part_power: u32,
        rows: Vec<Vec<u16>>,
    ) -> Result<Self, RingError> {
        let rows = rows.into_iter().map(Row::Narrow).collect();
        Self::of(Parts { devices, rows, part_power, next_part_power: None, version: None })
            .map_err(RingError::Parts)
    }

    /// The ring, if its parts fit together.
    pub(crate) fn of(parts: Parts) -> Result<Self, String> {
        check_shape(&parts)?;
        let Parts { devices, rows, part_power, next_part_power, version } = parts;
        let mut assigned = vec![false; devices.len()];
        for id in rows.iter().flat_map(Row::ids) {
            let known = usize::try_from(id).ok().filter(|&id| devices.get(id).is_some_and(Option::is_some));
            let slot = known.and_then(|id| assigned.get_mut(id));
            *slot.ok_or_else(|| format!("it assigns partitions to device {id}, which it does not have"))? =
                true;
        }
        let holders = devices
            .iter()
            .zip(&assigned)
            .filter(|(_, assigned)| **assigned)
            .filter_map(|(device, _)| device.as_ref());
        let totals = Totals::of(holders);
        let digest = digest(&devices, &rows, part_power);
        Ok(Self { devices, rows, part_power, next_part_power, version, totals, digest })
    }

    /// The ring has 2^this many partitions.
    #[must_use]
    pub fn part_power(&self) -> u32 {
        self.part_power
    }

    /// The part power that the cluster is growing to, while it does.
    #[must_use]
    pub fn next_part_power(&self) -> Option<u32> {
        self.next_part_power
    }

    /// The builder's count of changes, if the file has it.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partition_count(&self) -> u64 {
        1 << self.part_power
    }

    /// Whether the ring has a partition of this number.
    #[must_use]
    pub fn has_partition(&self, partition: Partition) -> bool {
        u64::from(partition.get()) < self.partition_count()
    }

    /// An object's partition.
    #[must_use]
    pub fn partition_of(&self, hash: &ObjectHash) -> Partition {
        hash.partition(self.part_power)
    }

    /// How many replicas there are; the last may cover a share of the partitions only (Swift: calc_replica_count).
    #[must_use]
    pub fn replica_count(&self) -> f64 {
        match (self.rows.first(), self.rows.last()) {
            (Some(first), Some(last)) => {
                (self.rows.len() - 1) as f64 + last.len() as f64 / first.len() as f64
            }
            _ => 0.0,
        }
    }

    /// A digest of devices and assignments. Equal rings have equal digests, whatever the format of their files.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// All devices, by number.
    pub fn devices(&self) -> impl Iterator<Item = &RingDevice> {
        self.devices.iter().flatten()
    }

    /// The device of this number.
    #[must_use]
    pub fn device(&self, id: u32) -> Option<&RingDevice> {
        self.devices.get(usize::try_from(id).ok()?)?.as_ref()
    }

    /// The device of this name at this address, be it the one for clients or the one for replication.
    #[must_use]
    pub fn find(&self, ip: &str, port: u16, device: &str) -> Option<&RingDevice> {
        self.devices().find(|found| {
            let for_clients = found.ip == ip && found.port == port;
            let for_replication = found.replication_ip == ip && found.replication_port == port;
            found.device.as_str() == device && (for_clients || for_replication)
        })
    }

    /// The devices that this node replicates from (Swift: common/ring/utils.py is_local_device).
    pub fn local_devices<'a>(
        &'a self,
        addresses: &'a LocalAddresses,
    ) -> impl Iterator<Item = &'a RingDevice> {
        self.devices().filter(|device| addresses.replicates(device))
    }

    /// The devices that must hold a partition, each once; none for a partition that the ring does not have (Swift:
    /// ring.py _get_part_nodes).
    #[must_use]
    pub fn primaries(&self, partition: Partition) -> Vec<Primary<'_>> {
        let mut primaries: Vec<Primary<'_>> = Vec::with_capacity(self.rows.len());
        let Ok(partition) = usize::try_from(partition.get()) else { return primaries };
        for device in self.rows.iter().filter_map(|row| self.device(row.get(partition)?)) {
            if primaries.iter().all(|primary| primary.device.id != device.id) {
                primaries.push(Primary { index: primaries.len(), device });
            }
        }
        primaries
    }

    /// Whether a device must hold a partition.
    #[must_use]
    pub fn is_primary(&self, device: u32, partition: Partition) -> bool {
        let Ok(partition) = usize::try_from(partition.get()) else { return false };
        self.rows.iter().any(|row| row.get(partition) == Some(device))
    }

    /// The devices that take a partition when its primaries cannot, best first. It ends when all devices that hold anything
    /// have been named.
    #[must_use]
    pub fn handoffs(&self, partition: Partition) -> Handoffs<'_> {
        Handoffs::new(self, partition)
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn slots(&self) -> &[Option<RingDevice>] {
        &self.devices
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }
}

impl Totals {
    fn of<'a>(devices: impl Iterator<Item = &'a RingDevice>) -> Self {
        let (mut regions, mut zones, mut ips, mut count) =
            (HashSet::new(), HashSet::new(), HashSet::new(), 0);
        for device in devices {
            regions.insert(device.region);
            zones.insert((device.region, device.zone));
            ips.insert((device.region, device.zone, device.ip.as_str()));
            count += 1;
        }
        Self { regions: regions.len(), zones: zones.len(), ips: ips.len(), devices: count }
    }
}

fn check_shape(parts: &Parts) -> Result<(), String> {
    if parts.part_power > PART_POWER_MAX {
        return Err(format!("its part power is {}, and {PART_POWER_MAX} is the most", parts.part_power));
    }
    if parts.devices.len() > DEVICES_MAX {
        return Err(format!("it has {} devices, and {DEVICES_MAX} is the most", parts.devices.len()));
    }
    if parts.rows.is_empty() || parts.rows.len() > REPLICAS_MAX {
        return Err(format!("it has {} replicas; it must have 1 to {REPLICAS_MAX}", parts.rows.len()));
    }
    for (position, device) in parts.devices.iter().enumerate() {
        if device.as_ref().is_some_and(|device| usize::try_from(device.id) != Ok(position)) {
            return Err(format!("the device at place {position} of the list has another number"));
        }
    }
    let partitions = 1_u64 << parts.part_power;
    for (replica, row) in parts.rows.iter().enumerate() {
        let length = row.len() as u64;
        let is_last = replica > 0 && replica + 1 == parts.rows.len();
        if length != partitions && !(is_last && 0 < length && length < partitions) {
            return Err(format!(
                "replica {replica} covers {length} of {partitions} partitions; the file may be cut short"
            ));
        }
    }
    Ok(())
}
