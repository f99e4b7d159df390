//! What is pending: what peers were found to lack and have not stored since, what the rest of the pass may add, and until when.
//!
//! A *visit* is one comparison of a partition with one device of a peer, and what it calls for. What a visit leaves behind is kept
//! until the next one to the same place, in whichever pass: so what cannot be brought stays known. Of places that the pass has not
//! come to yet, as much is expected as the visits before have found on the average: their order is random.

mod lacking;
mod node;
mod visit;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_types::DeviceName;
#[cfg(test)]
use ssync_types::PartitionRef;
use tokio::time::Instant;

use crate::{
    forecast::{Forecast, Left, forecast},
    job::Job,
    peer::Target,
    samples::{Amount, Samples},
    spent::Spent,
};
pub(crate) use lacking::Place;
use lacking::{Lacking, Places};
use node::Node;
pub(crate) use visit::{Found, Visit};

/// What is pending somewhere, and what is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pending {
    /// What was found to be lacking, and has not been stored since.
    pub known: Amount,
    /// What partitions that were not compared yet will add.
    pub expected: Amount,
    /// The truth is within this of the sum, 19 times of 20.
    pub margin: Amount,
    /// Visits that this pass has not made yet.
    pub uncompared: u64,
    /// Places where the last visit failed before it was known what is lacking.
    pub unknown: u64,
    /// For how long the oldest of it has been known.
    pub oldest: Option<Duration>,
    /// What this node had so long ago is in its place.
    pub in_sync: Option<Duration>,
}

/// What is to be done with a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeWork {
    /// `ip:port`.
    pub node: String,
    /// Visits of this pass that are done with.
    pub done: u64,
    /// Visits under way.
    pub under_way: u64,
    /// Visits of this pass.
    pub total: u64,
    /// What is pending there.
    pub pending: Pending,
    /// When this pass is done with it.
    pub forecast: Option<Forecast>,
    /// Objects a second in the last minute.
    pub objects_per_second: f64,
    /// Bytes of their bodies.
    pub bytes_per_second: f64,
}

/// The partitions of a local device, and what is pending of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceWork {
    /// In this pass.
    pub total: u64,
    /// That this pass is done with.
    pub done: u64,
    /// What is known to be pending.
    pub known: Amount,
}

/// A look at all of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// Everywhere.
    pub pending: Pending,
    /// When the pass has ended, if one is under way.
    pub forecast: Option<Forecast>,
    /// Since the pass began, or what the last one took.
    pub elapsed: Duration,
    /// By node.
    pub nodes: Vec<NodeWork>,
    /// By local device.
    pub devices: BTreeMap<DeviceName, DeviceWork>,
    /// What was pushed lately, oldest first.
    pub samples: Vec<Amount>,
    /// What one of them covers.
    pub sample: Duration,
}

/// What is pending, shared by all jobs and all passes.
#[derive(Debug, Clone)]
pub(crate) struct Backlog {
    state: Arc<Mutex<State>>,
    pub(crate) spent: Spent,
}

#[derive(Debug)]
struct State {
    begun: Instant,
    ended: Option<Instant>,
    workers: u64,
    /// Most visits to one node at once.
    at_once_max: u64,
    nodes: BTreeMap<String, Node>,
    devices: BTreeMap<DeviceName, DeviceWork>,
    places: Places,
    samples: Samples,
}

impl Default for Backlog {
    fn default() -> Self {
        let now = Instant::now();
        let state = State {
            begun: now,
            ended: Some(now),
            workers: 1,
            at_once_max: 1,
            nodes: BTreeMap::new(),
            devices: BTreeMap::new(),
            places: Places::default(),
            samples: Samples::new(now),
        };
        Self { state: Arc::new(Mutex::new(state)), spent: Spent::default() }
    }
}

impl Backlog {
    /// A pass begins with these jobs.
    pub(crate) fn begin<'a>(&self, jobs: impl Iterator<Item = &'a Job>) {
        let (mut state, now) = (self.lock(), Instant::now());
        (state.begun, state.ended) = (now, None);
        state.devices.values_mut().for_each(|device| (device.total, device.done) = (0, 0));
        let mut nodes: BTreeMap<String, u64> = BTreeMap::new();
        for job in jobs {
            state.devices.entry(job.device.clone()).or_default().total += 1;
            for target in &job.targets {
                *nodes.entry(target.address()).or_default() += 1;
            }
        }
        state.nodes.values_mut().for_each(|node| node.begin(now, 0));
        for (address, visits) in nodes {
            state.nodes.entry(address).or_insert_with(|| Node::new(now)).begin(now, visits);
        }
    }

    /// There may be so many jobs at once, and visits to one node.
    pub(crate) fn limit(&self, workers: usize, at_once_max: usize) {
        let mut state = self.lock();
        (state.workers, state.at_once_max) = (workers as u64, at_once_max as u64);
    }

    /// A pass has ended; `whole` where it has compared everything.
    pub(crate) fn end(&self, whole: bool) {
        let (mut state, now) = (self.lock(), Instant::now());
        state.ended = Some(now);
        let begun = state.begun;
        state.nodes.values_mut().for_each(|node| node.end(begun, whole));
        if whole {
            // What no visit of a whole pass has come to is not this node's to bring any more.
            let gone = state.places.forget_before(begun);
            gone.into_iter().for_each(|lacking| state.found(&lacking, None));
        }
    }

    /// Forgets nodes that have left the rings.
    pub(crate) fn forget_all_but(&self, addresses: &BTreeSet<String>) {
        let mut state = self.lock();
        let state = &mut *state;
        state.nodes.retain(|address, node| addresses.contains(address) || node.is_visited());
        let nodes = &state.nodes;
        let gone = state.places.forget_nodes(|node| !nodes.contains_key(node));
        gone.iter().for_each(|lacking| state.found(lacking, None));
    }

    /// A visit begins that counts for the pass, or goes on after the peer was busy.
    pub(crate) fn visit(&self, job: &Job, target: &Target, counts: bool) -> Visit {
        Visit::begin(self, Place::of(job, target), target, counts)
    }

    /// A visit of nobody.
    #[cfg(test)]
    pub(crate) fn visit_of(at: &PartitionRef, target: &Target) -> Visit {
        Visit::begin(&Self::default(), Place::at(at, target), target, true)
    }

    /// A job is done with.
    pub(crate) fn job_done(&self, device: &DeviceName) {
        self.lock().devices.entry(device.clone()).or_default().done += 1;
    }

    /// How it looks now.
    pub(crate) fn outlook(&self) -> Outlook {
        let (mut state, now) = (self.lock(), Instant::now());
        let state = &mut *state;
        let oldest = state.places.oldest();
        let forecast = state.forecast(now);
        let (workers, at_once_max, is_running) = (state.workers, state.at_once_max, state.ended.is_none());
        let mut nodes = Vec::new();
        for (address, node) in &mut state.nodes {
            let own = oldest.get(address.as_str()).map(|since| now.saturating_duration_since(*since));
            nodes.push(node.work(address, own, now, is_running.then_some((workers, at_once_max))));
        }
        Outlook {
            pending: sum(&nodes, oldest.values().min().map(|since| now.saturating_duration_since(*since))),
            forecast,
            elapsed: state.ended.unwrap_or(now).saturating_duration_since(state.begun),
            nodes,
            devices: state.devices.clone(),
            samples: state.samples.whole(now),
            sample: crate::samples::STEP,
        }
    }

    // Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forecast(&self, now: Instant) -> Option<Forecast> {
        if self.ended.is_some() {
            return None;
        }
        let paces = self.nodes.values().map(|node| (&node.pace, node.left(self.at_once_max)));
        forecast(paces, self.workers, now)
    }

    /// What is known of a place is another thing now: `before` it was, and is `now`.
    fn found(&mut self, before: &Lacking, now: Option<&Lacking>) {
        let of = |lacking: &Lacking| (lacking.amount, u64::from(lacking.unknown));
        let (was, was_unknown) = of(before);
        let (is, is_unknown) = now.map(of).unwrap_or_default();
        if let Some(node) = self.nodes.get_mut(&*before.node) {
            node.known = node.known.less(was);
            node.known.add(is);
            node.unknown = (node.unknown + is_unknown).saturating_sub(was_unknown);
        }
        let device = self.devices.entry(before.device.clone()).or_default();
        device.known = device.known.less(was);
        device.known.add(is);
    }
}

/// All nodes together. Margins of different nodes come from different visits, so they add as their squares.
fn sum(nodes: &[NodeWork], oldest: Option<Duration>) -> Pending {
    let mut all = Pending { oldest, ..Pending::default() };
    let (mut objects, mut bytes) = (0.0_f64, 0.0_f64);
    for NodeWork { pending, .. } in nodes {
        all.known.add(pending.known);
        all.expected.add(pending.expected);
        objects = objects.hypot(pending.margin.objects as f64);
        bytes = bytes.hypot(pending.margin.bytes as f64);
        all.uncompared += pending.uncompared;
        all.unknown += pending.unknown;
    }
    all.margin = Amount::of(objects as u64, bytes as u64);
    all.in_sync =
        nodes.iter().map(|node| node.pending.in_sync).reduce(|one, other| Some(one?.max(other?))).flatten();
    all
}

impl Node {
    fn left(&self, at_once_max: u64) -> Left {
        Left { visits: self.total.saturating_sub(self.done), at_once_max }
    }
}

#[cfg(test)]
mod tests;
