//! A machine with simulated disks, as a node sees it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ssync_types::DeviceName;

use super::SimDisk;

/// What is mounted on a machine.
#[derive(Debug, Default)]
pub struct Machine(Mutex<Mounts>);

#[derive(Debug, Default)]
struct Mounts {
    disks: BTreeMap<DeviceName, (SimDisk, u64)>,
    mounted: u64,
}

impl Machine {
    /// Mounts a disk; what was mounted there is not any more.
    pub fn mount(&self, device: DeviceName, disk: SimDisk) {
        self.unmount(&device);
        let mut mounts = self.lock();
        mounts.mounted += 1;
        let number = mounts.mounted;
        mounts.disks.insert(device, (disk, number));
    }

    /// Unmounts a disk, in use or not, and gives it.
    pub fn unmount(&self, device: &DeviceName) -> Option<SimDisk> {
        let (disk, _) = self.lock().disks.remove(device)?;
        disk.unmount();
        Some(disk)
    }

    /// The disk that is mounted there.
    #[must_use]
    pub fn disk(&self, device: &DeviceName) -> Option<SimDisk> {
        self.mounted(device).ok().map(|(disk, _)| disk)
    }

    pub(crate) fn mounted(&self, device: &DeviceName) -> Result<(SimDisk, u64), String> {
        self.lock().disks.get(device).cloned().ok_or_else(|| "is not mounted".to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Mounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
