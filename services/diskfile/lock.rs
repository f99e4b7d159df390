//! Locks that Swift's own daemons know: flock on files of given names (Swift: common/utils lock_path).

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use ssync_types::{Partition, PolicyIndex};

use crate::{
    Device, DiskError, LockKind,
    directory::{is, make_all},
    disk::{DiskFile, OpenMode},
    layout,
    queue::Turn,
};

/// How long the lock of a partition's hashes is waited for (Swift: DEFAULT_LOCK_TIMEOUT).
const HASHES_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// Most locks that one device has; `replication_concurrency_per_device` beyond it is as good as none.
const SLOTS_MAX: u32 = 1024;

/// A partition's replication lock; dropped, it is free.
#[derive(Debug)]
pub struct PartitionLock {
    pub(crate) device: Arc<Device>,
    pub(crate) policy: PolicyIndex,
    pub(crate) partition: Partition,
    _file: Box<dyn DiskFile>,
}

/// One of a device's locks; dropped, it is free.
#[derive(Debug)]
pub struct DeviceLock {
    _file: Box<dyn DiskFile>,
    _device: Arc<Device>,
}

/// The lock of a partition's hashes; dropped, it is free. The file goes first, then the place in the queue.
#[derive(Debug)]
pub(crate) struct HashesLock<'a> {
    _file: Box<dyn DiskFile>,
    _turn: Turn<'a>,
}

impl Device {
    /// Takes a partition's replication lock; makes the partition's directory if there is none, as Swift does.
    pub fn lock_partition(
        self: &Arc<Self>,
        policy: PolicyIndex,
        partition: Partition,
        timeout: Duration,
    ) -> Result<PartitionLock, DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        let directory = layout::partition(policy, partition);
        let file = self
            .lock_any(
                &directory,
                &[layout::REPLICATION_LOCK.to_owned()],
                true,
                LockKind::Partition,
                Duration::ZERO..timeout,
            )?
            .ok_or_else(|| DiskError::StateChanged { device: self.name.clone(), path: directory })?;
        Ok(PartitionLock { device: Arc::clone(self), policy, partition, _file: file })
    }

    /// Takes one of the device's `slots` locks; `None` when `slots` is 0: no limit.
    pub fn lock_device(
        self: &Arc<Self>,
        slots: u32,
        timeout: Duration,
    ) -> Result<Option<DeviceLock>, DiskError> {
        if slots == 0 {
            return Ok(None);
        }
        self.check_mounted()?;
        let names: Vec<_> = (0..slots.min(SLOTS_MAX))
            .map(|slot| if slot == 0 { layout::LOCK.to_owned() } else { format!("{}-{slot}", layout::LOCK) })
            .collect();
        let file = self.lock_any(Path::new(""), &names, false, LockKind::Device, Duration::ZERO..timeout)?;
        Ok(file.map(|file| DeviceLock { _file: file, _device: Arc::clone(self) }))
    }

    /// Takes the lock of a partition's hashes; `None` when there is no such partition.
    pub(crate) fn lock_hashes(&self, partition: &Path) -> Result<Option<HashesLock<'_>>, DiskError> {
        self.lock_hashes_within(partition, HASHES_TIMEOUT)
    }

    /// As [`lock_hashes`](Self::lock_hashes). What is waited for this program's own threads counts: where somebody else holds
    /// the lock for long, they would wait the whole time one after the other.
    pub(crate) fn lock_hashes_within(
        &self,
        partition: &Path,
        timeout: Duration,
    ) -> Result<Option<HashesLock<'_>>, DiskError> {
        let (names, kind) = ([layout::LOCK.to_owned()], LockKind::Hashes);
        let began = Instant::now();
        let Some(turn) = self.partitions.wait_for(partition, timeout) else {
            return Err(self.locked(kind, partition, &names, timeout));
        };
        let file = self.lock_any(partition, &names, false, kind, began.elapsed()..timeout)?;
        Ok(file.map(|file| HashesLock { _file: file, _turn: turn }))
    }

    /// Takes the first of some locks that is free, while what was waited is below the timeout. Swift polls every 10 ms, and
    /// after a hundredth of the timeout once in that.
    fn lock_any(
        &self,
        directory: &Path,
        names: &[String],
        make: bool,
        kind: LockKind,
        time: Range<Duration>,
    ) -> Result<Option<Box<dyn DiskFile>>, DiskError> {
        let Range { start: mut waited, end: timeout } = time;
        let slow = POLL.max(timeout / 100);
        loop {
            if make {
                make_all(&*self.disk, directory).map_err(|error| self.io("make", directory, error))?;
            }
            for name in names {
                let path = directory.join(name);
                match self.try_lock(&path) {
                    Ok(Some(file)) => return Ok(Some(file)),
                    Ok(None) => {}
                    // Made above, so somebody removed it: once more, within the timeout.
                    Err(error) if is(&error, Errno::NOENT) && make => {}
                    Err(error) if is(&error, Errno::NOENT) => return Ok(None),
                    Err(error) => return Err(self.io("lock", &path, error)),
                }
            }
            if waited >= timeout {
                return Err(self.locked(kind, directory, names, waited));
            }
            let pause = if waited > timeout / 100 { slow } else { POLL }.min(timeout - waited);
            self.disk.pause(pause);
            waited += pause;
        }
    }

    fn locked(&self, kind: LockKind, directory: &Path, names: &[String], waited: Duration) -> DiskError {
        let path = names.first().map_or_else(PathBuf::new, |name| directory.join(name));
        DiskError::Locked { device: self.name.clone(), kind, path, waited }
    }

    fn try_lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn DiskFile>>> {
        let file = self.disk.open(path, OpenMode::Lock)?;
        if !file.try_lock()? {
            return Ok(None);
        }
        // A lock on a file that lost its name excludes nobody: whoever removes a partition removes its lock files.
        let same = self.disk.stat(path)?.inode == file.stat()?.inode;
        Ok(same.then_some(file))
    }
}
