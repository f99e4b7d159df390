//! The nouns of Swift's object replication: timestamps, hashes, partitions, metadata, offers, wants, updates, verdicts.
//!
//! No I/O, no async, no wire format: the contract, the disk layer and the SSYNC text all convert to and from these.

#![forbid(unsafe_code)]

mod calendar;
mod error;
mod hash;
mod identity;
mod metadata;
mod object;
mod offer;
mod partition;
mod path;
mod pending_update;
mod python;
mod refusal;
mod release;
mod removal;
mod session;
mod sparing;
mod suffix;
mod survey;
mod timestamp;
mod update;

pub use calendar::civil;
pub use error::Invalid;
pub use hash::{HashPathConfig, ObjectHash};
pub use identity::{Identity, Role, Standing, SubjectName, host_key};
pub use metadata::{HeaderName, Metadata, is_sendable_value};
pub use object::{
    BodyEvent, ByteRange, CommitMode, Deleted, FragmentPreference, FragmentSet, ObjectDelete, ObjectInfo,
    ObjectPost, ObjectPut, ObjectRef, Posted, PutStep, ReadOptions, Stored,
};
pub use offer::{ObjectKind, Offer, Want};
pub use partition::{DeviceName, FragmentIndex, Partition, PartitionRef, PolicyIndex};
pub use path::ObjectPath;
pub use pending_update::{ContainerPath, ListingOp, PendingUpdate};
pub use python::{config_true, python_integer};
pub use refusal::{Reason, Refusal};
pub use release::{
    Assurance, Confirmed, Primary, ReleaseFile, ReleaseItem, ReleaseOpen, ReleaseOutcome, ReleaseResult,
    may_unlink,
};
pub use removal::{Certainty, Removal};
pub use session::{
    Accepted, Durability, Job, Sender, SessionEvent, SessionOpen, SessionProtocol, Summary, WorkTimes,
};
pub use sparing::Sparing;
pub use suffix::{Rehash, Suffix, SuffixHash, SuffixHashes};
pub use survey::{DeviceSurvey, EntryState, MountPoint, Quarantined, SurveyedEntry, Usage};
pub use timestamp::Timestamp;
pub use update::{BodyEnd, InlineBody, Outcome, PutUpdate, Update, UpdateMessage, UpdateOp, UpdateResult};
