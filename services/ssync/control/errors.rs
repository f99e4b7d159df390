//! What a replicator could not do, as the contract tells of it.

use std::time::Duration;

use ssync_api::admin::{ErrorEntry, ListErrorsResponse, Paused, RetryMoment, RetryResponse};
use ssync_replicator::{FailedVisit, LeftAlone, ParkedObject, Replicator, Retried};
use ssync_types::Refusal;

use super::advice::advice;

/// Parked objects in one answer.
const OBJECTS_MAX: usize = 1_000;

/// All that is known to be wrong now.
pub(super) fn list(replicator: &Replicator) -> ListErrorsResponse {
    let parked = replicator.parked();
    let more_objects = parked.len().saturating_sub(OBJECTS_MAX) as u64;
    let left_alone = replicator.left_alone();
    let visits = replicator.failed_visits();
    ListErrorsResponse {
        replicator: true,
        objects: parked.into_iter().take(OBJECTS_MAX).map(object).collect(),
        visits: visits.into_iter().map(|failed| visit(failed, &left_alone)).collect(),
        peers: left_alone.into_iter().map(peer).collect(),
        more_objects,
        next_pass_milliseconds: replicator.next_pass().map(milliseconds),
        paused: Some(paused(&replicator.paused())),
    }
}

/// Why, and what to do.
fn because(cause: &Refusal) -> ErrorEntry {
    ErrorEntry {
        reason: cause.reason.name().to_owned(),
        cause: cause.message.clone(),
        advice: advice(cause.reason).to_owned(),
        times: 1,
        ..ErrorEntry::default()
    }
}

fn object(parked: ParkedObject) -> ErrorEntry {
    ErrorEntry {
        device: parked.device.to_string(),
        partition: Some(parked.partition.get()),
        policy_index: Some(parked.policy.get()),
        object_hash: parked.object.to_string(),
        peer: parked.peer.unwrap_or_default(),
        times: parked.failures,
        again_milliseconds: Some(milliseconds(parked.again_in)),
        ..because(&parked.cause)
    }
}

fn peer(left: LeftAlone) -> ErrorEntry {
    ErrorEntry { peer: left.peer, again_milliseconds: Some(milliseconds(left.left)), ..because(&left.cause) }
}

fn visit(failed: FailedVisit, left_alone: &[LeftAlone]) -> ErrorEntry {
    let peer = failed.peer.unwrap_or_default();
    let is_of_it = |left: &&LeftAlone| {
        peer.strip_prefix(left.peer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let again = left_alone.iter().filter(is_of_it).map(|left| left.left).max();
    ErrorEntry {
        device: failed.at.device.to_string(),
        partition: Some(failed.at.partition.get()),
        policy_index: Some(failed.at.policy.get()),
        again_milliseconds: again.map(milliseconds),
        peer,
        times: failed.times,
        ago_milliseconds: Some(milliseconds(failed.ago)),
        ..because(&failed.cause)
    }
}

/// What is paused, as the contract says it.
pub(super) fn paused(paused: &ssync_replicator::Paused) -> Paused {
    Paused {
        node: paused.node,
        devices: paused.devices.iter().map(ToString::to_string).collect(),
        since_seconds: paused.since.map(|since| since.as_secs()),
    }
}

/// What is tried again, and when.
pub(super) fn retried(replicator: &Replicator, retried: Retried, asked: usize) -> RetryResponse {
    let moment = match retried.now {
        _ if asked > 0 && retried.unknown.len() == asked => RetryMoment::Nothing,
        true => RetryMoment::Now,
        false => RetryMoment::Next,
    };
    RetryResponse {
        replicator: true,
        objects: retried.objects,
        peers: retried.peers,
        moment: moment.into(),
        paused: Some(paused(&replicator.paused())),
        unknown: retried.unknown,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
