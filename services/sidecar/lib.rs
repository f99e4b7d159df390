//! Swift's HTTP object API, REPLICATE and SSYNC, translated to the [`Store`](ssync_store::Store). Touches no device of objects.

#![forbid(unsafe_code)]

mod access_log;
mod answer;
mod calendar;
mod config;
mod container_updates;
mod dispatch;
mod fields;
mod filters;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hex;
mod http;
mod object_api;
mod path;
mod placement;
mod policies;
mod python_json;
mod python_text;
mod replicate;
mod sidecar;
mod ssync_verb;
mod status;
#[cfg(test)]
mod tests;
mod timing;
mod trace;

pub use access_log::{BadFormat, LineFormat};
pub use config::{Constraints, SidecarConfig};
pub use filters::{FilterConfig, RateOptions, RatelimitConfig, ReconConfig};
pub use policies::{Policies, PolicyKind};
pub use sidecar::Sidecar;
