//! A device in a temporary directory, and short ways to put objects on it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ssync_types::{
    Assurance, Confirmed, Durability, FragmentIndex, HashPathConfig, Metadata, ObjectHash, ObjectPath, Offer,
    Partition, PartitionRef, PolicyIndex, Primary, ReleaseFile, ReleaseItem, ReleaseOpen, Suffix, Timestamp,
};
use tempfile::TempDir;

use super::watch::{Watch, Watched};
use crate::{
    DataFile, Device, Devices, DiskConfig, DiskError, Found, Location, MetaFile, OpenObject, OpenOptions,
    PolicyKind, Reserve,
    device::{AtQuarantine, Settings},
    disk::RealDisk,
    layout,
};

pub(super) const WHOLE: PolicyIndex = PolicyIndex::new(0);
pub(super) const CODED: PolicyIndex = PolicyIndex::new(1);

/// A device that is watched.
pub(super) struct Bed {
    pub(super) device: Arc<Device>,
    pub(super) watch: Watch,
    root: TempDir,
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// Some seconds before now: what is tested with the clock must not be reclaimed.
pub(super) fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_system_time(SystemTime::now() - Duration::from_secs(seconds))
}

pub(super) fn path(name: &str) -> ObjectPath {
    ObjectPath::of("AUTH_test", "c", name).unwrap()
}

pub(super) fn settings(devices: PathBuf) -> Settings {
    let config = DiskConfig {
        devices,
        mount_check: false,
        fallocate_reserve: Reserve::Bytes(0),
        // Tests use small numbers for times.
        reclaim_age: Duration::from_secs(10_000_000_000),
        durability: Durability::Object,
        ..DiskConfig::default()
    };
    let policies = BTreeMap::from([
        (WHOLE, PolicyKind::Replication),
        (CODED, PolicyKind::ErasureCoding { fragments: 6 }),
    ]);
    Settings {
        config,
        hash: HashPathConfig::new("changeme", "changeme").unwrap(),
        policies,
        at_quarantine: AtQuarantine::default(),
        at_commit: Default::default(),
        hashed: Default::default(),
        hashing: Default::default(),
    }
}

/// What was confirmed of an object, as far as the disk looks at it.
pub(super) fn release_item(hash: ObjectHash, files: &[ReleaseFile]) -> ReleaseItem {
    ReleaseItem {
        offer: Offer::of_one_time(hash, at(1), None),
        files: files.to_vec(),
        confirmed_by: vec![Confirmed { primary: 0, assurance: Assurance::Confirmed }],
    }
}

/// On whose word an object is let go of.
pub(super) fn release_open(at: &Location) -> ReleaseOpen {
    let (policy, partition) = (at.policy, at.partition);
    ReleaseOpen {
        partition: PartitionRef { device: "sda".parse().unwrap(), partition, policy, fragment: None },
        ring_digest: None,
        primaries: vec![Primary { address: "10.0.0.7:6200".into(), device: "sdb1".into() }],
    }
}

impl Bed {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(super) fn with(change: impl FnOnce(&mut DiskConfig)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut settings = settings(root.path().to_path_buf());
        change(&mut settings.config);
        fs::create_dir(root.path().join("sda")).unwrap();
        let watch = Watch::default();
        let disk = Watched::new(RealDisk::open(&root.path().join("sda"), false).unwrap(), watch.clone());
        let device = Device::on("sda".parse().unwrap(), Arc::new(settings), Box::new(disk), Arc::default());
        watch.take();
        Self { device: Arc::new(device), watch, root }
    }

    /// The same device as another process would open it.
    pub(super) fn other_process(&self) -> Arc<Device> {
        let settings = &self.device.settings;
        let devices = Devices::new(settings.config.clone(), settings.hash.clone(), settings.policies.clone());
        devices.open(self.device.name()).unwrap()
    }

    /// The same device after nobody has used it for a moment.
    pub(super) fn reopened(&self) -> Arc<Device> {
        let Device { name, settings, doubts, .. } = &*self.device;
        let disk = Watched::new(RealDisk::open(&self.real(""), false).unwrap(), self.watch.clone());
        Arc::new(Device::on(name.clone(), Arc::clone(settings), Box::new(disk), Arc::clone(doubts)))
    }

    pub(super) fn of_policy(&self, name: &str, policy: PolicyIndex) -> Location {
        let hash = self.device.settings.hash.hash(&path(name));
        Location { policy, partition: hash.partition(10), hash }
    }

    pub(super) fn location(&self, name: &str) -> Location {
        self.of_policy(name, WHOLE)
    }

    pub(super) fn real(&self, below: impl AsRef<std::path::Path>) -> PathBuf {
        self.root.path().join("sda").join(below)
    }

    pub(super) fn object_dir(&self, name: &str) -> PathBuf {
        self.real(layout::object(&self.location(name)))
    }

    pub(super) fn partition_dir(&self, name: &str) -> PathBuf {
        self.real(layout::partition(WHOLE, self.location(name).partition))
    }

    pub(super) fn names(&self, below: impl AsRef<std::path::Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.real(below)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(super) fn files(&self, name: &str) -> Vec<String> {
        self.names(self.object_dir(name))
    }

    /// What stands in `hashes.invalid`.
    pub(super) fn notes(&self, name: &str) -> String {
        fs::read_to_string(self.partition_dir(name).join("hashes.invalid")).unwrap_or_default()
    }

    pub(super) fn put(&self, name: &str, body: &[u8], time: Timestamp) {
        self.put_with(name, body, time, Metadata::new()).unwrap();
    }

    pub(super) fn put_with(
        &self,
        name: &str,
        body: &[u8],
        time: Timestamp,
        metadata: Metadata,
    ) -> Result<(), DiskError> {
        let mut writer = self.device.create(&self.location(name), &path(name), Some(body.len() as u64))?;
        writer.write(body)?;
        let mut metadata = metadata;
        if metadata.get("Content-Type").is_none() {
            metadata.set("Content-Type", "text/plain");
        }
        writer
            .commit(DataFile { timestamp: time, metadata, fragment: None, next_part_power: None })
            .map(|_| ())
    }

    pub(super) fn put_fragment(&self, name: &str, time: Timestamp, index: u16, durable: bool) {
        let mut writer = self.device.create(&self.of_policy(name, CODED), &path(name), None).unwrap();
        writer.write(b"fragment").unwrap();
        let fragment = Some((FragmentIndex::new(index), durable));
        writer
            .commit(DataFile { timestamp: time, metadata: Metadata::new(), fragment, next_part_power: None })
            .unwrap();
    }

    pub(super) fn post(&self, name: &str, time: Timestamp) -> Result<(), DiskError> {
        self.post_with_type(name, time, None)
    }

    pub(super) fn post_with_type(
        &self,
        name: &str,
        time: Timestamp,
        content_type: Option<Timestamp>,
    ) -> Result<(), DiskError> {
        let mut metadata = Metadata::new();
        metadata.set("X-Object-Meta-Posted", "yes");
        if let Some(time) = content_type {
            metadata.set("Content-Type", format!("text/{}", time.seconds()));
        }
        let meta = MetaFile { timestamp: time, metadata, content_type, next_part_power: None };
        self.device.write_meta(&self.location(name), &path(name), &meta)
    }

    pub(super) fn delete(&self, name: &str, time: Timestamp) {
        self.device.write_tombstone(&self.location(name), &path(name), time, None).unwrap();
    }

    pub(super) fn open(&self, name: &str) -> Result<Found, DiskError> {
        let options = OpenOptions { expected: Some(path(name)), ..OpenOptions::default() };
        self.device.open_object(&self.location(name), &options)
    }

    pub(super) fn object(&self, name: &str) -> Box<OpenObject> {
        match self.open(name).unwrap() {
            Found::Object(object) => object,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn body(&self, name: &str) -> Result<Vec<u8>, DiskError> {
        let mut reader = match self.open(name)? {
            Found::Object(object) => object.into_reader(),
            other => panic!("{other:?}"),
        };
        let mut body = Vec::new();
        while let Some(piece) = reader.next_chunk()? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    pub(super) fn suffix(&self, name: &str) -> Suffix {
        self.location(name).hash.suffix()
    }

    pub(super) fn hash_of(&self, name: &str) -> Option<ssync_types::SuffixHash> {
        self.hashes(self.location(name).partition).remove(&self.suffix(name))
    }

    pub(super) fn hashes(&self, partition: Partition) -> ssync_types::SuffixHashes {
        self.device.suffix_hashes(WHOLE, partition, &[], false).unwrap()
    }
}
