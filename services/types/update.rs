//! What a replication session carries: changes, questions, verdicts.

use bytes::Bytes;

use crate::{Assurance, Metadata, ObjectHash, ObjectPath, Offer, Refusal, Timestamp};

/// One step of a sender in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateMessage {
    /// A change, in whole or as the head of a body.
    Update(Update),
    /// A piece of that body.
    Chunk(Bytes),
    /// The end of that body.
    End(BodyEnd),
    /// The sender is alive.
    Heartbeat,
}

/// One change to one object, or a batch of questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Chosen by the sender, increasing within the session.
    pub id: u64,
    /// What to do.
    pub op: UpdateOp,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateOp {
    /// Store a body.
    Put(PutUpdate),
    /// Replace the metadata: a `.meta` file.
    Post {
        /// The object.
        path: ObjectPath,
        /// The time of the `.meta` file.
        timestamp: Timestamp,
        /// All metadata but name and X-Timestamp; with Content-Type if the POST changed it.
        metadata: Metadata,
        /// The time of that Content-Type.
        content_type: Option<Timestamp>,
    },
    /// Leave a tombstone.
    Delete {
        /// The object.
        path: ObjectPath,
        /// The time of the deletion.
        timestamp: Timestamp,
    },
    /// Mark a stored fragment durable.
    Commit {
        /// The object.
        hash: ObjectHash,
        /// The time of the fragment.
        timestamp: Timestamp,
    },
    /// Are these on disk, in this version or a newer one?
    Confirm(Vec<Offer>),
}

/// A body with the metadata of its `.data` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutUpdate {
    /// The object.
    pub path: ObjectPath,
    /// The time of the `.data` file.
    pub timestamp: Timestamp,
    /// Bytes of the body.
    pub content_length: u64,
    /// All metadata but name, ETag, Content-Length and X-Timestamp.
    pub metadata: Metadata,
    /// False leaves a fragment without its durable mark.
    pub durable: bool,
    /// The whole body, when small. `None`: chunks and an end follow.
    pub inline_body: Option<InlineBody>,
}

/// A whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineBody {
    /// The bytes.
    pub data: Bytes,
    /// The stored MD5; `None` only for a rebuilt fragment.
    pub etag: Option<String>,
}

/// The end of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// The body is complete.
    Complete {
        /// The stored MD5, 32 lower-case hex digits; `None` where none was announced.
        etag: Option<String>,
        /// Metadata that came after the body; it wins over the head's.
        footers: Metadata,
    },
    /// The rest could not be read: drop this object, go on with the next.
    Abort(String),
}

/// The verdict on one update, or on one offer to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateResult {
    /// Whose it is.
    pub update_id: u64,
    /// The object.
    pub hash: ObjectHash,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// On disk: file, name and directory.
    Applied,
    /// Stored but not flushed.
    AppliedUnflushed,
    /// Was on disk already, and is flushed.
    Confirmed,
    /// Something newer, of this time, is on disk and flushed.
    Superseded(Timestamp),
    /// The receiver does not have it.
    NotFound,
    /// The receiver is no primary of the partition, and answers for nothing.
    NotPrimary,
    /// It went wrong.
    Failed(Refusal),
}

impl Outcome {
    /// Whether a copy of this version or a newer one is safe at the receiver: the only outcomes on which a handoff may
    /// let go (rule S2).
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.assurance().is_some()
    }

    /// How the version is safe there, if it is.
    #[must_use]
    pub fn assurance(&self) -> Option<Assurance> {
        match self {
            Self::Applied => Some(Assurance::Applied),
            Self::Confirmed => Some(Assurance::Confirmed),
            Self::Superseded(time) => Some(Assurance::Superseded(*time)),
            Self::AppliedUnflushed | Self::NotFound | Self::NotPrimary | Self::Failed(_) => None,
        }
    }
}
