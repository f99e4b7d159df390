//! Nodes with one device each, below a temporary folder: real disks and real receivers, no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use ssync_diskfile::{DataFile, Devices, DiskConfig, Location, MetaFile, PolicyKind};
use ssync_receiver::{Placement, Receiver, ReceiverConfig};
use ssync_types::{
    DeviceName, Durability, HashPathConfig, Metadata, ObjectHash, ObjectPath, Partition, PolicyIndex, Reason,
    Refusal, Timestamp,
};
use tokio_util::sync::CancellationToken;

use super::{Faulty, FixedRings};
use crate::{
    Overrides, PassStats, PolicyPlaces, Replicator, ReplicatorConfig,
    grpc::GrpcPeer,
    peer::{Peer, Peers, Target},
    places::Rings,
};

const POLICY: PolicyIndex = PolicyIndex::new(0);

/// A node, its disks and its receiver.
pub(crate) struct Node {
    id: u32,
    pub(crate) name: DeviceName,
    pub(crate) devices: Arc<Devices>,
    pub(crate) store: Arc<Faulty>,
    path: PathBuf,
}

/// Several nodes and the ring they agree on.
pub(crate) struct Cluster {
    _root: tempfile::TempDir,
    pub(crate) nodes: Vec<Node>,
    pub(crate) policy: PolicyPlaces,
    pub(crate) config: ReplicatorConfig,
}

#[derive(Debug)]
struct RingPlacement(PolicyPlaces);

impl Placement for RingPlacement {
    fn part_power(&self, policy: PolicyIndex) -> Option<u32> {
        (policy == POLICY).then(|| self.0.ring.part_power())
    }

    fn is_primary(&self, _: PolicyIndex, partition: Partition, device: &DeviceName) -> Option<bool> {
        Some(self.0.ring.primaries(partition).iter().any(|primary| primary.device.device == *device))
    }

    fn ring_digest(&self, _: PolicyIndex) -> Option<Vec<u8>> {
        Some(self.0.ring.digest().to_vec())
    }
}

/// Peers are found by the names of their devices.
struct InProcess(BTreeMap<DeviceName, Arc<Faulty>>);

#[async_trait]
impl Peers for InProcess {
    async fn find(&self, target: &Target) -> Result<Arc<dyn Peer>, Refusal> {
        let silence_max = ReplicatorConfig::default().http_timeout;
        match self.0.get(&target.device) {
            Some(store) => Ok(Arc::new(GrpcPeer::new(store.clone(), silence_max))),
            None => Err(Refusal::new(Reason::Unreachable, format!("there is no {target}"))),
        }
    }
}

pub(crate) fn path(name: &str) -> ObjectPath {
    ObjectPath::of("AUTH_test", "c", name).unwrap()
}

/// Seconds after some hour of late: older tombstones would be reclaimed.
pub(crate) fn at(seconds: u64) -> Timestamp {
    static BASE: LazyLock<u64> =
        LazyLock::new(|| Timestamp::from_system_time(SystemTime::now()).seconds() - 3600);
    Timestamp::from_seconds(*BASE + seconds)
}

impl Cluster {
    /// A node for each device of the ring, all of them agreeing on it.
    pub(crate) fn new(policy: PolicyPlaces) -> Self {
        Self::with_receiver(policy, &ReceiverConfig::default())
    }

    pub(crate) fn with_receiver(policy: PolicyPlaces, config: &ReceiverConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let nodes = policy
            .ring
            .devices()
            .map(|device| Node::new(root.path(), device.id, device.device.clone(), &policy, config.clone()))
            .collect();
        let config =
            ReplicatorConfig { bind_port: 6200, recon_cache_path: None, ..ReplicatorConfig::default() };
        Self { _root: root, nodes, policy, config }
    }

    pub(crate) fn node(&self, id: u32) -> &Node {
        self.nodes.iter().find(|node| node.id == id).unwrap()
    }

    /// The replicator of one node.
    pub(crate) fn replicator(&self, id: u32) -> Replicator {
        self.replicator_by(id, Arc::new(FixedRings(vec![self.policy.clone()])))
    }

    /// The same by other rings.
    pub(crate) fn replicator_by(&self, id: u32, rings: Arc<dyn Rings>) -> Replicator {
        let stores = self.nodes.iter().map(|node| (node.name.clone(), Arc::clone(&node.store))).collect();
        let node = self.node(id);
        let config =
            ReplicatorConfig { bind_ip: format!("10.0.0.{id}").parse().unwrap(), ..self.config.clone() };
        Replicator::with_peers(
            config,
            rings,
            Arc::clone(&node.devices),
            Arc::clone(&node.store) as Arc<dyn ssync_store::Store>,
            Arc::new(InProcess(stores)),
        )
    }

    /// One pass of one node.
    pub(crate) async fn pass(&self, id: u32) -> PassStats {
        self.replicator(id).run_once(&Overrides::default(), CancellationToken::new()).await
    }

    pub(crate) fn partition(&self, name: &str) -> Partition {
        self.policy.ring.partition_of(&self.nodes[0].devices.hash_path().hash(&path(name)))
    }

    /// The hash of an object's name.
    pub(crate) fn hash(&self, name: &str) -> ObjectHash {
        self.location(name).hash
    }

    fn location(&self, name: &str) -> Location {
        let hash = self.nodes[0].devices.hash_path().hash(&path(name));
        Location { policy: POLICY, partition: self.policy.ring.partition_of(&hash), hash }
    }

    /// Stores an object on one node.
    pub(crate) fn put(&self, node: u32, name: &str, seconds: u64, body: &[u8]) {
        self.node(node).put(&self.location(name), name, seconds, body);
    }

    /// A closure that stores an object later.
    pub(crate) fn later_put(
        &self,
        node: u32,
        name: &'static str,
        seconds: u64,
    ) -> impl FnOnce() + Send + 'static {
        let at = self.location(name);
        let node = self.node(node);
        let (devices, device, id, root) =
            (Arc::clone(&node.devices), node.name.clone(), node.id, node.path.clone());
        let store = Arc::clone(&node.store);
        move || Node { id, name: device, devices, store, path: root }.put(&at, name, seconds, b"newer")
    }

    pub(crate) fn post(&self, node: u32, name: &str, seconds: u64, value: &'static str) {
        let node = self.node(node);
        let mut metadata = Metadata::new();
        metadata.set("X-Object-Meta-Colour", value);
        let meta = MetaFile { timestamp: at(seconds), metadata, content_type: None, next_part_power: None };
        node.devices.open(&node.name).unwrap().write_meta(&self.location(name), &path(name), &meta).unwrap();
    }

    pub(crate) fn delete(&self, node: u32, name: &str, seconds: u64) {
        let node = self.node(node);
        let device = node.devices.open(&node.name).unwrap();
        device.write_tombstone(&self.location(name), &path(name), at(seconds), None).unwrap();
    }

    /// A closure that takes a node's device away later.
    pub(crate) fn later_unmount(&self, node: u32) -> impl FnOnce() + Send + 'static {
        let path = self.node(node).path.clone();
        move || fs::rename(&path, path.with_extension("away")).unwrap()
    }

    /// The directory of a node's partitions.
    pub(crate) fn objects(&self, node: u32) -> PathBuf {
        self.node(node).path.join("objects")
    }

    /// The directory of an object on a node.
    pub(crate) fn directory(&self, node: u32, name: &str) -> PathBuf {
        let at = self.location(name);
        let suffix = at.hash.suffix().to_string();
        self.node(node)
            .path
            .join("objects")
            .join(at.partition.to_string())
            .join(suffix)
            .join(at.hash.to_string())
    }
}

impl Node {
    fn new(root: &Path, id: u32, name: DeviceName, policy: &PolicyPlaces, config: ReceiverConfig) -> Self {
        let folder = root.join(format!("node{id}"));
        let path = folder.join(name.as_str());
        fs::create_dir_all(&path).unwrap();
        let disk = DiskConfig {
            devices: folder,
            mount_check: false,
            fallocate_reserve: ssync_diskfile::Reserve::Bytes(0),
            durability: Durability::Object,
            // Recorded tombstones grow old.
            reclaim_age: Duration::from_secs(u64::from(u32::MAX)),
            ..DiskConfig::default()
        };
        let hash = HashPathConfig::new("changeme", "changeme").unwrap();
        let policies = BTreeMap::from([(POLICY, PolicyKind::Replication)]);
        let devices = Arc::new(Devices::new(disk, hash, policies));
        let placement = Arc::new(RingPlacement(policy.clone()));
        let receiver = Receiver::new(config, Arc::clone(&devices), placement, CancellationToken::new());
        Self { id, name, devices, store: Faulty::new(receiver), path }
    }

    fn put(&self, location: &Location, name: &str, seconds: u64, body: &[u8]) {
        let mut metadata = Metadata::new();
        metadata.set("Content-Type", "text/plain");
        metadata.set("X-Object-Meta-Empty", Bytes::new());
        metadata.set("X-Object-Meta-Raw", Bytes::from_static(b"\xe2\x98\x83"));
        self.put_with(location, &path(name), at(seconds), body, metadata);
    }

    /// Stores an object with all that is known of it.
    pub(crate) fn put_with(
        &self,
        location: &Location,
        path: &ObjectPath,
        timestamp: Timestamp,
        body: &[u8],
        metadata: Metadata,
    ) {
        let device = self.devices.open(&self.name).unwrap();
        let mut writer = device.create(location, path, Some(body.len() as u64)).unwrap();
        writer.write(body).unwrap();
        writer.commit(DataFile { timestamp, metadata, fragment: None, next_part_power: None }).unwrap();
    }

    /// Where a file of its device is on this machine.
    pub(crate) fn real(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// All object files below the device, as paths from `objects`.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.path.join("objects")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
                match entry.path().extension().and_then(|end| end.to_str()) {
                    _ if entry.path().is_dir() => folders.push(entry.path()),
                    Some("data" | "meta" | "ts") => {
                        let path = entry.path().strip_prefix(&self.path).unwrap().display().to_string();
                        files.insert(path);
                    }
                    _ => {}
                }
            }
        }
        files
    }

    /// Partitions that have a directory.
    pub(crate) fn partitions(&self) -> BTreeSet<String> {
        fs::read_dir(self.path.join("objects"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}
