//! What an operator sets of the replicator: Swift's option names and defaults (object-server.conf,
//! `[object-replicator]`).

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, time::Duration};

use ssync_statsd::Statsd;
use ssync_types::{DeviceName, Partition, PolicyIndex};

/// Settings of the replicator.
#[derive(Debug, Clone)]
pub struct ReplicatorConfig {
    /// The address that this node's server listens on; every address of the machine counts as ours when it is `0.0.0.0`
    /// or `::`.
    pub bind_ip: IpAddr,
    /// The port of this node's server, which is the rings' replication port.
    pub bind_port: u16,
    /// The address that the rings have for this node, when it is not `bind_ip`.
    pub ring_ip: Option<IpAddr>,
    /// Swift's one-port-for-each-device mode: then ports in the ring do not tell which devices are ours.
    pub servers_per_port: u32,
    /// Partitions worked on at once. Swift's default is 1; here a partition is cheap to a gRPC peer, and peers say when they
    /// are busy.
    pub concurrency: usize,
    /// Between two passes.
    pub interval: Duration,
    /// Between two reports in the log.
    pub stats_interval: Duration,
    /// To connect to a peer and send a request's head.
    pub conn_timeout: Duration,
    /// For one step of a peer that speaks SSYNC.
    pub node_timeout: Duration,
    /// For an answer line, a list of hashes, or any sign of life in a session.
    pub http_timeout: Duration,
    /// Between two looks at the rings.
    pub ring_check_interval: Duration,
    /// The folder of `object.recon`; `None` writes none.
    pub recon_cache_path: Option<PathBuf>,
    /// Leave the figures of each device there too, as Swift does with `replicator_workers`.
    pub recon_per_disk: bool,
    /// Handoffs before anything else; the pass ends when some remain.
    pub handoffs_first: bool,
    /// Push also from a device that was away for longer than tombstones are kept.
    pub push_returned_devices: bool,
    /// So many primaries suffice to let go of a handoff's object; `None` (Swift's `auto`): all of them.
    pub handoff_delete: Option<usize>,
    /// The longest line taken from a peer that speaks SSYNC.
    pub network_chunk_size: usize,
    /// Who this is, for peers' logs.
    pub agent: String,
    /// Where its metrics go, by Swift's names.
    pub statsd: Statsd,
}

impl Default for ReplicatorConfig {
    fn default() -> Self {
        Self {
            bind_ip: IpAddr::from([0, 0, 0, 0]),
            bind_port: 6200,
            ring_ip: None,
            servers_per_port: 0,
            concurrency: 4,
            interval: Duration::from_secs(30),
            stats_interval: Duration::from_secs(300),
            conn_timeout: Duration::from_millis(500),
            node_timeout: Duration::from_secs(10),
            http_timeout: Duration::from_secs(60),
            ring_check_interval: Duration::from_secs(15),
            recon_cache_path: Some(PathBuf::from("/var/cache/swift")),
            recon_per_disk: false,
            handoffs_first: false,
            push_returned_devices: false,
            handoff_delete: None,
            network_chunk_size: 65_536,
            agent: concat!("ssync/", env!("CARGO_PKG_VERSION")).to_owned(),
            statsd: Statsd::disabled(),
        }
    }
}

impl ReplicatorConfig {
    /// The same, with what `other` says where a running replicator can be told (the options that are `live`).
    pub(crate) fn following(self, other: &Self) -> Self {
        Self {
            concurrency: other.concurrency,
            recon_per_disk: other.recon_per_disk,
            interval: other.interval,
            stats_interval: other.stats_interval,
            handoffs_first: other.handoffs_first,
            push_returned_devices: other.push_returned_devices,
            handoff_delete: other.handoff_delete,
            ..self
        }
    }

    /// The address that the rings have for this node.
    pub(crate) fn own_ip(&self) -> IpAddr {
        self.ring_ip.unwrap_or(self.bind_ip)
    }

    /// `handoff_delete` for policies of these replica counts: set to no fewer than all of them it means nothing
    /// (Swift: replicator.py replicate).
    pub(crate) fn effective_handoff_delete(&self, replica_counts: &[usize]) -> Option<usize> {
        let most = replica_counts.iter().copied().max().unwrap_or(0);
        self.handoff_delete.filter(|&count| count > 0 && count < most)
    }
}

impl ReplicatorConfig {
    /// What an operator should not forget to take back (Swift: replicator.py `ObjectReplicator.__init__`), where
    /// `handoff_delete` has come to `effective`.
    pub(crate) fn warnings(&self, effective: Option<usize>) -> Vec<String> {
        let asked = self.handoff_delete.filter(|&count| count > 0);
        let mut warnings = Vec::new();
        if self.handoffs_first || asked.is_some() {
            warnings.push(
                "Handoff only mode is not intended for normal operation, please disable handoffs_first and \
                 handoff_delete before the next normal rebalance"
                    .to_owned(),
            );
        }
        if let (Some(asked), None) = (asked, effective) {
            warnings.push(format!(
                "No storage policies found for which handoff_delete={asked} would have an effect. Disabling."
            ));
        }
        warnings
    }
}

/// What a single pass is limited to (`--devices`, `--partitions`, `--policies`). Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Only these devices of this node.
    pub devices: BTreeSet<DeviceName>,
    /// Only these partitions.
    pub partitions: BTreeSet<Partition>,
    /// Only these policies.
    pub policies: BTreeSet<PolicyIndex>,
}

impl Overrides {
    /// Whether anything is limited. Such a pass tells nothing of the node, so it writes no recon.
    #[must_use]
    pub fn any(&self) -> bool {
        !(self.devices.is_empty() && self.partitions.is_empty() && self.policies.is_empty())
    }

    pub(crate) fn device(&self, device: &DeviceName) -> bool {
        self.devices.is_empty() || self.devices.contains(device)
    }

    pub(crate) fn partition(&self, partition: Partition) -> bool {
        self.partitions.is_empty() || self.partitions.contains(&partition)
    }

    pub(crate) fn policy(&self, policy: PolicyIndex) -> bool {
        self.policies.is_empty() || self.policies.contains(&policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handoff_delete_is_ignored_when_it_asks_for_all_or_more() {
        let with = |count| ReplicatorConfig { handoff_delete: Some(count), ..ReplicatorConfig::default() };
        assert_eq!(with(2).effective_handoff_delete(&[3]), Some(2));
        assert_eq!(with(3).effective_handoff_delete(&[3]), None);
        assert_eq!(with(3).effective_handoff_delete(&[3, 4]), Some(3));
        assert_eq!(with(0).effective_handoff_delete(&[3]), None);
        assert_eq!(with(1).effective_handoff_delete(&[]), None);
    }

    #[test]
    fn emergency_modes_are_not_forgotten() {
        let warnings = |handoffs_first, handoff_delete, effective| {
            ReplicatorConfig { handoffs_first, handoff_delete, ..ReplicatorConfig::default() }
                .warnings(effective)
                .len()
        };
        assert_eq!(warnings(false, None, None), 0);
        assert_eq!(warnings(false, Some(0), None), 0);
        assert_eq!((warnings(true, None, None), warnings(false, Some(2), Some(2))), (1, 1));
        assert_eq!(warnings(false, Some(3), None), 2);
    }

    #[test]
    fn no_override_means_everything() {
        let mut overrides = Overrides::default();
        assert!(!overrides.any() && overrides.partition(Partition::new(7)));
        overrides.partitions.insert(Partition::new(1));
        assert!(overrides.any() && !overrides.partition(Partition::new(7)));
    }
}
