//! Damaged objects are moved aside, so that replication brings a good copy (Swift: diskfile.py quarantine_dir_renamer).

use std::{
    ffi::OsStr,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use ssync_types::{PolicyIndex, Suffix};

use crate::{
    Device, DiskError, Location,
    directory::{errno, is, make_all},
    disk::Entry,
    layout,
};

/// Length of a suffix directory's name.
const SUFFIX_LENGTH: usize = 3;

impl Device {
    /// Moves the directory of an object, or of a suffix, to quarantine. The caller excludes others from it.
    pub(crate) fn quarantine(&self, policy: PolicyIndex, directory: &Path) -> Result<PathBuf, DiskError> {
        let suffix = match directory.file_name() {
            Some(name) if name.len() == SUFFIX_LENGTH => directory,
            _ => directory.parent().unwrap_or(directory),
        };
        let known = suffix.file_name().map(OsStr::as_bytes).and_then(Suffix::from_name);
        let moving = || {
            self.move_aside(policy, directory)
                .map_err(|error| self.io("move to quarantine", directory, error))
        };
        match (known, suffix.parent()) {
            (Some(known), Some(partition)) => self.invalidate_around(partition, &[known], moving)?,
            _ => moving(),
        }
    }

    fn move_aside(&self, policy: PolicyIndex, directory: &Path) -> io::Result<PathBuf> {
        let name = directory.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let place = layout::quarantine(policy);
        make_all(&*self.disk, &place)?;
        let mut to = place.join(name);
        match self.disk.rename(directory, &to) {
            Err(error)
                if matches!(
                    errno(&error),
                    Some(Errno::EXIST | Errno::NOTEMPTY | Errno::ISDIR | Errno::NOTDIR)
                ) =>
            {
                let mut other = name.to_owned();
                other.push(format!("-{}", random_name()));
                to = place.join(other);
                self.disk.rename(directory, &to)?;
            }
            other => other?,
        }
        tracing::warn!(device = %self.name, from = %directory.display(), to = %to.display(), "quarantined");
        Ok(to)
    }

    /// Moves an object to quarantine because one of its files is damaged, unless that file is not there any more. Gives the
    /// error to report. The caller must not exclude others from the object.
    pub(crate) fn quarantine_object(&self, at: &Location, damaged: &Entry, problem: String) -> DiskError {
        let path = layout::object(at);
        let _exclusive = self.exclusive(&at.hash);
        match self.disk.list(&path) {
            Ok(entries) if entries.contains(damaged) => {}
            Err(error) if !is(&error, Errno::NOENT) => {
                return self.quarantine_unlistable(at.policy, &path, error);
            }
            _ => return DiskError::StateChanged { device: self.name.clone(), path },
        }
        match self.quarantine(at.policy, &path) {
            Ok(_) => self.settings.at_quarantine.tell(DiskError::Damaged {
                device: self.name.clone(),
                path,
                problem,
            }),
            Err(error) => error,
        }
    }

    /// An object's directory could not be listed. Moves it, or the whole suffix, to quarantine where the error says that it
    /// is damaged. Gives the error to report; the caller excludes others from the object.
    pub(crate) fn quarantine_unlistable(
        &self,
        policy: PolicyIndex,
        directory: &Path,
        error: io::Error,
    ) -> DiskError {
        let suffix = directory.parent().unwrap_or(directory);
        let (problem, whole_suffix) = match errno(&error) {
            Some(Errno::NOTDIR) => {
                let is_file = self.disk.stat(suffix).is_ok_and(|stat| !stat.directory);
                ("is not a directory, nor in one", is_file)
            }
            // Bad sectors may be in the way of moving it, too.
            Some(Errno::NODATA | Errno::UCLEAN) => ("could not be listed", true),
            _ => return self.io("list", directory, error),
        };
        let mut moved = self.quarantine(policy, directory);
        if moved.is_err() && whole_suffix {
            moved = self.quarantine(policy, suffix);
        }
        match moved {
            Ok(_) => DiskError::Damaged {
                device: self.name.clone(),
                path: directory.to_path_buf(),
                problem: problem.to_owned(),
            },
            Err(error) => error,
        }
    }
}

/// 32 hex digits that nobody has used: those of a random UUID, as in Swift's names (RFC 9562, 5.4).
pub(crate) fn random_name() -> String {
    #[cfg(any(test, feature = "simulation"))]
    let word = || crate::simulation::number().unwrap_or_else(|| RandomState::new().build_hasher().finish());
    #[cfg(not(any(test, feature = "simulation")))]
    let word = || RandomState::new().build_hasher().finish();
    let (version, variant) = (4 << 12, 0b10 << 62);
    format!("{:016x}{:016x}", word() & !(0xf << 12) | version, word() & !(0b11 << 62) | variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_are_uuids_and_differ() {
        let names: std::collections::BTreeSet<_> = (0..1000).map(|_| random_name()).collect();
        assert_eq!(names.len(), 1000);
        for name in names {
            assert!(name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
            assert!(name[12..].starts_with('4') && name[16..].starts_with(['8', '9', 'a', 'b']), "{name}");
        }
    }
}
