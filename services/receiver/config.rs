//! What an operator sets of the receiver, with Swift's names and defaults where Swift has them.

use std::time::Duration;

use ssync_statsd::Statsd;

use crate::limits::SessionLimits;

/// Settings of the receiver.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// Sessions at a time on this node, by whatever protocol; 0 for no limit. Those into a device that hangs do not count
    /// once others want their slots.
    pub replication_concurrency: u32,
    /// SSYNC sessions at a time on a device, Python daemons included; 0 for no limit.
    pub replication_concurrency_per_device: u32,
    /// gRPC sessions at a time on a device; 0 for no limit of its own. Never the last of `replication_concurrency`, where that
    /// is more than one: a disk that hangs leaves a slot to the others.
    pub grpc_sessions_per_device: u32,
    /// gRPC sessions take one of the device's locks as well, as SSYNC sessions do.
    pub grpc_device_lock: bool,
    /// How long an SSYNC session waits for its locks.
    pub replication_lock_timeout: Duration,
    /// So many updates of a session may fail in any case.
    pub replication_failure_threshold: u64,
    /// Beyond the threshold: failures for each success.
    pub replication_failure_ratio: f64,
    /// How long a peer may be silent where something is expected of it.
    pub client_timeout: Duration,
    /// How long a session goes on after the drain has begun, at most.
    pub drain_timeout: Duration,
    /// Updates in a session, after which it is ended and opened again; 0 for no limit. Not for SSYNC.
    pub session_updates_max: u64,
    /// How long a session lasts, after which it is ended and opened again; zero for no limit. Not for SSYNC.
    pub session_time_max: Duration,
    /// Bytes of a body that comes in one message.
    pub inline_bytes_max: u32,
    /// Updates, and offers to confirm, of one session that may wait for results.
    pub outstanding_updates_max: u32,
    /// Bytes of bodies that came in one message and wait for a disk, in all sessions. One device has at most a
    /// quarter of them, so that one that hangs leaves room for the others.
    pub waiting_bytes_max: u32,
    /// Bytes of an object (Swift: `max_file_size` of swift.conf).
    pub max_file_size: u64,
    /// Disk operations at a time on one device for clients, and as many for replication.
    pub threads_per_device: u32,
    /// How long one disk operation may take, longer where it hashes or flushes much; zero for as long as it likes. A device
    /// hangs when one takes longer and no other has ended since it began: what is asked of it is refused as if it were not
    /// mounted, until one ends.
    pub device_timeout: Duration,
    /// Where it goes what the object server of Swift counts beside the disks: `async_pendings` and `quarantines`.
    pub statsd: Statsd,
}

impl ReceiverConfig {
    /// What of it may be changed while the receiver runs.
    #[must_use]
    pub fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            replication_concurrency: self.replication_concurrency,
            replication_concurrency_per_device: self.replication_concurrency_per_device,
            grpc_sessions_per_device: self.grpc_sessions_per_device,
            session_updates_max: self.session_updates_max,
            session_time_max: self.session_time_max,
        }
    }
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            replication_concurrency: 4,
            replication_concurrency_per_device: 1,
            grpc_sessions_per_device: 4,
            grpc_device_lock: false,
            replication_lock_timeout: Duration::from_secs(15),
            replication_failure_threshold: 100,
            replication_failure_ratio: 1.0,
            client_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            session_updates_max: 100_000,
            session_time_max: Duration::from_secs(1800),
            inline_bytes_max: 65_536,
            outstanding_updates_max: 1024,
            waiting_bytes_max: 32 * 1024 * 1024,
            max_file_size: 5_368_709_122,
            threads_per_device: 32,
            device_timeout: Duration::from_secs(60),
            statsd: Statsd::disabled(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_never_has_the_last_slot() {
        let table = [(4, 4, 3), (4, 2, 1), (2, 4, 2), (0, 4, 3), (4, 1, 4), (4, 0, 4), (0, 0, 0), (0, 1, 0)];
        for (grpc_sessions_per_device, replication_concurrency, expected) in table {
            let config = ReceiverConfig {
                grpc_sessions_per_device,
                replication_concurrency,
                ..ReceiverConfig::default()
            };
            let found = config.session_limits().device_sessions_max();
            assert_eq!(found, expected, "{grpc_sessions_per_device} of {replication_concurrency}");
        }
    }
}
