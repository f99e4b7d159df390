//! The peers as this node has found them, shared by all jobs and all passes: a slow one does not hold all workers, and
//! one that is busy or gone is not asked again by each partition.

mod gate;
mod peers;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ssync_types::{DeviceName, Reason, Refusal};
use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, timeout_at},
};

use crate::{parked::Parked, peer::Target, shuffle::Shuffle, source::Pulse};

pub(crate) use gate::Stage;
use gate::{Access, Gate};
pub(crate) use peers::GatedPeers;

/// The longest wait that a peer may ask for.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(60);
/// Peers in trouble that are remembered.
const TROUBLES_MAX: usize = 10_000;
/// When to come back to a peer that has all visits of ours that it may have.
const FULL_RETRY: Duration = Duration::from_millis(50);
/// How long a visit waits until another one's session has ended.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(1);

/// A peer's device: what jobs wait for.
pub(crate) type PeerKey = (String, DeviceName);

/// How the peers of a pass are spread: of how many one may have a share only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    one_node: bool,
    one_device_each: bool,
}

impl Spread {
    pub(crate) fn of<'a>(targets: impl Iterator<Item = &'a Target>) -> Self {
        let mut nodes: HashMap<String, Vec<&DeviceName>> = HashMap::new();
        for target in targets {
            let devices = nodes.entry(target.address()).or_default();
            if !devices.contains(&&target.device) {
                devices.push(&target.device);
            }
        }
        let one_device_each = nodes.values().all(|devices| devices.len() < 2);
        Self { one_node: nodes.len() < 2, one_device_each }
    }

    /// Where there is another peer to go on with, none has all of the workers.
    pub(crate) fn limits(self, workers: usize) -> Limits {
        let share = |all: usize, alone: bool| if alone { all } else { all - (all / 4).max(1).min(all - 1) };
        let node_max = share(workers.max(1), self.one_node);
        Limits { node_max, device_max: share(node_max, self.one_device_each) }
    }
}

/// How many visits of this node there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// With one node.
    pub(crate) node_max: usize,
    /// With one device of it.
    pub(crate) device_max: usize,
}

/// A peer that is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAlone {
    /// `ip:port`, or `ip:port/device` where only a device of it is meant.
    pub peer: String,
    /// Why.
    pub cause: Refusal,
    /// For how much longer.
    pub left: Duration,
}

/// Why a job is not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// Whom it waits for.
    pub(crate) peer: PeerKey,
    /// Until when, if it is a matter of time.
    pub(crate) until: Option<Instant>,
}

impl State {
    fn has_done_its_part(&mut self, address: &str) {
        if self.successes.len() < TROUBLES_MAX || self.successes.contains_key(address) {
            self.successes.insert(address.to_owned(), SystemTime::now());
        }
    }
}

/// The gates of all peers.
#[derive(Debug)]
pub(crate) struct Gates {
    state: Mutex<State>,
    changed: Notify,
    /// A session has ended.
    ended: Notify,
    /// How often peers were to be asked again at once.
    hurries: AtomicU64,
}

#[derive(Debug)]
struct State {
    nodes: HashMap<String, Gate>,
    devices: HashMap<PeerKey, Gate>,
    limits: Limits,
    random: Shuffle,
    /// When a node last did its part, by address. No more than [`TROUBLES_MAX`].
    successes: BTreeMap<String, SystemTime>,
    /// How often peers have refused, by reason.
    refusals: BTreeMap<&'static str, u64>,
}

impl Gates {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let state = State {
            nodes: HashMap::new(),
            devices: HashMap::new(),
            limits: Limits { node_max: 1, device_max: 1 },
            random: Shuffle::seeded(seed),
            successes: BTreeMap::new(),
            refusals: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            ended: Notify::new(),
            hurries: AtomicU64::new(0),
        })
    }

    /// From now on.
    pub(crate) fn limit(&self, limits: Limits) {
        self.state().limits = limits;
    }

    /// Who is left alone for a while, by name: a node, or one device of it.
    pub(crate) fn left_alone(&self) -> Vec<LeftAlone> {
        let (state, now) = (self.state(), Instant::now());
        let nodes = state.nodes.iter().map(|(address, gate)| (address.clone(), gate));
        let devices =
            state.devices.iter().map(|((address, device), gate)| (format!("{address}/{device}"), gate));
        let mut found: Vec<LeftAlone> = nodes
            .chain(devices)
            .filter_map(|(peer, gate)| {
                let (cause, left) = gate.left_alone(now)?;
                Some(LeftAlone { peer, cause, left })
            })
            .collect();
        found.sort_unstable_by(|one, other| one.peer.cmp(&other.peer));
        found
    }

    /// Peers that are left alone are asked again at once: a node that `is_meant`, and a device of one. Says how many.
    pub(crate) fn ask_again(&self, is_meant: impl Fn(&str, Option<&DeviceName>) -> bool) -> u64 {
        let (mut state, now) = (self.state(), Instant::now());
        let State { nodes, devices, .. } = &mut *state;
        let nodes = nodes.iter_mut().filter(|(address, _)| is_meant(address, None)).map(|(_, gate)| gate);
        let devices = devices.iter_mut().filter(|((address, device), _)| is_meant(address, Some(device)));
        let gates = nodes.chain(devices.map(|(_, gate)| gate));
        let count = gates.filter_map(|gate| gate.ask_again(now).then_some(())).count() as u64;
        drop(state);
        self.hurries.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        count
    }

    /// How often somebody has wanted peers asked again at once: what was put back for a while does not wait then.
    pub(crate) fn hurries(&self) -> u64 {
        self.hurries.load(Ordering::Relaxed)
    }

    /// Something that those who wait for peers should know has changed.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// The visits that there may be with one node, and those with the node that has most of them now.
    pub(crate) fn visits(&self) -> (usize, usize) {
        let state = self.state();
        (state.limits.node_max, state.nodes.values().map(Gate::visits).max().unwrap_or(0))
    }

    /// When each node last did its part, by address: it told its hashes, or took what it was sent.
    pub(crate) fn last_successes(&self) -> BTreeMap<String, SystemTime> {
        self.state().successes.clone()
    }

    /// Nodes that have left the rings did nothing of late, and nobody waits for it.
    pub(crate) fn forget_all_but(&self, addresses: &BTreeSet<String>) {
        self.state().successes.retain(|address, _| addresses.contains(address));
    }

    /// How often peers have refused, or failed, by the reason's name.
    pub(crate) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.state().refusals.clone()
    }

    /// What it is that keeps visits from a peer; `None` where this node has as many as it allows itself.
    pub(crate) fn why(&self, (address, device): &PeerKey) -> Option<Reason> {
        let (state, now) = (self.state(), Instant::now());
        let gates = [state.nodes.get(address), state.devices.get(&(address.clone(), device.clone()))];
        gates.into_iter().flatten().find_map(|gate| Some(gate.left_alone(now)?.0.reason))
    }

    /// Ends when a peer that was not to be asked may be.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Whether a visit that goes as far as `stage` would have to wait.
    pub(crate) fn blocks(&self, target: &Target, stage: Stage) -> Option<Blocked> {
        let (state, key) = (self.state(), key(target));
        match state.access(&key, stage, Instant::now()) {
            Access::Open | Access::Try | Access::GivenUp(_) => None,
            Access::Wait(until) => Some(Blocked { peer: key, until }),
        }
    }

    /// A job is begun that will visit this peer.
    pub(crate) fn expect(&self, target: &Target) {
        let (mut state, now) = (self.state(), Instant::now());
        state.make_room(now);
        state.both(&key(target)).into_iter().for_each(|gate| gate.expect(now));
    }

    /// Goes in, or is told when to come back.
    fn enter(self: &Arc<Self>, target: &Target, parked: &Parked) -> Result<Visit, Refusal> {
        let (mut state, key) = (self.state(), key(target));
        let now = Instant::now();
        state.make_room(now);
        let kept = state.both(&key).map(|gate| gate.arrived(now));
        let access = match kept {
            // A job that was begun has its places, else one that visits two devices of a node would wait for itself.
            [true, true] => state.blocked(&key, Stage::Hashes, now),
            _ => state.access(&key, Stage::Hashes, now),
        };
        let tries = admitted(access, target).inspect_err(|_| state.forget_idle(&key, now))?;
        // One that may only want hashes finds out all the same, if it gets so far.
        let tries = tries || state.blocked(&key, Stage::Session, now) == Access::Try;
        for gate in state.both(&key) {
            gate.enter();
            if tries {
                gate.trying(Some(now));
            }
        }
        drop(state);
        Ok(Visit { gates: Arc::clone(self), key, parked: parked.clone(), tries: Mutex::new(tries) })
    }

    // Nothing panics while it holds this.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(target: &Target) -> PeerKey {
    (target.address(), target.device.clone())
}

/// The peer has enough of ours.
fn others_first(target: &Target, wait: Duration) -> Refusal {
    let message = format!("other partitions go first: {target} has as many visits as it may, or is busy");
    Refusal::new(Reason::ReceiverBusy, message).retry_after(wait)
}

/// Whether the visit is there to try; or why there is none.
fn admitted(access: Access, target: &Target) -> Result<bool, Refusal> {
    let now = Instant::now();
    match access {
        Access::Open => Ok(false),
        Access::Try => Ok(true),
        Access::Wait(until) => {
            let wait = until.map_or(FULL_RETRY, |until| until.saturating_duration_since(now));
            Err(others_first(target, wait))
        }
        Access::GivenUp(cause) => {
            let left = cause.retry_after.unwrap_or_default();
            let message = format!("it is asked again in {:.1} s; last time: {cause}", left.as_secs_f64());
            Err(Refusal::new(Reason::Unreachable, message).retry_after(left))
        }
    }
}

impl State {
    fn access(&self, key: &PeerKey, stage: Stage, now: Instant) -> Access {
        let node = self.nodes.get(&key.0).map(|gate| gate.access(stage, self.limits.node_max, now));
        let device = self.devices.get(key).map(|gate| gate.access(stage, self.limits.device_max, now));
        stricter(node.unwrap_or(Access::Open), device.unwrap_or(Access::Open))
    }

    fn blocked(&self, key: &PeerKey, stage: Stage, now: Instant) -> Access {
        let node = self.nodes.get(&key.0).map(|gate| gate.blocked(stage, now));
        let device = self.devices.get(key).map(|gate| gate.blocked(stage, now));
        stricter(node.unwrap_or(Access::Open), device.unwrap_or(Access::Open))
    }

    fn both(&mut self, key: &PeerKey) -> [&mut Gate; 2] {
        let node = self.nodes.entry(key.0.clone()).or_default();
        let device = self.devices.entry(key.clone()).or_default();
        [node, device]
    }

    fn make_room(&mut self, now: Instant) {
        make_room(&mut self.devices, now);
        make_room(&mut self.nodes, now);
    }

    fn forget_idle(&mut self, key: &PeerKey, now: Instant) {
        if self.nodes.get(&key.0).is_some_and(|gate| gate.is_idle(now)) {
            self.nodes.remove(&key.0);
        }
        if self.devices.get(key).is_some_and(|gate| gate.is_idle(now)) {
            self.devices.remove(key);
        }
    }
}

/// Troubles of peers that nobody visits are forgotten when there are too many, those that jobs wait for last.
fn make_room<K: Eq + Hash>(gates: &mut HashMap<K, Gate>, now: Instant) {
    if gates.len() >= TROUBLES_MAX {
        gates.retain(|_, gate| !gate.is_empty(now) || gate.is_waited_for(now));
    }
    if gates.len() >= TROUBLES_MAX {
        gates.retain(|_, gate| !gate.is_empty(now));
    }
}

fn stricter(one: Access, other: Access) -> Access {
    match (one, other) {
        (Access::GivenUp(cause), _) | (_, Access::GivenUp(cause)) => Access::GivenUp(cause),
        (Access::Wait(one), Access::Wait(other)) => {
            Access::Wait(one.zip(other).map(|(one, other)| one.max(other)))
        }
        (Access::Wait(until), _) | (_, Access::Wait(until)) => Access::Wait(until),
        (Access::Try, _) | (_, Access::Try) => Access::Try,
        (Access::Open, Access::Open) => Access::Open,
    }
}

/// A job is with a peer; as long as this lives.
#[derive(Debug)]
struct Visit {
    gates: Arc<Gates>,
    key: PeerKey,
    parked: Parked,
    /// It finds out whether the peer's trouble is over.
    tries: Mutex<bool>,
}

impl Visit {
    /// Whether it may go on to `stage`.
    fn goes_on(&self, target: &Target, stage: Stage) -> Result<(), Refusal> {
        if self.tries() {
            return Ok(());
        }
        let (mut state, now) = (self.gates.state(), Instant::now());
        let tries = admitted(state.blocked(&self.key, stage, now), target)?;
        if tries {
            for gate in state.both(&self.key) {
                gate.trying(Some(now));
            }
            drop(state);
            self.set_tries(true);
        }
        Ok(())
    }

    /// A place for one more session, for which it waits `until` then while the peer is full of this node's.
    async fn place(self: &Arc<Self>, target: &Target, until: Instant) -> Result<Place, Refusal> {
        loop {
            self.goes_on(target, Stage::Session)?;
            let mut ended = pin!(self.gates.ended.notified());
            ended.as_mut().enable();
            if let Some(place) = self.take_place() {
                return Ok(place);
            }
            timeout_at(until, ended).await.map_err(|_| others_first(target, FULL_RETRY))?;
        }
    }

    fn take_place(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.gates.state();
        let gates = state.both(&self.key);
        if gates.iter().any(|gate| gate.is_full()) {
            return None;
        }
        gates.into_iter().for_each(Gate::begin_session);
        Some(Place(Arc::clone(self)))
    }

    /// Whether a refusal said no more than that the peer is full of this node's sessions.
    fn was_full(&self, refusal: &Refusal) -> bool {
        let gate = self.gates.state();
        gate::is_busy(refusal.reason)
            && gate.blocked(&self.key, Stage::Session, Instant::now()) == Access::Open
    }

    /// It sends from now on; until the answer is dropped.
    fn sends(self: &Arc<Self>, place: Place, pulse: &Pulse) -> Sending {
        self.gates.state().both(&self.key).into_iter().for_each(|gate| gate.sends(pulse));
        Sending { place, pulse: pulse.clone() }
    }

    /// What the peer did at `stage`.
    fn found(&self, stage: Stage, refusal: Option<&Refusal>) {
        let now = Instant::now();
        let mut state = self.gates.state();
        match refusal {
            Some(refusal) => *state.refusals.entry(refusal.reason.name()).or_default() += 1,
            None if stage != Stage::Session => state.has_done_its_part(&self.key.0),
            None => {}
        }
        let State { nodes, devices, random, .. } = &mut *state;
        let (node, device) = (nodes.get_mut(&self.key.0), devices.get_mut(&self.key));
        let (Some(node), Some(device)) = (node, device) else { return };
        let (mut given_up, mut ended) = (None, [None; 2]);
        match refusal {
            None => ended = [node.worked(stage, now), device.worked(stage, now)],
            Some(refusal) => match Scope::of(refusal.reason) {
                Scope::Node => given_up = node.failed(stage, refusal, now, random),
                Scope::Device => given_up = device.failed(stage, refusal, now, random),
                // It answers.
                Scope::Partition => ended = [node.worked(Stage::Hashes, now), None],
            },
        }
        let tried = node.is_tried() || device.is_tried();
        let [of_node, of_device] = ended;
        let is_back = of_node.is_some_and(|ended| ended.was_away);
        if is_back {
            // How its devices were before tells nothing of them now.
            let of_it = devices.iter_mut().filter(|((address, _), _)| *address == self.key.0);
            of_it.for_each(|(_, gate)| gate.may_be_over(now));
        }
        drop(state);
        if !tried {
            self.set_tries(false);
        }
        let (address, name) = &self.key;
        if is_back {
            self.parked.is_back(address);
        }
        if let (Some(left), Some(refusal)) = (given_up, refusal) {
            tracing::error!(
                "{address}/{name} does not do its part ({refusal}): its partitions are not in sync and do not wait for it. \
                 It is asked again in {:.1} s; look at that node",
                left.as_secs_f64()
            );
        }
        if [of_node, of_device].into_iter().flatten().any(|ended| ended.told) {
            tracing::info!("{address}/{name} is back");
        }
        self.gates.changed.notify_one();
    }

    fn tries(&self) -> bool {
        *self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_tries(&self, tries: bool) {
        *self.tries.lock().unwrap_or_else(PoisonError::into_inner) = tries;
    }
}

/// A session that the peer is asked for or has admitted; as long as this lives.
#[derive(Debug)]
struct Place(Arc<Visit>);

impl Drop for Place {
    fn drop(&mut self) {
        let gates = &self.0.gates;
        gates.state().both(&self.0.key).into_iter().for_each(Gate::end_session);
        gates.ended.notify_waiters();
    }
}

/// A visit in which something is sent.
#[derive(Debug)]
struct Sending {
    place: Place,
    pulse: Pulse,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.pulse.set_long(false);
        let Place(visit) = &self.place;
        visit.gates.state().both(&visit.key).into_iter().for_each(|gate| gate.has_sent(&self.pulse));
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let tries = self.tries();
        let (mut state, now) = (self.gates.state(), Instant::now());
        for gate in state.both(&self.key) {
            gate.leave();
            if tries {
                gate.trying(None);
            }
        }
        state.forget_idle(&self.key, now);
        drop(state);
        self.gates.changed.notify_one();
    }
}

/// Whose trouble a refusal tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Node,
    Device,
    Partition,
}

impl Scope {
    fn of(reason: Reason) -> Self {
        match reason {
            Reason::ReceiverBusy | Reason::Draining | Reason::Unreachable => Self::Node,
            // One disk that hangs there says nothing of the others.
            Reason::DeviceLocked | Reason::IdleTimeout => Self::Device,
            _ => Self::Partition,
        }
    }
}

#[cfg(test)]
mod tests;
