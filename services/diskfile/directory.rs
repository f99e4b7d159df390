//! Making directories, listing them, and flushing their names (Swift: common/utils makedirs_count, fsync_dir).

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::io::Errno;
use ssync_types::{Durability, ReleaseFile};

use crate::{
    Device,
    disk::{Disk, DiskDir, Entry, Stat},
};

/// The age from which a directory's name counts as flushed, whoever made it: file systems write back within half of it.
const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// Most directories remembered as flushed.
const SETTLED_MAX: usize = 65_536;

pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

pub(crate) fn is(error: &io::Error, expected: Errno) -> bool {
    errno(error) == Some(expected)
}

/// Makes a directory and those above it. Says how many had to be made.
pub(crate) fn make_all(disk: &dyn Disk, path: &Path) -> io::Result<usize> {
    match disk.make_dir(path) {
        Ok(()) => Ok(1),
        Err(error) if is(&error, Errno::EXIST) => match disk.stat(path) {
            Ok(stat) if !stat.directory => Err(Errno::NOTDIR.into()),
            _ => Ok(0),
        },
        Err(error) if is(&error, Errno::NOENT) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or(error)?;
            let made = make_all(disk, parent)?;
            match disk.make_dir(path) {
                Ok(()) => Ok(made + 1),
                Err(error) if is(&error, Errno::EXIST) => Ok(made),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Names that are text, for choosing among them.
pub(crate) fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().filter_map(|entry| entry.name.to_str().map(str::to_owned)).collect()
}

/// Entries as a release names them.
pub(crate) fn release_files(entries: &[Entry]) -> Vec<ReleaseFile> {
    let mut files: Vec<_> = entries
        .iter()
        .map(|entry| ReleaseFile { name: entry.name.to_string_lossy().into_owned(), inode: entry.inode })
        .collect();
    files.sort_unstable();
    files
}

/// A directory that is open, and what it was when it was opened.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) path: PathBuf,
    pub(crate) directory: Arc<dyn DiskDir>,
    stat: Stat,
}

impl Looked {
    pub(crate) fn new(path: PathBuf, directory: Box<dyn DiskDir>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { path, stat: directory.stat()?, directory: Arc::from(directory) }))
    }

    /// Opens a directory.
    pub(crate) fn open(device: &Device, path: &Path) -> io::Result<Arc<Self>> {
        Self::new(path.to_path_buf(), device.disk.open_dir(path)?)
    }

    /// Opens a directory that is in this one.
    pub(crate) fn below(&self, name: &str) -> io::Result<Arc<Self>> {
        Self::new(self.path.join(name), self.directory.open_dir(name.as_ref())?)
    }

    /// Whether it is still where it was opened; `above` is the directory that it was opened in, if that is open.
    pub(crate) fn is_in_place(&self, device: &Device, above: Option<&Self>) -> io::Result<bool> {
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let found = match above {
            Some(above) => above.directory.stat_of(name),
            None => device.disk.stat(&self.path),
        };
        let found = match found {
            // A link to it, perhaps.
            Ok(found) if !found.directory => {
                device.disk.open_dir(&self.path).and_then(|directory| directory.stat())
            }
            found => found,
        };
        match found {
            Ok(found) => Ok(self.is(&found)),
            Err(error) if is(&error, Errno::NOENT) || is(&error, Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether this is what was found somewhere.
    pub(crate) fn is(&self, found: &Stat) -> bool {
        (found.inode, found.born) == (self.stat.inode, self.stat.born)
    }
}

/// Directories of a batch, each opened and looked at once.
#[derive(Debug, Default)]
pub(crate) struct Looks(BTreeMap<PathBuf, Arc<Looked>>);

impl Looks {
    /// Takes one that is open. It must be the one that is known at its place, if any is.
    pub(crate) fn add(&mut self, looked: &Arc<Looked>) -> io::Result<()> {
        let known = self.0.entry(looked.path.clone()).or_insert_with(|| Arc::clone(looked));
        if known.is(&looked.stat) { Ok(()) } else { Err(Errno::STALE.into()) }
    }

    /// The one at a place, which is opened if it is not known.
    pub(crate) fn of(&mut self, device: &Device, path: &Path) -> io::Result<Arc<Looked>> {
        if let Some(looked) = self.0.get(path) {
            return Ok(Arc::clone(looked));
        }
        let looked = Looked::open(device, path)?;
        self.0.insert(path.to_path_buf(), Arc::clone(&looked));
        Ok(looked)
    }
}

/// What is to be flushed so that a directory's names last, its own where that may not: it is one of the `made` nearest to it
/// that the caller made, or it is young and somebody else's.
#[derive(Debug)]
pub(crate) struct Settling<'a> {
    device: &'a Device,
    directories: Vec<Arc<Looked>>,
    /// Whose names last then: their inode and when it was made.
    settled: Vec<(PathBuf, (u64, Option<SystemTime>))>,
}

impl<'a> Settling<'a> {
    pub(crate) fn of(
        device: &'a Device,
        directory: &Path,
        made: usize,
        looks: &mut Looks,
    ) -> io::Result<Self> {
        let mut current = looks.of(device, directory)?;
        let mut settling = Self { device, directories: vec![Arc::clone(&current)], settled: Vec::new() };
        for (level, parent) in directory.ancestors().skip(1).enumerate() {
            if level >= made && device.is_settled(&current.path, &current.stat) {
                break;
            }
            if level > 0 {
                // Directories of single objects are too many to remember.
                settling.settled.push((current.path.clone(), (current.stat.inode, current.stat.born)));
            }
            current = looks.of(device, parent)?;
            settling.directories.push(Arc::clone(&current));
        }
        Ok(settling)
    }

    /// From the nearest up.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &Looked> {
        self.directories.iter().map(|looked| &**looked)
    }

    /// They have been flushed.
    pub(crate) fn remember(self) {
        let mut settled = self.device.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if settled.len() + self.settled.len() > SETTLED_MAX {
            settled.clear();
        }
        settled.extend(self.settled);
    }
}

impl Device {
    /// Whether the operator wants no flushes.
    pub(crate) fn is_unflushed(&self) -> bool {
        self.settings.config.durability == Durability::None
    }

    /// Flushes the names in a directory, and its own name where that may not last (see [`Settling`]).
    pub(crate) fn sync_names(&self, directory: &Path, made: usize) -> io::Result<()> {
        if self.is_unflushed() {
            return Ok(());
        }
        self.flush_names(directory, made, &mut Looks::default())
    }

    /// As [`sync_names`](Self::sync_names), whatever the configured durability.
    pub(crate) fn flush_names(&self, directory: &Path, made: usize, looks: &mut Looks) -> io::Result<()> {
        let settling = Settling::of(self, directory, made, looks)?;
        settling.directories().try_for_each(|directory| self.flush_looked(directory))?;
        settling.remember();
        Ok(())
    }

    /// Flushes the name of one file, unless that lasts already.
    pub(crate) fn flush_name(&self, directory: &Path, file: &Path, stat: &Stat) -> io::Result<()> {
        if self.is_settled(file, stat) {
            return Ok(());
        }
        self.flush_directory(directory)?;
        let settled = vec![(file.to_path_buf(), (stat.inode, stat.born))];
        Settling { device: self, directories: Vec::new(), settled }.remember();
        Ok(())
    }

    /// Flushes one directory. Once that has failed, it fails for as long as it is the same directory.
    pub(crate) fn flush_directory(&self, directory: &Path) -> io::Result<()> {
        self.flush_looked(&*Looks::default().of(self, directory)?)
    }

    /// As [`flush_directory`](Self::flush_directory), for one that is open.
    pub(crate) fn flush_looked(&self, Looked { path, directory, stat }: &Looked) -> io::Result<()> {
        self.doubts.flush(path, stat, || directory.sync())
    }

    /// Whether names in a directory may not last, for all that later flushes of it say. Those in one that cannot be looked at
    /// may not.
    pub(crate) fn is_doubtful(&self, path: &Path, directory: &dyn DiskDir) -> bool {
        !self.doubts.is_empty() && !directory.stat().is_ok_and(|stat| !self.doubts.has(path, &stat))
    }

    fn is_place_doubtful(&self, path: &Path) -> bool {
        !self.doubts.is_empty()
            && !self.disk.open_dir(path).is_ok_and(|directory| !self.is_doubtful(path, &*directory))
    }

    fn is_settled(&self, directory: &Path, stat: &Stat) -> bool {
        let old = stat
            .born
            .and_then(|born| self.disk.now().duration_since(born).ok())
            .is_some_and(|age| age >= SETTLED_AFTER);
        // Not where a flush on its way to the root has failed: a name may be among what that has lost. Nor where who made it has
        // not come to flushing it in all that time.
        if old
            && !self.unflushed.has(directory)
            && !directory.ancestors().skip(1).any(|above| self.is_place_doubtful(above))
        {
            return true;
        }
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(directory) == Some(&(stat.inode, stat.born))
    }
}
