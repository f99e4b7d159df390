//! Why a node says no. One vocabulary for gRPC, HTTP, SSYNC and logs.

use std::{fmt, time::Duration};

use crate::{Invalid, Timestamp};

/// The cause of a refusal. Stable: programs decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Every replication slot of the node is taken (`replication_concurrency`).
    ReceiverBusy,
    /// Another session, or another daemon, holds the partition's lock.
    PartitionLocked,
    /// Every session that the device admits is under way (`replication_concurrency_per_device`).
    DeviceLocked,
    /// The device is not mounted, not in this node, or does not answer (`device_timeout`).
    DeviceUnmounted,
    /// The device has no space above `fallocate_reserve`.
    DeviceFull,
    /// A value is not of its form.
    InvalidArgument,
    /// Messages came in an order that the contract does not have.
    ProtocolOrder,
    /// swift.conf has no such policy.
    PolicyUnknown,
    /// The policy exists but this program cannot serve it in this way.
    PolicyUnsupported,
    /// The partition is not in the ring, or not that of the object.
    RingMismatch,
    /// By the ring this device is no handoff for the partition, so it lets go of nothing.
    NotHandoff,
    /// Only a caller on this node may do this.
    NotLocal,
    /// The caller's certificate names no node of the rings, and has no role.
    IdentityUnknown,
    /// The caller's certificate does not let it do this.
    NotPermitted,
    /// Too many updates of the session failed (`replication_failure_threshold`, `replication_failure_ratio`).
    FailureRatio,
    /// The peer was silent for too long (`client_timeout`).
    IdleTimeout,
    /// The daemon is shutting down.
    Draining,
    /// Reading or writing one object failed.
    ObjectIo,
    /// The object was found damaged and moved to quarantine.
    ObjectDamaged,
    /// Another object's name stands in this object's place.
    Collision,
    /// Something as new, or newer, is stored already; `timestamp` says how new.
    Conflict,
    /// There is no object; `timestamp` is that of the tombstone, if there is one.
    NotFound,
    /// A condition of the request does not hold.
    PreconditionFailed,
    /// The first byte asked for is beyond the end of the object; the text says how long it is.
    RangeNotSatisfiable,
    /// The body's MD5 is not the one that was announced.
    EtagMismatch,
    /// The body was shorter or longer than announced, or was broken off.
    BodyLength,
    /// The object was replaced while it was being read: ask again.
    StateChanged,
    /// The peer could not be reached, or went away.
    Unreachable,
    /// This program cannot do it, or cannot do it yet.
    Unsupported,
    /// A fault of this program.
    Internal,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 30] = [
        Self::ReceiverBusy,
        Self::PartitionLocked,
        Self::DeviceLocked,
        Self::DeviceUnmounted,
        Self::DeviceFull,
        Self::InvalidArgument,
        Self::ProtocolOrder,
        Self::PolicyUnknown,
        Self::PolicyUnsupported,
        Self::RingMismatch,
        Self::NotHandoff,
        Self::NotLocal,
        Self::IdentityUnknown,
        Self::NotPermitted,
        Self::FailureRatio,
        Self::IdleTimeout,
        Self::Draining,
        Self::ObjectIo,
        Self::ObjectDamaged,
        Self::Collision,
        Self::Conflict,
        Self::NotFound,
        Self::PreconditionFailed,
        Self::RangeNotSatisfiable,
        Self::EtagMismatch,
        Self::BodyLength,
        Self::StateChanged,
        Self::Unreachable,
        Self::Unsupported,
        Self::Internal,
    ];

    /// The name in `google.rpc.ErrorInfo.reason`, in logs and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReceiverBusy => "RECEIVER_BUSY",
            Self::PartitionLocked => "PARTITION_LOCKED",
            Self::DeviceLocked => "DEVICE_LOCKED",
            Self::DeviceUnmounted => "DEVICE_UNMOUNTED",
            Self::DeviceFull => "DEVICE_FULL",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::ProtocolOrder => "PROTOCOL_ORDER",
            Self::PolicyUnknown => "POLICY_UNKNOWN",
            Self::PolicyUnsupported => "POLICY_UNSUPPORTED",
            Self::RingMismatch => "RING_MISMATCH",
            Self::NotHandoff => "NOT_HANDOFF",
            Self::NotLocal => "NOT_LOCAL",
            Self::IdentityUnknown => "IDENTITY_UNKNOWN",
            Self::NotPermitted => "NOT_PERMITTED",
            Self::FailureRatio => "FAILURE_RATIO",
            Self::IdleTimeout => "IDLE_TIMEOUT",
            Self::Draining => "DRAINING",
            Self::ObjectIo => "OBJECT_IO",
            Self::ObjectDamaged => "OBJECT_DAMAGED",
            Self::Collision => "COLLISION",
            Self::Conflict => "CONFLICT",
            Self::NotFound => "NOT_FOUND",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::RangeNotSatisfiable => "RANGE_NOT_SATISFIABLE",
            Self::EtagMismatch => "ETAG_MISMATCH",
            Self::BodyLength => "BODY_LENGTH",
            Self::StateChanged => "STATE_CHANGED",
            Self::Unreachable => "UNREACHABLE",
            Self::Unsupported => "UNSUPPORTED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The reason of a name; `None` for one that this version does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// A request, or a session, that was refused: the cause for programs, a text for people that names the thing and the
/// way out, and what the caller needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The cause.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// The field that was not of its form, as the contract spells it.
    pub field: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The time of what is stored.
    pub timestamp: Option<Timestamp>,
}

impl Refusal {
    /// Refused because of `reason`.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: None, retry_after: None, timestamp: None }
    }

    /// With the time of what is stored.
    #[must_use]
    pub fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// With the time after which to come back.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason.name())
    }
}

impl std::error::Error for Refusal {}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        let message = invalid.to_string();
        Self { field: Some(invalid.field), ..Self::new(Reason::InvalidArgument, message) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_that_leads_back() {
        let names: BTreeSet<_> = Reason::ALL.map(Reason::name).into_iter().collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
        }
        assert_eq!(Reason::from_name("NO_SUCH_REASON"), None);
    }
}
