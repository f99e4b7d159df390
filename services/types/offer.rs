//! What a sender has, and what a receiver lacks of it (Swift: ssync_sender.py encode_missing, ssync_receiver.py
//! encode_wanted).

use crate::{ObjectHash, Timestamp};

/// What an object's newest file says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// There is a body.
    Data,
    /// It was deleted.
    Tombstone,
}

/// One version of one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Offer {
    /// The object.
    pub hash: ObjectHash,
    /// The time of the `.data` file, or of the tombstone.
    pub data: Timestamp,
    /// The time of the newest metadata; equal to `data` where no POST came later.
    pub metadata: Timestamp,
    /// The time of the content type; equal to `data` where no POST changed it.
    pub content_type: Timestamp,
    /// What it is, where the sender says so. (SSYNC does not.)
    pub kind: Option<ObjectKind>,
    /// False only for an erasure-coded fragment without its durable mark.
    pub durable: bool,
}

impl Offer {
    /// Most offers in one message.
    pub const BATCH_MAX: usize = 1000;

    /// An object of one time: a body that no POST changed, or a tombstone.
    #[must_use]
    pub fn of_one_time(hash: ObjectHash, data: Timestamp, kind: Option<ObjectKind>) -> Self {
        Self { hash, data, metadata: data, content_type: data, kind, durable: true }
    }
}

/// What a receiver lacks of one offered object. At least one part is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Want {
    /// The object.
    pub hash: ObjectHash,
    /// The body with its metadata, or the tombstone.
    pub data: bool,
    /// The metadata that a later POST left.
    pub metadata: bool,
    /// The fragment is here but lacks its durable mark.
    pub durable_mark: bool,
}
