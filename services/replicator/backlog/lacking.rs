//! What was found to be lacking, place by place.

use std::{collections::HashMap, sync::Arc};

use ssync_types::{DeviceName, Partition, PartitionRef, PolicyIndex};
use tokio::time::Instant;

use crate::{job::Job, peer::Target, samples::Amount};

/// Places of which something is known. What is found beyond is left out of the sums, and comes to light when its pass is over.
const PLACES_MAX: usize = 1_000_000;

/// A partition of a local device, and the device of a peer that is to have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    policy: PolicyIndex,
    partition: Partition,
    device: DeviceName,
    /// `ip:port/device`.
    peer: Arc<str>,
}

impl Place {
    pub(super) fn of(job: &Job, target: &Target) -> Self {
        Self::at(&job.at(&job.device), target)
    }

    pub(super) fn at(here: &PartitionRef, target: &Target) -> Self {
        let PartitionRef { device, partition, policy, .. } = here;
        let peer = target.to_string().into();
        Self { policy: *policy, partition: *partition, device: device.clone(), peer }
    }

    pub(super) fn device(&self) -> &DeviceName {
        &self.device
    }

    pub(super) fn peer(&self) -> &Arc<str> {
        &self.peer
    }
}

/// What is lacking at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lacking {
    /// As it was known last.
    pub(super) amount: Amount,
    /// The last visit failed before that could be known.
    pub(super) unknown: bool,
    /// Since when something is.
    pub(super) since: Instant,
    /// When that was seen last.
    pub(super) seen: Instant,
    pub(super) node: Arc<str>,
    pub(super) device: DeviceName,
}

/// The places at which something is lacking.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Place, Lacking>);

impl Places {
    /// Remembers what is lacking, or that nothing is, or with `None` that it is not known; gives what was known before, and what
    /// is now.
    pub(super) fn set(
        &mut self,
        place: &Place,
        node: &Arc<str>,
        amount: Option<Amount>,
        now: Instant,
    ) -> (Lacking, Option<Lacking>) {
        let nothing = Lacking {
            amount: Amount::default(),
            unknown: false,
            since: now,
            seen: now,
            node: Arc::clone(node),
            device: place.device.clone(),
        };
        let before = self.0.remove(place);
        let is_nothing = amount == Some(Amount::default());
        let after = (!is_nothing && self.0.len() < PLACES_MAX).then(|| {
            let (since, known) =
                before.as_ref().map_or((now, Amount::default()), |before| (before.since, before.amount));
            Lacking { amount: amount.unwrap_or(known), unknown: amount.is_none(), since, ..nothing.clone() }
        });
        if let Some(after) = &after {
            self.0.insert(place.clone(), after.clone());
        }
        (before.unwrap_or(nothing), after)
    }

    /// The same while a visit is under way, which may find more: since when something has been lacking stands.
    pub(super) fn keep(
        &mut self,
        place: &Place,
        node: &Arc<str>,
        amount: Amount,
        now: Instant,
    ) -> (Lacking, Option<Lacking>) {
        let Some(before) = self.0.get_mut(place) else { return self.set(place, node, Some(amount), now) };
        let after = Lacking { amount, seen: now, ..before.clone() };
        let before = std::mem::replace(before, after.clone());
        (before, Some(after))
    }

    /// The place was come to, and not compared.
    pub(super) fn see(&mut self, place: &Place, now: Instant) {
        if let Some(lacking) = self.0.get_mut(place) {
            lacking.seen = now;
        }
    }

    /// Forgets what is lacking at nodes that are gone; gives it.
    pub(super) fn forget_nodes(&mut self, is_gone: impl Fn(&str) -> bool) -> Vec<Lacking> {
        self.0.extract_if(|_, lacking| is_gone(&lacking.node)).map(|(_, lacking)| lacking).collect()
    }

    /// Forgets what was not seen since then; gives it.
    pub(super) fn forget_before(&mut self, then: Instant) -> Vec<Lacking> {
        self.0.extract_if(|_, lacking| lacking.seen < then).map(|(_, lacking)| lacking).collect()
    }

    /// Since when something has been known to be lacking, by node.
    pub(super) fn oldest(&self) -> HashMap<Arc<str>, Instant> {
        let mut oldest: HashMap<Arc<str>, Instant> = HashMap::new();
        for lacking in self.0.values().filter(|lacking| lacking.amount != Amount::default()) {
            let since = oldest.entry(Arc::clone(&lacking.node)).or_insert(lacking.since);
            *since = lacking.since.min(*since);
        }
        oldest
    }
}
