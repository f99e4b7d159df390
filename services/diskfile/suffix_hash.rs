//! The hashes that nodes compare (Swift: diskfile.py _hash_suffix_dir, _update_suffix_hashes, __get_hashes).

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::atomic::Ordering,
};

use md5::{Digest as _, Md5};
use rustix::io::Errno;
use ssync_types::{FragmentIndex, ObjectHash, Partition, PolicyIndex, Suffix, SuffixHash, SuffixHashes};

use crate::{
    Device, DiskError, PolicyKind,
    choice::Choice,
    cleanup::Cleaned,
    digest,
    directory::{Looked, is},
    hashes::Hashes,
    layout,
};

/// How often hashes are calculated anew because somebody else wrote theirs meanwhile.
const ATTEMPTS_MAX: usize = 16;

/// One MD5 for each fragment index, and under `None` the one for all the rest.
pub(crate) type Digests = BTreeMap<Option<FragmentIndex>, Md5>;

/// What one calculation came to.
struct Once {
    hashes: Hashes,
    /// Suffixes that were hashed.
    hashed: BTreeSet<Suffix>,
    /// Nobody has written others meanwhile.
    settled: bool,
}

impl Device {
    /// The hashes of a partition's suffixes. Stale ones, and those of `rehash`, are calculated anew; `list_suffixes` finds also
    /// suffixes that nobody reported. A suffix with something in it that cannot be read has an unknown one. A partition that
    /// does not exist has none, and is not made.
    pub fn suffix_hashes(
        &self,
        policy: PolicyIndex,
        number: Partition,
        rehash: &[Suffix],
        list_suffixes: bool,
    ) -> Result<SuffixHashes, DiskError> {
        self.kind(policy)?;
        self.check_mounted()?;
        let partition = layout::partition(policy, number);
        let mut latest = Hashes::unknown();
        let mut hashed = BTreeSet::new();
        for _ in 0..ATTEMPTS_MAX {
            let once = self.hash_once(policy, &partition, rehash, list_suffixes)?;
            (latest, hashed) = (once.hashes, once.hashed);
            if once.settled {
                break;
            }
        }
        let known = |hash: Option<SuffixHash>| hash.unwrap_or(SuffixHash::Unknown);
        let hashes = latest.suffixes.into_iter().map(|(suffix, hash)| (suffix, known(hash)));
        Ok(hashes.collect::<SuffixHashes>().hashed(hashed.len() as u64).fresh(hashed))
    }

    /// Calculates without a lock, and keeps the result if nobody has written another meanwhile.
    fn hash_once(
        &self,
        policy: PolicyIndex,
        partition: &Path,
        rehash: &[Suffix],
        list: bool,
    ) -> Result<Once, DiskError> {
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let before = match self.consolidate(partition) {
            Ok(Some(hashes)) if hashes.valid => hashes,
            Ok(None) => {
                return Ok(Once { hashes: Hashes::unknown(), hashed: BTreeSet::new(), settled: true });
            }
            Ok(Some(_)) => self.read_hashes(partition),
            Err(error) => {
                tracing::warn!(%error, "the notes on stale hashes could not be taken over: all are calculated anew");
                Hashes { valid: false, ..self.read_hashes(partition) }
            }
        };
        let mut hashes =
            if before.valid { before.clone() } else { Hashes { valid: true, ..Hashes::unknown() } };
        if list || !before.valid {
            for suffix in self.list_suffixes(partition)? {
                hashes.suffixes.entry(suffix).or_insert(None);
            }
        }
        hashes.suffixes.extend(rehash.iter().map(|suffix| (*suffix, None)));
        let stale: BTreeSet<_> =
            hashes.suffixes.iter().filter(|(_, hash)| hash.is_none()).map(|(suffix, _)| *suffix).collect();
        for suffix in &stale {
            self.hash_into(&mut hashes, policy, partition, *suffix);
            *self.settings.hashed.lock().entry(self.name.clone()).or_default() += 1;
        }
        let settled = (stale.is_empty() && !list && before.valid)
            || self.keep_hashes(partition, &before, forgotten, list, &mut hashes)?;
        Ok(Once { hashes, hashed: stale, settled })
    }

    fn hash_into(&self, hashes: &mut Hashes, policy: PolicyIndex, partition: &Path, suffix: Suffix) {
        match self.hash_suffix(policy, &partition.join(suffix.to_string())) {
            Ok(Some(hash)) => {
                hashes.suffixes.insert(suffix, Some(hash));
            }
            Ok(None) => {
                hashes.suffixes.remove(&suffix);
            }
            Err(error) => {
                tracing::error!(%suffix, %error, "a suffix could not be hashed; it is tried again next time");
            }
        }
    }

    /// Keeps what was calculated, where it is not what is known already. `before` and `forgotten` are as they were when the
    /// calculation began.
    fn keep_hashes(
        &self,
        partition: &Path,
        before: &Hashes,
        forgotten: u64,
        list: bool,
        hashes: &mut Hashes,
    ) -> Result<bool, DiskError> {
        let Some(_lock) = self.lock_hashes(partition)? else { return Ok(true) };
        let now = self.read_hashes(partition);
        let same = now.suffixes == before.suffixes && now.updated == before.updated;
        // Without any before and after, that alone would not tell.
        let same = same && self.forgotten.load(Ordering::SeqCst) == forgotten;
        // Who has listed writes in any case: the time of the file tells that the device is in service.
        if same && (list || hashes != before) {
            self.write_hashes(partition, hashes)?;
        }
        Ok(same)
    }

    /// The hash of one suffix; `None` where there is no such directory, or nothing in it. Removes what no longer counts.
    fn hash_suffix(&self, policy: PolicyIndex, directory: &Path) -> Result<Option<SuffixHash>, DiskError> {
        let kind = self.kind(policy)?;
        let opened = Looked::open(self, directory).and_then(|suffix| Ok((suffix.directory.list()?, suffix)));
        let (mut entries, suffix) = match opened {
            Ok(opened) => opened,
            Err(error) if is(&error, Errno::NOTDIR) || is(&error, Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.io("list", directory, error)),
        };
        entries.sort_unstable();
        let mut digests = Digests::new();
        let mut seems_empty = true;
        for entry in entries {
            let hash = entry.name.to_str().and_then(|name| name.parse::<ObjectHash>().ok());
            let cleaned = {
                // Waits for a name that is just being published; what is no object's name nobody publishes.
                let _exclusive = hash.as_ref().map(|hash| self.exclusive(hash));
                self.clean_up_in(policy, &suffix, &directory.join(&entry.name))
            };
            match cleaned {
                Ok(Cleaned { choice, files, .. }) if !files.is_empty() => {
                    seems_empty = false;
                    digest_object(&mut digests, &choice);
                }
                Ok(_) | Err(DiskError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match if seems_empty { self.disk.remove_dir(directory) } else { Err(Errno::NOTEMPTY.into()) } {
            Ok(()) => return Ok(None),
            Err(error) if is(&error, Errno::NOENT) => return Ok(None),
            Err(_) => {}
        }
        Ok(Some(hash_of(digests, kind)))
    }

    /// The suffixes of a partition, ascending.
    pub(crate) fn list_suffixes(&self, partition: &Path) -> Result<Vec<Suffix>, DiskError> {
        let entries = match self.disk.list(partition) {
            Err(error) if is(&error, Errno::NOENT) => Vec::new(),
            other => other.map_err(|error| self.io("list", partition, error))?,
        };
        let mut suffixes: Vec<_> =
            entries.iter().filter_map(|entry| Suffix::from_name(entry.name.as_bytes())).collect();
        suffixes.sort_unstable();
        Ok(suffixes)
    }
}

/// The hash of a suffix with something in it.
pub(crate) fn hash_of(mut digests: Digests, kind: PolicyKind) -> SuffixHash {
    match kind {
        PolicyKind::Replication => {
            SuffixHash::Replicated(digest::hex(digests.remove(&None).unwrap_or_default()))
        }
        PolicyKind::ErasureCoding { .. } => {
            SuffixHash::Fragments(digests.into_iter().map(|(index, md5)| (index, digest::hex(md5))).collect())
        }
    }
}

/// Adds what determines an object's state, and nothing else: all nodes must come to the same digest.
pub(crate) fn digest_object(digests: &mut Digests, choice: &Choice) {
    let mut add = |key: Option<FragmentIndex>, text: String| digests.entry(key).or_default().update(text);
    if let Some(meta) = &choice.meta {
        add(None, format!("{}.meta", meta.timestamp.internal()));
    }
    if let Some(tombstone) = &choice.tombstone {
        add(None, format!("{}.ts", tombstone.timestamp.internal()));
    }
    if let Some(data) = choice.data.as_ref().filter(|data| data.fragment.is_none()) {
        add(None, format!("{}.data", data.timestamp.internal()));
    }
    for file in choice.fragments.iter().flat_map(|set| &set.files) {
        add(file.fragment, file.timestamp.internal());
    }
    if let Some(durable) = choice.durable {
        add(None, format!("{}.durable", durable.internal()));
    }
    if let Some(time) = choice.content_type.as_ref().and_then(|file| file.content_type) {
        add(None, format!("{}_ctype", time.internal()));
    }
}
