//! A replicator asked by an operator: the contract's ReplicatorService, and the same answers without a network.

mod outlook;
mod plan;
mod push;
mod service;
mod spent;
mod status;

use std::time::Duration;

pub(crate) use plan::plan;
pub(crate) use push::push;
pub(crate) use service::ReplicatorGrpc;

/// Most answers of a push or a plan that wait for who asked.
const ANSWERS_AHEAD_MAX: usize = 16;

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
