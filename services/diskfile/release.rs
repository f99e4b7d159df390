//! A handoff lets go of exactly what was confirmed (rule S2).

use std::{collections::BTreeSet, io, path::Path};

use rustix::io::Errno;
use ssync_types::{Invalid, ObjectHash, ReleaseFile, ReleaseOutcome, Suffix};

use crate::{
    Device, DiskError, Location, PartitionLock,
    directory::{is, release_files},
    layout,
};

impl Device {
    /// Removes exactly `files`, if the object's directory holds exactly these. Nothing else of this program publishes in
    /// between. A Swift daemon on the same device could: between this listing and its removal it may add a file, which then
    /// stays, but a POST of that moment finds its body gone.
    pub fn release(
        &self,
        lock: &PartitionLock,
        hash: &ObjectHash,
        files: &[ReleaseFile],
    ) -> Result<ReleaseOutcome, DiskError> {
        self.check_lock(lock)?;
        self.check_mounted()?;
        let at = Location { policy: lock.policy, partition: lock.partition, hash: *hash };
        let directory = layout::object(&at);
        let _exclusive = self.exclusive(hash);
        let entries = match self.disk.list(&directory) {
            Err(error) if is(&error, Errno::NOENT) => Vec::new(),
            other => other.map_err(|error| self.io("list", &directory, error))?,
        };
        let confirmed: BTreeSet<_> = files.iter().cloned().collect();
        // A name that is not text can be no name of a confirmed file; spelled as text it might look like one.
        let all_text = entries.iter().all(|entry| entry.name.to_str().is_some());
        if confirmed.is_empty() || !all_text || confirmed != release_files(&entries).into_iter().collect() {
            return Ok(ReleaseOutcome::Changed);
        }
        self.invalidate(&layout::partition(at.policy, at.partition), &[hash.suffix()])?;
        match self.remove_files(&directory, &confirmed) {
            Ok(()) => Ok(ReleaseOutcome::Released),
            Err(error) => Ok(ReleaseOutcome::Failed(self.io("remove files of", &directory, error).into())),
        }
    }

    fn remove_files(&self, directory: &Path, files: &BTreeSet<ReleaseFile>) -> io::Result<()> {
        // Metadata first: if this ends halfway, what is left is a whole object, only an older one.
        let is_meta = |file: &&ReleaseFile| file.name.ends_with(".meta");
        for file in files.iter().filter(is_meta).chain(files.iter().filter(|file| !is_meta(file))) {
            self.disk.unlink(&directory.join(&file.name))?;
        }
        for emptied in directory.ancestors().take(2) {
            match self.disk.remove_dir(emptied) {
                Ok(()) => {}
                // Something else came into it.
                Err(error) if is(&error, Errno::NOTEMPTY) || is(&error, Errno::EXIST) => {
                    return self.sync_names(emptied, 0);
                }
                Err(error) if is(&error, Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        directory.ancestors().nth(2).map_or(Ok(()), |partition| self.sync_names(partition, 0))
    }

    /// Removes a partition that holds nothing but empty suffix directories and Swift's bookkeeping; says whether it is gone.
    pub fn remove_empty_partition(&self, lock: PartitionLock) -> Result<bool, DiskError> {
        self.check_lock(&lock)?;
        self.check_mounted()?;
        let partition = layout::partition(lock.policy, lock.partition);
        let Some(_hashes) = self.lock_hashes(&partition)? else { return Ok(true) };
        let gone = self.remove_bookkept(&partition).map_err(|error| self.io("remove", &partition, error))?;
        drop(lock);
        Ok(gone)
    }

    fn remove_bookkept(&self, partition: &Path) -> io::Result<bool> {
        let names: Vec<_> = self
            .disk
            .list(partition)?
            .into_iter()
            .map(|entry| entry.name.into_string())
            .collect::<Result<_, _>>()
            .unwrap_or_else(|name| vec![name.to_string_lossy().into_owned()]);
        let (suffixes, files): (Vec<_>, Vec<_>) =
            names.iter().partition(|name| Suffix::from_name(name.as_bytes()).is_some());
        if !files.iter().all(|name| is_bookkeeping(name)) {
            return Ok(false);
        }
        for suffix in suffixes {
            match self.disk.remove_dir(&partition.join(suffix)) {
                Ok(()) => {}
                Err(error)
                    if is(&error, Errno::NOTEMPTY)
                        || is(&error, Errno::EXIST)
                        || is(&error, Errno::NOTDIR) =>
                {
                    return Ok(false);
                }
                Err(error) if is(&error, Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        // The hashes go first: without them whoever comes now looks at everything. The locks go last.
        for pass_locks in [false, true] {
            for name in files.iter().filter(|name| name.starts_with(layout::LOCK) == pass_locks) {
                self.disk.unlink(&partition.join(name.as_str()))?;
            }
        }
        match self.disk.remove_dir(partition) {
            Ok(()) => {
                let parent = partition.parent().unwrap_or(Path::new(""));
                self.sync_names(parent, 0).map(|()| true)
            }
            Err(error) if is(&error, Errno::NOTEMPTY) || is(&error, Errno::EXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn check_lock(&self, lock: &PartitionLock) -> Result<(), DiskError> {
        if std::ptr::eq(&*lock.device, self) {
            return Ok(());
        }
        Err(Invalid::new("partition", "the lock is of another device; release under the lock of this one")
            .into())
    }
}

fn is_bookkeeping(name: &str) -> bool {
    [layout::HASHES, layout::INVALIDATIONS, layout::LOCK, layout::REPLICATION_LOCK].contains(&name)
        || (name.starts_with("tmp") && name.ends_with(".tmp"))
}
