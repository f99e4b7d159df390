//! A file before it has its name (Swift: diskfile.py BaseDiskFileWriter, common/utils link_fd_to_path and renamer).

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use rustix::io::Errno;
use ssync_types::PolicyIndex;

use crate::{
    Device, DiskError, Location,
    directory::{errno, is, make_all},
    disk::{DiskFile, OpenMode},
    layout,
    quarantine::random_name,
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
    /// How many directories were made for it, from the object's upwards.
    pub(crate) made: usize,
}

impl Temporary {
    /// Makes a file for an object, and the object's directory.
    pub(crate) fn create(device: &Arc<Device>, at: &Location) -> Result<Self, DiskError> {
        let directory = layout::object(at);
        let device = Arc::clone(device);
        let attempt = |made: &mut usize| -> io::Result<(Box<dyn DiskFile>, Option<PathBuf>)> {
            *made = make_all(&*device.disk, &directory)?.max(*made);
            if !device.named_temporaries.load(Ordering::Relaxed) {
                match device.disk.temporary(&directory) {
                    Err(error)
                        if matches!(errno(&error), Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL)) =>
                    {
                        // This file system never will.
                        device.named_temporaries.store(true, Ordering::Relaxed);
                    }
                    other => return other.map(|file| (file, None)),
                }
            }
            let place = layout::temporary(at.policy);
            make_all(&*device.disk, &place)?;
            let name = place.join(random_name());
            Ok((device.disk.open(&name, OpenMode::CreateNew)?, Some(name)))
        };
        let mut made = 0;
        let mut result = attempt(&mut made);
        for _ in 1..ATTEMPTS_MAX {
            match &result {
                Err(error) if is(error, Errno::NOENT) || is(error, Errno::EXIST) => {
                    result = attempt(&mut made);
                }
                _ => break,
            }
        }
        match result {
            Ok((file, name)) => Ok(Self {
                device,
                file,
                policy: at.policy,
                name,
                directory,
                published: false,
                linked: false,
                made,
            }),
            Err(error) if is(&error, Errno::NOTDIR) => {
                let _exclusive = device.exclusive(&at.hash);
                Err(device.quarantine_unlistable(at.policy, &directory, error))
            }
            Err(error) => Err(device.io("make a file in", &directory, error)),
        }
    }

    /// Gives it its name, replacing a file that has it. The caller excludes others from the object.
    pub(crate) fn publish(&mut self, target: &Path) -> io::Result<()> {
        let directory = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut result = self.name_as(target);
        for _ in 1..ATTEMPTS_MAX {
            match &result {
                Err(error) if is(error, Errno::NOENT) => {
                    self.made = make_all(&*self.device.disk, directory)?.max(self.made);
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
        match &self.name {
            None => {
                self.file.link(target)?;
                self.linked = true;
                Ok(())
            }
            Some(name) => {
                self.device.disk.rename(name, target)?;
                self.name = None;
                Ok(())
            }
        }
    }

    /// Takes its name away again, unless it took the place of another file.
    pub(crate) fn withdraw(&mut self, target: &Path) {
        if self.linked && self.device.disk.unlink(target).is_ok() {
            self.published = false;
        }
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
            // Object and suffix directory, if they were made for this file and hold nothing else.
            for directory in self.directory.ancestors().take(self.made.min(2)) {
                if self.device.disk.remove_dir(directory).is_err() {
                    break;
                }
            }
        }
    }
}
