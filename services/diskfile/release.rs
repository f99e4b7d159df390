//! A handoff lets go of exactly what was confirmed (rule S2).

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use ssync_types::{
    Invalid, ObjectHash, PolicyIndex, Reason, ReleaseFile, ReleaseItem, ReleaseOpen, ReleaseOutcome,
    ReleaseResult, Suffix, may_unlink,
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

/// Objects that are removed at a time: they share their flushes, and nobody publishes in their directories meanwhile.
const TOGETHER_MAX: usize = 64;

impl Device {
    /// Removes each object of which the directory holds exactly what was confirmed, after it was written down who has it (see
    /// `removal_log`). Nothing else of this program publishes in between. A Swift daemon on the same device may: what it added
    /// before the directories were flushed is seen, and the object is put back. A POST that it publishes later, having found
    /// the body before, is lost, as it is between any two of Swift's own daemons.
    pub fn release_batch(
        &self,
        lock: &PartitionLock,
        open: &ReleaseOpen,
        items: &[ReleaseItem],
    ) -> Result<ReleasedBatch, DiskError> {
        self.check_lock(lock)?;
        self.check_mounted()?;
        check_once(items)?;
        let recorded = self.record_removals(open, items);
        let mut results: Vec<_> =
            items.chunks(TOGETHER_MAX).flat_map(|group| self.release_together(lock, group)).collect();
        self.release_alone(lock, items, &mut results);
        let ended = recorded.and_then(|recorded| match recorded {
            Some(recorded) => self.record_end(recorded, &results),
            None => Ok(()),
        });
        Ok(ReleasedBatch { results, unrecorded: ended.err() })
    }

    /// Removes some objects, which share a note on their suffixes and the flushes of their directories.
    pub(crate) fn release_together(&self, lock: &PartitionLock, items: &[ReleaseItem]) -> Vec<ReleaseResult> {
        let _exclusive = self.exclusive_all(items.iter().map(|item| &item.offer.hash));
        let looked: Vec<_> = items.iter().map(|item| self.first_look(lock, item)).collect();
        let leaving = looked.iter().filter_map(|looked| looked.as_ref().ok()).flatten();
        let suffixes: BTreeSet<Suffix> = leaving.map(|held| held.hash.suffix()).collect();
        let suffixes: Vec<Suffix> = suffixes.into_iter().collect();
        let partition = layout::partition(lock.policy, lock.partition);
        let taken = match self.mark(&partition, &suffixes) {
            Ok(note) => {
                let taken = self.take_away(&partition, looked);
                let marked = self.mark_again(&partition, &suffixes, note.as_ref());
                taken.into_iter().map(|taken| stand_by(taken, &marked)).collect()
            }
            Err(error) => items.iter().map(|_| Err(error.clone())).collect::<Vec<_>>(),
        };
        let outcomes = taken.into_iter().map(|taken| match taken {
            Ok(Some(_)) => ReleaseOutcome::Released,
            Ok(None) => ReleaseOutcome::Changed,
            Err(error) => ReleaseOutcome::Failed(error.into()),
        });
        let result = |(item, outcome): (&ReleaseItem, _)| ReleaseResult { hash: item.offer.hash, outcome };
        items.iter().zip(outcomes).map(result).collect()
    }

    /// Once more, one at a time, for what had no room to be held beside others: those are gone by now.
    fn release_alone(&self, lock: &PartitionLock, items: &[ReleaseItem], results: &mut [ReleaseResult]) {
        if !results.iter().any(had_no_room) {
            return;
        }
        // What cannot be removed makes no room.
        let _ = self.forget_hashes(&layout::partition(lock.policy, lock.partition));
        for (item, result) in items.iter().zip(results).filter(|(_, result)| had_no_room(result)) {
            let again = self.release_together(lock, std::slice::from_ref(item));
            if again.iter().any(had_no_room) {
                return;
            }
            if let Some(again) = again.into_iter().find(|again| again.outcome == ReleaseOutcome::Released) {
                *result = again;
            }
        }
    }

    /// `None` if the object is not what was confirmed.
    fn first_look(&self, lock: &PartitionLock, item: &ReleaseItem) -> Result<Option<Held<'_>>, DiskError> {
        let at = Location { policy: lock.policy, partition: lock.partition, hash: item.offer.hash };
        let directory = layout::object(&at);
        let entries = self.list_if_there(&directory).map_err(|error| self.io("list", &directory, error))?;
        let entries = entries.unwrap_or_default();
        // A name that is not text can be no name of a confirmed file; spelled as text it might look like one.
        let all_text = entries.iter().all(|entry| entry.name.to_str().is_some());
        if !all_text || !may_unlink(&item.files, &release_files(&entries)) {
            return Ok(None);
        }
        let files = item.files.iter().cloned().collect();
        Ok(Some(Held { device: self, policy: at.policy, hash: at.hash, directory, files, links: Vec::new() }))
    }

    /// Takes away those that are as they were confirmed, and gives what is gone and has not changed meanwhile. It is held until
    /// the suffixes are noted again.
    fn take_away<'a>(
        &'a self,
        partition: &Path,
        looked: Vec<Result<Option<Held<'a>>, DiskError>>,
    ) -> Vec<Result<Option<Held<'a>>, DiskError>> {
        let removed: Vec<_> = looked
            .into_iter()
            .map(|looked| {
                let Some(mut held) = looked? else { return Ok(None) };
                held.hold().map_err(|error| held.failed(error))?;
                let removed = held.remove(partition);
                Ok(Some((held, removed)))
            })
            .collect();
        let gone = removed.iter().filter_map(|removed| match removed {
            Ok(Some((held, Ok(true)))) => held.directory.parent(),
            _ => None,
        });
        let flushed = self.flush_removals(partition, gone.collect());
        let settle = |removed: Result<Option<(Held<'a>, io::Result<bool>)>, DiskError>| match removed? {
            Some((held, removed)) => held.settle(removed, &flushed),
            None => Ok(None),
        };
        removed.into_iter().map(settle).collect()
    }

    /// Flushes that objects' directories are gone: in their suffixes, or where these are gone as well in the partition.
    fn flush_removals(&self, partition: &Path, suffixes: BTreeSet<&Path>) -> io::Result<()> {
        let mut suffix_gone = false;
        for suffix in suffixes {
            match self.sync_names(suffix, 0) {
                Err(error) if is(&error, Errno::NOENT) => suffix_gone = true,
                other => other?,
            }
        }
        if suffix_gone { self.sync_names(partition, 0) } else { Ok(()) }
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

/// An object that is being let go of. Its files are held elsewhere until it is certain that they may go.
struct Held<'a> {
    device: &'a Device,
    policy: PolicyIndex,
    hash: ObjectHash,
    directory: PathBuf,
    files: BTreeSet<ReleaseFile>,
    /// Where each is held, and its name.
    links: Vec<(PathBuf, String)>,
}

impl Held<'_> {
    fn hold(&mut self) -> io::Result<()> {
        let disk = &self.device.disk;
        let place = layout::held(self.policy);
        self.device.with_reserve(|| make_all(&**disk, &place))?;
        for file in &self.files {
            let link = place.join(random_name());
            self.device.with_reserve(|| disk.hard_link(&self.directory.join(&file.name), &link))?;
            self.links.push((link, file.name.clone()));
        }
        Ok(())
    }

    /// Removes files and emptied directories; false if the object's directory is not empty then.
    fn remove(&self, partition: &Path) -> io::Result<bool> {
        let disk = &self.device.disk;
        // Metadata first, and of it the newest: cut off anywhere, this leaves a whole object as it once was. (An older content
        // type without its file would not be one.) Of all else the oldest: what does not count must not count again.
        let is_meta = |file: &&ReleaseFile| file.name.ends_with(".meta");
        let metadata = self.files.iter().rev().filter(is_meta);
        for file in metadata.chain(self.files.iter().filter(|file| !is_meta(file))) {
            disk.unlink(&self.directory.join(&file.name))?;
        }
        let removed = |directory: &Path| match disk.remove_dir(directory) {
            Ok(()) => Ok(true),
            Err(error) if is(&error, Errno::NOENT) => Ok(true),
            Err(error) if is(&error, Errno::NOTEMPTY) || is(&error, Errno::EXIST) => Ok(false),
            Err(error) => Err(error),
        };
        if !removed(&self.directory)? {
            return Ok(false);
        }
        for parent in self.directory.ancestors().skip(1) {
            if parent == partition || !removed(parent)? {
                break;
            }
        }
        Ok(true)
    }

    /// The second look: whatever came while the directories were being flushed is in a directory made anew. Gives the object if
    /// it is gone; if something came to it, or it is not certain that it stays gone, it was put back.
    fn settle(
        mut self,
        removed: io::Result<bool>,
        flushed: &io::Result<()>,
    ) -> Result<Option<Self>, DiskError> {
        let removed = removed.and_then(|gone| match flushed {
            Err(error) if gone => Err(same(error)),
            _ => Ok(gone),
        });
        let looked = match removed {
            Ok(true) => self.device.list_if_there(&self.directory).map(|listing| listing.is_none()),
            other => other,
        };
        if let Ok(true) = looked {
            return Ok(Some(self));
        }
        self.restore()?;
        looked.map(|_| None).map_err(|error| self.failed(error))
    }

    /// The object stays: its files are put back, or kept elsewhere.
    fn restore(&mut self) -> Result<(), DiskError> {
        let back = match self.put_back() {
            Ok(made) => self.device.sync_names(&self.directory, made),
            Err(error) => Err(self.keep(error)),
        };
        back.map_err(|error| self.failed(error))
    }

    /// Gives the files their names again. Says how many directories had to be made.
    fn put_back(&self) -> io::Result<usize> {
        let made = self.device.with_reserve(|| make_all(&*self.device.disk, &self.directory))?;
        for (link, name) in &self.links {
            let to = self.directory.join(name);
            match self.device.with_reserve(|| self.device.disk.hard_link(link, &to)) {
                Err(error) if is(&error, Errno::EXIST) => {}
                other => other?,
            }
        }
        Ok(made)
    }

    /// Moves what could not be put back to where nobody removes it; what cannot be moved either stays where it is held.
    fn keep(&mut self, error: io::Error) -> io::Error {
        let disk = &self.device.disk;
        let place = layout::quarantine(self.policy).join(format!("{}-{}", self.hash, random_name()));
        let made = make_all(&**disk, &place);
        let kept: Vec<_> = std::mem::take(&mut self.links)
            .into_iter()
            .map(|(link, name)| {
                let to = place.join(name);
                if made.is_ok() && disk.rename(&link, &to).is_ok() { to } else { link }
            })
            .collect();
        tracing::error!(object = %self.directory.display(), ?kept, %error,
            "an object that must stay could not be put back; link the kept files into its directory");
        error
    }

    fn failed(&self, error: io::Error) -> DiskError {
        self.device.io("remove files of", &self.directory, error)
    }
}

/// An object is gone only if its suffix is marked as stale: hashes that still speak of it would be believed.
fn stand_by<'a>(
    taken: Result<Option<Held<'a>>, DiskError>,
    marked: &Result<(), DiskError>,
) -> Result<Option<Held<'a>>, DiskError> {
    match (taken, marked) {
        (Ok(Some(mut held)), Err(error)) => {
            held.restore()?;
            Err(error.clone())
        }
        (taken, _) => taken,
    }
}

fn had_no_room(result: &ReleaseResult) -> bool {
    matches!(&result.outcome, ReleaseOutcome::Failed(refusal) if refusal.reason == Reason::DeviceFull)
}

/// Of one object there is one version, and one answer.
fn check_once(items: &[ReleaseItem]) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    match items.iter().find(|item| !seen.insert(item.offer.hash)) {
        Some(twice) => Err(Invalid::new("items", format!("has object {} twice", twice.offer.hash))),
        None => Ok(()),
    }
}

/// One failure of all whose flush it was.
fn same(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
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
