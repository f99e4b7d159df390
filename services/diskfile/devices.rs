//! All devices of a node, opened when they are asked for.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ssync_types::{DeviceName, HashPathConfig, PolicyIndex};

#[cfg(any(test, feature = "simulation"))]
use crate::simulation::Machine;
use crate::{
    Device, DiskConfig, DiskError, PolicyKind,
    device::{AtCommit, AtQuarantine, Settings},
    disk::{Disk, Mount, RealDisk},
    doubt::Doubts,
    layout,
};

/// All devices of this node.
#[derive(Debug)]
pub struct Devices {
    settings: Arc<Settings>,
    found: Found,
    /// One slot for each device: a disk that hangs while it is opened holds up nobody but its own callers.
    slots: Mutex<BTreeMap<DeviceName, Arc<Slot>>>,
}

/// Where devices are found.
#[derive(Debug)]
enum Found {
    /// Below the directory of the devices.
    Below,
    #[cfg(any(test, feature = "simulation"))]
    On(Arc<Machine>),
}

type Slot = Mutex<Kept>;

/// What is kept of a device.
#[derive(Debug, Default)]
struct Kept {
    /// Weak: a device that nobody uses is closed, so that it can be unmounted.
    device: Weak<Device>,
    /// What is in doubt on what was mounted there last. Doubt outlasts the use: the disk has not become better by itself.
    doubts: Option<(Mount, Arc<Doubts>)>,
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.device.strong_count() == 0 && self.doubts.as_ref().is_none_or(|(_, doubts)| doubts.is_empty())
    }

    /// The doubts about what is mounted there now.
    fn doubts(&mut self, mount: Mount) -> Arc<Doubts> {
        let (of, doubts) = self.doubts.get_or_insert_with(|| (mount, Arc::default()));
        if *of != mount {
            (*of, *doubts) = (mount, Arc::default());
        }
        Arc::clone(doubts)
    }
}

impl Devices {
    /// The devices below `config.devices`. Nothing is opened yet.
    #[must_use]
    pub fn new(
        config: DiskConfig,
        hash: HashPathConfig,
        policies: BTreeMap<PolicyIndex, PolicyKind>,
    ) -> Self {
        Self::found(Found::Below, config, hash, policies)
    }

    /// The devices of a simulated machine.
    #[cfg(any(test, feature = "simulation"))]
    #[must_use]
    pub fn simulated(
        machine: Arc<Machine>,
        config: DiskConfig,
        hash: HashPathConfig,
        policies: BTreeMap<PolicyIndex, PolicyKind>,
    ) -> Self {
        Self::found(Found::On(machine), config, hash, policies)
    }

    fn found(
        found: Found,
        config: DiskConfig,
        hash: HashPathConfig,
        policies: BTreeMap<PolicyIndex, PolicyKind>,
    ) -> Self {
        let settings = Settings {
            config,
            hash,
            policies,
            at_quarantine: AtQuarantine::default(),
            at_commit: AtCommit::default(),
            hashed: Default::default(),
            hashing: Default::default(),
        };
        Self { settings: Arc::new(settings), found, slots: Mutex::default() }
    }

    /// Calls `told` for each object that a reader sends to quarantine (Swift: diskfile.py DiskFile._quarantine). Only the
    /// first who asks is told.
    pub fn at_quarantine(&self, told: impl Fn() + Send + Sync + 'static) {
        // What was there stays.
        let _ = self.settings.at_quarantine.0.set(Box::new(told));
    }

    /// Calls `told` for each batch of objects that a device has published, with how long that took: its flushes, for the most
    /// part. Only the first who asks is told.
    pub fn at_commit(&self, told: impl Fn(&DeviceName, Duration) + Send + Sync + 'static) {
        // What was there stays.
        let _ = self.settings.at_commit.0.set(Box::new(told));
    }

    /// How many suffixes of a device this process has hashed so far: one that grows gets on. Asks no disk.
    #[must_use]
    pub fn suffixes_hashed(&self, name: &DeviceName) -> u64 {
        self.settings.hashed.lock().get(name).copied().unwrap_or_default()
    }

    /// The cluster's salt of object hashes.
    #[must_use]
    pub fn hash_path(&self) -> &HashPathConfig {
        &self.settings.hash
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &DiskConfig {
        &self.settings.config
    }

    /// Where a device's objects of a policy are, by the names that people see.
    #[must_use]
    pub fn objects_path(&self, device: &DeviceName, policy: PolicyIndex) -> PathBuf {
        self.config().devices.join(device.as_str()).join(layout::objects(policy))
    }

    /// How a policy stores objects; `None` for one that swift.conf does not have.
    #[must_use]
    pub fn policy(&self, policy: PolicyIndex) -> Option<PolicyKind> {
        self.settings.policies.get(&policy).copied()
    }

    /// Opens a device if it is usable. What was opened before is used again while it is still what is mounted there.
    pub fn open(&self, name: &DeviceName) -> Result<Arc<Device>, DiskError> {
        let slot = Arc::clone(self.slots().entry(name.clone()).or_default());
        let opened = self.open_in(&slot, name);
        if opened.is_err() {
            // Made-up names leave nothing. The map's own reference and this one: nobody else is opening it.
            let mut slots = self.slots();
            if Arc::strong_count(&slot) == 2 && lock(&slot).is_empty() {
                slots.remove(name);
            }
        }
        opened
    }

    /// Opens a device for who only looks, if it is usable: whether it was away is not judged, since that is written down there.
    pub fn open_to_look(&self, name: &DeviceName) -> Result<Arc<Device>, DiskError> {
        let unmounted = |problem| DiskError::Unmounted { device: name.clone(), problem };
        let (disk, _) = self.disk(name).map_err(unmounted)?;
        Ok(Arc::new(Device::on(name.clone(), Arc::clone(&self.settings), disk, Arc::default())))
    }

    fn open_in(&self, slot: &Slot, name: &DeviceName) -> Result<Arc<Device>, DiskError> {
        // Not under the lock: those who use a device do not wait for each other.
        let usable = |device: &Weak<Device>| device.upgrade().filter(|device| device.check_mounted().is_ok());
        let known = lock(slot).device.clone();
        if let Some(device) = usable(&known) {
            return Ok(device);
        }
        let mut kept = lock(slot);
        if !Weak::ptr_eq(&kept.device, &known)
            && let Some(device) = usable(&kept.device)
        {
            return Ok(device);
        }
        let unmounted = |problem| DiskError::Unmounted { device: name.clone(), problem };
        let (disk, mount) = self.disk(name).map_err(unmounted)?;
        let doubts = kept.doubts(mount);
        let device = Device::on(name.clone(), Arc::clone(&self.settings), disk, doubts);
        if let Err(error) = device.judge_absence() {
            tracing::warn!(device = %name, %error, "whether it was away cannot be told, so nothing is pushed from it");
            let _ = device.unjudged.set(error);
        }
        let device = Arc::new(device);
        kept.device = Arc::downgrade(&device);
        Ok(device)
    }

    fn disk(&self, name: &DeviceName) -> Result<(Box<dyn Disk>, Mount), String> {
        match &self.found {
            Found::Below => {
                let config = &self.settings.config;
                let disk = RealDisk::open(&config.devices.join(name.as_str()), config.mount_check)?;
                let mount = disk.mount();
                Ok((Box::new(disk), mount))
            }
            #[cfg(any(test, feature = "simulation"))]
            Found::On(machine) => {
                let (disk, number) = machine.mounted(name)?;
                Ok((Box::new(disk), Mount::simulated(number)))
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<DeviceName, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Kept> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ssync_types::Reason;

    use super::*;

    fn devices(root: &std::path::Path, mount_check: bool) -> Devices {
        let config = DiskConfig { devices: root.to_path_buf(), mount_check, ..DiskConfig::default() };
        Devices::new(config, HashPathConfig::new("", "x").unwrap(), BTreeMap::new())
    }

    #[test]
    fn a_plain_directory_is_a_device_only_without_mount_check_or_with_a_mark() {
        let root = tempfile::tempdir().unwrap();
        let name: DeviceName = "sda".parse().unwrap();
        let refused =
            |check| ssync_types::Refusal::from(devices(root.path(), check).open(&name).unwrap_err()).reason;
        assert_eq!(refused(false), Reason::DeviceUnmounted);
        std::fs::create_dir(root.path().join("sda")).unwrap();
        assert_eq!(refused(true), Reason::DeviceUnmounted);
        assert!(devices(root.path(), false).open(&name).is_ok());
        std::fs::write(root.path().join("sda/.ismount"), "").unwrap();
        assert!(devices(root.path(), true).open(&name).is_ok());
    }

    /// Swift: ismount_raw. A link is a mount point only by its mark, which is looked for where it leads.
    #[test]
    fn a_link_to_a_directory_is_a_device_only_with_a_mark() {
        let root = tempfile::tempdir().unwrap();
        let name: DeviceName = "sda".parse().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let link = root.path().join("sda");
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        assert!(devices(root.path(), false).open(&name).is_ok());
        assert!(devices(root.path(), true).open(&name).is_err());
        std::fs::create_dir(elsewhere.path().join(".ismount")).unwrap();
        assert!(devices(root.path(), true).open(&name).is_err(), "the mark is a file");
        std::fs::remove_dir(elsewhere.path().join(".ismount")).unwrap();
        std::fs::write(elsewhere.path().join(".ismount"), "").unwrap();
        let devices = devices(root.path(), true);
        let device = devices.open(&name).unwrap();
        std::fs::remove_file(elsewhere.path().join(".ismount")).unwrap();
        assert!(matches!(device.check_mounted(), Err(DiskError::Unmounted { .. })));
        std::fs::write(elsewhere.path().join(".ismount"), "").unwrap();
        device.check_mounted().unwrap();
        // That a link leads to another file system makes it none either.
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("/proc/sys", &link).unwrap();
        assert!(devices.open(&name).is_err());
    }

    #[test]
    fn a_device_that_is_replaced_is_not_the_one_that_was_opened() {
        let root = tempfile::tempdir().unwrap();
        let name: DeviceName = "sda".parse().unwrap();
        let devices = devices(root.path(), false);
        std::fs::create_dir(root.path().join("sda")).unwrap();
        let first = devices.open(&name).unwrap();
        assert!(Arc::ptr_eq(&first, &devices.open(&name).unwrap()));
        std::fs::rename(root.path().join("sda"), root.path().join("old")).unwrap();
        assert!(matches!(first.check_mounted(), Err(DiskError::Unmounted { .. })));
        std::fs::create_dir(root.path().join("sda")).unwrap();
        assert!(matches!(first.check_mounted(), Err(DiskError::Unmounted { .. })));
        assert!(!Arc::ptr_eq(&first, &devices.open(&name).unwrap()));
    }

    #[test]
    fn a_device_that_nobody_uses_is_closed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("sda")).unwrap();
        let devices = devices(root.path(), false);
        let weak = Arc::downgrade(&devices.open(&"sda".parse().unwrap()).unwrap());
        assert!(weak.upgrade().is_none());
    }

    fn is_doubtful(opened: Result<Arc<Device>, DiskError>) -> bool {
        matches!(opened.unwrap().sync(), Err(DiskError::Doubtful { .. }))
    }

    /// The doubts went with the device when nobody used it, and the next flush succeeded, as Linux tells of a failed one once.
    #[test]
    fn doubts_stay_while_nobody_uses_the_device() {
        let root = tempfile::tempdir().unwrap();
        let [sda, old] = ["sda", "old"].map(|name| root.path().join(name));
        let name: DeviceName = "sda".parse().unwrap();
        let devices = devices(root.path(), false);
        std::fs::create_dir(&sda).unwrap();
        devices.open(&name).unwrap().sync().unwrap();
        devices.open(&name).unwrap().doubts.flush_all(|| Err(rustix::io::Errno::IO.into())).unwrap_err();
        assert!(is_doubtful(devices.open(&name)));
        std::fs::rename(&sda, &old).unwrap();
        assert!(devices.open(&name).is_err());
        std::fs::rename(&old, &sda).unwrap();
        assert!(is_doubtful(devices.open(&name)), "it was away, and is the same");
        std::fs::rename(&sda, &old).unwrap();
        std::fs::create_dir(&sda).unwrap();
        assert!(!is_doubtful(devices.open(&name)), "it is another");
    }

    #[test]
    fn doubts_end_when_the_device_is_mounted_again() {
        use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
        let root = tempfile::tempdir().unwrap();
        let sda = root.path().join("sda");
        std::fs::create_dir(&sda).unwrap();
        let name: DeviceName = "sda".parse().unwrap();
        let devices = devices(root.path(), true);
        let mount = || mount("tmpfs", &sda, "tmpfs", MountFlags::empty(), c"size=1m");
        if mount().is_err() {
            println!("not allowed to mount: not tested");
            return;
        }
        let device = devices.open(&name).unwrap();
        device.doubts.flush_all(|| Err(rustix::io::Errno::IO.into())).unwrap_err();
        drop(device);
        let before = is_doubtful(devices.open(&name));
        unmount(&sda, UnmountFlags::empty()).unwrap();
        let away = devices.open(&name).is_err();
        mount().unwrap();
        let after = is_doubtful(devices.open(&name));
        unmount(&sda, UnmountFlags::DETACH).unwrap();
        assert_eq!((before, away, after), (true, true, false));
    }

    #[test]
    fn made_up_names_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        let devices = devices(root.path(), false);
        for number in 0..100 {
            assert!(devices.open(&format!("no{number}").parse().unwrap()).is_err());
        }
        assert!(devices.slots().is_empty());
    }
}
