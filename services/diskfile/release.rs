//! A handoff lets go of exactly what was confirmed (rule S2).

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use ssync_types::{
    Invalid, ObjectHash, ReleaseFile, ReleaseItem, ReleaseOpen, ReleaseOutcome, ReleaseResult, Suffix,
    may_unlink,
};

use crate::{
    Device, DiskError, Location, PartitionLock,
    directory::{is, make_all, release_files},
    disk::Entry,
    layout,
    quarantine::random_name,
};

/// What became of a batch of objects to let go of.
#[derive(Debug)]
pub struct ReleasedBatch {
    /// Of each, in their order.
    pub results: Vec<ReleaseResult>,
    /// Why there is no record of those that went, if there should be one. They went all the same: a full disk is drained.
    pub unrecorded: Option<DiskError>,
}

impl Device {
    /// Removes each object of which the directory holds exactly what was confirmed, after it was written down who has it (see
    /// `removal_log`).
    pub fn release_batch(
        &self,
        lock: &PartitionLock,
        open: &ReleaseOpen,
        items: &[ReleaseItem],
    ) -> Result<ReleasedBatch, DiskError> {
        self.check_lock(lock)?;
        self.check_mounted()?;
        let recorded = self.record_removals(open, items);
        let released = items.iter().map(|item| {
            let outcome = self.release(lock, &item.offer.hash, &item.files);
            let outcome = outcome.unwrap_or_else(|error| ReleaseOutcome::Failed(error.into()));
            ReleaseResult { hash: item.offer.hash, outcome }
        });
        let results: Vec<_> = released.collect();
        let ended = recorded.and_then(|recorded| match recorded {
            Some(recorded) => self.record_end(recorded, &results),
            None => Ok(()),
        });
        Ok(ReleasedBatch { results, unrecorded: ended.err() })
    }

    /// Removes exactly `files`, if the object's directory holds exactly these. Nothing else of this program publishes in
    /// between. A Swift daemon on the same device may: what it added before the directories were flushed is seen, and the
    /// object is put back. A POST that it publishes later, having found the body before, is lost, as it is between any two
    /// of Swift's own daemons.
    pub(crate) fn release(
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
        let entries = self
            .list_if_there(&directory)
            .map_err(|error| self.io("list", &directory, error))?
            .unwrap_or_default();
        // A name that is not text can be no name of a confirmed file; spelled as text it might look like one.
        let all_text = entries.iter().all(|entry| entry.name.to_str().is_some());
        if !all_text || !may_unlink(files, &release_files(&entries)) {
            return Ok(ReleaseOutcome::Changed);
        }
        let confirmed: BTreeSet<_> = files.iter().cloned().collect();
        let mut held = Held { device: self, at: &at, links: Vec::new() };
        let partition = layout::partition(at.policy, at.partition);
        let taken =
            self.invalidate_around(&partition, hash.suffix(), || held.take_away(&directory, &confirmed))?;
        match taken {
            Ok(true) => Ok(ReleaseOutcome::Released),
            Ok(false) => Ok(ReleaseOutcome::Changed),
            Err(error) => Ok(ReleaseOutcome::Failed(self.io("remove files of", &directory, error).into())),
        }
    }

    fn list_if_there(&self, directory: &Path) -> io::Result<Option<Vec<Entry>>> {
        match self.disk.list(directory) {
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            other => other.map(Some),
        }
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
        // The hashes go first, for good: without them whoever comes now looks at everything, with them and without the notes
        // on what is stale in them he would believe them. The locks go last.
        if files.iter().any(|name| *name == layout::HASHES) {
            self.disk.unlink(&partition.join(layout::HASHES))?;
            self.sync_names(partition, 0)?;
        }
        for pass_locks in [false, true] {
            let wanted = |name: &&&String| {
                name.as_str() != layout::HASHES && name.starts_with(layout::LOCK) == pass_locks
            };
            for name in files.iter().filter(wanted) {
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

/// Files that are being let go of, held elsewhere until it is certain that they may go.
struct Held<'a> {
    device: &'a Device,
    at: &'a Location,
    /// Where each is held, and its name.
    links: Vec<(PathBuf, String)>,
}

impl Held<'_> {
    /// Takes an object's files away; false if something came to them meanwhile, and they were put back.
    fn take_away(&mut self, directory: &Path, files: &BTreeSet<ReleaseFile>) -> io::Result<bool> {
        let disk = &self.device.disk;
        let place = layout::held(self.at.policy);
        make_all(&**disk, &place)?;
        for file in files {
            let link = place.join(random_name());
            disk.hard_link(&directory.join(&file.name), &link)?;
            self.links.push((link, file.name.clone()));
        }
        let taken = self.remove(directory, files);
        // The second look: whatever came while the directories were being flushed is in a directory made anew.
        if matches!(taken, Ok(true)) && self.device.list_if_there(directory)?.is_none() {
            return Ok(true);
        }
        let made = match self.put_back(directory) {
            Ok(made) => made,
            Err(error) => return Err(self.keep(directory, error)),
        };
        self.device.sync_names(directory, made)?;
        taken.map(|_| false)
    }

    /// Moves what could not be put back to where nobody removes it; what cannot be moved either stays where it is held.
    fn keep(&mut self, directory: &Path, error: io::Error) -> io::Error {
        let disk = &self.device.disk;
        let place = layout::quarantine(self.at.policy).join(format!("{}-{}", self.at.hash, random_name()));
        let made = make_all(&**disk, &place);
        let kept: Vec<_> = std::mem::take(&mut self.links)
            .into_iter()
            .map(|(link, name)| {
                let to = place.join(name);
                if made.is_ok() && disk.rename(&link, &to).is_ok() { to } else { link }
            })
            .collect();
        tracing::error!(object = %directory.display(), ?kept, %error,
            "an object that must stay could not be put back; link the kept files into its directory");
        error
    }

    /// Removes files and emptied directories, and flushes; false if the object's directory is not empty then.
    fn remove(&self, directory: &Path, files: &BTreeSet<ReleaseFile>) -> io::Result<bool> {
        let disk = &self.device.disk;
        // Metadata first, and of it the newest: cut off anywhere, this leaves a whole object as it once was. (An older content
        // type without its file would not be one.) Of all else the oldest: what does not count must not count again.
        let is_meta = |file: &&ReleaseFile| file.name.ends_with(".meta");
        for file in files.iter().rev().filter(is_meta).chain(files.iter().filter(|file| !is_meta(file))) {
            disk.unlink(&directory.join(&file.name))?;
        }
        let removed = |directory: &Path| match disk.remove_dir(directory) {
            Ok(()) => Ok(true),
            Err(error) if is(&error, Errno::NOENT) => Ok(true),
            Err(error) if is(&error, Errno::NOTEMPTY) || is(&error, Errno::EXIST) => Ok(false),
            Err(error) => Err(error),
        };
        if !removed(directory)? {
            return Ok(false);
        }
        for parent in directory.ancestors().skip(1) {
            if parent == layout::partition(self.at.policy, self.at.partition) || !removed(parent)? {
                self.device.sync_names(parent, 0)?;
                break;
            }
        }
        Ok(true)
    }

    /// Gives the files their names again. Says how many directories had to be made.
    fn put_back(&self, directory: &Path) -> io::Result<usize> {
        let made = make_all(&*self.device.disk, directory)?;
        for (link, name) in &self.links {
            match self.device.disk.hard_link(link, &directory.join(name)) {
                Err(error) if is(&error, Errno::EXIST) => {}
                other => other?,
            }
        }
        Ok(made)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (link, _) in &self.links {
            // What stays takes space until the replicator sweeps it.
            let _ = self.device.disk.unlink(link);
        }
    }
}

fn is_bookkeeping(name: &str) -> bool {
    [layout::HASHES, layout::INVALIDATIONS, layout::LOCK, layout::REPLICATION_LOCK].contains(&name)
        || (name.starts_with("tmp") && name.ends_with(".tmp"))
}
