//! Swift's HTTP object API, REPLICATE and SSYNC, translated to the [`Store`](ssync_store::Store). Never touches a disk.

#![forbid(unsafe_code)]

mod access_log;
mod config;
mod dispatch;
mod http;
mod object_api;
mod placement;
mod policies;
mod replicate;
mod sidecar;
mod ssync_verb;
mod status;
#[cfg(test)]
mod tests;
mod trace;
mod updates;

pub use config::{Constraints, SidecarConfig};
pub use policies::{Policies, PolicyKind};
pub use sidecar::Sidecar;
