//! What can go wrong on a disk, each with the thing and the way out, and how it is told to a caller.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ssync_types::{DeviceName, Invalid, ObjectPath, PolicyIndex, Reason, Refusal};

use crate::doubt::Doubtful;

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
#[derive(Debug, Clone, thiserror::Error)]
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
    #[error("device {device}: {}: {problem}; free some space, or lower fallocate_reserve", .path.display())]
    Full {
        /// The device.
        device: DeviceName,
        /// The file or directory.
        path: PathBuf,
        /// What was short.
        problem: String,
    },
    /// The file system keeps no extended attributes, so no metadata.
    #[error("device {device}: {} can have no extended attributes ({source}); use XFS, or ext4 with user_xattr", .path.display())]
    NoAttributes {
        /// The device.
        device: DeviceName,
        /// The file.
        path: PathBuf,
        /// What it said.
        source: Arc<io::Error>,
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
    #[error("device {device}: {} holds an object of another name; check swift_hash_path_prefix and _suffix", .path.display())]
    Collision {
        /// The device.
        device: DeviceName,
        /// The object's directory.
        path: PathBuf,
        /// The name asked for. Names are their tenants' own: what is told elsewhere leaves them out.
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
    /// It may not be on the disk, whatever later flushes say.
    #[error("device {device}: {op} {}: {}; look into the kernel's log and check the disk, then unmount the device and mount it again (before Linux 6.8, restart this program too)", .path.display(), Doubtful)]
    Doubtful {
        /// The device.
        device: DeviceName,
        /// What was being done.
        op: &'static str,
        /// To what.
        path: PathBuf,
    },
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
        source: Arc<io::Error>,
    },
}

impl DiskError {
    /// Whether this program lacks what it will soon have again: descriptors or memory. That says nothing about the disk.
    pub(crate) fn is_shortage(&self) -> bool {
        use rustix::io::Errno;
        let Self::Io { source, .. } = self else { return false };
        let errno = source.raw_os_error().map(Errno::from_raw_os_error);
        matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
    }

    pub(crate) fn io(device: &DeviceName, op: &'static str, path: &Path, source: io::Error) -> Self {
        use rustix::io::Errno;
        let path = path.to_path_buf();
        let device = device.clone();
        if matches!(source.get_ref(), Some(inner) if inner.is::<Doubtful>()) {
            return Self::Doubtful { device, op, path };
        }
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => {
                Self::Full { device, path, problem: format!("no space left to {op} it") }
            }
            _ => Self::Io { device, op, path, source: Arc::new(source) },
        }
    }

    /// As [`io`](Self::io), for what was done to extended attributes: a file system without them is of no use at all.
    pub(crate) fn attributes(device: &DeviceName, op: &'static str, path: &Path, source: io::Error) -> Self {
        if source.raw_os_error() == Some(rustix::io::Errno::NOTSUP.raw_os_error()) {
            let (device, path) = (device.clone(), path.to_path_buf());
            return Self::NoAttributes { device, path, source: Arc::new(source) };
        }
        Self::io(device, op, path, source)
    }
}

/// One table: which refusal a caller sees.
impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        let reason = match &error {
            DiskError::Unmounted { .. } => Reason::DeviceUnmounted,
            DiskError::Full { .. } | DiskError::NoAttributes { .. } => Reason::DeviceFull,
            DiskError::Locked { kind: LockKind::Device, .. } => Reason::DeviceLocked,
            DiskError::Locked { kind: LockKind::Partition | LockKind::Hashes, .. } => Reason::PartitionLocked,
            DiskError::Collision { .. } => Reason::Collision,
            DiskError::Damaged { .. } => Reason::ObjectDamaged,
            DiskError::StateChanged { .. } => Reason::StateChanged,
            DiskError::NotFound { .. } => Reason::NotFound,
            DiskError::PolicyUnknown { .. } => Reason::PolicyUnknown,
            DiskError::Invalid(invalid) => return invalid.clone().into(),
            DiskError::Doubtful { .. } | DiskError::Io { .. } => Reason::ObjectIo,
        };
        Self::new(reason, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_reason_and_names_device_and_path() {
        let device: DeviceName = "sdb1".parse().unwrap();
        let path = PathBuf::from("objects/1/abc");
        let io = |error: rustix::io::Errno| DiskError::io(&device, "flush", &path, error.into());
        let locked = |kind| DiskError::Locked {
            device: device.clone(),
            kind,
            path: path.clone(),
            waited: Duration::ZERO,
        };
        let name = |name| ObjectPath::of("a", "c", name).unwrap();
        let (wanted, found) = (name("o"), name("p"));
        let table = [
            (io(rustix::io::Errno::IO), Reason::ObjectIo),
            (io(rustix::io::Errno::NOSPC), Reason::DeviceFull),
            (io(rustix::io::Errno::DQUOT), Reason::DeviceFull),
            (
                DiskError::attributes(&device, "read", &path, rustix::io::Errno::NOTSUP.into()),
                Reason::DeviceFull,
            ),
            (DiskError::attributes(&device, "read", &path, rustix::io::Errno::IO.into()), Reason::ObjectIo),
            (DiskError::io(&device, "flush", &path, std::io::Error::other(Doubtful)), Reason::ObjectIo),
            (locked(LockKind::Partition), Reason::PartitionLocked),
            (locked(LockKind::Hashes), Reason::PartitionLocked),
            (locked(LockKind::Device), Reason::DeviceLocked),
            (
                DiskError::Collision { device: device.clone(), path: path.clone(), wanted, found },
                Reason::Collision,
            ),
            (
                DiskError::Damaged {
                    device: device.clone(),
                    path: path.clone(),
                    problem: "is bad".to_owned(),
                },
                Reason::ObjectDamaged,
            ),
            (DiskError::StateChanged { device: device.clone(), path: path.clone() }, Reason::StateChanged),
            (DiskError::NotFound { device: device.clone(), path: path.clone() }, Reason::NotFound),
        ];
        use rustix::io::Errno;
        // Swift answers 500 to these, and 507 only to a full device (diskfile.py create, write_metadata).
        let unexpected = [
            Errno::ROFS,
            Errno::MFILE,
            Errno::NFILE,
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOMEM,
            Errno::STALE,
            Errno::INTR,
        ];
        let unexpected = unexpected.map(|error| (io(error), Reason::ObjectIo));
        for (error, reason) in table.into_iter().chain(unexpected) {
            let refusal = Refusal::from(error);
            assert!(!refusal.message.contains("/a/c/"), "names are their tenants' own: {refusal}");
            assert_eq!(refusal.reason, reason, "{refusal}");
            assert!(
                refusal.message.contains("sdb1") && refusal.message.contains("objects/1/abc"),
                "{refusal}"
            );
        }
        let unmounted = DiskError::Unmounted { device, problem: "is not there".to_owned() };
        assert_eq!(Refusal::from(unmounted).reason, Reason::DeviceUnmounted);
        let invalid = Refusal::from(DiskError::from(Invalid::new("path", "is bad")));
        assert_eq!((invalid.reason, invalid.field.as_deref()), (Reason::InvalidArgument, Some("path")));
    }
}
