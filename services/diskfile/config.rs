//! What an operator sets of the disk layer, with Swift's defaults.

use std::{path::PathBuf, time::Duration};

use ssync_types::Durability;

/// Space that writes leave free on a device (Swift: `fallocate_reserve`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reserve {
    /// So many bytes.
    Bytes(u64),
    /// So much of the file system, 0 to 100.
    Percent(f64),
}

/// How a policy stores objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// Whole copies.
    Replication,
    /// One fragment for each node.
    ErasureCoding {
        /// Data and parity fragments together; an index at or above this is invalid.
        fragments: u16,
    },
}

/// Settings of the disk layer, named as in Swift's object-server.conf.
#[derive(Debug, Clone)]
pub struct DiskConfig {
    /// The directory of the devices.
    pub devices: PathBuf,
    /// A device that is not a mount point is not used.
    pub mount_check: bool,
    /// How long tombstones are kept.
    pub reclaim_age: Duration,
    /// How long a fragment without its durable mark is kept for its writer to commit.
    pub commit_window: Duration,
    /// Space that writes leave free.
    pub fallocate_reserve: Reserve,
    /// Neither allocate nor test space ahead of a body.
    pub disable_fallocate: bool,
    /// Bytes read at a time.
    pub disk_chunk_size: usize,
    /// MiB written between flushes of a large body.
    pub mb_per_sync: u64,
    /// Bodies below this many bytes may stay in the page cache.
    pub keep_cache_size: u64,
    /// Those of single users as well.
    pub keep_cache_private: bool,
    /// Of those of single users at least the manifests of large objects.
    pub keep_cache_slo_manifest: bool,
    /// How long a session waits for its locks.
    pub replication_lock_timeout: Duration,
    /// How long it is remembered what handoffs have let go of; zero: not at all.
    pub removal_log_age: Duration,
    /// Bytes that this may take on a device.
    pub removal_log_bytes_max: u64,
    /// When a write counts as done.
    pub durability: Durability,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            devices: PathBuf::from("/srv/node"),
            mount_check: true,
            reclaim_age: Duration::from_secs(604_800),
            commit_window: Duration::from_secs(60),
            fallocate_reserve: Reserve::Percent(1.0),
            disable_fallocate: false,
            disk_chunk_size: 65_536,
            mb_per_sync: 512,
            keep_cache_size: 5_242_880,
            keep_cache_private: false,
            keep_cache_slo_manifest: false,
            replication_lock_timeout: Duration::from_secs(15),
            removal_log_age: Duration::from_secs(2_592_000),
            removal_log_bytes_max: 256 << 20,
            durability: Durability::Batch,
        }
    }
}

/// The space of a device's file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free for this program.
    pub free: u64,
    /// All there is.
    pub total: u64,
    /// What writes leave free.
    pub reserve: u64,
}
