//! Directories that were made for a file, from when they are made until the file is published or given up.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// For how many files each such directory was made: nobody may have flushed its name, whatever its age.
#[derive(Debug, Default)]
pub(crate) struct Unflushed(Mutex<BTreeMap<PathBuf, usize>>);

/// Those of one file: its own directory and what was made above it.
#[derive(Debug)]
pub(crate) struct MadeDirectories {
    all: Arc<Unflushed>,
    directory: PathBuf,
    /// How many, from the file's directory upwards.
    levels: usize,
}

impl Unflushed {
    /// Whether a directory was made for a file that is under way.
    pub(crate) fn has(&self, directory: &Path) -> bool {
        self.lock().contains_key(directory)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MadeDirectories {
    pub(crate) fn none(all: &Arc<Unflushed>, directory: &Path) -> Self {
        Self { all: Arc::clone(all), directory: directory.to_path_buf(), levels: 0 }
    }

    pub(crate) fn levels(&self) -> usize {
        self.levels
    }

    /// So many were made by now.
    pub(crate) fn add(&mut self, levels: usize) {
        if levels > self.levels {
            let mut all = self.all.lock();
            for path in self.directory.ancestors().take(levels).skip(self.levels) {
                *all.entry(path.to_path_buf()).or_default() += 1;
            }
            self.levels = levels;
        }
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        if self.levels == 0 {
            return;
        }
        let mut all = self.all.lock();
        for path in self.directory.ancestors().take(self.levels) {
            if let Some(count) = all.get_mut(path) {
                *count -= 1;
                if *count == 0 {
                    all.remove(path);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_counts_until_the_last_of_its_files_is_done() {
        let all = Arc::new(Unflushed::default());
        let mut first = MadeDirectories::none(&all, Path::new("p/s/o"));
        let mut second = MadeDirectories::none(&all, Path::new("p/s/q"));
        first.add(2);
        second.add(2);
        second.add(3);
        second.add(1);
        assert_eq!((first.levels(), second.levels()), (2, 3));
        assert!(["p", "p/s", "p/s/o", "p/s/q"].iter().all(|path| all.has(Path::new(path))));
        drop(second);
        let left: Vec<_> = ["p", "p/s", "p/s/o", "p/s/q"].map(|path| all.has(Path::new(path))).into();
        assert_eq!(left, [false, true, true, false]);
        drop(first);
        assert!(all.lock().is_empty());
    }
}
