//! What an operator has paused: the node, or some of its devices. Jobs that are under way learn of it by a token.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_types::DeviceName;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paused {
    /// The whole node.
    pub node: bool,
    /// Devices that are paused by name, also while the node is.
    pub devices: BTreeSet<DeviceName>,
    /// Since the first of them was; `None` when nothing is.
    pub since: Option<Duration>,
}

impl Paused {
    /// Whether anything is.
    #[must_use]
    pub fn any(&self) -> bool {
        self.node || !self.devices.is_empty()
    }

    /// Whether nothing is pushed from this device.
    #[must_use]
    pub fn holds(&self, device: &DeviceName) -> bool {
        self.node || self.devices.contains(device)
    }
}

/// The same, shared by the replicator and its jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pauses(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    node: bool,
    // Names of this node's devices: who pauses checks that.
    devices: BTreeSet<DeviceName>,
    since: Option<Instant>,
    /// The jobs under way.
    jobs: BTreeMap<u64, (DeviceName, CancellationToken)>,
    next: u64,
}

/// A job that was let begin; as long as this lives.
#[derive(Debug)]
pub(crate) struct Begun {
    pauses: Pauses,
    id: u64,
    /// Cancelled when the job is to end with the object that it is at: its device was paused, or the daemon drains.
    pub(crate) stop: CancellationToken,
}

impl Pauses {
    /// Pauses these devices, or the node where there are none.
    pub(crate) fn pause(&self, devices: &[DeviceName]) {
        let mut state = self.lock();
        state.since.get_or_insert_with(Instant::now);
        match devices.is_empty() {
            true => state.node = true,
            false => state.devices.extend(devices.iter().cloned()),
        }
        for (device, stop) in state.jobs.values() {
            if state.holds(device) {
                stop.cancel();
            }
        }
    }

    /// Lets these go on, or everything where there are none. Answers with what was paused of them.
    pub(crate) fn resume(&self, devices: &[DeviceName]) -> Paused {
        let mut state = self.lock();
        let resumed = match devices.is_empty() {
            true => Paused {
                node: std::mem::take(&mut state.node),
                devices: std::mem::take(&mut state.devices),
                since: None,
            },
            false => {
                let devices = devices.iter().filter(|device| state.devices.remove(*device));
                Paused { devices: devices.cloned().collect(), ..Paused::default() }
            }
        };
        if !state.node && state.devices.is_empty() {
            state.since = None;
        }
        resumed
    }

    pub(crate) fn now(&self) -> Paused {
        let state = self.lock();
        Paused {
            node: state.node,
            devices: state.devices.clone(),
            since: state.since.map(|since| since.elapsed()),
        }
    }

    /// The devices of the jobs that were let begin, once for each job.
    pub(crate) fn under_way(&self) -> Vec<DeviceName> {
        self.lock().jobs.values().map(|(device, _)| device.clone()).collect()
    }

    /// Lets a job of this device begin; `None` while that is paused.
    pub(crate) fn begin(&self, device: &DeviceName, drain: &CancellationToken) -> Option<Begun> {
        let mut state = self.lock();
        if state.holds(device) {
            return None;
        }
        let (id, stop) = (state.next, drain.child_token());
        state.next += 1;
        state.jobs.insert(id, (device.clone(), stop.clone()));
        drop(state);
        Some(Begun { pauses: self.clone(), id, stop })
    }

    // Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn holds(&self, device: &DeviceName) -> bool {
        self.node || self.devices.contains(device)
    }
}

impl Begun {
    /// Whether a pause has ended it, rather than `drain`.
    pub(crate) fn was_paused(&self, drain: &CancellationToken) -> bool {
        self.stop.is_cancelled() && !drain.is_cancelled()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.pauses.lock().jobs.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceName {
        name.parse().unwrap()
    }

    #[test]
    fn a_pause_ends_the_jobs_of_its_devices_and_lets_no_more_begin() {
        let (pauses, drain) = (Pauses::default(), CancellationToken::new());
        let jobs = ["d1", "d2"].map(|name| pauses.begin(&device(name), &drain).unwrap());
        pauses.pause(&[device("d1")]);
        assert!(jobs[0].was_paused(&drain) && !jobs[1].was_paused(&drain));
        assert!(pauses.begin(&device("d1"), &drain).is_none());
        assert!(pauses.begin(&device("d2"), &drain).is_some());
        pauses.pause(&[]);
        assert!(jobs[1].was_paused(&drain) && pauses.begin(&device("d2"), &drain).is_none());
        drop(jobs);
        assert!(pauses.lock().jobs.is_empty(), "jobs that have ended are forgotten");
    }

    #[test]
    fn what_goes_on_is_what_was_paused() {
        let pauses = Pauses::default();
        pauses.pause(&[device("d1"), device("d2")]);
        pauses.pause(&[]);
        let resumed = pauses.resume(&[device("d1"), device("d9")]);
        assert_eq!((resumed.node, resumed.devices), (false, [device("d1")].into()));
        let left = pauses.now();
        assert!(left.holds(&device("d1")), "the node is paused as a whole");
        assert!(left.since.is_some());
        let resumed = pauses.resume(&[]);
        assert_eq!((resumed.node, resumed.devices), (true, [device("d2")].into()));
        assert_eq!(pauses.now(), Paused::default());
    }

    #[test]
    fn a_drain_is_no_pause() {
        let (pauses, drain) = (Pauses::default(), CancellationToken::new());
        let job = pauses.begin(&device("d1"), &drain).unwrap();
        drain.cancel();
        assert!(job.stop.is_cancelled() && !job.was_paused(&drain));
    }
}
