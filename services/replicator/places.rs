//! What the replicator asks of the rings: who a partition's primaries are, who comes after them, which devices are ours.

use std::{
    net::{IpAddr, ToSocketAddrs as _, UdpSocket},
    sync::Arc,
};

use ssync_types::{Partition, PolicyIndex};

use crate::{config::ReplicatorConfig, peer::Target};

/// A device of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingDevice {
    /// Its number in the ring.
    pub id: u32,
    /// How it is reached for replication.
    pub target: Target,
}

/// One state of a policy's ring.
pub trait PolicyRing: Send + Sync + 'static {
    /// How many partitions it has.
    fn partition_count(&self) -> u64;
    /// How many copies it places, a part of one counted as one.
    fn replica_count(&self) -> usize;
    /// All its devices.
    fn devices(&self) -> Vec<RingDevice>;
    /// The primaries of a partition; none for one beyond the ring.
    fn primaries(&self, partition: Partition) -> Vec<RingDevice>;
    /// The devices that stand in for primaries, in their order.
    fn handoffs(&self, partition: Partition) -> Box<dyn Iterator<Item = RingDevice> + '_>;
    /// The next partition power, while it is being changed.
    fn next_part_power(&self) -> Option<u32>;
    /// A digest of devices and assignments.
    fn digest(&self) -> Option<Vec<u8>>;
}

/// A replication policy and its ring.
#[derive(Clone)]
pub struct PolicyPlaces {
    /// The policy.
    pub policy: PolicyIndex,
    /// Its name in swift.conf.
    pub name: String,
    /// Its ring.
    pub ring: Arc<dyn PolicyRing>,
}

impl std::fmt::Debug for PolicyPlaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyPlaces")
            .field("policy", &self.policy)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The rings of the replication policies. Erasure-coded ones are not among them.
pub trait Rings: Send + Sync + 'static {
    /// As they are on disk now; loaded again where a file was replaced.
    fn current(&self) -> Vec<PolicyPlaces>;
    /// Whether a file was replaced since [`current`](Self::current).
    fn changed(&self) -> bool;
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
        if u64::from(partition.get()) >= self.0.ring.partition_count() {
            return Role::Outside;
        }
        let primaries = self.0.ring.primaries(partition);
        let is_primary = primaries.iter().any(|device| device.id == own_id);
        let others: Vec<Target> =
            primaries.into_iter().filter(|device| device.id != own_id).map(|device| device.target).collect();
        match (is_primary, others.is_empty()) {
            (true, _) => Role::Primary(others),
            (false, false) => Role::Handoff(others),
            (false, true) => Role::Outside,
        }
    }

    pub(crate) fn handoffs(&self, partition: Partition) -> impl Iterator<Item = Target> + '_ {
        self.0.ring.handoffs(partition).map(|device| device.target)
    }

    pub(crate) fn digest(&self) -> Option<Vec<u8>> {
        self.0.ring.digest()
    }
}

/// Tells which devices of a ring are this node's (Swift: is_local_device, whataremyips).
#[derive(Debug)]
pub(crate) struct Ours {
    own: IpAddr,
    port: Option<u16>,
}

impl Ours {
    pub(crate) fn new(config: &ReplicatorConfig) -> Self {
        let port = (config.servers_per_port == 0).then_some(config.bind_port);
        Self { own: config.own_ip(), port }
    }

    /// Whether the device is in this node. A name in the ring is resolved, so this may block.
    pub(crate) fn has(&self, target: &Target) -> bool {
        self.port.is_none_or(|port| port == target.port) && self.is_our_address(&target.ip)
    }

    fn is_our_address(&self, ip: &str) -> bool {
        let ip = ip.trim_matches(['[', ']']);
        match ip.parse::<IpAddr>() {
            Ok(address) => self.is_ours(address),
            Err(_) => {
                (ip, 0).to_socket_addrs().is_ok_and(|mut found| found.any(|found| self.is_ours(found.ip())))
            }
        }
    }

    /// Listening on all addresses, every address that a socket can be bound to here is ours.
    fn is_ours(&self, address: IpAddr) -> bool {
        if self.own.is_unspecified() { UdpSocket::bind((address, 0)).is_ok() } else { address == self.own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeRing, ring_device};

    fn places(rows: &[&[u32]]) -> Places {
        Places(FakeRing::new(4, rows).into_policy(0))
    }

    #[test]
    fn knows_a_primary_from_a_handoff() {
        let places = places(&[&[0, 1, 2, 3], &[1, 2, 3, 0]]);
        let target = |id| ring_device(id).target;
        assert_eq!(places.role(Partition::new(0), 0), Role::Primary(vec![target(1)]));
        assert_eq!(places.role(Partition::new(0), 3), Role::Handoff(vec![target(0), target(1)]));
    }

    #[test]
    fn a_partition_without_a_place_is_outside() {
        let places = places(&[&[0, 1, 2, 3]]);
        assert_eq!(places.role(Partition::new(4), 0), Role::Outside);
        assert_eq!(places.role(Partition::new(u32::MAX), 0), Role::Outside);
        assert_eq!(
            places.role(Partition::new(0), 0),
            Role::Primary(Vec::new()),
            "one copy has nobody to compare with"
        );
    }

    #[test]
    fn our_devices_are_told_by_address_and_port() {
        let mut config = ReplicatorConfig {
            bind_ip: "10.1.2.3".parse().unwrap(),
            bind_port: 6200,
            ..ReplicatorConfig::default()
        };
        let target = |ip: &str, port| Target { ip: ip.into(), port, ..ring_device(0).target };
        let ours = Ours::new(&config);
        assert!(ours.has(&target("10.1.2.3", 6200)));
        assert!(!ours.has(&target("10.1.2.3", 6201)) && !ours.has(&target("10.1.2.4", 6200)));
        config.servers_per_port = 2;
        assert!(Ours::new(&config).has(&target("10.1.2.3", 6201)));
        config.ring_ip = Some("10.9.9.9".parse().unwrap());
        assert!(!Ours::new(&config).has(&target("10.1.2.3", 6200)));
        let any = ReplicatorConfig { bind_port: 6200, ..ReplicatorConfig::default() };
        assert!(Ours::new(&any).has(&target("127.0.0.1", 6200)));
        assert!(Ours::new(&any).has(&target("localhost", 6200)));
        assert!(!Ours::new(&any).has(&target("192.0.2.1", 6200)), "an address for documentation is nobody's");
    }
}
