//! The directories between partition and object, and the hashes that nodes compare.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    fmt,
    ops::{Deref, DerefMut},
    str::FromStr,
};

use crate::{FragmentIndex, Invalid};

/// The last three hex digits of an object's hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suffix(u16);

impl Suffix {
    /// How many there are.
    pub const COUNT: usize = 4096;

    /// The suffix of the low twelve bits of `bits`.
    #[must_use]
    pub fn from_low_bits(bits: u16) -> Self {
        Self(bits & 0xfff)
    }

    /// Reads a directory name or a line of `hashes.invalid`.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let lower_hex = name.len() == 3 && name.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !lower_hex {
            return None;
        }
        let text = std::str::from_utf8(name).ok()?;
        u16::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03x}", self.0)
    }
}

impl fmt::Debug for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Suffix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::from_name(text.as_bytes())
            .ok_or_else(|| Invalid::new("suffix", format!("{text:?} is not 3 lower-case hex digits")))
    }
}

/// The hash of a suffix's state (Swift: diskfile.py _hash_suffix).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuffixHash {
    /// Of a replication policy: 32 lower-case hex digits.
    Replicated(String),
    /// Of an erasure-coded policy: one for each fragment index, and under `None` that of what is durable.
    Fragments(BTreeMap<Option<FragmentIndex>, String>),
    /// It could not be calculated: something in the suffix cannot be read.
    Unknown,
}

impl SuffixHash {
    /// Whether both say that the same is stored. What nobody could look at is never the same (Swift: two such suffixes are).
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        *self != Self::Unknown && self == other
    }
}

/// What to calculate anew, beside what is stale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehash {
    /// These, in any case.
    pub suffixes: Vec<Suffix>,
    /// Whatever a listing of the partition finds that nobody has reported.
    pub list: bool,
}

impl From<Vec<Suffix>> for Rehash {
    fn from(suffixes: Vec<Suffix>) -> Self {
        Self { suffixes, list: false }
    }
}

/// The hashes of a partition. A suffix without files has none.
#[derive(Debug, Clone, Default)]
pub struct SuffixHashes {
    hashes: BTreeMap<Suffix, SuffixHash>,
    /// How many suffixes were hashed for this answer, because theirs were stale or asked for: what it has cost.
    pub hashed: u64,
    /// Those of them that have something: nobody knows theirs better.
    pub fresh: BTreeSet<Suffix>,
}

/// What it has cost to say so is no part of what a partition holds.
impl PartialEq for SuffixHashes {
    fn eq(&self, other: &Self) -> bool {
        self.hashes == other.hashes
    }
}

impl Eq for SuffixHashes {}

impl SuffixHashes {
    /// The hashes of a partition without suffixes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which took so many suffixes to be hashed.
    #[must_use]
    pub fn hashed(self, hashed: u64) -> Self {
        Self { hashed, ..self }
    }

    /// The same, of which these were hashed for it. What a partition does not have is left out.
    #[must_use]
    pub fn fresh(self, suffixes: impl IntoIterator<Item = Suffix>) -> Self {
        let fresh = suffixes.into_iter().filter(|suffix| self.hashes.contains_key(suffix)).collect();
        Self { fresh, ..self }
    }
}

impl Deref for SuffixHashes {
    type Target = BTreeMap<Suffix, SuffixHash>;

    fn deref(&self) -> &Self::Target {
        &self.hashes
    }
}

impl DerefMut for SuffixHashes {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.hashes
    }
}

impl FromIterator<(Suffix, SuffixHash)> for SuffixHashes {
    fn from_iter<I: IntoIterator<Item = (Suffix, SuffixHash)>>(hashes: I) -> Self {
        Self { hashes: hashes.into_iter().collect(), ..Self::default() }
    }
}

impl<const N: usize> From<[(Suffix, SuffixHash); N]> for SuffixHashes {
    fn from(hashes: [(Suffix, SuffixHash); N]) -> Self {
        hashes.into_iter().collect()
    }
}

impl IntoIterator for SuffixHashes {
    type Item = (Suffix, SuffixHash);
    type IntoIter = btree_map::IntoIter<Suffix, SuffixHash>;

    fn into_iter(self) -> Self::IntoIter {
        self.hashes.into_iter()
    }
}

impl<'a> IntoIterator for &'a SuffixHashes {
    type Item = (&'a Suffix, &'a SuffixHash);
    type IntoIter = btree_map::Iter<'a, Suffix, SuffixHash>;

    fn into_iter(self) -> Self::IntoIter {
        self.hashes.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_agrees_with_nothing() {
        let (known, unknown) = (SuffixHash::Replicated("a".to_owned()), SuffixHash::Unknown);
        assert!(known.agrees(&known) && !known.agrees(&unknown));
        assert!(!unknown.agrees(&known) && !unknown.agrees(&unknown));
    }

    #[test]
    fn takes_only_three_lower_case_hex_digits() {
        assert_eq!(Suffix::from_name(b"0af").unwrap().to_string(), "0af");
        for bad in [&b""[..], b"0a", b"0aff", b"0aF", b"+af", b"..", b"\xff\xff\xff"] {
            assert_eq!(Suffix::from_name(bad), None);
        }
    }
}
