//! Single objects: what Swift's object API asks and answers.

use bytes::Bytes;

use crate::{BodyEnd, FragmentIndex, Metadata, ObjectPath, PartitionRef, Timestamp};

/// An object, and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The partition; it must be the one that the path hashes to.
    pub partition: PartitionRef,
    /// The name.
    pub path: ObjectPath,
}

/// Stores an object; the body comes beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPut {
    /// What to store.
    pub object: ObjectRef,
    /// The time of the request.
    pub timestamp: Timestamp,
    /// Bytes of the body, if known beforehand.
    pub content_length: Option<u64>,
    /// All metadata but name, ETag, Content-Length and X-Timestamp.
    pub metadata: Metadata,
    /// Refuse if there is an object (`*`), or one with one of these etags.
    pub if_none_match: Vec<String>,
    /// When it becomes durable.
    pub commit: CommitMode,
    /// While the partition power is being changed: the power to link for.
    pub next_part_power: Option<u32>,
}

/// When what a PUT stores gets its durable mark. Whole copies have none: they are always committed at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CommitMode {
    /// With the end of the body.
    #[default]
    AtOnce,
    /// With [`BodyEvent::Commit`]: first all nodes store their fragments, then enough of them mark theirs (Swift:
    /// proxy/controllers/obj.py MIMEPutter).
    SecondPhase,
    /// Not by this request.
    Never,
}

/// One step of a body on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEvent {
    /// A piece.
    Chunk(Bytes),
    /// The end. A body whose events stop without it is not stored.
    End(BodyEnd),
    /// After [`PutStep::Prepared`]: mark the fragment durable.
    Commit,
}

/// One step of a store in a PUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutStep {
    /// With [`CommitMode::SecondPhase`]: the body is on disk, without its durable mark. It stays so if no commit comes.
    Prepared,
    /// The last.
    Stored(Stored),
}

/// What a PUT left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// MD5 of the body, 32 lower-case hex digits.
    pub etag: String,
    /// Bytes of the body.
    pub content_length: u64,
    /// Metadata of the object that was there before.
    pub previous: Option<Metadata>,
}

/// Bytes `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// From 0.
    pub first: u64,
    /// Not below `first`; beyond the end means the end.
    pub last: u64,
}

/// How to read an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Read an object that has expired.
    pub open_expired: bool,
    /// The time to judge expiry by; `None` for the clock.
    pub now: Option<Timestamp>,
    /// Which fragments to prefer; `None` for durable ones only, empty for any.
    pub fragment_preferences: Option<Vec<FragmentPreference>>,
    /// For a single user: others will hardly ask for it, so the page cache need not keep it.
    pub private: bool,
}

/// Fragments of one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentPreference {
    /// The time.
    pub timestamp: Timestamp,
    /// Indexes not wanted.
    pub excluded: Vec<FragmentIndex>,
}

/// What is known of an object without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// As clients see it: of the body, overlaid by later POSTs. Without name; with ETag, Content-Length, Content-Type and
    /// X-Timestamp.
    pub metadata: Metadata,
    /// The newest time of all.
    pub timestamp: Timestamp,
    /// The time of the body.
    pub data: Timestamp,
    /// The time of the content type.
    pub content_type: Timestamp,
    /// The time of the newest durable body.
    pub durable: Option<Timestamp>,
    /// Bytes of the whole body.
    pub content_length: u64,
    /// Erasure coding: which fragments are here, newest time first.
    pub fragments: Vec<FragmentSet>,
}

/// Fragments of one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentSet {
    /// The time.
    pub timestamp: Timestamp,
    /// Their indexes, ascending.
    pub indexes: Vec<FragmentIndex>,
    /// Whether the set is durable.
    pub durable: bool,
}

/// Replaces an object's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPost {
    /// What to change.
    pub object: ObjectRef,
    /// The time of the request.
    pub timestamp: Timestamp,
    /// All metadata but name and X-Timestamp.
    pub metadata: Metadata,
    /// The time of the Content-Type in `metadata`, if it has one.
    pub content_type: Option<Timestamp>,
    /// Change an object that has expired.
    pub open_expired: bool,
    /// While the partition power is being changed: the power to link for.
    pub next_part_power: Option<u32>,
}

/// What a POST left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The object as it is now.
    pub info: ObjectInfo,
    /// Its metadata as it was before.
    pub previous: Metadata,
    /// The content type that came with the body, whatever POSTs have made of it.
    pub body_type: Bytes,
}

/// Deletes an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDelete {
    /// What to delete.
    pub object: ObjectRef,
    /// The time of the request.
    pub timestamp: Timestamp,
    /// Delete only an object that expires at this time (unix seconds).
    pub if_delete_at: Option<u64>,
    /// While the partition power is being changed: the power to link for.
    pub next_part_power: Option<u32>,
}

/// What a DELETE left: a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was an object.
    pub existed: bool,
    /// Whether this request left the tombstone; false when something as new stood there.
    pub written: bool,
    /// The newest time known now.
    pub timestamp: Timestamp,
    /// Metadata of the object that was there before.
    pub previous: Option<Metadata>,
}
