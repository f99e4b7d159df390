//! A cluster's folder: rings, confs and device directories that it makes itself.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use ssync_ring::{Ring, RingDevice};

use crate::cli::{NodeAddresses, Split};

/// Replicas of every partition.
pub(crate) const REPLICAS: usize = 3;
/// 2^6 partitions: enough to spread a few thousand objects, few enough to watch.
pub(crate) const PART_POWER: u32 = 6;
/// Devices of each node; more than one, so that a partition can lie on the wrong one.
const DEVICES_PER_NODE: usize = 2;

/// One node of the cluster, on disk.
#[derive(Debug, Clone)]
pub(crate) struct NodeFolder {
    /// From 1.
    pub number: usize,
    /// Where it listens, by ring.
    pub address: SocketAddr,
    /// Where its metrics and its admin service listen.
    pub admin: SocketAddr,
    /// Its object-server.conf.
    pub conf: PathBuf,
    /// Its `devices` directory.
    pub devices: PathBuf,
    /// Its devices' names.
    pub device_names: Vec<String>,
}

/// A cluster, on disk.
#[derive(Debug)]
pub(crate) struct ClusterFolder {
    /// Holds everything.
    pub root: PathBuf,
    /// Its nodes.
    pub nodes: Vec<NodeFolder>,
    /// Held as long as this lives: two clusters in one folder would take each other's rings away.
    _lock: fs::File,
}

impl ClusterFolder {
    /// Makes (or makes again) the folder of a cluster whose nodes listen at `addresses`. Objects that a former cluster
    /// left there stay; with the same number of nodes they are where the ring looks for them.
    pub(crate) fn make(
        root: &Path,
        addresses: &[NodeAddresses],
        split: Option<Split>,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        let lock = lock(root)?;
        let nodes: Vec<NodeFolder> = addresses
            .iter()
            .enumerate()
            .map(|(i, addresses)| NodeFolder::at(root, i + 1, addresses))
            .collect();
        let cluster = Self { root: root.to_owned(), nodes, _lock: lock };
        cluster.write_swift_conf()?;
        cluster.write_ring()?;
        for (node, addresses) in cluster.nodes.iter().zip(addresses) {
            node.write(root, addresses, split)?;
        }
        Ok(cluster)
    }

    fn write_swift_conf(&self) -> anyhow::Result<()> {
        let text = "[swift-hash]\nswift_hash_path_prefix = ssync\nswift_hash_path_suffix = embedded\n\n\
                    [storage-policy:0]\nname = standard\ndefault = yes\n";
        write(&self.root.join("swift.conf"), text.as_bytes())
    }

    fn write_ring(&self) -> anyhow::Result<()> {
        let mut devices = Vec::new();
        for node in &self.nodes {
            for name in &node.device_names {
                devices.push(RingDevice::local(
                    devices.len() as u32,
                    node.number as u32,
                    node.address,
                    name,
                )?);
            }
        }
        let ring = Ring::balanced(devices, PART_POWER, REPLICAS)?;
        write(&self.root.join("object.ring.gz"), &ring.to_v1()?)
    }
}

fn lock(root: &Path) -> anyhow::Result<fs::File> {
    let path = root.join("lock");
    let file = fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => {
            anyhow::anyhow!(
                "another cluster runs in {}: stop it, or give another folder with --dir",
                root.display()
            )
        }
        fs::TryLockError::Error(error) => anyhow::anyhow!("{} cannot be locked: {error}", path.display()),
    })?;
    Ok(file)
}

impl NodeFolder {
    fn at(root: &Path, number: usize, addresses: &NodeAddresses) -> Self {
        let home = root.join(format!("node{number}"));
        Self {
            number,
            address: addresses.data,
            admin: addresses.admin,
            conf: home.join("object-server.conf"),
            devices: home.join("devices"),
            device_names: (0..DEVICES_PER_NODE)
                .map(|i| format!("d{}", (number - 1) * DEVICES_PER_NODE + i + 1))
                .collect(),
        }
    }

    fn write(&self, swift_dir: &Path, addresses: &NodeAddresses, split: Option<Split>) -> anyhow::Result<()> {
        for name in &self.device_names {
            let device = self.devices.join(name);
            fs::create_dir_all(&device).with_context(|| format!("cannot make {}", device.display()))?;
        }
        let conf = format!(
            "[DEFAULT]\nswift_dir = {swift_dir}\ndevices = {devices}\nmount_check = false\n\
             bind_ip = {ip}\nbind_port = {port}\nlog_level = WARNING\nuser = root\n\n\
             [app:object-server]\nuse = egg:swift#object\n\n\
             [object-replicator]\nsync_method = ssync\ninterval = 5\nconcurrency = 4\n\n\
             [ssync]\nadmin_bind = {admin}\nsidecar_admin_bind =\nreplicator_admin_bind =\n{receiver}",
            swift_dir = swift_dir.display(),
            devices = self.devices.display(),
            ip = self.address.ip(),
            port = self.address.port(),
            admin = self.admin,
            receiver = self.receiver_options(addresses, split),
        );
        write(&self.conf, conf.as_bytes())
    }

    /// Where a receiver that is a process of its own listens, and where the others find it.
    fn receiver_options(&self, addresses: &NodeAddresses, split: Option<Split>) -> String {
        let socket = self.devices.with_file_name("receiver.sock");
        match split {
            None => String::new(),
            Some(Split::Unix) => format!("receiver_socket = {}\n", socket.display()),
            Some(Split::Tcp) => format!(
                "receiver_socket = {}\nreceiver_bind = {receiver}\nreceiver_address = {receiver}\n",
                socket.display(),
                receiver = addresses.receiver
            ),
        }
    }
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_do_not_share_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let at = |port| ([127, 0, 0, 1], port).into();
        let addresses = [NodeAddresses { data: at(1), admin: at(2), receiver: at(3) }; REPLICAS];
        let first = ClusterFolder::make(root.path(), &addresses, None).unwrap();
        let refused = ClusterFolder::make(root.path(), &addresses, None).unwrap_err();
        assert!(refused.to_string().contains("another folder with --dir"), "{refused}");
        drop(first);
        ClusterFolder::make(root.path(), &addresses, None).unwrap();
    }
}
