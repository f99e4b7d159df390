//! What a storage node can do: one trait for the sidecar and the replicator, whether the receiver is in this process or
//! behind gRPC.
//!
//! [`Store`] is the seam. The receiver's core implements it on the disks; [`RemoteStore`] implements it on the contract.
//! Neither side of it knows protobuf or HTTP.

#![forbid(unsafe_code)]

mod body;
mod store;

pub use body::Body;
pub use store::{
    CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers, Release, SESSION_QUEUE_MAX, Session, SessionError, Store, StoreResult,
};
