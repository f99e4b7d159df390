//! Suffixes whose hashes are stale: `hashes.invalid` (Swift: diskfile.py invalidate_hash).

use std::path::Path;

use rustix::io::Errno;
use ssync_types::{Partition, PolicyIndex, Suffix};

use crate::{
    Device, DiskError,
    directory::is,
    disk::{OpenMode, write_all},
    layout,
};

/// A note in `hashes.invalid`, by where it ends, and the hashes that had not taken it in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note {
    end: u64,
    /// The inode of `hashes.pkl`, which is replaced before notes are cleared.
    hashes: Option<u64>,
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
        if !suffixes.is_empty() {
            self.invalidate(&layout::partition(policy, partition), suffixes)?;
        }
        Ok(())
    }

    /// Marks suffixes as stale; `None` when there is no such partition.
    pub(crate) fn invalidate(
        &self,
        partition: &Path,
        suffixes: &[Suffix],
    ) -> Result<Option<Note>, DiskError> {
        let Some(_lock) = self.lock_hashes(partition)? else { return Ok(None) };
        let path = partition.join(layout::INVALIDATIONS);
        let lines: String = suffixes.iter().map(|suffix| format!("{suffix}\n")).collect();
        let write = || {
            let file = self.disk.open(&path, OpenMode::Append)?;
            write_all(&*file, lines.as_bytes(), 0)?;
            Ok(Some(Note { end: file.stat()?.size, hashes: self.hashes_inode(partition) }))
        };
        match write() {
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            other => other.map_err(|error| self.io("append to", &path, error)),
        }
    }

    /// Whether somebody who calculates hashes has taken the note away already, perhaps before the file it speaks of had its
    /// name. Its place alone would not tell: others may have made notes since.
    pub(crate) fn is_consumed(&self, partition: &Path, note: Option<Note>) -> bool {
        let Some(note) = note else { return true };
        let notes = self.disk.stat(&partition.join(layout::INVALIDATIONS));
        notes.map_or(true, |stat| stat.size < note.end) || self.hashes_inode(partition) != note.hashes
    }

    fn hashes_inode(&self, partition: &Path) -> Option<u64> {
        self.disk.stat(&partition.join(layout::HASHES)).ok().map(|stat| stat.inode)
    }
}
