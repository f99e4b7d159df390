//! Who may replicate into this node: one admission for every protocol.

use std::{future::Future, sync::Arc, time::Duration};

use ssync_diskfile::{DeviceLock, PartitionLock};
use ssync_types::{PartitionRef, Reason, Refusal, SessionProtocol};
use tokio::time::Instant;

use crate::{
    config::ReceiverConfig,
    devices::{DeviceHandle, DeviceTable},
    limits::Limits,
    permits::{Permit, Permits},
    slot::Slot,
};

/// When to try again after the node had no slot left: another partition first, then back.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// When to try again after a lock was held elsewhere.
const LOCK_RETRY: Duration = Duration::from_millis(500);
/// How often a lock is tried at first; later every hundredth of the wait (Swift: common/utils lock_path).
const LOCK_POLL_MIN: Duration = Duration::from_millis(10);

/// The node's slots.
#[derive(Debug)]
pub(crate) struct Admission {
    slots: Permits,
}

/// A session's slot and locks. They are free again when this is dropped: it is held by the session and by every write begun
/// under it.
#[derive(Debug)]
pub(crate) struct Admitted {
    // In this order: who gets the slot next finds the locks free.
    _partition: PartitionLock,
    _device: Option<DeviceLock>,
    _permit: Option<Permit>,
    _slot: Arc<Slot>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { slots: Permits::new(limits.slots()) }
    }

    /// Slots in use.
    pub(crate) fn used(&self) -> u64 {
        u64::from(self.slots.used())
    }

    /// A slot and the locks, in Swift's order: slot, partition, device. SSYNC waits for the locks; gRPC, which may hold locks
    /// elsewhere, is refused at once and comes back.
    pub(crate) async fn admit(
        &self,
        config: &ReceiverConfig,
        limits: &Limits,
        devices: &DeviceTable,
        handle: &DeviceHandle,
        partition: &PartitionRef,
        protocol: SessionProtocol,
    ) -> Result<Admitted, Refusal> {
        let slot = Arc::new(Slot::new(self.slot(devices)?));
        handle.keep_slot(&slot);
        let (permit, wait, device_lock) = match protocol {
            SessionProtocol::Grpc => (Some(handle.permit()?), Duration::ZERO, config.grpc_device_lock),
            SessionProtocol::Ssync => (None, config.replication_lock_timeout, true),
        };
        let until = Instant::now() + wait;
        let partition_lock = lock_partition(handle, partition, wait, until).await?;
        let slots = if device_lock { limits.now().replication_concurrency_per_device } else { 0 };
        let device_lock = poll(wait, until, || lock_device(handle, slots)).await?;
        Ok(Admitted { _partition: partition_lock, _device: device_lock, _permit: permit, _slot: slot })
    }

    /// A slot, if need be one of a session into a device that hangs.
    fn slot(&self, devices: &DeviceTable) -> Result<Permit, Refusal> {
        let once_more = || if devices.free_hanging_slots() > 0 { self.slots.take() } else { None };
        self.slots.take().or_else(once_more).ok_or_else(|| {
            let message = format!("all {} slots of replication_concurrency are taken", self.slots.max());
            Refusal::new(Reason::ReceiverBusy, message).retry_after(BUSY_RETRY)
        })
    }
}

/// The partition's replication lock, tried until `until`. No thread of the device waits for it.
pub(crate) async fn lock_partition(
    handle: &DeviceHandle,
    partition: &PartitionRef,
    wait: Duration,
    until: Instant,
) -> Result<PartitionLock, Refusal> {
    let (policy, number) = (partition.policy, partition.partition);
    poll(wait, until, || handle.look(move |device| device.lock_partition(policy, number, Duration::ZERO)))
        .await
}

async fn lock_device(handle: &DeviceHandle, slots: u32) -> Result<Option<DeviceLock>, Refusal> {
    if slots == 0 {
        return Ok(None);
    }
    handle.look(move |device| device.lock_device(slots, Duration::ZERO)).await
}

async fn poll<T, F>(wait: Duration, until: Instant, mut attempt: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let mut pause = LOCK_POLL_MIN;
    loop {
        match attempt().await {
            Err(refusal) if matches!(refusal.reason, Reason::PartitionLocked | Reason::DeviceLocked) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Refusal { retry_after: Some(LOCK_RETRY), ..refusal });
                }
                tokio::time::sleep(pause.min(left)).await;
                if left + wait / 100 < wait {
                    pause = LOCK_POLL_MIN.max(wait / 100);
                }
            }
            other => return other,
        }
    }
}
