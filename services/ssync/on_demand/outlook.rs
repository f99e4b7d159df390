//! What is pending and until when, as the contract tells of it.

use std::time::{Duration, SystemTime};

use ssync_api::admin;
use ssync_replicator::{Amount, Forecast, NodeWork, Pending, Replicator};

use super::milliseconds;

pub(super) fn backlog(pending: &Pending) -> admin::Backlog {
    admin::Backlog {
        objects: pending.known.objects,
        bytes: pending.known.bytes,
        expected_objects: pending.expected.objects,
        expected_bytes: pending.expected.bytes,
        objects_margin: pending.margin.objects,
        bytes_margin: pending.margin.bytes,
        uncompared: pending.uncompared,
        unknown: pending.unknown,
        oldest_seconds: pending.oldest.as_ref().map(Duration::as_secs),
        in_sync_seconds: pending.in_sync.as_ref().map(Duration::as_secs),
    }
}

pub(super) fn forecast(forecast: Forecast) -> admin::Forecast {
    admin::Forecast {
        remaining_milliseconds: milliseconds(forecast.remaining),
        margin_milliseconds: milliseconds(forecast.margin),
    }
}

/// Nodes by address, with what is known of each beside its work.
pub(super) fn nodes(replicator: &Replicator, nodes: &[NodeWork]) -> Vec<admin::NodeWork> {
    let (successes, troubles) = (replicator.last_successes(), replicator.left_alone());
    let now = SystemTime::now();
    nodes
        .iter()
        .map(|work| {
            let success = successes.get(&work.node).and_then(|at| now.duration_since(*at).ok());
            let is_of_it = |peer: &str| {
                peer.strip_prefix(work.node.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let trouble = troubles.iter().find(|trouble| is_of_it(&trouble.peer));
            admin::NodeWork {
                node: work.node.clone(),
                visits_done: work.done,
                visits_under_way: work.under_way,
                visits_total: work.total,
                backlog: Some(backlog(&work.pending)),
                forecast: work.forecast.map(forecast),
                objects_per_second: work.objects_per_second,
                bytes_per_second: work.bytes_per_second,
                last_success_seconds: success.map(|ago| ago.as_secs()),
                trouble: trouble.map(|trouble| trouble.cause.to_string()).unwrap_or_default(),
            }
        })
        .collect()
}

pub(super) fn samples(samples: &[Amount]) -> Vec<admin::Sample> {
    samples
        .iter()
        .map(|Amount { objects, bytes }| admin::Sample { objects: *objects, bytes: *bytes })
        .collect()
}
