//! Where the demo's objects belong, by the cluster's ring.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use ssync_ring::{Ring, SwiftConf};
use ssync_types::{HashPathConfig, ObjectHash, ObjectPath, Partition};

use crate::embedded::ClusterFolder;

/// A device of the cluster, with its place on this disk.
#[derive(Debug, Clone)]
pub(crate) struct DemoDevice {
    /// Its id in the ring.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its node's address.
    pub address: SocketAddr,
    /// Its directory.
    pub path: PathBuf,
}

/// The cluster's ring and its devices.
pub(crate) struct Placement {
    ring: Ring,
    hash_path: HashPathConfig,
    /// By id.
    pub devices: Vec<DemoDevice>,
}

impl Placement {
    pub(crate) fn of(cluster: &ClusterFolder) -> anyhow::Result<Self> {
        let ring =
            Ring::load(&cluster.root.join("object.ring.gz")).context("cannot read the ring just written")?;
        let hash_path = SwiftConf::load(&cluster.root)?.hash_path().clone();
        let devices = cluster
            .nodes
            .iter()
            .flat_map(|node| node.device_names.iter().map(move |name| (node, name)))
            .enumerate()
            .map(|(id, (node, name))| DemoDevice {
                id: id as u32,
                name: name.clone(),
                address: node.address,
                path: node.devices.join(name),
            })
            .collect();
        Ok(Self { ring, hash_path, devices })
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> u32 {
        1 << self.ring.part_power()
    }

    /// An object's hash and partition.
    pub(crate) fn locate(&self, path: &ObjectPath) -> (ObjectHash, Partition) {
        let hash = self.hash_path.hash(path);
        (hash, hash.partition(self.ring.part_power()))
    }

    /// The devices that must hold a partition.
    pub(crate) fn primaries(&self, partition: Partition) -> Vec<&DemoDevice> {
        self.ring
            .primaries(partition)
            .iter()
            .filter_map(|primary| self.devices.get(primary.device.id as usize))
            .collect()
    }

    /// Whether a device must hold a partition.
    pub(crate) fn is_primary(&self, device: &DemoDevice, partition: Partition) -> bool {
        self.ring.is_primary(device.id, partition)
    }

    /// The partitions that a device must hold.
    pub(crate) fn partitions_of(&self, device: &DemoDevice) -> BTreeSet<u32> {
        (0..self.partitions()).filter(|&number| self.is_primary(device, Partition::new(number))).collect()
    }
}
