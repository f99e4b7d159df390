//! Swift's HTTP object API, REPLICATE and SSYNC, translated to the [`Store`](ssync_store::Store). Never touches a disk.

#![forbid(unsafe_code)]

mod access_log;
mod config;
mod dispatch;
mod fields;
mod filters;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod object_api;
mod placement;
mod policies;
mod python_text;
mod replicate;
mod sidecar;
mod ssync_verb;
mod status;
#[cfg(test)]
mod tests;
mod timing;
mod trace;
mod updates;

pub use access_log::{BadFormat, LineFormat};
pub use config::{Constraints, SidecarConfig};
pub use filters::{FilterConfig, RateOptions, RatelimitConfig, ReconConfig};
pub use policies::{Policies, PolicyKind};
pub use sidecar::Sidecar;
