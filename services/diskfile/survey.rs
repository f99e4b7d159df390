//! How devices are, as operators ask (Swift: common/middleware/recon.py get_unmounted, get_diskusage,
//! get_quarantine_count). What is asked may hang with a disk; callers run it on the device's own threads.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use rustix::fs::statvfs;
use ssync_types::{EntryState, MountPoint, Quarantined, SurveyedEntry, Usage};

use crate::{Devices, layout::QUARANTINE, mount::is_mount};

/// Where Linux says what is mounted.
const MOUNTS: &str = "/proc/mounts";
/// Links of a directory that has none in it.
const OWN_LINKS: u64 = 2;
/// Most kinds of quarantined things that are looked at.
const KINDS_MAX: usize = 1024;

impl Devices {
    /// The names in the folder of devices, in the order in which they stand there, and `most` of them at most.
    pub fn entries(&self, most: usize) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.config().devices)?.take(most);
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    /// What stands under a name in the folder of devices. Unlike requests this never takes a directory for a device,
    /// whatever mount_check says: so does Swift.
    #[must_use]
    pub fn survey(&self, name: &str) -> SurveyedEntry {
        let path = self.config().devices.join(name);
        SurveyedEntry { name: name.to_owned(), state: state(&path), quarantined: quarantined(&path) }
    }

    /// What the node has mounted.
    pub fn mounts(&self, most: usize) -> io::Result<Vec<MountPoint>> {
        let mounts = fs::read_to_string(MOUNTS)?;
        let mount = |line: &str| {
            let mut words = line.split_ascii_whitespace().map(str::to_owned);
            Some(MountPoint { device: words.next()?, path: words.next()? })
        };
        Ok(mounts.lines().filter_map(mount).take(most).collect())
    }
}

fn state(path: &Path) -> EntryState {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => return EntryState::NoDirectory,
        Ok(_) if !is_mount(path).unwrap_or(false) => return EntryState::Unmounted,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return EntryState::NoDirectory,
        Err(error) => return EntryState::Unknown(error.to_string()),
    }
    match statvfs(path) {
        Ok(found) => EntryState::Mounted(Usage {
            size: found.f_bsize.saturating_mul(found.f_blocks),
            used: found.f_bsize.saturating_mul(found.f_blocks.saturating_sub(found.f_bavail)),
            available: found.f_bsize.saturating_mul(found.f_bavail),
        }),
        Err(error) => EntryState::Unknown(io::Error::from(error).to_string()),
    }
}

/// Swift counts by the links of the folder, which each folder in it adds to: nothing below is read.
fn quarantined(path: &Path) -> Vec<Quarantined> {
    let kinds = fs::read_dir(path.join(QUARANTINE)).into_iter().flatten().flatten().take(KINDS_MAX);
    let count = |entry: fs::DirEntry| {
        let links = fs::symlink_metadata(entry.path()).ok()?.nlink();
        let kind = entry.file_name().to_string_lossy().into_owned();
        (links > OWN_LINKS).then(|| Quarantined { kind, count: links - OWN_LINKS })
    };
    kinds.filter_map(count).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ssync_types::HashPathConfig;

    use super::*;
    use crate::DiskConfig;

    #[test]
    fn tells_devices_from_other_directories_and_counts_what_is_quarantined() {
        let root = tempfile::tempdir().unwrap();
        let config = DiskConfig { devices: root.path().to_path_buf(), ..DiskConfig::default() };
        let devices = Devices::new(config, HashPathConfig::new("", "x").unwrap(), BTreeMap::new());
        fs::create_dir_all(root.path().join("sda/quarantined/objects-1/aaa")).unwrap();
        fs::create_dir_all(root.path().join("sda/quarantined/objects-1/bbb")).unwrap();
        fs::create_dir_all(root.path().join("sda/quarantined/containers")).unwrap();
        fs::write(root.path().join("notes"), "").unwrap();
        assert_eq!(devices.survey("notes").state, EntryState::NoDirectory);
        assert_eq!(devices.survey("gone").state, EntryState::NoDirectory);
        assert_eq!(devices.survey("sda").state, EntryState::Unmounted);
        fs::write(root.path().join("sda/.ismount"), "").unwrap();
        let found = devices.survey("sda");
        let EntryState::Mounted(usage) = found.state else { panic!("{found:?}") };
        assert!(usage.size >= usage.used && usage.size >= usage.available && usage.size > 0, "{usage:?}");
        assert_eq!(found.quarantined, [Quarantined { kind: "objects-1".to_owned(), count: 2 }]);
        let mut names = devices.entries(9).unwrap();
        names.sort();
        assert_eq!(names, ["notes", "sda"]);
        assert_eq!(devices.entries(1).unwrap().len(), 1);
        assert!(devices.mounts(9).unwrap().iter().any(|mount| mount.path == "/"));
    }
}
