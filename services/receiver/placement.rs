//! What the receiver asks of the rings.

use std::fmt;

use ssync_types::{DeviceName, Identity, Partition, PartitionRef, PolicyIndex, Sender};

/// What the rings say of the sender of a session, by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderClaim {
    /// The certificate names no node of the policy's ring.
    NoNode,
    /// It names one, but the device that is claimed is not that node's.
    NotItsDevice,
    /// The device is that node's.
    ItsDevice {
        /// And a primary of the partition.
        is_primary: bool,
    },
}

/// The rings as this node has them now. `None` means that the policy's ring is not to be had.
pub trait Placement: fmt::Debug + Send + Sync + 'static {
    /// The policy's ring has 2^this many partitions.
    fn part_power(&self, policy: PolicyIndex) -> Option<u32>;

    /// Whether a device of this node is a primary of the partition.
    fn is_primary(&self, policy: PolicyIndex, partition: Partition, device: &DeviceName) -> Option<bool>;

    /// A digest of the ring's devices and assignments.
    fn ring_digest(&self, policy: PolicyIndex) -> Option<Vec<u8>>;

    /// Whether any ring has a device at a host that `identity` is.
    fn has_node(&self, _identity: &Identity) -> bool {
        false
    }

    /// What the policy's ring says of a sender with this certificate that would push into a partition.
    fn claim(&self, _at: &PartitionRef, _identity: &Identity, _sender: &Sender) -> SenderClaim {
        SenderClaim::NoNode
    }

    /// Whether the policy's ring has the partition.
    fn partition_in_ring(&self, policy: PolicyIndex, partition: Partition) -> Option<bool> {
        self.part_power(policy).map(|power| u64::from(partition.get()) < 1_u64 << power.min(32))
    }
}
