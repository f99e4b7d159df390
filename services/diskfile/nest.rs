//! The directories that objects' directories are made in, each opened once by a thread that writes many objects.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use crate::{
    Device, Location,
    directory::{is, make_all},
    disk::DiskDir,
    layout,
};

/// The directories above an object's, open. What is found in them is still in its place: they are not empty then, and
/// nobody moves them.
#[derive(Debug, Clone)]
pub(crate) struct Nest {
    pub(crate) partition: Arc<dyn DiskDir>,
    pub(crate) suffix: Arc<dyn DiskDir>,
}

/// What is known of such directories. For as long as its owner writes a few objects, so there are few of them.
#[derive(Debug, Default)]
pub(crate) struct Nests {
    partitions: BTreeMap<PathBuf, Arc<dyn DiskDir>>,
    /// `None`: there was none when it was looked for.
    suffixes: BTreeMap<PathBuf, Option<Arc<dyn DiskDir>>>,
}

impl Nests {
    /// Whether there is no directory of the object. What cannot be looked at may be there.
    pub(crate) fn is_vacant(&mut self, device: &Device, at: &Location) -> bool {
        let is_absent = |error: &io::Error| is(error, Errno::NOENT);
        match self.suffix(device, at) {
            Err(error) => is_absent(&error),
            Ok(None) => true,
            Ok(Some(suffix)) => {
                let name = at.hash.to_string();
                suffix.open_dir(name.as_ref()).is_err_and(|error| is_absent(&error))
            }
        }
    }

    /// Makes an object's directory and those above it where there are none. Says how many were made, from the object's
    /// upwards.
    pub(crate) fn make(&mut self, device: &Device, at: &Location) -> io::Result<(Nest, usize)> {
        let made = self.try_make(device, at);
        if made.is_err() {
            // Removed meanwhile, perhaps: whoever tries again opens them again.
            *self = Self::default();
        }
        made
    }

    fn try_make(&mut self, device: &Device, at: &Location) -> io::Result<(Nest, usize)> {
        let path = layout::partition(at.policy, at.partition);
        let mut above = 0;
        let looked = match self.suffix(device, at) {
            Err(error) if is(&error, Errno::NOENT) && !self.partitions.contains_key(&path) => {
                above = make_all(&*device.disk, &path)?;
                self.suffix(device, at)?
            }
            looked => looked?,
        };
        let partition = self.partition(device, &path)?;
        let suffix = match looked {
            Some(suffix) => suffix,
            None => {
                let name = at.hash.suffix().to_string();
                // Another thread may have made it meanwhile.
                let made = is_new(partition.make_dir(name.as_ref()))?;
                above = if made { above + 1 } else { 0 };
                let suffix = Arc::<dyn DiskDir>::from(partition.open_dir(name.as_ref())?);
                self.suffixes.insert(suffix_path(at), Some(Arc::clone(&suffix)));
                suffix
            }
        };
        let made = is_new(suffix.make_dir(at.hash.to_string().as_ref()))?;
        Ok((Nest { partition, suffix }, if made { above + 1 } else { 0 }))
    }

    fn partition(&mut self, device: &Device, path: &Path) -> io::Result<Arc<dyn DiskDir>> {
        if let Some(open) = self.partitions.get(path) {
            return Ok(Arc::clone(open));
        }
        let open = Arc::<dyn DiskDir>::from(device.disk.open_dir(path)?);
        self.partitions.insert(path.to_path_buf(), Arc::clone(&open));
        Ok(open)
    }

    /// The directory of the object's suffix, if there is one; an error where there is no partition.
    fn suffix(&mut self, device: &Device, at: &Location) -> io::Result<Option<Arc<dyn DiskDir>>> {
        let path = suffix_path(at);
        if let Some(known) = self.suffixes.get(&path) {
            return Ok(known.clone());
        }
        let partition = self.partition(device, &layout::partition(at.policy, at.partition))?;
        let suffix = match partition.open_dir(at.hash.suffix().to_string().as_ref()) {
            Err(error) if is(&error, Errno::NOENT) => None,
            opened => Some(Arc::from(opened?)),
        };
        self.suffixes.insert(path, suffix.clone());
        Ok(suffix)
    }
}

fn suffix_path(at: &Location) -> PathBuf {
    layout::suffix(at.policy, at.partition, at.hash.suffix())
}

/// Whether a directory was made, or was there.
fn is_new(made: io::Result<()>) -> io::Result<bool> {
    match made {
        Err(error) if is(&error, Errno::EXIST) => Ok(false),
        made => made.map(|()| true),
    }
}
