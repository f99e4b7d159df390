//! A handoff lets go of what its primaries have confirmed.

use crate::{ObjectHash, Refusal};

/// One object that every required primary has answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseItem {
    /// The object.
    pub hash: ObjectHash,
    /// Exactly the files that were confirmed.
    pub files: Vec<ReleaseFile>,
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
