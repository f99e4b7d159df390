//! What a page tells: the contract's messages of one moment, as far as the process has them.

use std::time::SystemTime;

use ssync_api::admin::{Device, GetReplicatorStatusResponse, GetServerInfoResponse, Limit, Session};

use crate::units::in_order;

/// What a page tells.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whose it is.
    pub who: Who,
    /// When it was asked for.
    pub at: SystemTime,
    /// Whether it takes work.
    pub state: State,
    /// Of the receiver, where this process has one.
    pub receives: Option<Receives>,
    /// Of the replicator, where this process has one.
    pub replicates: Option<GetReplicatorStatusResponse>,
    /// The parts of the node that other processes have.
    pub elsewhere: Vec<Elsewhere>,
    /// Seconds after which the browser shall ask again.
    pub refresh: Option<u32>,
}

/// Whose page it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The host's name.
    pub host: String,
    /// Its address in the ring.
    pub address: String,
    /// What runs in this process, for example `receiver, sidecar and replicator`.
    pub parts: String,
    /// Of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
}

/// Whether a process takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Ready,
    /// Not yet, or not all of it.
    NotReady,
    /// No more.
    Draining,
}

/// What a receiver tells.
#[derive(Debug, Clone, Default)]
pub struct Receives {
    /// What it is.
    pub info: GetServerInfoResponse,
    /// Its devices, by name.
    pub devices: Vec<Device>,
    /// Who pushes to it.
    pub sessions: Vec<Session>,
    /// Its limits, by name.
    pub limits: Vec<Limit>,
}

impl Receives {
    /// The same with the devices that the rings have for this node, as its replicator knows, and that the receiver does not find: they
    /// are not mounted, or their folders are gone.
    #[must_use]
    pub fn with_those_of_the_rings(mut self, replicates: Option<&GetReplicatorStatusResponse>) -> Self {
        for device in replicates.iter().flat_map(|status| &status.devices) {
            if !self.devices.iter().any(|found| found.name == device.device) {
                let problem = "it is not mounted: the rings have it, and there is no such folder".to_owned();
                self.devices.push(Device { name: device.device.clone(), problem, ..Device::default() });
            }
        }
        self.devices.sort_by(|one, other| in_order(&one.name).cmp(&in_order(&other.name)));
        self
    }
}

/// A part of the node that another process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// What is told there, for example `devices and sessions`.
    pub what: String,
    /// Where, for example `127.0.0.1:6301 (admin_bind)`.
    pub at: String,
}

impl Report {
    /// The devices of this node that cannot be used.
    pub(crate) fn unusable(&self) -> impl Iterator<Item = &Device> {
        self.receives.iter().flat_map(|receives| &receives.devices).filter(|device| !device.mounted)
    }
}
