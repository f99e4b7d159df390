//! One visit to a peer, from whoever does something in it: what is found, what is stored, what its time goes to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ssync_types::WorkTimes;
use tokio::time::Instant;

use super::{Backlog, Place, node::Node};
use crate::{
    peer::Target,
    samples::Amount,
    spent::{Share, Spender, Stopwatch},
};

/// What a visit came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The peer has all that is here.
    InSync,
    /// The peer still lacks this, and so it was counted.
    Lacks(Amount),
    /// What it lacks is not known.
    Unknown,
    /// It was not asked, since another of its region gets the copies; what was known of it stands.
    NotCompared,
}

/// A visit under way. It is over when the last of its copies is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Visit(Arc<UnderWay>);

#[derive(Debug)]
struct UnderWay {
    backlog: Backlog,
    place: Place,
    node: Arc<str>,
    begun: Instant,
    counts: bool,
    watch: Stopwatch,
    wanted: Mutex<Wanted>,
}

/// What the peer wants in this visit, so far.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    objects: u64,
    stored: Amount,
}

impl Visit {
    pub(super) fn begin(backlog: &Backlog, place: Place, target: &Target, counts: bool) -> Self {
        let (node, now) = (Arc::from(target.address()), Instant::now());
        {
            let mut state = backlog.lock();
            let known = state.nodes.entry(target.address()).or_insert_with(|| Node::new(now));
            if counts {
                known.pace.begins(now);
            }
        }
        let share = Share {
            spender: Spender::Comparing,
            peer: Some(Arc::clone(place.peer())),
            device: Some(place.device().clone()),
        };
        let watch = backlog.spent.start(share, 1);
        Self(Arc::new(UnderWay {
            backlog: backlog.clone(),
            place,
            node,
            begun: now,
            counts,
            watch,
            wanted: Mutex::default(),
        }))
    }

    /// Its time goes to this from now on.
    pub(crate) fn spend(&self, spender: Spender) {
        self.0.watch.spend(spender);
    }

    /// What its time goes to now.
    pub(crate) fn spends(&self) -> Option<Spender> {
        self.0.watch.spends()
    }

    /// The peer says what it did in the time that it was waited for.
    pub(crate) fn tell_apart(&self, times: &WorkTimes) {
        self.0.watch.tell_apart(times);
    }

    /// The peer wants so many more live objects.
    pub(crate) fn wants(&self, objects: u64) {
        self.change(|wanted| wanted.objects += objects);
    }

    /// The peer has stored this.
    pub(crate) fn stored(&self, amount: Amount) {
        if amount == Amount::default() {
            return;
        }
        let now = Instant::now();
        {
            let mut state = self.0.backlog.lock();
            state.samples.add(now, amount);
            if let Some(node) = state.nodes.get_mut(&*self.0.node) {
                node.stored(now, amount);
            }
        }
        self.change(|wanted| wanted.stored.add(amount));
    }

    fn change(&self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.wanted();
        change(&mut wanted);
        let left = wanted.objects.saturating_sub(wanted.stored.objects);
        let mut state = self.0.backlog.lock();
        let bytes = state.nodes.get(&*self.0.node).map_or(0, |node| node.bytes_of(left));
        let (before, after) =
            state.places.keep(&self.0.place, &self.0.node, Amount::of(left, bytes), Instant::now());
        state.found(&before, after.as_ref());
    }

    /// It is done with.
    pub(crate) fn end(&self, found: Found) {
        let wanted = *self.wanted();
        let now = Instant::now();
        let mut state = self.0.backlog.lock();
        let amount = match found {
            Found::InSync => Some(Amount::default()),
            Found::Lacks(amount) => Some(amount),
            Found::Unknown | Found::NotCompared => None,
        };
        if found == Found::NotCompared {
            state.places.see(&self.0.place, now);
        } else {
            let (before, after) = state.places.set(&self.0.place, &self.0.node, amount, now);
            state.found(&before, after.as_ref());
        }
        if !self.0.counts {
            return;
        }
        let took = now.saturating_duration_since(self.0.begun);
        if let Some(node) = state.nodes.get_mut(&*self.0.node) {
            let lacked = amount.map(|left| {
                let stored = wanted.stored;
                Amount::of(stored.objects + left.objects, stored.bytes + left.bytes)
            });
            node.visited(now, took, lacked, found == Found::InSync);
        }
    }

    // Nothing panics while it holds this.
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.counts
            && let Some(node) = self.backlog.lock().nodes.get_mut(&*self.node)
        {
            node.pace.pauses(Instant::now());
        }
    }
}
