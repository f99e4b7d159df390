//! One file a command.

pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod dev;
pub(crate) mod node;
pub(crate) mod receiver;
pub(crate) mod replicator;
pub(crate) mod sidecar;
