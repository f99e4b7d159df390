//! What is asked of, and known about, one object on a device.

use std::{fmt, sync::Arc};

use ssync_types::{
    FragmentIndex, FragmentPreference, Metadata, ObjectHash, ObjectInfo, ObjectPath, Offer, Partition,
    PolicyIndex, ReleaseFile, Timestamp,
};

use crate::{
    Device,
    disk::{DiskFile, Entry},
};

/// Where an object is kept on its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The policy.
    pub policy: PolicyIndex,
    /// The partition.
    pub partition: Partition,
    /// The object.
    pub hash: ObjectHash,
}

/// How to open an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Erasure coding: this fragment only.
    pub fragment: Option<FragmentIndex>,
    /// Erasure coding: which fragments to prefer; `None` for durable ones only, empty for any.
    pub fragment_preferences: Option<Vec<FragmentPreference>>,
    /// Open also what has expired.
    pub open_expired: bool,
    /// The time to judge expiry by; `None` for the clock.
    pub now: Option<Timestamp>,
    /// For a single user: others will hardly ask for it, so the page cache need not keep it.
    pub private: bool,
    /// The name the object must have; another one is a collision. `None`: any name that hashes to the directory.
    pub expected: Option<ObjectPath>,
}

/// What stands in an object's place.
#[derive(Debug)]
pub enum Found {
    /// A body.
    Object(Box<OpenObject>),
    /// A tombstone of this time.
    Tombstone(Timestamp),
    /// A body whose X-Delete-At has passed; its time is `info.timestamp`.
    Expired(Box<OpenObject>),
    /// Nothing that counts.
    Nothing,
}

/// What a sender sends of an object.
#[derive(Debug)]
pub enum ToSend {
    /// Its body, or metadata of a later POST.
    Object(Box<OpenObject>),
    /// Its deletion, by its name and at this time.
    Deletion(ObjectPath, Timestamp),
    /// Nothing: it is not there.
    Nothing,
}

/// A `.meta` file's own contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaView {
    /// The time of the file.
    pub timestamp: Timestamp,
    /// All it holds but the name: X-Timestamp, and Content-Type with Content-Type-Timestamp where a POST set it.
    pub metadata: Metadata,
    /// The time of the content type in `metadata`, if it has one.
    pub content_type: Option<Timestamp>,
}

/// An object's body, opened and checked; replacing or removing the object does not disturb it.
pub struct OpenObject {
    /// The object's name.
    pub name: ObjectPath,
    /// As clients see it.
    pub info: ObjectInfo,
    /// What the `.data` file alone holds, without the name.
    pub data_metadata: Metadata,
    /// The newest `.meta` file later than the body.
    pub meta: Option<MetaView>,
    /// Erasure coding: the fragment that was opened.
    pub fragment: Option<FragmentIndex>,
    /// All files of the object's directory when it was opened.
    pub files: Vec<ReleaseFile>,
    /// The page cache need not keep it, however small it is.
    pub(crate) private: bool,
    pub(crate) device: Arc<Device>,
    pub(crate) at: Location,
    pub(crate) file: Box<dyn DiskFile>,
    /// The file, as the directory has it.
    pub(crate) entry: Entry,
}

impl fmt::Debug for OpenObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenObject")
            .field("name", &self.name)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// A body's end: what makes it a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The time of the file.
    pub timestamp: Timestamp,
    /// All metadata but name, X-Timestamp, Content-Length and ETag, which the writer sets; an ETag given here must be that of
    /// the bytes written.
    pub metadata: Metadata,
    /// Erasure coding: the fragment, unless `metadata` names another one, and whether it gets its durable mark at once.
    pub fragment: Option<(FragmentIndex, bool)>,
    /// While the partition power is being changed: the power to link for.
    pub next_part_power: Option<u32>,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// MD5 of the body, 32 lower-case hex digits.
    pub etag: String,
    /// Bytes of the body.
    pub content_length: u64,
}

/// Metadata to replace an object's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaFile {
    /// The time of the file.
    pub timestamp: Timestamp,
    /// All metadata but name, X-Timestamp and Content-Type-Timestamp, which are set here.
    pub metadata: Metadata,
    /// The time of the Content-Type in `metadata`, if it has one.
    pub content_type: Option<Timestamp>,
    /// While the partition power is being changed: the power to link for.
    pub next_part_power: Option<u32>,
}

/// Whether an offered version is safe here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It is here, whole, and flushed.
    Confirmed,
    /// Something newer, of this time, is here, whole, and flushed.
    Superseded(Timestamp),
    /// It is not here, or not all of it.
    Lacking,
}

/// The partitions of a policy on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionListing {
    /// In ascending order.
    pub partitions: Vec<Partition>,
    /// Those in whose place a file stands, in ascending order.
    pub files: Vec<Partition>,
    /// Other names found among them, of which nothing is known.
    pub unexpected: Vec<String>,
}

/// An object as a sender offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalObject {
    /// The offer.
    pub offer: Offer,
    /// Erasure coding: the fragment offered.
    pub fragment: Option<FragmentIndex>,
    /// All files of the object's directory.
    pub files: Vec<ReleaseFile>,
}
