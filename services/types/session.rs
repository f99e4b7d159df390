//! A replication session: how it is opened, and what the receiver says in it.

use std::time::Duration;

use crate::{PartitionRef, UpdateResult};

/// Asks for a session on one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOpen {
    /// The partition at the receiver.
    pub partition: PartitionRef,
    /// Who pushes.
    pub sender: Sender,
    /// A digest of the sender's ring, if it has one.
    pub ring_digest: Option<Vec<u8>>,
    /// The sender can send fragments without a durable mark.
    pub non_durable: bool,
    /// The receiver's limit on failed updates does not apply.
    pub failures_unlimited: bool,
    /// Whose rules of admission apply.
    pub protocol: SessionProtocol,
}

/// Whose rules of admission apply to a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SessionProtocol {
    /// Slot, device permit and partition lock are tried once; who is refused comes back.
    #[default]
    Grpc,
    /// As Swift's SSYNC receiver: waits for the partition's lock, and takes one of the device's locks
    /// (Swift: ssync_receiver.py, diskfile.py replication_lock).
    Ssync,
}

/// Who pushes. For logs and lists; not trusted for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The replication address of the sender's node.
    pub address: String,
    /// The device that it reads from.
    pub device: String,
    /// Why it pushes.
    pub job: Job,
    /// Program and version.
    pub agent: String,
}

/// Why a sender pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Not said: a Swift SSYNC sender.
    Unknown,
    /// A primary brings another up to date.
    Sync,
    /// A handoff brings its copy home.
    Revert,
    /// A client outside of the ring stores objects.
    Client,
}

/// One step of a receiver in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// The request names things that exist; slot and locks are being sought.
    Opened {
        /// The receiver's own ring differs from the sender's.
        ring_differs: bool,
    },
    /// Slot and locks are held.
    Accepted(Accepted),
    /// Some verdicts.
    Results(Vec<UpdateResult>),
    /// Finish the object, close, come back later.
    Draining(String),
    /// The receiver is alive.
    Heartbeat,
    /// What the receiver's time has gone to since it last said so.
    Work(WorkTimes),
    /// The last.
    Summary(Summary),
}

/// What a receiver's time has gone to in a stretch of a session. Work that was done at once counts for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkTimes {
    /// The stretch.
    pub elapsed: Duration,
    /// Of it, nothing was to be done but to wait for the sender.
    pub idle: Duration,
    /// Updates waited for a thread of the device.
    pub queued: Duration,
    /// Updates were written and flushed.
    pub working: Duration,
    /// Of that, flushed.
    pub flushing: Duration,
}

/// The terms of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Fragments without a durable mark may be sent.
    pub non_durable: bool,
    /// Most bytes of an inline body.
    pub inline_bytes_max: u32,
    /// Most updates, and offers to confirm, that may wait for results.
    pub outstanding_updates_max: u32,
    /// What a result means.
    pub durability: Durability,
    /// Most updates in the session; 0 for no limit.
    pub session_updates_max: u64,
    /// Longest time of the session; zero for no limit.
    pub session_time_max: Duration,
}

/// When a receiver answers for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Each object is flushed before its result.
    Object,
    /// Objects are flushed in groups, before their results.
    Batch,
    /// Nothing is flushed; no result licenses a removal.
    None,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Updates stored.
    pub applied: u64,
    /// Offers confirmed.
    pub confirmed: u64,
    /// Lost against something newer.
    pub superseded: u64,
    /// Failed.
    pub failed: u64,
}
