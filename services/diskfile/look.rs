//! A suffix as it lies there, for those who only look: nothing is cleaned up, marked, or put into quarantine.

use rustix::io::Errno;
use ssync_types::{ObjectHash, Partition, PolicyIndex, Suffix};

use crate::{
    Device, DiskError, LocalObject,
    choice::Preference,
    directory::{is, release_files},
    layout, listing,
};

/// The objects of a suffix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuffixLook {
    /// Each object that a sender would offer, and the bytes of its body.
    pub objects: Vec<(LocalObject, u64)>,
    /// Objects that could not be read, or whose directory is damaged.
    pub unread: u64,
}

impl Device {
    /// The objects of a suffix of a replication policy, by hash, each with the size of its data file. A tombstone that the next
    /// cleaning removes is left out.
    pub fn look_at_suffix(
        &self,
        policy: PolicyIndex,
        partition: Partition,
        suffix: Suffix,
    ) -> Result<SuffixLook, DiskError> {
        let kind = self.kind(policy)?;
        self.check_mounted()?;
        let directory = layout::suffix(policy, partition, suffix);
        let mut entries = match self.disk.list(&directory) {
            Err(error) if is(&error, Errno::NOENT) || is(&error, Errno::NOTDIR) => Vec::new(),
            other => other.map_err(|error| self.io("list", &directory, error))?,
        };
        entries.sort_unstable();
        let mut look = SuffixLook::default();
        for hash in entries.iter().filter_map(|entry| entry.name.to_str()?.parse::<ObjectHash>().ok()) {
            let directory = directory.join(hash.to_string());
            let Ok(mut found) = self.examine(&directory, kind, Preference::default()) else {
                look.unread += 1;
                continue;
            };
            let _ = found.choice.tombstone.take_if(|tombstone| self.is_reclaimable(tombstone.timestamp));
            let Some(offer) = listing::offer(hash, &found.choice) else { continue };
            let size = found.choice.data.as_ref().map(|data| self.disk.stat(&directory.join(&data.name)));
            match size.transpose() {
                Ok(stat) => {
                    let object = LocalObject { offer, fragment: None, files: release_files(&found.files) };
                    look.objects.push((object, stat.map_or(0, |stat| stat.size)));
                }
                Err(_) => look.unread += 1,
            }
        }
        Ok(look)
    }
}
