//! What lies on a device, file by file, to tell whether anything changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// Every file below a folder but lock files, with what changes when it does (`ctime` covers extended attributes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, FileState>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileState {
    inode: u64,
    length: u64,
    links: u64,
    changed: (i64, i64),
}

impl Snapshot {
    /// Of `folder`; empty when it does not exist.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        if folder.exists() {
            collect(folder, folder, &mut files)?;
        }
        Ok(Self { files })
    }

    /// Only the files that make up objects.
    #[must_use]
    pub fn objects(mut self) -> Self {
        let counts = |path: &PathBuf| {
            path.extension()
                .is_some_and(|extension| ["data", "meta", "ts"].iter().any(|kind| extension == *kind))
        };
        self.files.retain(|path, _| counts(path));
        self
    }

    /// Without what a look leaves: the cache of hashes, the files that locks are held on, the time of service.
    #[must_use]
    pub fn without_bookkeeping(mut self) -> Self {
        let counts = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let own = [".ssync-served", ".ssync-away", ".ssync-reserve"].contains(&&*name);
            !(name.starts_with(".lock") || name.starts_with("hashes.") || own)
        };
        self.files.retain(|path, _| counts(path));
        self
    }

    /// Their paths, relative to the folder.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        self.files.keys().map(PathBuf::as_path).collect()
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Fails, and names the files, when anything came, went or changed between this and `later`.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn assert_unchanged(&self, later: &Self, when: &str) {
        let came: Vec<_> = later.files.keys().filter(|path| !self.files.contains_key(*path)).collect();
        let went: Vec<_> = self.files.keys().filter(|path| !later.files.contains_key(*path)).collect();
        let changed: Vec<_> = self
            .files
            .iter()
            .filter(|(path, state)| later.files.get(*path).is_some_and(|now| now != *state))
            .map(|(path, _)| path)
            .collect();
        assert!(
            came.is_empty() && went.is_empty() && changed.is_empty(),
            "{when}: came {came:?}, went {went:?}, changed {changed:?}"
        );
    }
}

fn collect(top: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, FileState>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(top, &path, files)?;
        } else if !entry.file_name().to_string_lossy().starts_with(".lock") {
            let metadata = entry.metadata()?;
            files.insert(
                path.strip_prefix(top)?.to_path_buf(),
                FileState {
                    inode: metadata.ino(),
                    length: metadata.len(),
                    links: metadata.nlink(),
                    changed: (metadata.ctime(), metadata.ctime_nsec()),
                },
            );
        }
    }
    Ok(())
}
