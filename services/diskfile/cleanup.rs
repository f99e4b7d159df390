//! Removing what no longer counts (Swift: diskfile.py cleanup_ondisk_files).

use std::{io, path::Path, time::Duration};

use rustix::io::Errno;
use ssync_types::{PolicyIndex, Timestamp};

use crate::{
    Device, DiskError, PolicyKind,
    choice::{Choice, Preference},
    directory::{is, names},
    disk::Entry,
    name::FileName,
};

/// What is left of an object's directory.
#[derive(Debug, Default)]
pub(crate) struct Cleaned {
    pub(crate) choice: Choice,
    pub(crate) files: Vec<Entry>,
}

impl Device {
    /// Lists an object's directory and chooses among its files; nothing where there is no directory.
    pub(crate) fn examine(
        &self,
        directory: &Path,
        kind: PolicyKind,
        preference: Preference<'_>,
    ) -> io::Result<Cleaned> {
        let files = match self.disk.list(directory) {
            Err(error) if is(&error, Errno::NOENT) => Vec::new(),
            other => other?,
        };
        Ok(Cleaned { choice: Choice::of(&names(&files), kind, preference), files })
    }

    /// As [`examine`](Self::examine), and removes what is obsolete, tombstones and strays that are old enough, and a directory
    /// that is then empty. The caller excludes others from the object.
    pub(crate) fn clean_up(
        &self,
        directory: &Path,
        kind: PolicyKind,
        preference: Preference<'_>,
    ) -> io::Result<Cleaned> {
        let mut found = self.examine(directory, kind, preference)?;
        let mut remove = std::mem::take(&mut found.choice.obsolete);
        if let Some(tombstone) =
            found.choice.tombstone.take_if(|tombstone| self.is_reclaimable(tombstone.timestamp))
        {
            remove.push(tombstone);
        }
        remove.extend(found.choice.stray.iter().filter(|file| self.is_old_stray(directory, file)).cloned());
        // What takes their place may not last.
        let doubtful = self.is_doubtful(directory);
        for file in &remove {
            // An error leaves a file that does not count; the next cleaning tries again.
            let _ = if doubtful { Ok(()) } else { self.disk.unlink(&directory.join(&file.name)) };
            found.files.retain(|entry| entry.name != file.name.as_str());
        }
        found.choice.obsolete = remove;
        if found.files.is_empty() {
            // Not there, or somebody is just putting a file into it.
            let _ = self.disk.remove_dir(directory);
        }
        Ok(found)
    }

    /// As [`clean_up`](Self::clean_up); a directory that cannot be listed because it is damaged goes to quarantine.
    pub(crate) fn clean_up_or_quarantine(
        &self,
        policy: PolicyIndex,
        directory: &Path,
        preference: Preference<'_>,
    ) -> Result<Cleaned, DiskError> {
        let kind = self.kind(policy)?;
        self.clean_up(directory, kind, preference)
            .map_err(|error| self.quarantine_unlistable(policy, directory, error))
    }

    pub(crate) fn is_reclaimable(&self, timestamp: Timestamp) -> bool {
        timestamp.age_at(self.now()) > self.settings.config.reclaim_age
    }

    /// A fragment that a writer may be about to commit is not old, whatever its name says.
    fn is_old_stray(&self, directory: &Path, file: &FileName) -> bool {
        let window = self.settings.config.commit_window;
        let may_be_committed = file.fragment.is_some() && !file.durable && window > Duration::ZERO;
        let written_before = || {
            let stat = self.disk.stat(&directory.join(&file.name)).ok()?;
            Some(self.disk.now().duration_since(stat.modified).unwrap_or_default() > window)
        };
        self.is_reclaimable(file.timestamp) && (!may_be_committed || written_before().unwrap_or(false))
    }
}
