//! One file a command.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod dev;
pub(crate) mod log_level;
pub(crate) mod man;
pub(crate) mod node;
pub(crate) mod object;
pub(crate) mod partition;
pub(crate) mod plan;
pub(crate) mod plan_ring;
pub(crate) mod push;
pub(crate) mod receiver;
pub(crate) mod replicator;
pub(crate) mod running;
pub(crate) mod sidecar;
pub(crate) mod status;
pub(crate) mod verify;
