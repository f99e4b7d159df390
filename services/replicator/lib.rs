//! The daemon that pushes: for each partition of this node's devices, what the other primaries lack; and for each that
//! does not belong here, all of it, letting go object by object as the primaries answer.
//!
//! A [`Replicator`] makes passes. What a peer speaks is behind two small traits, [`Peer`] and [`PushSession`]: gRPC by
//! the contract, or SSYNC to a stock Swift node. When an object may be removed is decided in
//! [`ssync_protocol::removal`], free of I/O.

#![forbid(unsafe_code)]

mod ahead;
mod backlog;
mod blocking;
mod claims;
mod collect;
mod config;
mod course;
mod failures;
mod forecast;
mod gates;
mod grpc;
mod job;
mod ledger;

mod listing;
mod metrics;
mod order;
mod parked;
mod pass;
#[cfg(test)]
mod passes;
mod pauses;
mod peer;
mod places;
mod plan;
mod progress;
mod recon;
mod remedy;
mod replicator;
mod samples;
mod schedule;
mod shuffle;
mod single;
mod source;
mod spent;
mod ssync;
mod stats;
mod tally;
#[cfg(test)]
mod testing;
mod told;
mod totals;
mod ways;

pub use backlog::{DeviceWork, NodeWork, Outlook, Pending};
pub use config::{Overrides, ReplicatorConfig};
pub use failures::FailedVisit;
pub use forecast::Forecast;
pub use gates::LeftAlone;
pub use grpc::GrpcPeer;
pub use order::{PushOrder, PushUnderWay, PushWatch};
pub use parked::{ParkedHere, ParkedObject};
pub use pauses::Paused;
pub use peer::{
    Errand, OfferBatch, Peer, Peers, PushError, PushMode, PushSession, Pushed, Target, Verdict, Verdicts,
};
pub use places::{PolicyPlaces, Rings};
pub use plan::{PlanTotal, Planned, PlannedPush, PlannedRemoval};
pub use progress::Progress;
pub use replicator::Replicator;
pub use samples::Amount;
pub use shuffle::Shuffle;
pub use source::{Moved, Source};
pub use spent::{Share, Spender};
pub use stats::{Abort, PassStats};
pub use told::Retried;
pub use ways::Nodes;

/// The target of events for traces alone: the phases of a push (services/runtime/telemetry).
const PHASE: &str = "ssync::phase";
