//! The node's rings, as the replicator asks for them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use ssync_receiver::RingPlacement;
use ssync_replicator::{PolicyPlaces, Rings};
use ssync_ring::{Policy, PolicyKind, Ring, SwiftConf};

/// The rings of the replication policies, followed as their files are replaced.
pub(super) struct ReplicationRings {
    placement: Arc<RingPlacement>,
    policies: Vec<Policy>,
    /// What was last handed out.
    handed_out: Mutex<Vec<Arc<Ring>>>,
}

impl fmt::Debug for ReplicationRings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicationRings").field("policies", &self.policies).finish_non_exhaustive()
    }
}

impl ReplicationRings {
    pub(super) fn new(placement: Arc<RingPlacement>, swift: &SwiftConf) -> Self {
        let replicated = |policy: &&Policy| matches!(policy.kind, PolicyKind::Replication);
        let policies = swift.policies().iter().filter(replicated).cloned().collect();
        Self { placement, policies, handed_out: Mutex::default() }
    }

    fn places(&self) -> Vec<PolicyPlaces> {
        self.placement.refresh();
        let places = |policy: &Policy| {
            let ring = self.placement.ring(policy.index)?;
            Some(PolicyPlaces { policy: policy.index, name: policy.name.clone(), ring })
        };
        self.policies.iter().filter_map(places).collect()
    }
}

impl Rings for ReplicationRings {
    fn current(&self) -> Vec<PolicyPlaces> {
        let places = self.places();
        *self.handed_out.lock().unwrap_or_else(PoisonError::into_inner) =
            places.iter().map(|places| Arc::clone(&places.ring)).collect();
        places
    }

    fn changed(&self) -> bool {
        let places = self.places();
        let handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        places.len() != handed_out.len()
            || places.iter().zip(handed_out.iter()).any(|(now, then)| !Arc::ptr_eq(&now.ring, then))
    }
}
