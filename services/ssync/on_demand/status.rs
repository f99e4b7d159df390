//! What a replicator does now, as the contract tells of it.

use ssync_api::{
    admin::{DeviceStatus, GetReplicatorStatusResponse, PeerBackoff},
    v1,
};
use ssync_replicator::{Progress, Replicator};

/// A look at it.
pub(super) fn status(replicator: &Replicator) -> GetReplicatorStatusResponse {
    let Progress { pass, running, partitions_done, partitions_total, objects, bytes, released, failures } =
        *replicator.progress().borrow();
    GetReplicatorStatusResponse {
        pass,
        running,
        partitions_done,
        partitions_total,
        objects,
        bytes,
        released,
        failures,
        jobs: replicator.jobs_under_way().into_iter().map(v1::PartitionRef::from).collect(),
        devices: replicator
            .by_device()
            .into_iter()
            .map(|(device, stats)| DeviceStatus {
                device: device.to_string(),
                partitions_begun: stats.attempted,
                objects: stats.objects,
                bytes: stats.bytes,
                released: stats.released,
                failures: stats.failure,
            })
            .collect(),
        peers: replicator
            .left_alone()
            .into_iter()
            .map(|peer| PeerBackoff {
                peer: peer.peer,
                cause: peer.cause.to_string(),
                remaining_milliseconds: u64::try_from(peer.left.as_millis()).unwrap_or(u64::MAX),
            })
            .collect(),
        parked: Vec::new(),
    }
}
