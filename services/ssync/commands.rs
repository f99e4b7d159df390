//! One file a command.

pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod daemon;
pub(crate) mod daemons;
pub(crate) mod dev;
pub(crate) mod drain;
pub(crate) mod errors;
pub(crate) mod limits;
pub(crate) mod log_level;
pub(crate) mod node;
pub(crate) mod object;
pub(crate) mod partition;
pub(crate) mod pause;
pub(crate) mod plan;
pub(crate) mod plan_ring;
pub(crate) mod push;
pub(crate) mod receiver;
pub(crate) mod replicator;
pub(crate) mod running;
pub(crate) mod seen;
pub(crate) mod sidecar;
pub(crate) mod status;
pub(crate) mod top;
pub(crate) mod verify;
pub(crate) mod why_slow;
