//! A device as an inspector reads it: what files say of themselves, and what is on record of them. Nothing is written, locked,
//! cleaned up, marked or put into quarantine, so that what is seen may be in the middle of a change: who finds something wrong
//! looks again.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::io::Errno;
use ssync_types::{ObjectHash, Partition, PolicyIndex, Suffix, SuffixHash};

use crate::{
    Device, DiskError,
    choice::Preference,
    cleanup::Cleaned,
    directory::{Looked, is},
    hashes::read_notes,
    layout,
    listing::partition_number,
    suffix_hash::{Digests, digest_object, hash_of},
};

/// What was written within this time may still be on its way: an rsync of stock Swift tells of its files only when it is over.
const CHANGING_FOR: Duration = Duration::from_secs(60);
/// Most files that are named of one kind in one place.
const NAMED_MAX: usize = 100;

/// Something that the format, or a rule, does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flaw {
    /// Where, from the device's directory down.
    pub path: PathBuf,
    /// What.
    pub kind: FlawKind,
}

/// What is wrong with a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlawKind {
    /// Its name is none that the format has there.
    Stray,
    /// It is an object of another partition or suffix.
    Misplaced,
    /// It cannot be read; why.
    Unreadable(String),
    /// Its metadata are not whole, or do not fit to it; how.
    Damaged(String),
    /// A newer file of its object counts in its place.
    Superseded,
    /// A tombstone that is old enough to be removed.
    Reclaimable,
    /// Its time is later than the clock's: nothing that is written now wins against it.
    Ahead,
}

/// What is on record of a suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnRecord {
    /// Nothing is known of the partition: all of it is calculated when somebody asks.
    Nothing,
    /// The suffix is known to have changed: it is calculated when somebody asks.
    Stale,
    /// It is taken for what it was: so, or not there at all.
    Known(Option<SuffixHash>),
}

/// What is on record of a partition: its `hashes.pkl` and `hashes.invalid`.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    valid: bool,
    suffixes: BTreeMap<Suffix, Option<SuffixHash>>,
    stale: BTreeSet<Suffix>,
}

impl Records {
    /// Of one suffix.
    #[must_use]
    pub fn of(&self, suffix: Suffix) -> OnRecord {
        match (self.valid, self.suffixes.get(&suffix)) {
            (false, _) => OnRecord::Nothing,
            _ if self.stale.contains(&suffix) => OnRecord::Stale,
            (true, Some(None | Some(SuffixHash::Unknown))) => OnRecord::Stale,
            (true, known) => OnRecord::Known(known.cloned().flatten()),
        }
    }

    /// The suffixes that are on record.
    pub fn suffixes(&self) -> impl Iterator<Item = Suffix> {
        self.suffixes.keys().copied()
    }
}

/// A partition's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionInspection {
    /// The suffixes there, ascending.
    pub suffixes: Vec<Suffix>,
    /// What else is there and has no business to be.
    pub flaws: Vec<Flaw>,
}

/// A suffix's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuffixInspection {
    /// Objects that clients can have.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// What a calculation of its hash would come to. `None`: nothing in it counts.
    pub hash: Option<SuffixHash>,
    /// Whether it changes by itself or is being changed, so that its hash need not be what is on record: it was written to
    /// within a minute, has something that grows old, or cannot be read.
    pub changing: bool,
    /// What is wrong.
    pub flaws: Vec<Flaw>,
}

impl Device {
    /// The numbers of a policy's partitions, ascending, and what else is there. Of none is asked what it is: one listing,
    /// however many they are.
    pub fn partition_numbers(&self, policy: PolicyIndex) -> Result<(Vec<Partition>, Vec<Flaw>), DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        let directory = layout::objects(policy);
        let entries = match self.disk.list(&directory) {
            Err(error) if is(&error, Errno::NOENT) => Vec::new(),
            other => other.map_err(|error| self.io("list", &directory, error))?,
        };
        let (mut numbers, mut flaws) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            let name = entry.name.to_string_lossy();
            match partition_number(&name) {
                Some(number) => numbers.push(number),
                None if crate::listing::is_bookkeeping(&name) || flaws.len() >= NAMED_MAX => {}
                None => flaws.push(stray(directory.join(&entry.name))),
            }
        }
        numbers.sort_unstable();
        Ok((numbers, flaws))
    }

    /// What is in a partition's directory.
    pub fn inspect_partition(
        &self,
        policy: PolicyIndex,
        number: Partition,
    ) -> Result<PartitionInspection, DiskError> {
        self.check_mounted()?;
        let partition = layout::partition(policy, number);
        let entries = match self.disk.list(&partition) {
            Err(error) if is(&error, Errno::NOENT) => Vec::new(),
            Err(error) if is(&error, Errno::NOTDIR) => {
                return Ok(PartitionInspection { flaws: vec![stray(partition)], ..Default::default() });
            }
            other => other.map_err(|error| self.io("list", &partition, error))?,
        };
        let mut found = PartitionInspection::default();
        for entry in entries {
            let name = entry.name.to_string_lossy();
            match Suffix::from_name(entry.name.as_bytes()) {
                Some(suffix) => found.suffixes.push(suffix),
                None if is_of_a_partition(&name) || found.flaws.len() >= NAMED_MAX => {}
                None => found.flaws.push(stray(partition.join(&entry.name))),
            }
        }
        found.suffixes.sort_unstable();
        Ok(found)
    }

    /// What is on record of a partition.
    pub fn records(&self, policy: PolicyIndex, number: Partition) -> Result<Records, DiskError> {
        let partition = layout::partition(policy, number);
        let path = partition.join(layout::INVALIDATIONS);
        // Notes first: what is moved from them into the hashes meanwhile is seen twice, and not missed.
        let notes = match self.disk.open(&path, crate::disk::OpenMode::Read) {
            Err(error) if is(&error, Errno::NOENT) => Ok((BTreeSet::new(), 0)),
            file => file.and_then(|file| read_notes(&*file)),
        };
        let (stale, _) = notes.map_err(|error| self.io("read", &path, error))?;
        let hashes = self.read_hashes(&partition);
        Ok(Records { valid: hashes.valid, suffixes: hashes.suffixes, stale })
    }

    /// What is in a suffix, each file asked what it says of itself; `part_power` tells where an object belongs, where that is
    /// known.
    pub fn inspect_suffix(
        &self,
        policy: PolicyIndex,
        number: Partition,
        suffix: Suffix,
        part_power: Option<u32>,
    ) -> Result<SuffixInspection, DiskError> {
        let kind = self.kind(policy)?;
        self.check_mounted()?;
        let directory = layout::suffix(policy, number, suffix);
        let mut found = SuffixInspection::default();
        let opened = Looked::open(self, &directory).and_then(|opened| Ok((opened.directory.list()?, opened)));
        let (mut entries, opened) = match opened {
            Err(error) if is(&error, Errno::NOENT) => return Ok(found),
            Err(error) if is(&error, Errno::NOTDIR) => {
                found.flaws.push(stray(directory));
                return Ok(found);
            }
            other => other.map_err(|error| self.io("list", &directory, error))?,
        };
        entries.sort_unstable();
        found.changing = self.changed_lately(opened.directory.stat());
        let (mut digests, mut seems_empty) = (Digests::new(), true);
        for entry in entries {
            let path = directory.join(&entry.name);
            let hash = entry.name.to_str().and_then(|name| name.parse::<ObjectHash>().ok());
            match hash {
                None => found.flaws.push(stray(path.clone())),
                Some(hash) => {
                    let elsewhere = part_power.is_some_and(|power| hash.partition(power) != number);
                    if elsewhere || hash.suffix() != suffix {
                        found.flaws.push(Flaw { path: path.clone(), kind: FlawKind::Misplaced });
                    }
                }
            }
            match self.examine(&path, kind, Preference::default()) {
                Ok(object) if object.files.is_empty() => {}
                Ok(object) => {
                    seems_empty = false;
                    digest_object(&mut digests, &object.choice);
                    self.inspect_object(&mut found, &path, hash.as_ref(), &object);
                }
                Err(error) => {
                    found.changing = true;
                    let kind = FlawKind::Unreadable(error.to_string());
                    found.flaws.push(Flaw { path, kind });
                }
            }
        }
        found.hash = (!seems_empty).then(|| hash_of(digests, kind));
        found.flaws.sort_unstable();
        Ok(found)
    }

    fn inspect_object(
        &self,
        found: &mut SuffixInspection,
        path: &Path,
        hash: Option<&ObjectHash>,
        object: &Cleaned,
    ) {
        let Some(directory) = object.directory.as_deref() else { return };
        found.changing |= self.changed_lately(directory.stat());
        let choice = &object.choice;
        // What is removed when it is old enough is one thing on record, and another here.
        found.changing |= !choice.stray.is_empty();
        let flaw = |name: &str, kind: FlawKind| Flaw { path: path.join(name), kind };
        found.flaws.extend(choice.unexpected.iter().map(|name| flaw(name, FlawKind::Stray)));
        found.flaws.extend(choice.obsolete.iter().map(|file| flaw(&file.name, FlawKind::Superseded)));
        if let Some(tombstone) = &choice.tombstone {
            found.tombstones += 1;
            if self.is_reclaimable(tombstone.timestamp) {
                found.changing = true;
                found.flaws.push(flaw(&tombstone.name, FlawKind::Reclaimable));
            }
        }
        let whole = [&choice.data, &choice.meta, &choice.content_type, &choice.tombstone];
        let fragments = choice.fragments.iter().flat_map(|set| &set.files);
        let mut asked = BTreeSet::new();
        for file in whole.into_iter().flatten().chain(fragments) {
            if !asked.insert(file.name.as_str()) {
                continue;
            }
            match self.inspect_file(directory, file, hash) {
                // It went away meanwhile.
                Err(error) if is(&error, Errno::NOENT) => found.changing = true,
                Err(error) => found.flaws.push(flaw(&file.name, FlawKind::Unreadable(error.to_string()))),
                Ok((bytes, flaws)) => {
                    found.flaws.extend(flaws.into_iter().map(|kind| flaw(&file.name, kind)));
                    if choice.data.as_ref().is_some_and(|data| data.name == file.name) {
                        found.objects += 1;
                        found.bytes += bytes;
                    }
                }
            }
        }
    }

    fn changed_lately(&self, stat: io::Result<crate::disk::Stat>) -> bool {
        let age = stat.map(|stat| self.disk.now().duration_since(stat.modified).unwrap_or_default());
        age.is_ok_and(|age| age < CHANGING_FOR)
    }

    /// Files in a policy's `tmp`, and those held there, that a crash has left so long ago that the next pass removes them.
    pub fn old_temporaries(&self, policy: PolicyIndex) -> Result<Vec<PathBuf>, DiskError> {
        self.check_mounted()?;
        let mut old = Vec::new();
        for place in [layout::temporary(policy), layout::held(policy)] {
            let entries = match self.disk.list(&place) {
                Err(error) if is(&error, Errno::NOENT) => Vec::new(),
                other => other.map_err(|error| self.io("list", &place, error))?,
            };
            let paths = entries.into_iter().map(|entry| place.join(entry.name));
            old.extend(
                paths.filter(|path| {
                    self.disk.stat(path).is_ok_and(|stat| !stat.directory && self.is_old(&stat))
                }),
            );
            old.truncate(NAMED_MAX);
        }
        Ok(old)
    }

    /// When the device was last in service here; `None` where no ssync has served it yet.
    pub fn last_served(&self) -> Result<Option<SystemTime>, DiskError> {
        self.time_of_service().map_err(|error| self.io("stat", Path::new(""), error))
    }
}

fn stray(path: PathBuf) -> Flaw {
    Flaw { path, kind: FlawKind::Stray }
}

/// What is in a partition's directory beside suffixes (Swift: diskfile.py HASH_FILE, get_part_path, partition_lock).
fn is_of_a_partition(name: &str) -> bool {
    name == layout::HASHES || name == layout::INVALIDATIONS || name.starts_with(layout::LOCK)
}
