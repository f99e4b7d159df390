//! Suffixes and their hashes.

use std::collections::BTreeMap;

use ssync_types::{FragmentIndex, Invalid, Suffix, SuffixHash, SuffixHashes};

use super::{
    SUFFIX_PARTS_MAX, SUFFIXES_MAX, at_most, is_md5, named,
    partition::{fragment, from_fragment},
};
use crate::v1;

/// Suffixes as text.
#[must_use]
pub fn suffixes(suffixes: Vec<Suffix>) -> Vec<String> {
    suffixes.into_iter().map(|suffix| suffix.to_string()).collect()
}

/// The suffixes of `InvalidateSuffixesRequest`.
pub fn stale_suffixes(names: Vec<String>) -> Result<Vec<Suffix>, Invalid> {
    parse(names, "suffixes")
}

/// The suffixes of `GetSuffixHashesRequest`.
pub fn rehash_suffixes(names: Vec<String>) -> Result<Vec<Suffix>, Invalid> {
    parse(names, "rehash_suffixes")
}

fn parse(names: Vec<String>, field: &str) -> Result<Vec<Suffix>, Invalid> {
    at_most(names.len(), SUFFIXES_MAX, field)?;
    names.into_iter().map(|name| name.parse().map_err(named(field))).collect()
}

/// A partition's hashes as a message.
#[must_use]
pub fn to_suffix_hashes(hashes: SuffixHashes) -> v1::GetSuffixHashesResponse {
    let SuffixHashes { hashed: hashed_suffixes, ref fresh, .. } = hashes;
    let fresh = fresh.clone();
    let suffix = |(suffix, hash)| v1::SuffixHash { fresh: fresh.contains(&suffix), ..(suffix, hash).into() };
    v1::GetSuffixHashesResponse { suffixes: hashes.into_iter().map(suffix).collect(), hashed_suffixes }
}

/// A partition's hashes from a message.
pub fn suffix_hashes(response: v1::GetSuffixHashesResponse) -> Result<SuffixHashes, Invalid> {
    at_most(response.suffixes.len(), SUFFIXES_MAX, "suffixes")?;
    let mut hashes = SuffixHashes::new().hashed(response.hashed_suffixes);
    for suffix in response.suffixes {
        let fresh = suffix.fresh;
        let (suffix, hash) = suffix_hash(suffix).map_err(|invalid| invalid.within("suffixes"))?;
        if hashes.insert(suffix, hash).is_some() {
            return Err(Invalid::new("suffixes.suffix", format!("{suffix} stands there twice")));
        }
        if fresh {
            hashes.fresh.insert(suffix);
        }
    }
    Ok(hashes)
}

impl From<(Suffix, SuffixHash)> for v1::SuffixHash {
    fn from((suffix, hash): (Suffix, SuffixHash)) -> Self {
        let part = |(index, hash): (Option<FragmentIndex>, String)| v1::FragmentHash {
            fragment_index: index.map(from_fragment),
            hash,
        };
        let by_fragment = matches!(hash, SuffixHash::Fragments(_));
        let hashes = match hash {
            SuffixHash::Replicated(hash) => vec![part((None, hash))],
            SuffixHash::Fragments(parts) => parts.into_iter().map(part).collect(),
            SuffixHash::Unknown => Vec::new(),
        };
        Self { suffix: suffix.to_string(), hashes, by_fragment, fresh: false }
    }
}

fn suffix_hash(wire: v1::SuffixHash) -> Result<(Suffix, SuffixHash), Invalid> {
    at_most(wire.hashes.len(), SUFFIX_PARTS_MAX, "hashes")?;
    let suffix = wire.suffix.parse()?;
    let count = wire.hashes.len();
    let mut parts = BTreeMap::new();
    for part in wire.hashes {
        if !is_md5(&part.hash) {
            return Err(Invalid::new("hashes.hash", "is not 32 lower-case hex digits"));
        }
        let index = part.fragment_index.map(|index| fragment(index, "hashes.fragment_index")).transpose()?;
        parts.insert(index, part.hash);
    }
    if parts.len() < count {
        return Err(Invalid::new("hashes.fragment_index", "stands there twice"));
    }
    if wire.by_fragment {
        return Ok((suffix, SuffixHash::Fragments(parts)));
    }
    match (parts.remove(&None), parts.is_empty()) {
        (Some(hash), true) => Ok((suffix, SuffixHash::Replicated(hash))),
        (None, true) => Ok((suffix, SuffixHash::Unknown)),
        _ => Err(Invalid::new("hashes", "a replication policy has one hash, without a fragment index")),
    }
}
