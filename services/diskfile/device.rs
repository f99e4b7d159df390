//! Devices and what can be done on them.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use ssync_types::{
    DeviceName, FragmentIndex, HashPathConfig, ObjectHash, ObjectPath, Offer, Partition, PolicyIndex,
    ReleaseFile, ReleaseOutcome, Suffix, SuffixHashes, Timestamp,
};

use crate::{
    Committed, Confirmation, DataFile, DiskConfig, DiskError, Found, LocalObject, Location, MetaFile,
    OpenOptions, PartitionListing, PolicyKind, Space,
};

/// All devices of this node.
#[derive(Debug)]
pub struct Devices {
    config: DiskConfig,
    hash: HashPathConfig,
    policies: BTreeMap<PolicyIndex, PolicyKind>,
}

impl Devices {
    /// The devices below `config.devices`. Nothing is opened yet.
    #[must_use]
    pub fn new(
        config: DiskConfig,
        hash: HashPathConfig,
        policies: BTreeMap<PolicyIndex, PolicyKind>,
    ) -> Self {
        Self { config, hash, policies }
    }

    /// The cluster's salt of object hashes.
    #[must_use]
    pub fn hash_path(&self) -> &HashPathConfig {
        &self.hash
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &DiskConfig {
        &self.config
    }

    /// How a policy stores objects; `None` for one that swift.conf does not have.
    #[must_use]
    pub fn policy(&self, policy: PolicyIndex) -> Option<PolicyKind> {
        self.policies.get(&policy).copied()
    }

    /// Opens a device if it is usable. What was opened before is used again while it is still what is mounted there.
    pub fn open(&self, name: &DeviceName) -> Result<Arc<Device>, DiskError> {
        Ok(Arc::new(Device { name: name.clone() }))
    }
}

/// A device whose mount was checked. Everything on it is reached from the directory that was opened then.
#[derive(Debug)]
pub struct Device {
    name: DeviceName,
}

impl Device {
    fn not_yet<T>(&self) -> Result<T, DiskError> {
        Err(DiskError::io(&self.name, "reach", Path::new(""), io::ErrorKind::Unsupported.into()))
    }

    /// Its name in the ring.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// Its space.
    pub fn space(&self) -> Result<Space, DiskError> {
        self.not_yet()
    }

    /// Whether it is still what is mounted at its place; callers of long sessions ask before each batch.
    pub fn check_mounted(&self) -> Result<(), DiskError> {
        self.not_yet()
    }

    /// Opens an object and checks it.
    pub fn open_object(self: &Arc<Self>, _at: &Location, _options: &OpenOptions) -> Result<Found, DiskError> {
        self.not_yet()
    }

    /// As [`open_object`](Self::open_object), but removes first what no longer counts: the receiver's check of an offer.
    pub fn open_for_check(
        self: &Arc<Self>,
        _at: &Location,
        _options: &OpenOptions,
    ) -> Result<Found, DiskError> {
        self.not_yet()
    }

    /// The partitions of a policy.
    pub fn partitions(&self, _policy: PolicyIndex) -> Result<PartitionListing, DiskError> {
        self.not_yet()
    }

    /// The suffixes of a partition, ascending; none when there is no such partition.
    pub fn suffixes(&self, _policy: PolicyIndex, _partition: Partition) -> Result<Vec<Suffix>, DiskError> {
        self.not_yet()
    }

    /// The objects of a suffix, by hash. Removes what no longer counts.
    pub fn list_suffix(
        &self,
        _policy: PolicyIndex,
        _partition: Partition,
        _suffix: Suffix,
    ) -> Result<Vec<LocalObject>, DiskError> {
        self.not_yet()
    }

    /// Begins a body of `size` bytes (`None`: not known beforehand).
    pub fn create(
        self: &Arc<Self>,
        _at: &Location,
        _path: &ObjectPath,
        _size: Option<u64>,
    ) -> Result<Writer, DiskError> {
        self.not_yet()
    }

    /// Stores a `.meta` file. `NotFound` if there is no body, `StateChanged` if it went away meanwhile.
    pub fn write_meta(&self, _at: &Location, _path: &ObjectPath, _meta: &MetaFile) -> Result<(), DiskError> {
        self.not_yet()
    }

    /// Stores a tombstone.
    pub fn write_tombstone(
        &self,
        _at: &Location,
        _path: &ObjectPath,
        _timestamp: Timestamp,
        _next_part_power: Option<u32>,
    ) -> Result<(), DiskError> {
        self.not_yet()
    }

    /// Gives a stored fragment its durable mark.
    pub fn commit_fragment(
        &self,
        _at: &Location,
        _fragment: FragmentIndex,
        _timestamp: Timestamp,
    ) -> Result<(), DiskError> {
        self.not_yet()
    }

    /// Whether an offered version, or a newer one, is here; flushed before the answer.
    pub fn confirm(self: &Arc<Self>, _at: &Location, _offer: &Offer) -> Result<Confirmation, DiskError> {
        self.not_yet()
    }

    /// The hashes of a partition's suffixes. Stale ones, and those of `rehash`, are calculated anew; `list_suffixes` finds also
    /// suffixes that nobody reported.
    pub fn suffix_hashes(
        &self,
        _policy: PolicyIndex,
        _partition: Partition,
        _rehash: &[Suffix],
        _list_suffixes: bool,
    ) -> Result<SuffixHashes, DiskError> {
        self.not_yet()
    }

    /// Marks suffixes as stale. A partition that does not exist is not made.
    pub fn invalidate_suffixes(
        &self,
        _policy: PolicyIndex,
        _partition: Partition,
        _suffixes: &[Suffix],
    ) -> Result<(), DiskError> {
        self.not_yet()
    }

    /// Takes a partition's replication lock; makes the partition's directory if there is none, as Swift does.
    pub fn lock_partition(
        self: &Arc<Self>,
        _policy: PolicyIndex,
        _partition: Partition,
        _timeout: Duration,
    ) -> Result<PartitionLock, DiskError> {
        self.not_yet()
    }

    /// Takes one of the device's `slots` locks; `None` when `slots` is 0: no limit.
    pub fn lock_device(
        self: &Arc<Self>,
        _slots: u32,
        _timeout: Duration,
    ) -> Result<Option<DeviceLock>, DiskError> {
        self.not_yet()
    }

    /// Removes exactly `files`, if the object's directory holds exactly these (rule S2).
    pub fn release(
        &self,
        _lock: &PartitionLock,
        _hash: &ObjectHash,
        _files: &[ReleaseFile],
    ) -> Result<ReleaseOutcome, DiskError> {
        self.not_yet()
    }

    /// Removes a partition that holds nothing but empty suffix directories and Swift's bookkeeping; says whether it is gone.
    pub fn remove_empty_partition(&self, _lock: PartitionLock) -> Result<bool, DiskError> {
        self.not_yet()
    }

    /// Flushes the whole file system: what a killed program left (rule S1).
    pub fn sync(&self) -> Result<(), DiskError> {
        self.not_yet()
    }
}

/// A body being written. Dropped without `commit`, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    device: Arc<Device>,
}

impl Writer {
    /// Appends bytes.
    pub fn write(&mut self, _bytes: &[u8]) -> Result<(), DiskError> {
        self.device.not_yet()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        0
    }

    /// MD5 of the bytes written so far, 32 lower-case hex digits.
    #[must_use]
    pub fn md5_hex(&self) -> String {
        String::new()
    }

    /// Publishes the body: flushed, named, its directory flushed, what it obsoletes removed.
    pub fn commit(self, _file: DataFile) -> Result<Committed, DiskError> {
        self.device.not_yet()
    }
}

/// A partition's replication lock; dropped, it is free.
#[derive(Debug)]
pub struct PartitionLock {
    _device: Arc<Device>,
}

/// One of a device's locks; dropped, it is free.
#[derive(Debug)]
pub struct DeviceLock {
    _device: Arc<Device>,
}
