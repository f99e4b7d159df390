//! The budget of bytes that wait for a disk: one for the node, of which no device has all, so that a disk that hangs leaves
//! room for the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// One device has at most this part of the budget.
const DEVICE_PART: u32 = 4;

/// The budget of the node.
#[derive(Debug)]
pub(crate) struct WaitingBytes {
    node: Arc<Semaphore>,
    bytes_max: u32,
    share_max: u32,
}

/// What one device has of the budget.
#[derive(Debug, Clone)]
pub(crate) struct WaitingShare {
    node: Arc<Semaphore>,
    device: Arc<Semaphore>,
    bytes_max: u32,
}

/// Bytes taken out of the budget, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    _device: OwnedSemaphorePermit,
    _node: OwnedSemaphorePermit,
}

impl WaitingBytes {
    /// A budget of `bytes_max`; in every share there is room for one update of `update_max`.
    pub(crate) fn new(bytes_max: u32, update_max: u32) -> Self {
        let bytes_max = bytes_max.max(update_max);
        let share_max = (bytes_max / DEVICE_PART).max(update_max);
        Self { node: semaphore(bytes_max), bytes_max, share_max }
    }

    /// The share of one more device.
    pub(crate) fn share(&self) -> WaitingShare {
        WaitingShare {
            node: Arc::clone(&self.node),
            device: semaphore(self.share_max),
            bytes_max: self.share_max,
        }
    }

    pub(crate) fn bytes_max(&self) -> u32 {
        self.bytes_max
    }

    /// Bytes taken, by all devices.
    pub(crate) fn used(&self) -> u64 {
        u64::from(self.bytes_max).saturating_sub(self.node.available_permits() as u64)
    }
}

impl WaitingShare {
    /// Takes bytes if they are to be had at once. More than the share are never to be had, so they count as all of it.
    pub(crate) fn try_take(&self, bytes: u32) -> Result<Waiting, TryAcquireError> {
        let bytes = bytes.min(self.bytes_max);
        let device = Arc::clone(&self.device).try_acquire_many_owned(bytes)?;
        let node = Arc::clone(&self.node).try_acquire_many_owned(bytes)?;
        Ok(Waiting { _device: device, _node: node })
    }

    /// As [`try_take`](Self::try_take), but waits. The share comes first: who waits for its own device must not hold bytes of
    /// the node. `None` never comes, for the budget is never closed.
    pub(crate) async fn take(&self, bytes: u32) -> Option<Waiting> {
        let bytes = bytes.min(self.bytes_max);
        let device = Arc::clone(&self.device).acquire_many_owned(bytes).await.ok()?;
        let node = Arc::clone(&self.node).acquire_many_owned(bytes).await.ok()?;
        Some(Waiting { _device: device, _node: node })
    }
}

fn semaphore(bytes: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(Semaphore::MAX_PERMITS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_share_and_the_node_a_bound() {
        let budget = WaitingBytes::new(100, 10);
        let shares: Vec<WaitingShare> = (0..5).map(|_| budget.share()).collect();
        let mut taken = Vec::new();
        for share in &shares[..4] {
            taken.push(share.try_take(25).unwrap());
            assert!(share.try_take(1).is_err(), "the share is used up");
        }
        assert!(shares[4].try_take(1).is_err(), "the budget is used up");
        assert_eq!((budget.used(), budget.bytes_max()), (100, 100));
        taken.clear();
        assert_eq!(budget.used(), 0);
        assert!(shares[4].try_take(1).is_ok());
    }

    #[test]
    fn a_small_budget_has_room_for_every_update() {
        let budget = WaitingBytes::new(1, 10);
        let share = budget.share();
        assert_eq!(budget.bytes_max(), 10);
        let all = share.try_take(1000).unwrap();
        assert!(share.try_take(1).is_err());
        drop(all);
        assert!(share.try_take(10).is_ok());
    }
}
