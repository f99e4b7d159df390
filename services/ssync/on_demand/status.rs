//! What a replicator does now, as the contract tells of it.

use std::time::Duration;

use ssync_api::{
    admin::{self, DeviceStatus, GetReplicatorStatusResponse, PeerBackoff},
    v1,
};
use ssync_replicator::{ParkedObject, Progress, Replicator};

/// A look at it.
pub(super) fn status(replicator: &Replicator) -> GetReplicatorStatusResponse {
    let Progress { pass, running, partitions_done, partitions_total, objects, bytes, released, failures } =
        *replicator.progress().borrow();
    let paused = replicator.paused();
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
                paused: paused.holds(&device),
                ..DeviceStatus::default()
            })
            .collect(),
        peers: replicator
            .left_alone()
            .into_iter()
            .map(|peer| PeerBackoff {
                peer: peer.peer,
                cause: peer.cause.to_string(),
                remaining_milliseconds: milliseconds(peer.left),
            })
            .collect(),
        parked: replicator.parked().into_iter().map(parked).collect(),
        paused: paused.node,
        ..GetReplicatorStatusResponse::default()
    }
}

fn parked(object: ParkedObject) -> admin::ParkedObject {
    admin::ParkedObject {
        device: object.device.to_string(),
        partition: object.partition.get(),
        policy_index: object.policy.get(),
        object_hash: object.object.to_string(),
        cause: object.cause.to_string(),
        failures: object.failures,
        peer: object.peer.unwrap_or_default(),
        remaining_milliseconds: milliseconds(object.again_in),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
