//! What the replicator asks of the rings: who a partition's primaries are, who comes after them, which devices are ours.

use std::{io, sync::Arc};

use ssync_ring::{LocalAddresses, Ring, RingDevice};
use ssync_types::{Partition, PolicyIndex};

use crate::{config::ReplicatorConfig, peer::Target};

/// A replication policy and one state of its ring.
#[derive(Debug, Clone)]
pub struct PolicyPlaces {
    /// The policy.
    pub policy: PolicyIndex,
    /// Its name in swift.conf.
    pub name: String,
    /// Its ring.
    pub ring: Arc<Ring>,
}

/// The rings of the replication policies. Erasure-coded ones are not among them. Both calls may read files.
pub trait Rings: Send + Sync + 'static {
    /// As they are now; read again where a file was replaced.
    fn current(&self) -> Vec<PolicyPlaces>;
    /// Whether a file was replaced since [`current`](Self::current).
    fn changed(&self) -> bool;
}

impl From<&RingDevice> for Target {
    fn from(device: &RingDevice) -> Self {
        Self {
            ip: device.replication_ip.clone(),
            port: device.replication_port,
            device: device.device.clone(),
            region: device.region,
            meta: device.meta.clone(),
        }
    }
}

/// Which devices of the rings are this node's.
pub(crate) fn local_addresses(config: &ReplicatorConfig) -> io::Result<LocalAddresses> {
    let port = (config.servers_per_port == 0).then_some(config.bind_port);
    LocalAddresses::new(Some(&config.own_ip().to_string()), port)
}

/// The ring of a pass.
#[derive(Debug)]
pub(crate) struct Places(pub(crate) PolicyPlaces);

/// What the ring makes of a partition that was found on a device.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The device is a primary; these are the others.
    Primary(Vec<Target>),
    /// It is not; these are the primaries, at least one.
    Handoff(Vec<Target>),
    /// The ring has no such partition, or no place for it: it is kept, whatever it holds (rule S3).
    Outside,
}

impl Places {
    /// The role of a device for a partition.
    pub(crate) fn role(&self, partition: Partition, own_id: u32) -> Role {
        if !self.0.ring.has_partition(partition) {
            return Role::Outside;
        }
        let primaries = self.0.ring.primaries(partition);
        let is_primary = primaries.iter().any(|primary| primary.device.id == own_id);
        let others: Vec<Target> = primaries
            .iter()
            .filter(|primary| primary.device.id != own_id)
            .map(|primary| primary.device.into())
            .collect();
        match (is_primary, others.is_empty()) {
            (true, _) => Role::Primary(others),
            (false, false) => Role::Handoff(others),
            (false, true) => Role::Outside,
        }
    }

    /// Who comes after the primaries.
    pub(crate) fn handoffs(&self, partition: Partition) -> impl Iterator<Item = Target> + '_ {
        self.0.ring.handoffs(partition).map(Target::from)
    }

    pub(crate) fn digest(&self) -> Vec<u8> {
        self.0.ring.digest().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{policy, ring_device};

    fn target(id: u32) -> Target {
        (&ring_device(id, 1)).into()
    }

    #[test]
    fn knows_a_primary_from_a_handoff() {
        let places = Places(policy(4, &[&[0, 1, 2, 3], &[1, 2, 3, 0]]));
        assert_eq!(places.role(Partition::new(0), 0), Role::Primary(vec![target(1)]));
        assert_eq!(places.role(Partition::new(0), 3), Role::Handoff(vec![target(0), target(1)]));
    }

    #[test]
    fn a_partition_without_a_place_is_outside() {
        let places = Places(policy(4, &[&[0, 1, 2, 3]]));
        assert_eq!(places.role(Partition::new(4), 0), Role::Outside);
        assert_eq!(places.role(Partition::new(u32::MAX), 0), Role::Outside);
        assert_eq!(
            places.role(Partition::new(0), 0),
            Role::Primary(Vec::new()),
            "one copy has nobody to ask"
        );
    }

    #[test]
    fn our_devices_are_told_by_address_and_port() {
        let mut config = ReplicatorConfig {
            bind_ip: "10.0.0.1".parse().unwrap(),
            bind_port: 6200,
            ..ReplicatorConfig::default()
        };
        let has =
            |config: &ReplicatorConfig, id| local_addresses(config).unwrap().replicates(&ring_device(id, 1));
        assert!(has(&config, 1) && !has(&config, 2));
        config.bind_port = 6201;
        assert!(!has(&config, 1));
        config.servers_per_port = 2;
        assert!(has(&config, 1));
        config.ring_ip = Some("10.0.0.2".parse().unwrap());
        assert!(has(&config, 2) && !has(&config, 1));
    }
}
