//! The devices to ask: a partition's primaries, and who comes after them.

use std::fmt;

use ssync_ring::{Ring, RingDevice};
use ssync_types::{DeviceName, Partition};

/// Why a device is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has to hold the object: the primary of this number, from 0. With erasure coding that tells its fragment.
    Primary(usize),
    /// It takes the object when primaries cannot: the handoff of this number, from 0.
    Handoff(usize),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(number) => write!(f, "primary {number}"),
            Self::Handoff(number) => write!(f, "handoff {number}"),
        }
    }
}

/// A device that is asked.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) role: Role,
    /// Where its node serves objects: `ip:port`.
    pub(crate) address: String,
    /// Where its node replicates.
    pub(crate) replication: (String, u16),
    pub(crate) device: DeviceName,
}

impl Site {
    fn new(role: Role, device: &RingDevice) -> Self {
        Self {
            role,
            address: address(&device.ip, device.port),
            replication: (device.replication_ip.clone(), device.replication_port),
            device: device.device.clone(),
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    /// Where its node replicates, as `ssync push --to` takes it.
    pub(crate) fn target(&self) -> String {
        format!("{}/{}", address(&self.replication.0, self.replication.1), self.device)
    }
}

/// As people call it.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.device, self.address)
    }
}

fn address(ip: &str, port: u16) -> String {
    if ip.contains(':') {
        format!("[{}]:{port}", ip.trim_matches(['[', ']']))
    } else {
        format!("{ip}:{port}")
    }
}

/// How many handoffs are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandoffChoice {
    /// As many as there are primaries.
    AsMany,
    /// So many.
    Some(usize),
    /// Every device of the ring.
    All,
}

/// The primaries of a partition in their order, and handoffs behind them.
pub(crate) fn sites(ring: &Ring, partition: Partition, handoffs: HandoffChoice) -> Vec<Site> {
    let mut sites: Vec<Site> = ring
        .primaries(partition)
        .iter()
        .map(|primary| Site::new(Role::Primary(primary.index), primary.device))
        .collect();
    let count = match handoffs {
        HandoffChoice::AsMany => sites.len(),
        HandoffChoice::Some(count) => count,
        HandoffChoice::All => usize::MAX,
    };
    let after = ring.handoffs(partition).take(count).enumerate();
    sites.extend(after.map(|(number, device)| Site::new(Role::Handoff(number), device)));
    sites
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_primaries_first_and_as_many_handoffs_as_wanted() {
        let device = |id: u8| {
            Some(RingDevice::local(id.into(), 1, ([10, 0, 0, id], 6200).into(), &format!("d{id}")).unwrap())
        };
        let ring = Ring::new((0..5).map(device).collect(), 1, vec![vec![0, 1], vec![1, 2]]).unwrap();
        let named = |choice| -> Vec<String> {
            let asked = sites(&ring, Partition::new(0), choice);
            asked.iter().map(|site| format!("{} {}", site.role, site.device)).collect()
        };
        assert_eq!(named(HandoffChoice::Some(0)), ["primary 0 d0", "primary 1 d1"]);
        assert!(named(HandoffChoice::AsMany).len() <= 4);
        let all = named(HandoffChoice::All);
        assert!(all.iter().any(|name| name.starts_with("handoff 0")), "{all:?}");
        assert!(sites(&ring, Partition::new(9), HandoffChoice::All).iter().all(|site| !site.is_primary()));
    }

    #[test]
    fn brackets_an_ipv6_address() {
        assert_eq!(address("fd00::1", 6200), "[fd00::1]:6200");
        assert_eq!(address("10.0.0.1", 6200), "10.0.0.1:6200");
    }
}
