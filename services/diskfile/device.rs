//! One device: what its operations share.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, io, iter,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ssync_types::{DeviceName, HashPathConfig, Invalid, ObjectHash, ObjectPath, PolicyIndex, Timestamp};

use crate::{
    DiskConfig, DiskError, Location, PolicyKind, Reserve, Space,
    digest::Hashing,
    disk::{Disk, Patient},
    doubt::Doubts,
    pipeline::{Pipeline, Tempo},
    queue::Queue,
    unflushed::Unflushed,
};

/// How many objects can be changed at once on a device: one for each suffix, so that who moves a whole suffix to quarantine
/// excludes whoever publishes in it.
const STRIPES: usize = 4096;

/// What all devices of a node share.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: DiskConfig,
    pub(crate) hash: HashPathConfig,
    pub(crate) policies: BTreeMap<PolicyIndex, PolicyKind>,
    pub(crate) at_quarantine: AtQuarantine,
    pub(crate) at_commit: AtCommit,
    pub(crate) hashed: Hashed,
    pub(crate) hashing: Hashing,
}

/// How many suffixes have been hashed, by device, for who waits for many of them. As many as the node has devices.
#[derive(Debug, Default)]
pub(crate) struct Hashed(pub(crate) Mutex<BTreeMap<DeviceName, u64>>);

impl Hashed {
    // Nothing panics while it holds this.
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceName, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told of each object that a reader has sent to quarantine.
#[derive(Default)]
pub(crate) struct AtQuarantine(pub(crate) OnceLock<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for AtQuarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtQuarantine").field(&self.0.get().is_some()).finish()
    }
}

impl AtQuarantine {
    /// Passes an error on, and tells of it where it says that something is in quarantine.
    pub(crate) fn tell(&self, error: DiskError) -> DiskError {
        if let (DiskError::Damaged { .. }, Some(told)) = (&error, self.0.get()) {
            told();
        }
        error
    }
}

type Told = Box<dyn Fn(&DeviceName, Duration) + Send + Sync>;

/// Who is told how long each batch of publications took to be flushed and linked.
#[derive(Default)]
pub(crate) struct AtCommit(pub(crate) OnceLock<Told>);

impl fmt::Debug for AtCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtCommit").field(&self.0.get().is_some()).finish()
    }
}

impl AtCommit {
    pub(crate) fn tell(&self, device: &DeviceName, took: Duration) {
        if let Some(told) = self.0.get() {
            told(device, took);
        }
    }
}

/// A device whose mount was checked. Everything on it is reached from the directory that was opened then.
pub struct Device {
    pub(crate) name: DeviceName,
    pub(crate) settings: Arc<Settings>,
    pub(crate) disk: Box<dyn Disk>,
    /// Publishing, cleaning and letting go in one object's directory exclude each other.
    objects: Stripes,
    pub(crate) pipeline: Pipeline,
    tempo: Mutex<Tempo>,
    /// Threads of this program that want one partition's `.lock` queue here, not on the file: that can only be polled.
    pub(crate) partitions: Queue,
    /// The file system cannot make files without names.
    pub(crate) named_temporaries: AtomicBool,
    /// Directories whose names are known to be flushed: their inode and when it was made.
    pub(crate) settled: Mutex<HashMap<PathBuf, (u64, Option<SystemTime>)>>,
    pub(crate) unflushed: Arc<Unflushed>,
    /// The time of the last batch in the log of removals. Who appends to the log holds it.
    pub(crate) removal_log: Mutex<Timestamp>,
    /// How often the hashes of a partition were removed here. Who calculates some notices it.
    pub(crate) forgotten: AtomicU64,
    /// What a failed flush has left in doubt.
    pub(crate) doubts: Arc<Doubts>,
    /// Why it is not known whether the device was away: what is written there by now looks like service.
    pub(crate) unjudged: OnceLock<DiskError>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Stripes {
    locks: Box<[Mutex<()>; STRIPES]>,
    /// How often something was published among the objects of each.
    published: Box<[AtomicU64; STRIPES]>,
}

impl Stripes {
    fn new() -> Self {
        Self {
            locks: Box::new([const { Mutex::new(()) }; STRIPES]),
            published: Box::new([const { AtomicU64::new(0) }; STRIPES]),
        }
    }

    fn of(hash: &ObjectHash) -> usize {
        let [.., a, b] = *hash.as_bytes();
        usize::from(u16::from_be_bytes([a, b])) % STRIPES
    }

    /// Locks the stripes of some objects, in one order for all callers.
    fn lock<'a>(&self, hashes: impl Iterator<Item = &'a ObjectHash>) -> Exclusive<'_> {
        let stripes: BTreeSet<_> = hashes.map(Self::of).collect();
        let stripes = stripes.into_iter().filter_map(|stripe| self.locks.get(stripe));
        Exclusive(stripes.map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner)).collect())
    }
}

/// Excludes others from objects' directories.
#[derive(Debug)]
pub(crate) struct Exclusive<'a>(#[expect(dead_code, reason = "held for its drop")] Vec<MutexGuard<'a, ()>>);

impl Device {
    pub(crate) fn on(
        name: DeviceName,
        settings: Arc<Settings>,
        disk: Box<dyn Disk>,
        doubts: Arc<Doubts>,
    ) -> Self {
        Self {
            name,
            settings,
            disk: Box::new(Patient::new(disk)),
            objects: Stripes::new(),
            pipeline: Pipeline::default(),
            tempo: Mutex::default(),
            partitions: Queue::default(),
            named_temporaries: AtomicBool::new(false),
            settled: Mutex::default(),
            unflushed: Arc::default(),
            removal_log: Mutex::default(),
            forgotten: AtomicU64::new(0),
            doubts,
            unjudged: OnceLock::new(),
        }
    }

    /// Its name in the ring.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// Whether it is still what is mounted at its place. Every write asks; callers of long reads ask before each batch.
    pub fn check_mounted(&self) -> Result<(), DiskError> {
        self.disk
            .still_mounted()
            .map_err(|problem| DiskError::Unmounted { device: self.name.clone(), problem })
    }

    /// Its space.
    pub fn space(&self) -> Result<Space, DiskError> {
        let (free, total) =
            self.disk.space().map_err(|error| self.io("ask for the space of", Path::new(""), error))?;
        let reserve = match self.settings.config.fallocate_reserve {
            Reserve::Bytes(bytes) => bytes,
            Reserve::Percent(percent) => (total as f64 * percent / 100.0) as u64,
        };
        Ok(Space { free, total, reserve })
    }

    /// Flushes the whole file system: what a killed program left (rule S1). Once that has failed it fails for as long as the
    /// device is mounted.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.check_mounted()?;
        self.doubts.flush_all(|| self.disk.sync_all()).map_err(|error| self.io("flush", Path::new(""), error))
    }

    pub(crate) fn kind(&self, policy: PolicyIndex) -> Result<PolicyKind, DiskError> {
        self.settings.policies.get(&policy).copied().ok_or(DiskError::PolicyUnknown { policy })
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_system_time(self.disk.now())
    }

    pub(crate) fn io(&self, op: &'static str, path: &Path, error: io::Error) -> DiskError {
        DiskError::io(&self.name, op, path, error)
    }

    /// Excludes others from an object's directory, in whichever partition it is.
    pub(crate) fn exclusive(&self, hash: &ObjectHash) -> Exclusive<'_> {
        self.exclusive_all(iter::once(hash))
    }

    /// How often something was published of this object, or of those that share its stripe.
    pub(crate) fn published(&self, hash: &ObjectHash) -> u64 {
        let stripe = self.objects.published.get(Stripes::of(hash));
        stripe.map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Something is published of an object. The caller excludes others from it.
    pub(crate) fn count_published(&self, hash: &ObjectHash) {
        if let Some(count) = self.objects.published.get(Stripes::of(hash)) {
            count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Excludes others from several objects' directories. Who holds one must not ask for another.
    pub(crate) fn exclusive_all<'a>(&self, hashes: impl Iterator<Item = &'a ObjectHash>) -> Exclusive<'_> {
        self.objects.lock(hashes)
    }

    pub(crate) fn tempo(&self) -> MutexGuard<'_, Tempo> {
        self.tempo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every write asks first: policy, mount, and that the name belongs into the directory.
    pub(crate) fn admit(&self, at: &Location, path: &ObjectPath) -> Result<PolicyKind, DiskError> {
        let kind = self.admit_name(at, path)?;
        self.check_mounted()?;
        Ok(kind)
    }

    /// As [`admit`](Self::admit), for whoever has just looked at the mount.
    pub(crate) fn admit_name(&self, at: &Location, path: &ObjectPath) -> Result<PolicyKind, DiskError> {
        let kind = self.kind(at.policy)?;
        if self.settings.hash.hash(path) != at.hash {
            return Err(Invalid::new("path", format!("{path} does not hash to {}", at.hash)).into());
        }
        Ok(kind)
    }
}
