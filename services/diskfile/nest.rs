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
    directory::{Looked, is, make_all},
    disk::Stat,
    layout,
};

/// The directories above an object's, open. They may be moved away meanwhile: a suffix that cannot be listed goes to quarantine
/// as a whole. So whoever has given a name in them looks whether they are still at their places before that counts.
#[derive(Debug, Clone)]
pub(crate) struct Nest {
    pub(crate) partition: Arc<Looked>,
    pub(crate) suffix: Arc<Looked>,
}

/// An object's directory that is there now.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) nest: Nest,
    /// It was made just now.
    pub(crate) is_new: bool,
    /// How many were made by the owner of the nests, from the object's upwards.
    pub(crate) levels: usize,
}

/// A directory that is open, and how many were made from it upwards.
type Open = (Arc<Looked>, usize);

/// What is known of such directories. For as long as its owner writes a few objects, so there are few of them.
#[derive(Debug, Default)]
pub(crate) struct Nests {
    partitions: BTreeMap<PathBuf, Open>,
    /// `None`: there was none when it was looked for.
    suffixes: BTreeMap<PathBuf, Option<Open>>,
}

impl Nest {
    /// What is found at the partition's place now.
    pub(crate) fn partition_found(&self, device: &Device) -> io::Result<Stat> {
        device.disk.stat(&self.partition.path)
    }

    /// What is found at the suffix's place in the partition now.
    pub(crate) fn suffix_found(&self) -> io::Result<Stat> {
        let name = self.suffix.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        self.partition.directory.stat_of(name)
    }
}

impl Nests {
    /// Whether there is no directory of the object. What cannot be looked at may be there.
    pub(crate) fn is_vacant(&mut self, device: &Device, at: &Location) -> bool {
        let is_absent = |error: &io::Error| is(error, Errno::NOENT);
        match self.suffix(device, at) {
            Err(error) => is_absent(&error),
            Ok(None) => true,
            Ok(Some((suffix, _))) => {
                let name = at.hash.to_string();
                suffix.directory.open_dir(name.as_ref()).is_err_and(|error| is_absent(&error))
            }
        }
    }

    /// Makes an object's directory and those above it where there are none.
    pub(crate) fn make(&mut self, device: &Device, at: &Location) -> io::Result<Made> {
        let made = self.try_make(device, at);
        if made.is_err() {
            // Removed meanwhile, perhaps: whoever tries again opens them again.
            *self = Self::default();
        }
        made
    }

    fn try_make(&mut self, device: &Device, at: &Location) -> io::Result<Made> {
        let path = layout::partition(at.policy, at.partition);
        let looked = match self.suffix(device, at) {
            Err(error) if is(&error, Errno::NOENT) && !self.partitions.contains_key(&path) => {
                let levels = make_all(&*device.disk, &path)?;
                self.open_partition(device, &path, levels)?;
                None
            }
            looked => looked?,
        };
        let (partition, above) = self.partition(device, &path)?;
        let (suffix, above) = match looked {
            Some(suffix) => suffix,
            None => {
                let name = at.hash.suffix().to_string();
                // Another thread may have made it meanwhile.
                let is_new = is_new(partition.directory.make_dir(name.as_ref()))?;
                let open = (partition.below(&name)?, levels(is_new, above));
                self.suffixes.insert(suffix_path(at), Some(open.clone()));
                open
            }
        };
        let is_new = is_new(suffix.directory.make_dir(at.hash.to_string().as_ref()))?;
        Ok(Made { nest: Nest { partition, suffix }, is_new, levels: levels(is_new, above) })
    }

    fn partition(&mut self, device: &Device, path: &Path) -> io::Result<Open> {
        match self.partitions.get(path) {
            Some(open) => Ok(open.clone()),
            None => self.open_partition(device, path, 0),
        }
    }

    fn open_partition(&mut self, device: &Device, path: &Path, levels: usize) -> io::Result<Open> {
        let open = (Looked::new(path.to_path_buf(), device.disk.open_dir(path)?)?, levels);
        self.partitions.insert(path.to_path_buf(), open.clone());
        Ok(open)
    }

    /// The directory of the object's suffix, if there is one; an error where there is no partition.
    fn suffix(&mut self, device: &Device, at: &Location) -> io::Result<Option<Open>> {
        let path = suffix_path(at);
        if let Some(known) = self.suffixes.get(&path) {
            return Ok(known.clone());
        }
        let (partition, above) = self.partition(device, &layout::partition(at.policy, at.partition))?;
        let suffix = match partition.below(&at.hash.suffix().to_string()) {
            Err(error) if is(&error, Errno::NOENT) => None,
            opened => Some((opened?, levels(false, above))),
        };
        self.suffixes.insert(path, suffix.clone());
        Ok(suffix)
    }
}

/// How many were made from a directory upwards. One that somebody else has made in a new one counts as well: its name is as
/// new.
fn levels(is_new: bool, above: usize) -> usize {
    if is_new || above > 0 { above + 1 } else { 0 }
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
