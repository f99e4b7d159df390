//! What all parts of the receiver share, and the checks that every call begins with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ssync_diskfile::{Devices, Location, PolicyKind};
use ssync_types::{Invalid, ObjectHash, ObjectRef, PartitionRef, PolicyIndex, Reason, Refusal};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    config::ReceiverConfig,
    counters::{Counter, Counters},
    device_drains::DeviceDrains,
    devices::{DeviceLimits, DeviceTable},
    limits::Limits,
    placement::Placement,
    registry::Registry,
    waiting::WaitingBytes,
};

/// Largest part power (Swift: ring/builder.py).
const PART_POWER_MAX: u32 = 32;
/// How many silences (client_timeout) a peer may fill with heartbeats alone.
pub(crate) const HEARTBEAT_ONLY_FACTOR: u32 = 10;
/// What an update costs beside its body, in the budget of waiting bytes.
pub(crate) const UPDATE_BYTES: u32 = 1024;

/// One limit, and how much of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStatus {
    /// The option that sets it.
    pub name: &'static str,
    /// The most; 0 for no limit.
    pub maximum: u64,
    /// In use.
    pub used: u64,
}

/// How long a drain gives to what is under way.
#[derive(Debug)]
pub(crate) struct DrainTime(AtomicU64);

impl DrainTime {
    fn of(time: Duration) -> Self {
        let held = Self(AtomicU64::default());
        held.set(time);
        held
    }

    pub(crate) fn set(&self, time: Duration) {
        self.0.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: ReceiverConfig,
    pub(crate) devices: DeviceTable,
    pub(crate) placement: Arc<dyn Placement>,
    pub(crate) drain: CancellationToken,
    pub(crate) drain_time: DrainTime,
    pub(crate) device_drains: DeviceDrains,
    /// Those that may be changed.
    pub(crate) session_limits: Limits,
    pub(crate) admission: Admission,
    pub(crate) registry: Arc<Registry>,
    pub(crate) counters: Counters,
}

impl Core {
    pub(crate) fn new(
        config: ReceiverConfig,
        devices: Arc<Devices>,
        placement: Arc<dyn Placement>,
        drain: CancellationToken,
    ) -> Self {
        let update_max = config.inline_bytes_max.saturating_add(UPDATE_BYTES);
        let waiting = WaitingBytes::new(config.waiting_bytes_max, update_max);
        let session_limits = Limits::new(&config);
        let limits = DeviceLimits {
            threads: config.threads_per_device,
            sessions: session_limits.device_sessions(),
            patience: config.device_timeout,
        };
        Self {
            devices: DeviceTable::new(devices, limits, waiting),
            placement,
            device_drains: DeviceDrains::new(drain.clone()),
            drain,
            drain_time: DrainTime::of(config.drain_timeout),
            admission: Admission::new(&session_limits),
            session_limits,
            registry: Arc::new(Registry::new()),
            counters: Counters::default(),
            config,
        }
    }

    /// Counts one event among Swift's metrics, under Swift's name.
    pub(crate) fn count(&self, counter: &Counter, name: &str) {
        counter.add(1);
        self.config.statsd.increment(name);
    }

    /// The limits of the node, and how far they are used.
    pub(crate) fn limits(&self) -> Vec<LimitStatus> {
        let waiting = self.devices.waiting();
        vec![
            LimitStatus {
                name: "replication_concurrency",
                maximum: u64::from(self.session_limits.now().replication_concurrency),
                used: self.admission.used(),
            },
            LimitStatus {
                name: "waiting_bytes_max",
                maximum: u64::from(waiting.bytes_max()),
                used: waiting.used(),
            },
        ]
    }

    /// Refuses an unknown policy, and a partition that the policy's ring does not have.
    pub(crate) fn check_partition(&self, at: &PartitionRef) -> Result<(), Refusal> {
        self.check_fragment(at)?;
        match self.placement.partition_in_ring(at.policy, at.partition) {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::new(
                Reason::RingMismatch,
                format!(
                    "partition {} is not in the ring of policy {}; compare the rings",
                    at.partition, at.policy
                ),
            )),
            None => Err(no_ring(at)),
        }
    }

    /// Refuses a policy that is not there, and a fragment that it does not have (Swift: diskfile.py validate_fragment_index).
    fn check_fragment(&self, at: &PartitionRef) -> Result<(), Refusal> {
        match (self.devices.policy(at.policy)?, at.fragment) {
            (PolicyKind::ErasureCoding { fragments }, Some(index)) if index.get() >= fragments => {
                Err(Refusal {
                    field: Some("partition.fragment_index".to_owned()),
                    ..Refusal::new(
                        Reason::InvalidArgument,
                        format!(
                            "Fragment index must be less than {fragments} for policy {}: {index}",
                            at.policy
                        ),
                    )
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether the policy has fragments. One that is not there has none.
    pub(crate) fn is_coded(&self, policy: PolicyIndex) -> bool {
        matches!(self.devices.policy(policy), Ok(PolicyKind::ErasureCoding { .. }))
    }

    /// Refuses an object that does not hash to the partition.
    pub(crate) fn check_hash(&self, at: &PartitionRef, hash: &ObjectHash) -> Result<(), Refusal> {
        let power = self.placement.part_power(at.policy).ok_or_else(|| no_ring(at))?;
        if hash.partition(power) == at.partition { Ok(()) } else { Err(elsewhere(at, hash)) }
    }

    /// Where an object is. Refuses one that does not hash to the partition it is asked for in. As Swift's object server this
    /// works without a ring, then less strictly; and a caller may be one part power behind or ahead while the power is
    /// being changed.
    pub(crate) fn locate(&self, object: &ObjectRef) -> Result<Location, Refusal> {
        let at = &object.partition;
        self.devices.policy(at.policy)?;
        let hash = self.devices.disk().hash_path().hash(&object.path);
        let mut powers = match self.placement.part_power(at.policy) {
            Some(power) => power.saturating_sub(1)..=(power + 1).min(PART_POWER_MAX),
            None => 0..=PART_POWER_MAX,
        };
        if powers.any(|power| hash.partition(power) == at.partition) {
            Ok(Location { policy: at.policy, partition: at.partition, hash })
        } else {
            Err(elsewhere(at, &hash))
        }
    }

    /// Refuses a body that is too large to begin with.
    pub(crate) fn check_length(&self, content_length: u64) -> Result<(), Refusal> {
        let limit = self.config.max_file_size;
        if content_length <= limit {
            return Ok(());
        }
        let problem = format!("{content_length} bytes are more than max_file_size ({limit})");
        Err(Invalid::new("content_length", problem).into())
    }
}

fn no_ring(at: &PartitionRef) -> Refusal {
    Refusal::new(
        Reason::RingMismatch,
        format!(
            "the ring of policy {} is not to be had, so partition {} cannot be checked; put it into swift_dir",
            at.policy, at.partition
        ),
    )
}

fn elsewhere(at: &PartitionRef, hash: &ObjectHash) -> Refusal {
    let message = format!(
        "{hash} does not lie in partition {}; compare the rings and swift_hash_path_suffix",
        at.partition
    );
    Refusal { field: Some("object_hash".to_owned()), ..Refusal::new(Reason::RingMismatch, message) }
}
