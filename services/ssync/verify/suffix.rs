//! A suffix held against what is on record of it, and looked at again before anything is said of it.

use std::collections::BTreeSet;

use ssync_diskfile::{Device, DiskError, Flaw, FlawKind, OnRecord, SuffixInspection};
use ssync_types::{Partition, PolicyIndex, Suffix, SuffixHash};

/// The MD5 of nothing: what is on record of a suffix whose directory could not be removed when it became empty.
const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// Where a suffix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) policy: PolicyIndex,
    pub(super) partition: Partition,
    pub(super) suffix: Suffix,
}

/// What is suspected of a suffix until it is seen again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Suspicion {
    pub(super) flaws: BTreeSet<Flaw>,
    /// Its hash on record is another than the one of what is there, though no note says that it has changed.
    pub(super) stale: Option<String>,
}

/// What a look at a suffix gave.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) found: SuffixInspection,
    pub(super) suspicion: Suspicion,
    /// Tombstones that are old enough to go.
    pub(super) reclaimable: u64,
    /// Whether its hash could be held against what is on record.
    pub(super) compared: bool,
}

impl Suspicion {
    pub(super) fn is_empty(&self) -> bool {
        self.flaws.is_empty() && self.stale.is_none()
    }

    /// What is seen both times.
    pub(super) fn confirmed(self, again: &Self) -> Self {
        Self {
            flaws: self.flaws.intersection(&again.flaws).cloned().collect(),
            stale: self.stale.filter(|stale| again.stale.as_ref() == Some(stale)),
        }
    }
}

/// Looks at a suffix, and at what is on record before and after.
pub(super) fn look(device: &Device, at: Place, part_power: u32) -> Result<Looked, DiskError> {
    let Place { policy, partition, suffix } = at;
    let before = device.records(policy, partition)?.of(suffix);
    let found = device.inspect_suffix(policy, partition, suffix, Some(part_power))?;
    let mut looked = Looked::default();
    if let OnRecord::Known(known) = &before
        && !found.changing
    {
        looked.compared = true;
        if !is_same(known.as_ref(), found.hash.as_ref())
            && device.records(policy, partition)?.of(suffix) == before
        {
            looked.suspicion.stale = Some(format!(
                "{} on record, {} by what is there",
                text(known.as_ref()),
                text(found.hash.as_ref())
            ));
        }
    }
    let (reclaimable, flaws): (Vec<_>, Vec<_>) =
        found.flaws.iter().cloned().partition(|flaw| flaw.kind == FlawKind::Reclaimable);
    looked.reclaimable = reclaimable.len() as u64;
    looked.suspicion.flaws = flaws.into_iter().collect();
    looked.found = found;
    Ok(looked)
}

fn is_same(known: Option<&SuffixHash>, found: Option<&SuffixHash>) -> bool {
    known == found || (is_empty(known) && is_empty(found))
}

fn is_empty(hash: Option<&SuffixHash>) -> bool {
    match hash {
        None => true,
        Some(SuffixHash::Replicated(hash)) => hash == EMPTY,
        Some(SuffixHash::Fragments(fragments)) => fragments.is_empty(),
        Some(SuffixHash::Unknown) => false,
    }
}

fn text(hash: Option<&SuffixHash>) -> String {
    match hash {
        None => "nothing".to_owned(),
        Some(SuffixHash::Replicated(hash)) => hash.clone(),
        Some(SuffixHash::Fragments(fragments)) => format!("hashes of {} kinds of fragments", fragments.len()),
        Some(SuffixHash::Unknown) => "unknown".to_owned(),
    }
}
