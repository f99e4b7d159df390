//! Swift's on-disk object format: read, write, hash, lock, quarantine, release. Synchronous; callers run it on bounded pools.
//!
//! [`Devices`] opens a [`Device`] by name and checks its mount; everything else is a method of [`Device`].

#![forbid(unsafe_code)]

mod config;
mod device;
mod error;
mod object;

pub use config::{DiskConfig, PolicyKind, Reserve, Space};
pub use device::{Device, DeviceLock, Devices, PartitionLock, Writer};
pub use error::{DiskError, LockKind};
pub use object::{
    BodyReader, Committed, Confirmation, DataFile, Found, LocalObject, Location, MetaFile, MetaView,
    OpenObject, OpenOptions, PartitionListing,
};
