//! Removing what no longer counts (Swift: diskfile.py cleanup_ondisk_files).

use std::{io, path::Path, time::Duration};

use rustix::io::Errno;
use ssync_types::{PolicyIndex, Timestamp};

use crate::{
    Device, DiskError, PolicyKind,
    choice::{Choice, Preference},
    directory::{Looked, is, names},
    disk::{DiskDir, Entry},
    name::FileName,
};

/// What is left of an object's directory.
#[derive(Debug, Default)]
pub(crate) struct Cleaned {
    pub(crate) choice: Choice,
    pub(crate) files: Vec<Entry>,
    /// The directory itself, to open them in; `None` where there is none.
    pub(crate) directory: Option<Box<dyn DiskDir>>,
}

impl Cleaned {
    /// Lists a directory and chooses among its files; nothing where there is none.
    fn of(
        opened: io::Result<Box<dyn DiskDir>>,
        kind: PolicyKind,
        preference: Preference<'_>,
    ) -> io::Result<Self> {
        let listed = opened.and_then(|directory| Ok((directory.list()?, directory)));
        let (files, directory) = match listed {
            Err(error) if is(&error, Errno::NOENT) => (Vec::new(), None),
            listed => listed.map(|(files, directory)| (files, Some(directory)))?,
        };
        Ok(Self { choice: Choice::of(&names(&files), kind, preference), files, directory })
    }
}

impl Device {
    /// Lists an object's directory and chooses among its files; nothing where there is no directory.
    pub(crate) fn examine(
        &self,
        directory: &Path,
        kind: PolicyKind,
        preference: Preference<'_>,
    ) -> io::Result<Cleaned> {
        Cleaned::of(self.disk.open_dir(directory), kind, preference)
    }

    /// As [`examine`](Self::examine), and removes what is obsolete, tombstones and strays that are old enough, and a directory
    /// that is then empty. The caller excludes others from the object.
    pub(crate) fn clean_up(
        &self,
        directory: &Path,
        kind: PolicyKind,
        preference: Preference<'_>,
    ) -> io::Result<Cleaned> {
        self.clean_up_opened(directory, self.disk.open_dir(directory), kind, preference)
    }

    fn clean_up_opened(
        &self,
        directory: &Path,
        opened: io::Result<Box<dyn DiskDir>>,
        kind: PolicyKind,
        preference: Preference<'_>,
    ) -> io::Result<Cleaned> {
        let mut found = Cleaned::of(opened, kind, preference)?;
        let mut remove = std::mem::take(&mut found.choice.obsolete);
        if let Some(tombstone) =
            found.choice.tombstone.take_if(|tombstone| self.is_reclaimable(tombstone.timestamp))
        {
            remove.push(tombstone);
        }
        let Some(open) = found.directory.as_deref() else { return Ok(found) };
        remove.extend(found.choice.stray.iter().filter(|file| self.is_old_stray(open, file)).cloned());
        // What takes their place may not last.
        let doubtful = self.is_doubtful(directory, open);
        for file in &remove {
            // In the directory that was listed: there may be another at its place by now. An error leaves a file that does not
            // count; the next cleaning tries again.
            let _ = if doubtful { Ok(()) } else { open.unlink(file.name.as_ref()) };
            found.files.retain(|entry| entry.name != file.name.as_str());
        }
        found.choice.obsolete = remove;
        if found.files.is_empty() {
            // Somebody may just be putting a file into it.
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

    /// The same of a directory in a suffix that is open. It fails once the suffix has been moved away: another may be at its
    /// place, with what is whole.
    pub(crate) fn clean_up_in(
        &self,
        policy: PolicyIndex,
        suffix: &Looked,
        directory: &Path,
    ) -> Result<Cleaned, DiskError> {
        let kind = self.kind(policy)?;
        let opened = suffix.directory.open_dir(directory.file_name().unwrap_or_default());
        self.clean_up_opened(directory, opened, kind, Preference::default()).map_err(|error| {
            let in_place =
                suffix.is_in_place(self, None).map_err(|error| self.io("look at", &suffix.path, error));
            match in_place {
                Ok(true) => self.quarantine_unlistable(policy, directory, error),
                Ok(false) => {
                    DiskError::StateChanged { device: self.name.clone(), path: directory.to_path_buf() }
                }
                Err(error) => error,
            }
        })
    }

    pub(crate) fn is_reclaimable(&self, timestamp: Timestamp) -> bool {
        timestamp.age_at(self.now()) > self.settings.config.reclaim_age
    }

    /// A fragment that a writer may be about to commit is not old, whatever its name says.
    fn is_old_stray(&self, directory: &dyn DiskDir, file: &FileName) -> bool {
        let window = self.settings.config.commit_window;
        let may_be_committed = file.fragment.is_some() && !file.durable && window > Duration::ZERO;
        let written_before = || {
            let stat = directory.stat_of(file.name.as_ref()).ok()?;
            Some(self.disk.now().duration_since(stat.modified).unwrap_or_default() > window)
        };
        self.is_reclaimable(file.timestamp) && (!may_be_committed || written_before().unwrap_or(false))
    }
}
