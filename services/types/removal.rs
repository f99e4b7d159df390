//! A record of what a handoff let go of: where an object went.

use crate::{Assurance, DeviceName, ObjectPath, Offer, Partition, PolicyIndex, Primary, Timestamp};

/// An object that a handoff let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// When, by the clock of the node. No two batches of one device have the same.
    pub at: Timestamp,
    /// From which device of the node.
    pub device: DeviceName,
    /// In which policy.
    pub policy: PolicyIndex,
    /// In which partition.
    pub partition: Partition,
    /// Which version of it.
    pub offer: Offer,
    /// Its name, where the file said so.
    pub path: Option<ObjectPath>,
    /// Who has it, and how.
    pub confirmed_by: Vec<(Primary, Assurance)>,
    /// A digest of the ring by which the device was a handoff.
    pub ring_digest: Option<Vec<u8>>,
    /// Whether it is certain.
    pub certainty: Certainty,
}

/// Whether a removal that was recorded came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// It did: the files are gone.
    Removed,
    /// It failed, or the program or its device stopped before that was written down: the object is gone, or is still in its place.
    Begun,
}
