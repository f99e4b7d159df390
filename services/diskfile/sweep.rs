//! What nobody needs any more, outside of the objects' directories (Swift: replicator.py build_replication_jobs, replicate).

use std::{io, path::Path};

use rustix::io::Errno;
use ssync_types::{Partition, PolicyIndex};

use crate::{
    Device, DiskError,
    directory::is,
    disk::{OpenMode, Stat},
    layout,
};

impl Device {
    /// Removes the files in a policy's `tmp`, and those held there, that are older than `reclaim_age`: a crash left them; and
    /// what is too old in the log of removals. Says how many there were.
    /// One that somebody gave another name lately is young, whatever its contents: an object that is being let go of.
    pub fn sweep_temporaries(&self, policy: PolicyIndex) -> Result<usize, DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        let temporaries = self.sweep(&layout::temporary(policy))? + self.sweep(&layout::held(policy))?;
        Ok(temporaries + self.sweep_removals()?)
    }

    fn sweep(&self, place: &Path) -> Result<usize, DiskError> {
        let entries = match self.disk.list(place) {
            Err(error) if is(&error, Errno::NOENT) => return Ok(0),
            other => other.map_err(|error| self.io("list", place, error))?,
        };
        let mut swept = 0;
        for entry in entries {
            let path = place.join(&entry.name);
            let old = |stat: Stat| !stat.directory && self.is_old(&stat);
            // What went away meanwhile, or cannot be removed, is for another time.
            if self.disk.stat(&path).is_ok_and(old) && self.disk.unlink(&path).is_ok() {
                swept += 1;
            }
        }
        Ok(swept)
    }

    pub(crate) fn is_old(&self, stat: &Stat) -> bool {
        let age = self.disk.now().duration_since(stat.modified.max(stat.changed));
        age.is_ok_and(|age| age > self.settings.config.reclaim_age)
    }

    /// Makes the directory of a policy's partitions, as Swift's replicator does on a new device.
    pub fn make_objects_directory(&self, policy: PolicyIndex) -> Result<(), DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        let path = layout::objects(policy);
        match self.disk.make_dir(&path) {
            Err(error) if !is(&error, Errno::EXIST) => Err(self.io("make", &path, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes a file that stands where a partition's directory should be: nothing can be stored there before. A directory, or
    /// a link to one, stays.
    pub fn remove_partition_file(&self, policy: PolicyIndex, partition: Partition) -> Result<(), DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        let path = layout::partition(policy, partition);
        // Opening follows no link, and unlinking takes no directory.
        let removed = self.disk.open(&path, OpenMode::Read).and_then(|_| self.disk.unlink(&path));
        removed.or_else(|error: io::Error| match is(&error, Errno::NOENT) {
            true => Ok(()),
            false => Err(self.io("remove", &path, error)),
        })
    }
}
