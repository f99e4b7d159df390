//! Applies replication and object requests to the disks: the core behind the contract, the sidecar and the replicator.
//!
//! [`Receiver`] implements [`ssync_store::Store`] on the devices of a node. It admits sessions, orders and runs their
//! updates on bounded threads of each device, and answers for nothing that is not durable.

#![forbid(unsafe_code)]

mod admin;
mod admission;
mod authority;
mod before;
mod body;
mod caller;
mod check;
mod config;
mod core;
mod counters;
mod device_drains;
mod devices;
mod grpc;
mod limits;
mod metrics;
mod object;
mod permits;
mod placement;
mod pool;
mod post;
mod read;
mod receiver;
mod registry;
mod release;
mod removals;
mod ring_placement;
mod session;
mod slot;
mod survey;
mod upload;
mod waiting;

/// The target of spans and events for traces alone: the phases of a request or a session (services/runtime/telemetry).
const PHASE: &str = "ssync::phase";
/// The target of what a trace tells of single objects.
const OBJECT: &str = "ssync::object";

pub use crate::core::LimitStatus;
pub use admin::AdminGrpc;
pub use authority::{Authority, IdentityOf};
pub use caller::{IsLocal, only_local};
pub use config::ReceiverConfig;
pub use counters::CountersSnapshot;
pub use devices::DeviceStatus;
pub use grpc::{DeviceGrpc, GrpcSettings, ObjectGrpc, ReplicationGrpc, services};
pub use limits::SessionLimits;
pub use placement::{Placement, SenderClaim};
pub use receiver::Receiver;
pub use registry::SessionInfo;
pub use removals::Removals;
pub use ring_placement::RingPlacement;

#[cfg(test)]
mod tests;
