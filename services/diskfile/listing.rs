//! What a device holds, for a sender (Swift: diskfile.py yield_suffixes, yield_hashes; replicator.py build_replication_jobs).

use std::{collections::BTreeSet, time::Duration};

use rustix::io::Errno;
use ssync_types::{FragmentIndex, ObjectHash, ObjectKind, Offer, Partition, PolicyIndex, Suffix};

use crate::{
    Device, DiskError, LocalObject, PartitionListing, PolicyKind,
    choice::{Choice, Preference},
    cleanup::Cleaned,
    directory::{Looked, is, names, release_files},
    layout,
};

/// A suffix, and what is in it as a sender offers it.
pub type SuffixListing = (Suffix, Result<Vec<LocalObject>, DiskError>);

/// Most names reported that are no partitions.
const UNEXPECTED_MAX: usize = 100;

impl Device {
    /// The partitions of a policy.
    pub fn partitions(&self, policy: PolicyIndex) -> Result<PartitionListing, DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        let directory = layout::objects(policy);
        let entries = match self.disk.list(&directory) {
            Err(error) if is(&error, Errno::NOENT) => Vec::new(),
            other => other.map_err(|error| self.io("list", &directory, error))?,
        };
        let mut listing = PartitionListing::default();
        for entry in entries {
            let name = entry.name.to_string_lossy();
            match partition_number(&name) {
                Some(partition) => match self.disk.stat(&directory.join(&entry.name)) {
                    Ok(stat) if stat.directory => listing.partitions.push(partition),
                    Ok(_) => listing.files.push(partition),
                    // Gone meanwhile, or not to be looked at: then the job would fail, and says so.
                    Err(error) if is(&error, Errno::NOENT) => {}
                    Err(_) => listing.partitions.push(partition),
                },
                _ if is_bookkeeping(&name) || listing.unexpected.len() >= UNEXPECTED_MAX => {}
                _ => listing.unexpected.push(name.into_owned()),
            }
        }
        listing.partitions.sort_unstable();
        listing.files.sort_unstable();
        listing.unexpected.sort_unstable();
        Ok(listing)
    }

    /// The suffixes of a partition, ascending; none when there is no such partition.
    pub fn suffixes(&self, policy: PolicyIndex, partition: Partition) -> Result<Vec<Suffix>, DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        self.list_suffixes(&layout::partition(policy, partition))
    }

    /// The objects of a suffix, by hash. Removes what no longer counts; a suffix without any file is marked as stale, so that
    /// the next hashing removes it. What cannot be read is left out, and is not in sync (rule S4).
    pub fn list_suffix(
        &self,
        policy: PolicyIndex,
        partition: Partition,
        suffix: Suffix,
    ) -> Result<Vec<LocalObject>, DiskError> {
        self.check_mounted()?;
        self.objects_of(policy, partition, suffix)
    }

    /// As [`list_suffix`](Self::list_suffix) of one suffix after the other, at least one, until so many objects are found or it
    /// has taken so long; the rest is to be asked for again. One that cannot be read costs itself alone.
    pub fn list_suffixes_until(
        &self,
        policy: PolicyIndex,
        partition: Partition,
        suffixes: &[Suffix],
        enough: usize,
        longest: Duration,
    ) -> Result<Vec<SuffixListing>, DiskError> {
        self.check_mounted()?;
        let begin = self.disk.now();
        let mut listed = Vec::new();
        let mut found = 0;
        for suffix in suffixes {
            let objects = self.objects_of(policy, partition, *suffix);
            found += objects.as_ref().map_or(0, Vec::len);
            listed.push((*suffix, objects));
            let took = self.disk.now().duration_since(begin).unwrap_or_default();
            if found >= enough || took >= longest {
                break;
            }
        }
        Ok(listed)
    }

    fn objects_of(
        &self,
        policy: PolicyIndex,
        partition: Partition,
        suffix: Suffix,
    ) -> Result<Vec<LocalObject>, DiskError> {
        let kind = self.kind(policy)?;
        let directory = layout::suffix(policy, partition, suffix);
        let stale = || self.invalidate(&layout::partition(policy, partition), &[suffix]);
        let opened = Looked::open(self, &directory).and_then(|opened| Ok((opened.directory.list()?, opened)));
        let (mut entries, opened) = match opened {
            // As in Swift a file in its place holds nothing, and the next hashing forgets the suffix.
            Err(error) if is(&error, Errno::NOENT) || is(&error, Errno::NOTDIR) => {
                return stale().map(|()| Vec::new());
            }
            other => other.map_err(|error| self.io("list", &directory, error))?,
        };
        entries.sort_unstable();
        let mut objects = Vec::new();
        let mut empty = true;
        for entry in entries {
            let Some(hash) = entry.name.to_str().and_then(|name| name.parse::<ObjectHash>().ok()) else {
                // No object's; where it is empty it goes, as in Swift.
                let cleaned = self.clean_up(&directory.join(&entry.name), kind, Preference::default());
                empty &= cleaned.is_ok_and(|cleaned| cleaned.files.is_empty());
                continue;
            };
            let cleaned = {
                let _exclusive = self.exclusive(&hash);
                self.clean_up_in(policy, &opened, &directory.join(&entry.name))
            };
            match cleaned {
                Ok(cleaned) => {
                    empty &= cleaned.files.is_empty();
                    offer_all(&mut objects, hash, &cleaned, kind);
                }
                Err(error) => {
                    empty &= matches!(error, DiskError::Damaged { .. });
                    tracing::warn!(%hash, %error, "an object is not offered");
                }
            }
        }
        if empty {
            stale()?;
        }
        Ok(objects)
    }
}

fn offer_all(objects: &mut Vec<LocalObject>, hash: ObjectHash, cleaned: &Cleaned, kind: PolicyKind) {
    let files = release_files(&cleaned.files);
    let object = |choice: &Choice| {
        let fragment = choice.data.as_ref().and_then(|data| data.fragment);
        Some(LocalObject { offer: offer(hash, choice)?, fragment, files: files.clone() })
    };
    let indexes: BTreeSet<FragmentIndex> =
        cleaned.choice.fragments.iter().flat_map(|set| &set.files).filter_map(|file| file.fragment).collect();
    if indexes.is_empty() {
        objects.extend(object(&cleaned.choice));
        return;
    }
    let names = names(&cleaned.files);
    for index in indexes {
        // The newest time that has the fragment, durable or not; else the durable one.
        let newest = Choice::of(&names, kind, Preference { fragment: Some(index), fragments: Some(&[]) });
        let chosen = match newest.data {
            Some(_) => newest,
            None => Choice::of(&names, kind, Preference { fragment: Some(index), fragments: None }),
        };
        objects.extend(object(&chosen).filter(|object| object.fragment.is_some()));
    }
    if cleaned.choice.tombstone.is_some() {
        objects.extend(object(&cleaned.choice));
    }
}

/// The offer of what was chosen; `None` for metadata without a body.
pub(crate) fn offer(hash: ObjectHash, choice: &Choice) -> Option<Offer> {
    if let Some(tombstone) = &choice.tombstone {
        return Some(Offer::of_one_time(hash, tombstone.timestamp, Some(ObjectKind::Tombstone)));
    }
    let data = choice.data.as_ref()?;
    let mut offer = Offer::of_one_time(hash, data.timestamp, Some(ObjectKind::Data));
    offer.durable = data.fragment.is_none() || data.durable;
    if let Some(meta) = &choice.meta {
        offer.metadata = meta.timestamp;
    }
    if let Some(time) = choice.content_type.as_ref().and_then(|file| file.content_type) {
        offer.content_type = time;
    }
    Some(offer)
}

/// A partition's number, in the one spelling that Swift gives it.
pub(crate) fn partition_number(name: &str) -> Option<Partition> {
    let number: u32 = name.parse().ok()?;
    (number.to_string() == name).then(|| Partition::new(number))
}

/// Files that Swift's daemons keep among the partitions.
pub(crate) fn is_bookkeeping(name: &str) -> bool {
    name.starts_with("auditor_status_") && name.ends_with(".json")
}
