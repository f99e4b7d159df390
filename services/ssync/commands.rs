//! One file a command.

pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod daemon;
pub(crate) mod dev;
pub(crate) mod log_level;
pub(crate) mod node;
pub(crate) mod object;
pub(crate) mod plan;
pub(crate) mod push;
pub(crate) mod receiver;
pub(crate) mod replicator;
pub(crate) mod running;
pub(crate) mod sidecar;
pub(crate) mod status;
