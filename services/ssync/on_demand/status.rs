//! What a replicator does now, as the contract tells of it.

use ssync_api::{
    admin::{self, DeviceStatus, GetReplicatorStatusResponse, PeerBackoff},
    v1,
};
use ssync_replicator::{DeviceWork, ParkedObject, PassStats, Progress, Replicator};
use ssync_types::DeviceName;

use super::{milliseconds, outlook, spent};

/// A look at it.
pub(super) fn status(replicator: &Replicator) -> GetReplicatorStatusResponse {
    let Progress { pass, running, partitions_done, partitions_total, objects, bytes, released, failures } =
        *replicator.progress().borrow();
    let (paused, seen) = (replicator.paused(), replicator.outlook());
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
            .map(|(device, stats)| {
                let work = seen.devices.get(&device).copied().unwrap_or_default();
                device_status(&device, &stats, &work, paused.holds(&device))
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
        elapsed_milliseconds: milliseconds(seen.elapsed),
        backlog: Some(outlook::backlog(&seen.pending)),
        forecast: seen.forecast.map(outlook::forecast),
        nodes: outlook::nodes(replicator, &seen.nodes),
        held_up_by: spent::held_up_by(replicator),
        samples: outlook::samples(&seen.samples),
        sample_seconds: u32::try_from(seen.sample.as_secs()).unwrap_or(u32::MAX),
        paused: paused.node,
    }
}

fn device_status(device: &DeviceName, stats: &PassStats, work: &DeviceWork, paused: bool) -> DeviceStatus {
    DeviceStatus {
        device: device.to_string(),
        partitions_begun: stats.attempted,
        objects: stats.objects,
        bytes: stats.bytes,
        released: stats.released,
        failures: stats.failure,
        partitions_total: work.total,
        partitions_done: work.done,
        pending_objects: work.known.objects,
        pending_bytes: work.known.bytes,
        paused,
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
