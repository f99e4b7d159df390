//! Devices that an operator takes out of replication: they admit no sessions, and those under way end with the object that they
//! are at.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_types::{DeviceName, Reason, Refusal};
use tokio_util::sync::CancellationToken;

/// When to come back to a device that is drained.
const DRAINED_RETRY: Duration = Duration::from_secs(30);

/// The devices that are drained, or have sessions that could be.
#[derive(Debug)]
pub(crate) struct DeviceDrains {
    node: CancellationToken,
    // Names of devices that could be opened, or that an operator has drained: as many as the node has.
    devices: Mutex<BTreeMap<DeviceName, CancellationToken>>,
}

impl DeviceDrains {
    /// None is drained, until all are with the `node`.
    pub(crate) fn new(node: CancellationToken) -> Self {
        Self { node, devices: Mutex::default() }
    }

    /// Tells the sessions of a device to end, and lets no more begin.
    pub(crate) fn drain(&self, device: &DeviceName) {
        self.token(device).cancel();
    }

    /// Lets sessions begin again; false where the device was not drained.
    pub(crate) fn resume(&self, device: &DeviceName) -> bool {
        if self.node.is_cancelled() || !self.is_drained(device) {
            return false;
        }
        self.lock().remove(device).is_some()
    }

    /// The devices that are drained by name.
    pub(crate) fn list(&self) -> Vec<DeviceName> {
        if self.node.is_cancelled() {
            return Vec::new();
        }
        let devices = self.lock();
        devices.iter().filter(|(_, token)| token.is_cancelled()).map(|(device, _)| device.clone()).collect()
    }

    pub(crate) fn is_drained(&self, device: &DeviceName) -> bool {
        self.lock().get(device).is_some_and(CancellationToken::is_cancelled)
    }

    /// Refuses a session into a device that is drained.
    pub(crate) fn refuse(&self, device: &DeviceName) -> Result<(), Refusal> {
        if self.is_drained(device) { Err(drained(device)) } else { Ok(()) }
    }

    /// Cancelled when the device's sessions are to end.
    pub(crate) fn token(&self, device: &DeviceName) -> CancellationToken {
        let mut devices = self.lock();
        devices.entry(device.clone()).or_insert_with(|| self.node.child_token()).clone()
    }

    // Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceName, CancellationToken>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Back-pressure of the device, not of the node: the sender keeps what it has and comes back, and no handoff gets a copy.
pub(crate) fn drained(device: &DeviceName) -> Refusal {
    let message = format!(
        "device {device} is drained by an operator and admits no replication; `ssync resume {device}` on that node ends it"
    );
    Refusal::new(Reason::DeviceLocked, message).retry_after(DRAINED_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_drained_by_itself_until_it_is_resumed() {
        let (d1, d2): (DeviceName, DeviceName) = ("d1".parse().unwrap(), "d2".parse().unwrap());
        let node = CancellationToken::new();
        let drains = DeviceDrains::new(node.clone());
        let sessions = [&d1, &d2].map(|device| drains.token(device));
        assert!(!drains.resume(&d1), "it was not drained");
        drains.drain(&d1);
        assert!(sessions[0].is_cancelled() && !sessions[1].is_cancelled());
        let refusal = drains.refuse(&d1).unwrap_err();
        assert!(refusal.reason == Reason::DeviceLocked && refusal.retry_after.is_some(), "{refusal}");
        assert!(drains.refuse(&d2).is_ok());
        assert_eq!(drains.list(), std::slice::from_ref(&d1));
        assert!(drains.resume(&d1) && !drains.token(&d1).is_cancelled());
        assert!(sessions[0].is_cancelled(), "one that was told to end does");
        node.cancel();
        assert!(drains.token(&d1).is_cancelled() && drains.list().is_empty());
    }
}
