//! What a storage node can do: one trait for the sidecar and the replicator, whether the receiver is in this process or
//! behind gRPC.
//!
//! [`Store`] is the seam. The receiver's core implements it on the disks; [`RemoteStore`] implements it on the contract.
//! Neither side of it knows protobuf or HTTP. [`PeerBook`] finds out whether a peer speaks gRPC at all.

#![forbid(unsafe_code)]

mod address;
mod body;
mod connect;
mod remote;
mod store;
mod trace;

pub use address::StoreAddress;
pub use body::Body;
pub use connect::{PEERS_MAX, PeerBook, PeerKind, probe};
pub use remote::{RemoteSettings, RemoteStore};
pub use store::{
    CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers, Release, SESSION_QUEUE_MAX, Session, SessionError, Store,
    StoreResult, UPLOAD_QUEUE_MAX, Upload,
};
