//! Who works on a partition: one job at a time, of a pass or by itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ssync_types::{DeviceName, Partition, PartitionRef, PolicyIndex};

type Key = (DeviceName, PolicyIndex, Partition);

/// The partitions that jobs of this process work on. As many as there are jobs at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<BTreeMap<Key, PartitionRef>>>);

/// A partition that nobody else works on until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    key: Key,
}

impl Claims {
    /// Claims a partition; `None` while another job has it.
    pub(crate) fn claim(&self, at: &PartitionRef) -> Option<Claim> {
        let key = (at.device.clone(), at.policy, at.partition);
        let mut claims = self.lock();
        if claims.contains_key(&key) {
            return None;
        }
        claims.insert(key.clone(), at.clone());
        Some(Claim { claims: self.clone(), key })
    }

    /// The partitions that are worked on now.
    pub(crate) fn list(&self) -> Vec<PartitionRef> {
        self.lock().values().cloned().collect()
    }

    // A job that panicked has let go of its claim on the way.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, PartitionRef>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_had_once_until_it_is_let_go() {
        let at = |device: &str| PartitionRef {
            device: device.parse().unwrap(),
            partition: Partition::new(3),
            policy: PolicyIndex::new(0),
            fragment: None,
        };
        let claims = Claims::default();
        let first = claims.claim(&at("d1")).unwrap();
        assert!(claims.claim(&at("d1")).is_none());
        let _other = claims.claim(&at("d2")).unwrap();
        assert_eq!(claims.list(), [at("d1"), at("d2")]);
        drop(first);
        assert!(claims.claim(&at("d1")).is_some());
    }
}
