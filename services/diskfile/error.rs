//! What can go wrong on a disk, each with the thing and the way out, and how it is told to a caller.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use ssync_types::{DeviceName, Invalid, ObjectPath, PolicyIndex, Reason, Refusal};

/// Which lock was not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// `.lock-replication` of a partition.
    Partition,
    /// `.lock`, `.lock-1`, ... of a device.
    Device,
    /// `.lock` of a partition, held for moments to change its hashes.
    Hashes,
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partition => "partition lock",
            Self::Device => "device lock",
            Self::Hashes => "lock of the hashes",
        })
    }
}

/// A disk operation that did not succeed. Paths are below the device.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The device is not there.
    #[error("device {device}: {problem}; mount it, or take it out of the ring")]
    Unmounted {
        /// The device.
        device: DeviceName,
        /// What was seen.
        problem: String,
    },
    /// No space, or no room for metadata.
    #[error("device {device}: {problem} for {}; free some space, or lower fallocate_reserve", .path.display())]
    Full {
        /// The device.
        device: DeviceName,
        /// The file or directory.
        path: PathBuf,
        /// What was short.
        problem: String,
    },
    /// Somebody else holds a lock.
    #[error("device {device}: {kind} {} is held elsewhere after {waited:?}; try again later", .path.display())]
    Locked {
        /// The device.
        device: DeviceName,
        /// Which lock.
        kind: LockKind,
        /// The lock file, or what it locks.
        path: PathBuf,
        /// How long was waited for it.
        waited: Duration,
    },
    /// Another object's name stands in this object's place.
    #[error("device {device}: {} belongs to {found}, not to {wanted}; check swift_hash_path_prefix and _suffix", .path.display())]
    Collision {
        /// The device.
        device: DeviceName,
        /// The object's directory.
        path: PathBuf,
        /// The name asked for.
        wanted: ObjectPath,
        /// The name found.
        found: ObjectPath,
    },
    /// It was damaged and is in quarantine now.
    #[error("device {device}: {} {problem}; it was moved to quarantine, replication brings a good copy", .path.display())]
    Damaged {
        /// The device.
        device: DeviceName,
        /// The object's directory, as it was.
        path: PathBuf,
        /// The damage.
        problem: String,
    },
    /// It was replaced in the meantime.
    #[error("device {device}: {} changed meanwhile; try again", .path.display())]
    StateChanged {
        /// The device.
        device: DeviceName,
        /// The object's directory.
        path: PathBuf,
    },
    /// There is nothing.
    #[error("device {device}: there is no object in {}", .path.display())]
    NotFound {
        /// The device.
        device: DeviceName,
        /// The object's directory.
        path: PathBuf,
    },
    /// swift.conf has no such policy.
    #[error("policy {policy} is not in swift.conf; add it on this node, or correct the caller")]
    PolicyUnknown {
        /// The policy.
        policy: PolicyIndex,
    },
    /// A value that the disk format does not have.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The operating system said no.
    #[error("device {device}: {op} {}: {source}; look into the kernel's log for this device", .path.display())]
    Io {
        /// The device.
        device: DeviceName,
        /// What was being done.
        op: &'static str,
        /// To what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl DiskError {
    pub(crate) fn io(device: &DeviceName, op: &'static str, path: &Path, source: io::Error) -> Self {
        use rustix::io::Errno;
        let path = path.to_path_buf();
        let device = device.clone();
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => {
                Self::Full { device, path, problem: format!("no space to {op}") }
            }
            _ => Self::Io { device, op, path, source },
        }
    }
}

/// One table: which refusal a caller sees.
impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        let reason = match &error {
            DiskError::Unmounted { .. } => Reason::DeviceUnmounted,
            DiskError::Full { .. } => Reason::DeviceFull,
            DiskError::Locked { kind: LockKind::Device, .. } => Reason::DeviceLocked,
            DiskError::Locked { kind: LockKind::Partition | LockKind::Hashes, .. } => Reason::PartitionLocked,
            DiskError::Collision { .. } => Reason::Collision,
            DiskError::Damaged { .. } => Reason::ObjectDamaged,
            DiskError::StateChanged { .. } => Reason::StateChanged,
            DiskError::NotFound { .. } => Reason::NotFound,
            DiskError::PolicyUnknown { .. } => Reason::PolicyUnknown,
            DiskError::Invalid(invalid) => return invalid.clone().into(),
            DiskError::Io { .. } => Reason::ObjectIo,
        };
        Self::new(reason, error.to_string())
    }
}
