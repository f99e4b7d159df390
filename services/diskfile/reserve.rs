//! Room for letting go of objects on a device that is wholly full: the lock of the partition, the second names of what goes,
//! and the record of it need a little, and draining is what makes more.

use std::{io, path::Path};

use rustix::io::Errno;
use ssync_types::{Partition, PolicyIndex};

use crate::{
    Device, DiskError,
    directory::{errno, is},
    disk::OpenMode,
    layout,
};

/// Enough for some batches: their record is the most of it.
const BYTES: u64 = 1 << 20;

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::NOSPC | Errno::DQUOT))
}

impl Device {
    /// Keeps some room, while there is any, for the day on which the device is full.
    pub fn keep_reserve(&self) -> Result<(), DiskError> {
        self.check_mounted()?;
        let path = Path::new(layout::RESERVE);
        let taken = self.disk.open(path, OpenMode::Append).and_then(|file| file.allocate(BYTES));
        match taken {
            // The file alone is worth something: an inode.
            Err(error) if matches!(errno(&error), Some(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL)) => {
                Ok(())
            }
            Err(error) => {
                // Part of it is of no use.
                let _ = self.disk.unlink(path);
                Err(self.io("take space in", path, error))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Makes room for letting go of a partition's objects where there is none. Says whether there was anything to make it of.
    pub fn make_room(&self, policy: PolicyIndex, partition: Partition) -> Result<bool, DiskError> {
        self.check_mounted()?;
        Ok(self.give_up_reserve() || self.forget_hashes(&layout::partition(policy, partition))?)
    }

    /// Does something that needs room; on a device that is full once more, when the reserve is given up.
    pub(crate) fn with_reserve<T>(&self, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match act() {
            Err(error) if is_full(&error) && self.give_up_reserve() => act(),
            other => other,
        }
    }

    fn give_up_reserve(&self) -> bool {
        if self.disk.unlink(Path::new(layout::RESERVE)).is_err() {
            return false;
        }
        tracing::info!(device = %self.name, "the reserve of the device was given up for letting go of objects");
        // So that a file system that frees blocks with its journal has freed them. What goes wrong is remembered.
        let _ = self.flush_directory(Path::new(""));
        true
    }

    /// Removes all that is known of a partition's hashes: whoever asks next calculates them anew (Swift: diskfile.py
    /// read_hashes). Needs no room. Says whether there was anything.
    pub(crate) fn forget_hashes(&self, partition: &Path) -> Result<bool, DiskError> {
        let _lock = match self.lock_hashes(partition) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Ok(false),
            // There is no file to lock, so nobody holds the lock; nor is there room to make one.
            Err(DiskError::Full { .. }) => None,
            Err(error) => return Err(error),
        };
        let path = partition.join(layout::HASHES);
        self.forgotten.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let there = match self.disk.unlink(&path) {
            Err(error) if is(&error, Errno::NOENT) => false,
            other => other.map(|()| true).map_err(|error| self.io("remove", &path, error))?,
        };
        match self.sync_names(partition, 0) {
            Err(error) if !is(&error, Errno::NOENT) => Err(self.io("flush the directory", partition, error)),
            Ok(()) | Err(_) => Ok(there),
        }
    }
}
