//! Whether a device was away for longer than tombstones are kept (rule S5). What was deleted elsewhere meanwhile is still
//! there, and no tombstone is left anywhere to say so: pushed from here it would come back.
//!
//! Two files at the top of the device keep count, where Swift looks at nothing. The time of `.ssync-served` is when the
//! device was last in service; a pass of the replicator renews it. `.ssync-away` is put beside it when a device is found to
//! have been away, before anybody writes on it, and stays until an operator has decided.

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::io::Errno;

use crate::{
    Device, DiskError, PolicyKind,
    directory::is,
    disk::{OpenMode, read_all, write_all},
    layout,
};

const SERVED: &str = ".ssync-served";
const AWAY: &str = ".ssync-away";
/// The time of service is exact to this.
const RENEWED_AFTER: Duration = Duration::from_secs(600);
/// Shorter absences do not count, however short tombstones are kept.
const ABSENCE_MIN: Duration = Duration::from_secs(3600);
/// Partitions that are looked at for a sign of service by stock Swift. Its replicator, like this one, writes the hashes of each
/// tenth of a device's partitions in each pass, so any few of them tell.
const TRACES_MAX: usize = 1000;
/// Largest `.ssync-away` that is read.
const AWAY_BYTES_MAX: usize = 4096;

/// What the partitions tell.
#[derive(Debug, PartialEq, Eq)]
enum Traces {
    /// Nothing: there are none, or nobody has hashed any.
    None,
    /// Somebody has been here since.
    Fresh,
    /// The newest that was found.
    Old(SystemTime),
}

impl Device {
    /// Finds out whether the device was away, and keeps that. To be called before anything is written there: afterwards it
    /// looks as if it had been in service.
    pub(crate) fn judge_absence(&self) -> Result<(), DiskError> {
        if self.absence()?.is_some() {
            return Ok(());
        }
        let oldest = self.disk.now().checked_sub(self.absence_min()).unwrap_or(UNIX_EPOCH);
        let served = self.time_of_service().map_err(|error| self.io("stat", Path::new(SERVED), error))?;
        if served.is_some_and(|served| served >= oldest) {
            return Ok(());
        }
        match self.traces(oldest)? {
            Traces::None | Traces::Fresh => Ok(()),
            Traces::Old(trace) => self.mark_away(served.map_or(trace, |served| served.max(trace))),
        }
    }

    /// When the device was last in service, if it was away for longer than tombstones are kept and nobody has said yet that
    /// what it has may be pushed.
    pub fn absence(&self) -> Result<Option<SystemTime>, DiskError> {
        if let Some(error) = self.unjudged.get() {
            return Err(error.clone());
        }
        let path = Path::new(AWAY);
        let text = match self.disk.open(path, OpenMode::Read) {
            Err(error) if is(&error, Errno::NOENT) => return Ok(None),
            file => file.and_then(|file| read_all(&*file, AWAY_BYTES_MAX)),
        };
        let text = text.map_err(|error| self.io("read", path, error))?;
        // One that is cut off is a mark all the same.
        let seconds =
            std::str::from_utf8(&text).ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
        Ok(Some(UNIX_EPOCH + Duration::from_secs(seconds.unwrap_or_default()).min(YEARS_MAX)))
    }

    /// The device is in service again, whatever it was: what it has may be pushed.
    pub fn end_absence(&self) -> Result<(), DiskError> {
        self.check_mounted()?;
        self.note_service()?;
        match self.disk.unlink(Path::new(AWAY)) {
            Err(error) if !is(&error, Errno::NOENT) => Err(self.io("remove", Path::new(AWAY), error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The device is in service.
    pub fn note_service(&self) -> Result<(), DiskError> {
        self.check_mounted()?;
        let path = Path::new(SERVED);
        let noted = || {
            let now = self.disk.now();
            let young = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age < RENEWED_AFTER);
            if self.time_of(path)?.is_some_and(young) {
                return Ok(());
            }
            let file = self.disk.open(path, OpenMode::Append)?;
            file.truncate()?;
            write_all(&*file, b"The time of this file is when ssync last served this device.\n", 0)
        };
        noted().map_err(|error| self.io("write", path, error))
    }

    pub(crate) fn time_of_service(&self) -> io::Result<Option<SystemTime>> {
        self.time_of(Path::new(SERVED))
    }

    fn absence_min(&self) -> Duration {
        self.settings.config.reclaim_age.max(ABSENCE_MIN)
    }

    fn mark_away(&self, since: SystemTime) -> Result<(), DiskError> {
        let path = Path::new(AWAY);
        let seconds = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text =
            format!("{seconds} is the second, since 1970, in which this device was last in service.\n");
        let marked = || {
            let file = self.disk.open(path, OpenMode::Append)?;
            write_all(&*file, text.as_bytes(), 0)?;
            file.sync()?;
            self.disk.sync_dir(Path::new(""))
        };
        marked().map_err(|error| self.io("write", path, error))
    }

    /// What the hashes of the partitions of replication policies tell. Erasure-coded ones are their reconstructor's, which may
    /// have been here first.
    fn traces(&self, oldest: SystemTime) -> Result<Traces, DiskError> {
        let mut newest = None;
        let policies = self.settings.policies.iter();
        for (policy, _) in policies.filter(|(_, kind)| matches!(kind, PolicyKind::Replication)) {
            let directory = layout::objects(*policy);
            let partitions = match self.disk.list(&directory) {
                Err(error) if is(&error, Errno::NOENT) => Vec::new(),
                listed => listed.map_err(|error| self.io("list", &directory, error))?,
            };
            for partition in partitions.into_iter().take(TRACES_MAX) {
                for name in [layout::HASHES, layout::INVALIDATIONS] {
                    // What cannot be looked at tells nothing.
                    let time = self.time_of(&directory.join(&partition.name).join(name)).unwrap_or_default();
                    if time.is_some_and(|time| time >= oldest) {
                        return Ok(Traces::Fresh);
                    }
                    newest = newest.max(time);
                }
            }
        }
        Ok(newest.map_or(Traces::None, Traces::Old))
    }

    fn time_of(&self, path: &Path) -> io::Result<Option<SystemTime>> {
        match self.disk.stat(path) {
            Ok(stat) => Ok(Some(stat.modified)),
            Err(error) if is(&error, Errno::NOENT) || is(&error, Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Later times are nobody's; sums with them cannot overflow.
const YEARS_MAX: Duration = Duration::from_secs(1 << 40);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

    use ssync_types::{HashPathConfig, PolicyIndex};

    use super::*;
    use crate::{Devices, DiskConfig};

    const WEEK: Duration = Duration::from_secs(604_800);

    struct Node {
        root: tempfile::TempDir,
    }

    impl Node {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("sda")).unwrap();
            Self { root }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join("sda").join(name)
        }

        /// A program that has just been started opens the device.
        fn open(&self) -> Arc<Device> {
            let config = DiskConfig {
                devices: self.root.path().to_path_buf(),
                mount_check: false,
                reclaim_age: WEEK,
                ..DiskConfig::default()
            };
            let policies = BTreeMap::from([
                (PolicyIndex::new(0), PolicyKind::Replication),
                (PolicyIndex::new(1), PolicyKind::ErasureCoding { fragments: 3 }),
            ]);
            let devices = Devices::new(config, HashPathConfig::new("", "x").unwrap(), policies);
            devices.open(&"sda".parse().unwrap()).unwrap()
        }

        fn is_away(&self) -> bool {
            self.open().absence().unwrap().is_some()
        }

        /// A partition whose hashes were written so long ago.
        fn hashed(&self, objects: &str, partition: u32, ago: Duration) -> PathBuf {
            let path = self.path(&format!("{objects}/{partition}/hashes.pkl"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            self.touch(&path, ago);
            path
        }

        fn touch(&self, path: &Path, ago: Duration) {
            let file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - ago).unwrap();
        }
    }

    #[test]
    fn a_new_device_and_one_that_stock_swift_has_served_are_not_away() {
        let node = Node::new();
        assert!(!node.is_away());
        fs::create_dir_all(node.path("objects/7")).unwrap();
        assert!(!node.is_away(), "nobody has hashed it");
        node.hashed("objects", 1, WEEK * 3);
        node.hashed("objects", 2, Duration::from_secs(60));
        assert!(!node.is_away());
    }

    #[test]
    fn one_that_was_away_stays_so_whatever_is_written_there_until_somebody_has_decided() {
        let node = Node::new();
        node.open().note_service().unwrap();
        let hashes = node.hashed("objects", 1, WEEK * 2);
        assert!(!node.is_away(), "it has just been served");
        node.touch(&node.path(SERVED), WEEK + Duration::from_secs(60));
        let absence = node.open().absence().unwrap().expect("away");
        let ago = SystemTime::now().duration_since(absence).unwrap();
        assert!(ago > WEEK && ago < WEEK + Duration::from_secs(120), "the later of the two signs: {ago:?}");
        node.touch(&hashes, Duration::ZERO);
        node.open().note_service().unwrap();
        assert!(node.is_away(), "peers have written on it since");
        node.open().end_absence().unwrap();
        assert!(!node.is_away());
    }

    #[test]
    fn what_stock_swift_has_served_meanwhile_was_not_away() {
        let node = Node::new();
        node.open().note_service().unwrap();
        node.touch(&node.path(SERVED), WEEK * 5);
        node.hashed("objects", 1, WEEK / 2);
        assert!(!node.is_away());
    }

    #[test]
    fn one_that_was_never_ours_and_that_nobody_has_served_for_long_is_away() {
        let node = Node::new();
        node.hashed("objects-1", 1, Duration::ZERO);
        assert!(!node.is_away(), "fragments are not pushed from here");
        node.hashed("objects", 1, WEEK * 2);
        assert!(node.is_away(), "and their reconstructor is no witness");
        fs::write(node.path(AWAY), "\u{0}").unwrap();
        assert!(node.is_away(), "a mark that was cut off is one");
        fs::write(node.path(AWAY), u64::MAX.to_string()).unwrap();
        assert!(node.is_away());
    }

    #[test]
    fn one_that_could_not_be_judged_is_not_taken_for_one_in_service() {
        let node = Node::new();
        fs::write(node.path("objects"), "").unwrap();
        let device = node.open();
        device.absence().unwrap_err();
        device.note_service().unwrap();
        device.absence().unwrap_err();
    }
}
