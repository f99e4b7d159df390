//! Suffixes whose hashes are stale: `hashes.invalid` (Swift: diskfile.py invalidate_hash).

use std::{io, path::Path};

use rustix::io::Errno;
use ssync_types::{Partition, PolicyIndex, Suffix};

use crate::{
    Device, DiskError,
    directory::is,
    disk::{DiskFile, OpenMode, Stat, write_all},
    layout,
};

/// A note in `hashes.invalid`, which ends where the file ended then.
#[derive(Debug)]
pub(crate) struct Note {
    file: Box<dyn DiskFile>,
    stat: Stat,
    /// `hashes.pkl`, which had not taken the note in. It is replaced before notes are cleared; and while it is open, no other
    /// file gets its inode.
    hashes: Option<(Box<dyn DiskFile>, u64)>,
}

impl Device {
    /// Marks suffixes as stale. A partition that does not exist is not made.
    pub fn invalidate_suffixes(
        &self,
        policy: PolicyIndex,
        partition: Partition,
        suffixes: &[Suffix],
    ) -> Result<(), DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        self.invalidate(&layout::partition(policy, partition), suffixes)
    }

    /// Marks suffixes as stale, flushed: what the caller changes next must not be on disk without it.
    pub(crate) fn invalidate(&self, partition: &Path, suffixes: &[Suffix]) -> Result<(), DiskError> {
        self.mark(partition, suffixes).map(drop)
    }

    /// As [`invalidate`](Self::invalidate), by a note. Where none can be made, as on a full device, all the hashes of the
    /// partition go: that needs no room. Not for want of what this program will soon have again.
    pub(crate) fn mark(&self, partition: &Path, suffixes: &[Suffix]) -> Result<Option<Note>, DiskError> {
        let error = match self.flushed_note(partition, suffixes) {
            Err(error) if !(matches!(error, DiskError::Locked { .. }) || error.is_shortage()) => error,
            noted => return noted,
        };
        match self.forget_hashes(partition) {
            Ok(_) => {
                tracing::warn!(%error, "hashes could not be noted as stale, so those of the partition were removed");
                Ok(None)
            }
            Err(_) => Err(error),
        }
    }

    /// Marks suffixes again, where somebody has calculated hashes since: perhaps of what was there before.
    pub(crate) fn mark_again(
        &self,
        partition: &Path,
        suffixes: &[Suffix],
        note: Option<&Note>,
    ) -> Result<(), DiskError> {
        if self.is_consumed(partition, note) { self.invalidate(partition, suffixes) } else { Ok(()) }
    }

    fn flushed_note(&self, partition: &Path, suffixes: &[Suffix]) -> Result<Option<Note>, DiskError> {
        let note = self.note(partition, suffixes)?;
        note.as_ref().map_or(Ok(()), |note| self.flush_note(partition, note))?;
        Ok(note)
    }

    /// Marks suffixes as stale, flushed, does what makes them so, and marks them again where somebody has calculated hashes in
    /// between: those of what was there before. Of no suffixes there is nothing to mark.
    pub(crate) fn invalidate_around<T>(
        &self,
        partition: &Path,
        suffixes: &[Suffix],
        change: impl FnOnce() -> T,
    ) -> Result<T, DiskError> {
        let note = self.mark(partition, suffixes)?;
        let changed = change();
        self.mark_again(partition, suffixes, note.as_ref())?;
        Ok(changed)
    }

    /// Marks suffixes as stale, not yet flushed; `None` when there is no such partition, or nothing to mark.
    pub(crate) fn note(&self, partition: &Path, suffixes: &[Suffix]) -> Result<Option<Note>, DiskError> {
        if suffixes.is_empty() {
            return Ok(None);
        }
        let Some(_lock) = self.lock_hashes(partition)? else { return Ok(None) };
        let path = partition.join(layout::INVALIDATIONS);
        let lines: String = suffixes.iter().map(|suffix| format!("{suffix}\n")).collect();
        let write = || {
            let file = self.disk.open(&path, OpenMode::Append)?;
            write_all(&*file, lines.as_bytes(), 0)?;
            file.start_sync();
            Ok(Some(Note { stat: file.stat()?, file, hashes: self.open_hashes(partition)? }))
        };
        match write() {
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            other => other.map_err(|error| self.io("append to", &path, error)),
        }
    }

    fn open_hashes(&self, partition: &Path) -> io::Result<Option<(Box<dyn DiskFile>, u64)>> {
        match self.disk.open(&partition.join(layout::HASHES), OpenMode::Read) {
            Ok(file) => Ok(Some(file.stat().map(|stat| (file, stat.inode))?)),
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Flushes a note, and the name of its file where that may not last.
    pub(crate) fn flush_note(&self, partition: &Path, note: &Note) -> Result<(), DiskError> {
        if self.is_unflushed() {
            return Ok(());
        }
        let path = partition.join(layout::INVALIDATIONS);
        match note.file.sync().and_then(|()| self.flush_name(partition, &path, &note.stat)) {
            // The partition was removed, and the note with it: so it is consumed.
            Err(error) if is(&error, Errno::NOENT) => Ok(()),
            other => other.map_err(|error| self.io("flush", &path, error)),
        }
    }

    /// Whether somebody who calculates hashes has taken the note away already, perhaps before the file it speaks of had its
    /// name. Its place alone would not tell: others may have made notes since.
    pub(crate) fn is_consumed(&self, partition: &Path, note: Option<&Note>) -> bool {
        let Some(note) = note else { return true };
        let notes = self.disk.stat(&partition.join(layout::INVALIDATIONS));
        let hashes = self.disk.stat(&partition.join(layout::HASHES)).ok().map(|stat| stat.inode);
        notes.map_or(true, |stat| stat.size < note.stat.size)
            || hashes != note.hashes.as_ref().map(|(_, inode)| *inode)
    }
}
