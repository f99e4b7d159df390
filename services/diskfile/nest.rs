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
    layout,
};

/// The directories above an object's, open. They may be moved away meanwhile: a suffix that cannot be listed goes to quarantine
/// as a whole. So whoever has given a name in them looks whether they are still at their places before that counts.
#[derive(Debug, Clone)]
pub(crate) struct Nest {
    pub(crate) partition: Arc<Looked>,
    pub(crate) suffix: Arc<Looked>,
}

/// A directory that is open, and how many were made from it upwards.
type Open = (Arc<Looked>, usize);

/// What is known of such directories. For as long as its owner writes a few objects, so there are few of them.
#[derive(Debug, Default)]
pub(crate) struct Nests {
    partitions: BTreeMap<PathBuf, Open>,
    suffixes: BTreeMap<PathBuf, Open>,
    /// There was none when it was looked for just now: it need not be looked for again before it is made.
    vacant: Option<PathBuf>,
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

    /// Makes an object's directory and those above it where there are none. Gives also whether the object's was made just now.
    /// `made` is at least how many the owner of the nests has made, from the object's upwards, whether that succeeds or not.
    pub(crate) fn make(
        &mut self,
        device: &Device,
        at: &Location,
        made: &mut usize,
    ) -> io::Result<(Nest, bool)> {
        let nest = self.try_make(device, at, made);
        if nest.is_err() {
            // Removed meanwhile, perhaps: whoever tries again opens them again.
            *self = Self::default();
        }
        nest
    }

    fn try_make(&mut self, device: &Device, at: &Location, made: &mut usize) -> io::Result<(Nest, bool)> {
        let path = layout::partition(at.policy, at.partition);
        let suffix = match self.suffix(device, at) {
            Err(error) if is(&error, Errno::NOENT) && !self.partitions.contains_key(&path) => {
                let levels = make_all(&*device.disk, &path)?;
                *made = levels_with(levels, 2).max(*made);
                self.open_partition(device, &path, levels)?;
                None
            }
            suffix => suffix?,
        };
        let (partition, above) = self.partition(device, &path)?;
        let (suffix, above) = match suffix {
            Some(suffix) => suffix,
            None => {
                let name = at.hash.suffix().to_string();
                // Another thread may have made it meanwhile.
                let is_new = is_new(partition.directory.make_dir(name.as_ref()))?;
                let levels = levels(is_new, above);
                *made = levels_with(levels, 1).max(*made);
                let open = (partition.below(&name)?, levels);
                self.suffixes.insert(suffix_path(at), open.clone());
                open
            }
        };
        let is_new = is_new(suffix.directory.make_dir(at.hash.to_string().as_ref()))?;
        *made = levels(is_new, above).max(*made);
        Ok((Nest { partition, suffix }, is_new))
    }

    fn partition(&mut self, device: &Device, path: &Path) -> io::Result<Open> {
        match self.partitions.get(path) {
            Some(open) => Ok(open.clone()),
            None => self.open_partition(device, path, 0),
        }
    }

    fn open_partition(&mut self, device: &Device, path: &Path, levels: usize) -> io::Result<Open> {
        let open = (Looked::open(device, path)?, levels);
        self.partitions.insert(path.to_path_buf(), open.clone());
        Ok(open)
    }

    /// The directory of the object's suffix, if there is one; an error where there is no partition.
    fn suffix(&mut self, device: &Device, at: &Location) -> io::Result<Option<Open>> {
        let path = suffix_path(at);
        if let Some(known) = self.suffixes.get(&path) {
            return Ok(Some(known.clone()));
        }
        if self.vacant.take_if(|vacant| *vacant == path).is_some() {
            return Ok(None);
        }
        let (partition, above) = self.partition(device, &layout::partition(at.policy, at.partition))?;
        match partition.below(&at.hash.suffix().to_string()) {
            Err(error) if is(&error, Errno::NOENT) => {
                self.vacant = Some(path);
                Ok(None)
            }
            opened => {
                let open = (opened?, levels(false, above));
                self.suffixes.insert(path, open.clone());
                Ok(Some(open))
            }
        }
    }
}

/// How many were made from a directory upwards. One that somebody else has made in a new one counts as well: its name is as
/// new.
fn levels(is_new: bool, above: usize) -> usize {
    if is_new || above > 0 { above + 1 } else { 0 }
}

/// As many as were made, and so many below them that are still to be made.
fn levels_with(made: usize, below: usize) -> usize {
    if made > 0 { made + below } else { 0 }
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
