//! Swift's on-disk object format: read, write, hash, lock, quarantine, release. Synchronous; callers run it on bounded pools.
//!
//! [`Devices`] opens a [`Device`] by name and checks its mount; everything else is a method of [`Device`].

#![forbid(unsafe_code)]

mod attributes;
mod body;
mod choice;
mod cleanup;
mod config;
mod confirm;
mod device;
mod devices;
mod digest;
mod directory;
mod disk;
mod doubt;
mod error;
mod flush_time;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hashes;
mod inspect;
mod invalidate;
mod layout;
mod listing;
mod lock;
mod look;
mod merge;
mod mount;
mod name;
mod nest;
mod object;
mod open;
mod pending;
mod pipeline;
mod post;
mod power;
mod presence;
mod priority;
mod publish;
mod quarantine;
mod queue;
mod release;
mod removal_log;
mod reserve;
mod sheaf;
#[cfg(any(test, feature = "simulation"))]
#[allow(clippy::unwrap_used, reason = "a model that is wrong ends the test")]
pub mod simulation;
mod suffix_hash;
mod survey;
mod sweep;
mod temporary;
mod unflushed;
mod writer;

#[cfg(test)]
mod tests;

pub use body::BodyReader;
pub use config::{DiskConfig, PolicyKind, Reserve, Space};
pub use device::Device;
pub use devices::Devices;
pub use error::{DiskError, LockKind};
pub use flush_time::flush_time;
pub use inspect::{Flaw, FlawKind, OnRecord, PartitionInspection, Records, SuffixInspection};
pub use listing::SuffixListing;
pub use lock::{DeviceLock, PartitionLock};
pub use look::SuffixLook;
pub use object::{
    Committed, Confirmation, DataFile, Found, LocalObject, Location, MetaFile, MetaView, OpenObject,
    OpenOptions, PartitionListing, ToSend,
};
pub use release::ReleasedBatch;
pub use sheaf::Sheaf;
pub use writer::Writer;
