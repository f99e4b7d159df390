//! A file before it has its name (Swift: diskfile.py BaseDiskFileWriter, common/utils link_fd_to_path and renamer).

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use rustix::io::Errno;
use ssync_types::{ObjectHash, PolicyIndex};

use crate::{
    Device, DiskError, Location,
    directory::{Looked, Looks, errno, is, make_all},
    disk::{DiskFile, OpenMode},
    layout,
    nest::{Nest, Nests},
    quarantine::random_name,
    unflushed::MadeDirectories,
};

/// How often a name is tried: the directory may be removed as empty between making it and using it.
const ATTEMPTS_MAX: usize = 4;

/// A file that has no name, or one in `tmp`; dropped, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Temporary {
    device: Arc<Device>,
    pub(crate) file: Box<dyn DiskFile>,
    policy: PolicyIndex,
    name: Option<PathBuf>,
    directory: PathBuf,
    published: bool,
    /// The name that it was given was nobody's before.
    linked: bool,
    /// The directories that were made for it, however long it takes until their names are flushed.
    made: MadeDirectories,
    /// What is above the object's directory, while its owner keeps that open.
    nest: Option<Nest>,
    /// The directory in which it got its name.
    opened: Option<Arc<Looked>>,
    /// The object's directory was made for it, and was there when it got its name.
    in_new: bool,
    /// What had been published among the objects of its stripe before its directory was made.
    before: u64,
}

impl Temporary {
    /// Makes a file for an object, and the object's directory.
    pub(crate) fn create(device: &Arc<Device>, at: &Location) -> Result<Self, DiskError> {
        // It may be long on its way: no directory is kept open for it.
        let mut file = Self::create_in(device, at, &mut Nests::default())?;
        file.nest = None;
        Ok(file)
    }

    /// As [`create`](Self::create), for one that soon gets its name, beside others whose directories are open.
    pub(crate) fn create_in(
        device: &Arc<Device>,
        at: &Location,
        nests: &mut Nests,
    ) -> Result<Self, DiskError> {
        let directory = layout::object(at);
        let before = device.published(&at.hash);
        let mut made = MadeDirectories::none(&device.unflushed, &directory);
        let mut begun = Begun::attempt(device, at, nests, &mut made);
        for _ in 1..ATTEMPTS_MAX {
            match &begun {
                Err(error) if is(error, Errno::NOENT) || is(error, Errno::EXIST) => {
                    begun = Begun::attempt(device, at, nests, &mut made);
                }
                _ => break,
            }
        }
        match begun {
            Ok(Begun { file, name, nest, in_new }) => Ok(Self {
                device: Arc::clone(device),
                file,
                policy: at.policy,
                name,
                directory,
                published: false,
                linked: false,
                made,
                nest: Some(nest),
                opened: None,
                in_new,
                before,
            }),
            Err(error) if is(&error, Errno::NOTDIR) => {
                let _exclusive = device.exclusive(&at.hash);
                Err(device.quarantine_unlistable(at.policy, &directory, error))
            }
            Err(error) => {
                remove_made(device, &directory, made.levels());
                Err(device.io("make a file in", &directory, error))
            }
        }
    }

    /// Gives it its name, replacing a file that has it. The caller excludes others from the object.
    pub(crate) fn publish(&mut self, target: &Path) -> io::Result<()> {
        let mut result = self.name_as(target);
        for _ in 1..ATTEMPTS_MAX {
            match &result {
                Err(error) if is(error, Errno::NOENT) => {
                    (self.nest, self.opened, self.in_new) = (None, None, false);
                    match make_all(&*self.device.disk, &self.directory) {
                        Ok(made) => self.made.add(made),
                        // Whoever calculates hashes has taken away a suffix that was still empty: once more.
                        Err(error) if is(&error, Errno::NOENT) => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if is(error, Errno::EXIST) => {
                    // A link cannot replace; a rename can, and at no time is there no file of that name.
                    self.name_in_tmp()?;
                }
                _ => break,
            }
            result = self.name_as(target);
        }
        self.published = result.is_ok();
        result
    }

    fn name_as(&mut self, target: &Path) -> io::Result<()> {
        let directory = self.open_directory()?;
        match &self.name {
            None => {
                let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                self.file.link_in(&*directory.directory, name)?;
                self.linked = true;
                Ok(())
            }
            Some(name) => {
                self.device.disk.rename(name, target)?;
                // It went by its path, wherever that leads by now.
                (self.name, self.nest, self.opened) = (None, None, None);
                Ok(())
            }
        }
    }

    /// The object's directory as it is now: since it was made it may have been removed, or moved to quarantine.
    fn open_directory(&mut self) -> io::Result<Arc<Looked>> {
        if let Some(open) = &self.opened {
            return Ok(Arc::clone(open));
        }
        let name = self.directory.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let open = match &self.nest {
            Some(nest) => nest.suffix.directory.open_dir(name)?,
            None => self.device.disk.open_dir(&self.directory)?,
        };
        let open = Looked::new(self.directory.clone(), open)?;
        self.opened = Some(Arc::clone(&open));
        Ok(open)
    }

    /// How many directories were made for it, from the object's upwards.
    pub(crate) fn made(&self) -> usize {
        self.made.levels()
    }

    /// Shows the directories that are open for it, which are to be flushed.
    pub(crate) fn show(&self, looks: &mut Looks) -> io::Result<()> {
        self.open_directories().try_for_each(|(_, open)| looks.add(open))
    }

    /// The directories in which it got its name and that are open, from the highest, each with the one above it.
    pub(crate) fn open_directories(&self) -> impl Iterator<Item = (Option<&Looked>, &Arc<Looked>)> {
        let nest = self.nest.as_ref();
        let partition = nest.map(|nest| (None, &nest.partition));
        let suffix = nest.map(|nest| (Some(&*nest.partition), &nest.suffix));
        let own = self.opened.as_ref().map(|own| (nest.map(|nest| &*nest.suffix), own));
        [partition, suffix, own].into_iter().flatten()
    }

    /// Whether it is alone in its directory, as far as this program knows: that was made for it, and nothing was published
    /// there since but itself. The caller excludes others from the object.
    pub(crate) fn is_alone(&self, hash: &ObjectHash) -> bool {
        self.in_new && self.device.published(hash) == self.before + 1
    }

    /// Takes its name away again, unless it took the place of another file.
    pub(crate) fn withdraw(&mut self, target: &Path) {
        let name = target.file_name().filter(|_| self.linked);
        // In the directory in which it got it: there may be another at its place by now.
        let unlinked =
            self.opened.as_ref().zip(name).is_some_and(|(open, name)| open.directory.unlink(name).is_ok());
        self.published &= !unlinked;
    }

    fn name_in_tmp(&mut self) -> io::Result<()> {
        let place = layout::temporary(self.policy);
        make_all(&*self.device.disk, &place)?;
        let name = place.join(random_name());
        self.file.link(&name)?;
        self.name = Some(name);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name
            && let Err(error) = self.device.disk.unlink(name)
        {
            tracing::warn!(device = %self.device.name, file = %name.display(), %error, "a temporary file stays; the replicator removes it when it is old");
        }
        if !self.published {
            remove_made(&self.device, &self.directory, self.made.levels());
        }
    }
}

/// Removes the directories of object and suffix, if they were made for a file and hold nothing else. The first may never have
/// come about.
fn remove_made(device: &Device, directory: &Path, made: usize) {
    for directory in directory.ancestors().take(made.min(2)) {
        match device.disk.remove_dir(directory) {
            Err(error) if !is(&error, Errno::NOENT) => break,
            _ => {}
        }
    }
}

/// A file that has just been made.
struct Begun {
    file: Box<dyn DiskFile>,
    name: Option<PathBuf>,
    nest: Nest,
    /// The object's directory was made for it.
    in_new: bool,
}

impl Begun {
    fn attempt(
        device: &Device,
        at: &Location,
        nests: &mut Nests,
        made: &mut MadeDirectories,
    ) -> io::Result<Self> {
        let mut levels = 0;
        let nest = nests.make(device, at, &mut levels);
        // Before anything else is waited for: another writer may find them.
        made.add(levels);
        let (nest, in_new) = nest?;
        let (file, name) = Self::file(device, at, &nest)?;
        Ok(Self { file, name, nest, in_new })
    }

    fn file(device: &Device, at: &Location, nest: &Nest) -> io::Result<(Box<dyn DiskFile>, Option<PathBuf>)> {
        if !device.named_temporaries.load(Ordering::Relaxed) {
            match device.disk.temporary(&layout::object(at)) {
                Err(error)
                    if matches!(errno(&error), Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL)) =>
                {
                    // This file system never will.
                    device.named_temporaries.store(true, Ordering::Relaxed);
                }
                file => return file.map(|file| (file, None)),
            }
        }
        // As the file in it would have told.
        drop(nest.suffix.directory.open_dir(at.hash.to_string().as_ref())?);
        let place = layout::temporary(at.policy);
        make_all(&*device.disk, &place)?;
        let name = place.join(random_name());
        Ok((device.disk.open(&name, OpenMode::CreateNew)?, Some(name)))
    }
}
