//! Suffixes whose hashes are stale: `hashes.invalid` (Swift: diskfile.py invalidate_hash).

use std::path::Path;

use rustix::io::Errno;
use ssync_types::{Partition, PolicyIndex, Suffix};

use crate::{
    Device, DiskError,
    directory::is,
    disk::{DiskFile, OpenMode, write_all},
    layout,
};

/// A note in `hashes.invalid`, by where it ends, and the hashes that had not taken it in.
#[derive(Debug)]
pub(crate) struct Note {
    end: u64,
    /// The inode of `hashes.pkl`, which is replaced before notes are cleared.
    hashes: Option<u64>,
    file: Box<dyn DiskFile>,
    /// The note is the first: the file was made for it.
    made: bool,
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

    /// Marks suffixes as stale, and flushes the note: what the caller changes next must not be on disk without it.
    pub(crate) fn invalidate(&self, partition: &Path, suffixes: &[Suffix]) -> Result<(), DiskError> {
        match self.note(partition, suffixes)? {
            Some(note) => self.flush_note(partition, &note),
            None => Ok(()),
        }
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
            let made = self.disk.stat(&path).is_err();
            let file = self.disk.open(&path, OpenMode::Append)?;
            write_all(&*file, lines.as_bytes(), 0)?;
            file.start_sync();
            Ok(Some(Note { end: file.stat()?.size, hashes: self.hashes_inode(partition), file, made }))
        };
        match write() {
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            other => other.map_err(|error| self.io("append to", &path, error)),
        }
    }

    /// Flushes a note, and the name of the file that was made for it.
    pub(crate) fn flush_note(&self, partition: &Path, note: &Note) -> Result<(), DiskError> {
        if self.is_unflushed() {
            return Ok(());
        }
        let path = partition.join(layout::INVALIDATIONS);
        let named = |()| if note.made { self.disk.sync_dir(partition) } else { Ok(()) };
        match note.file.sync().and_then(named) {
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
        notes.map_or(true, |stat| stat.size < note.end) || self.hashes_inode(partition) != note.hashes
    }

    fn hashes_inode(&self, partition: &Path) -> Option<u64> {
        self.disk.stat(&partition.join(layout::HASHES)).ok().map(|stat| stat.inode)
    }
}
