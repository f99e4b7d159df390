//! What an operator does about a refusal: one table.

use ssync_types::Reason;

/// For people, in a sentence.
pub(crate) const fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::ReceiverBusy => "nothing; if it lasts, raise replication_concurrency there (ssync limits)",
        Reason::PartitionLocked => "nothing; if it lasts, look for another replicator on that device",
        Reason::DeviceLocked => {
            "nothing; if it lasts, the device is drained there (ssync resume) or has too few sessions (ssync limits)"
        }
        Reason::DeviceUnmounted => "mount the device there, or take it out of the ring",
        Reason::DeviceFull => "free space there, or give the device less weight in the ring",
        Reason::InvalidArgument | Reason::ProtocolOrder | Reason::Internal => {
            "this is a fault of a program: report it with the logs of both nodes"
        }
        Reason::PolicyUnknown => "compare swift.conf of both nodes",
        Reason::PolicyUnsupported | Reason::Unsupported => "bring both nodes to the same version",
        Reason::RingMismatch | Reason::NotHandoff => "compare the rings of both nodes",
        Reason::NotLocal => "ask on the node itself",
        Reason::IdentityUnknown | Reason::NotPermitted => "look at the certificates: docs/security.md",
        Reason::FailureRatio => "look at the peer's log for the objects that failed",
        Reason::IdleTimeout => "look at the disk and the network of who fell silent",
        Reason::Draining => "nothing: the peer is being restarted; start it where it stays away",
        Reason::ObjectIo => {
            "look at the log of who failed for the object, then at the disk, then ssync errors --retry"
        }
        Reason::ObjectDamaged => "nothing: the copy is in quarantine, and another brings it back",
        Reason::Collision => "look at both copies with ssync object: one of them is another object's",
        Reason::EtagMismatch | Reason::BodyLength => {
            "have the copy here audited (swift-object-auditor), then ssync errors --retry"
        }
        Reason::Conflict | Reason::NotFound | Reason::StateChanged | Reason::PreconditionFailed => {
            "nothing: it has changed meanwhile, and the next pass looks again"
        }
        Reason::RangeNotSatisfiable => "nothing",
        Reason::Unreachable => "start the peer, or mend the way to it; then ssync errors --retry PEER",
    }
}
