//! A handoff lets go of what its primaries have confirmed.

use std::collections::BTreeSet;

use crate::{ObjectHash, Offer, PartitionRef, Refusal, Timestamp};

/// Locks a handoff's partition, and says on whose word it will be emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseOpen {
    /// The partition, on this node.
    pub partition: PartitionRef,
    /// A digest of the ring by which it is a handoff, if there is one.
    pub ring_digest: Option<Vec<u8>>,
    /// Who is asked: the partition's primaries by that ring.
    pub primaries: Vec<Primary>,
}

impl ReleaseOpen {
    /// Most primaries of a partition. Rings have three or so.
    pub const PRIMARIES_MAX: usize = 64;
}

/// A partition's primary. For records; not trusted for anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Primary {
    /// Its node's replication address.
    pub address: String,
    /// Its device.
    pub device: String,
}

/// One object that every required primary has answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseItem {
    /// The version that was confirmed.
    pub offer: Offer,
    /// Exactly the files that were confirmed.
    pub files: Vec<ReleaseFile>,
    /// Who answered for it, and how; each once, and at least one.
    pub confirmed_by: Vec<Confirmed>,
}

/// A primary's word for one version of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Confirmed {
    /// Its place among [`ReleaseOpen::primaries`].
    pub primary: usize,
    /// What it has.
    pub assurance: Assurance,
}

/// How a version of an object is safe at a primary (rule S2): file, name and directory are on disk there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assurance {
    /// It was stored.
    Applied,
    /// It was there already.
    Confirmed,
    /// Something newer is there, of this time.
    Superseded(Timestamp),
}

impl ReleaseItem {
    /// Most items in one message.
    pub const BATCH_MAX: usize = 1000;
}

/// One file of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseFile {
    /// Its name in the object's directory.
    pub name: String,
    /// Its inode number when it was offered.
    pub inode: u64,
}

/// Whether the files that were confirmed may be removed from a directory that holds `listing`: exactly these, by name and
/// inode, and at least one (rule S2). Anything else came, went or was replaced since they were listed, and nobody has
/// answered for it.
#[must_use]
pub fn may_unlink(confirmed: &[ReleaseFile], listing: &[ReleaseFile]) -> bool {
    let set = |files: &[ReleaseFile]| files.iter().cloned().collect::<BTreeSet<_>>();
    !confirmed.is_empty() && set(confirmed) == set(listing)
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseResult {
    /// The object.
    pub hash: ObjectHash,
    /// Whether its files are gone.
    pub outcome: ReleaseOutcome,
}

/// Whether an object's files are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// They are gone.
    Released,
    /// The directory holds something else by now; nothing was touched.
    Changed,
    /// It went wrong; what is left is whole.
    Failed(Refusal),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(listed: &[(&str, u64)]) -> Vec<ReleaseFile> {
        listed.iter().map(|&(name, inode)| ReleaseFile { name: name.into(), inode }).collect()
    }

    #[test]
    fn only_the_very_files_that_were_confirmed_may_go() {
        let confirmed = files(&[("1.data", 1), ("2.meta", 2)]);
        assert!(may_unlink(&confirmed, &confirmed));
        assert!(may_unlink(&confirmed, &files(&[("2.meta", 2), ("1.data", 1)])), "in any order");
        for other in [
            files(&[]),
            files(&[("1.data", 1)]),
            files(&[("1.data", 1), ("2.meta", 3)]),
            files(&[("1.data", 1), ("3.meta", 2)]),
            files(&[("1.data", 1), ("2.meta", 2), ("3.ts", 3)]),
            files(&[("1.data", 1), ("2.meta", 2), ("2.meta", 3)]),
        ] {
            assert!(!may_unlink(&confirmed, &other), "{other:?}");
            assert!(!may_unlink(&other, &confirmed), "{other:?}");
        }
        assert!(!may_unlink(&[], &[]), "nothing was confirmed");
    }
}
