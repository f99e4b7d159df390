//! A replicator asked by an operator: the contract's ReplicatorService, and the same answers without a network.

mod plan;
mod push;
mod service;
mod status;

pub(crate) use plan::plan;
pub(crate) use push::push;
pub(crate) use service::ReplicatorGrpc;

/// Most answers of a push or a plan that wait for who asked.
const ANSWERS_AHEAD_MAX: usize = 16;
