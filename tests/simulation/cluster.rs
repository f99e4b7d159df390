//! The nodes: what each has, and how it begins, ends and begins again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use ssync_diskfile::{
    Devices, DiskConfig, PolicyKind, Reserve,
    simulation::{Clock, Machine, Model, Options, Random, SimDisk, hang},
};
use ssync_receiver::{Placement, Receiver, ReceiverConfig};
use ssync_replicator::{
    GrpcPeer, Overrides, PassStats, Peer, Peers, Replicator, ReplicatorConfig, Rings, Target,
};
use ssync_ring::Ring;
use ssync_store::Store;
use ssync_types::{DeviceName, Durability, HashPathConfig, Refusal};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    cast::{Cast, Kind, Moment},
    link::{End, Link},
    network::{Network, Weather},
    places::{Known, Layout, POLICY, node_at},
};

/// What time it is when a simulation begins.
const BEGINNING: Duration = Duration::from_secs(1_700_000_000);
/// By how much a node's clock is wrong, at most.
const SKEW_MAX: i64 = 60;
/// Swift's default. No outage, and no clock, comes near it.
pub(crate) const RECLAIM_AGE: Duration = Duration::from_secs(604_800);

/// A cluster, and what happened in it.
pub(crate) struct Cluster {
    pub(crate) seed: u64,
    pub(crate) layout: Layout,
    pub(crate) network: Network,
    began: Instant,
    nodes: Vec<Node>,
    replicator: ReplicatorConfig,
    receiver: ReceiverConfig,
    trace: Mutex<Vec<String>>,
    /// Who wants to know of moments; whoever is behind misses some.
    moments: Option<mpsc::Sender<Moment>>,
    /// Somebody may hold a word that lets it remove something.
    asked: AtomicBool,
    /// Disks that a device had before the one that it has.
    replaced: Mutex<BTreeMap<DeviceName, u64>>,
}

struct Node {
    known: Arc<Known>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    life: u64,
    up: Option<Up>,
    /// Those that are not mounted.
    parked: BTreeMap<DeviceName, SimDisk>,
}

struct Up {
    machine: Arc<Machine>,
    receiver: Arc<Receiver>,
    replicator: Arc<Replicator>,
    pass: Option<JoinHandle<PassStats>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn hash_path() -> HashPathConfig {
    HashPathConfig::new("", "changeme").unwrap()
}

/// The devices of a machine, as its programs open them.
pub(crate) fn devices(machine: Arc<Machine>) -> Devices {
    let config = DiskConfig {
        reclaim_age: RECLAIM_AGE,
        durability: Durability::Batch,
        fallocate_reserve: Reserve::Bytes(0),
        ..DiskConfig::default()
    };
    Devices::simulated(machine, config, hash_path(), BTreeMap::from([(POLICY, PolicyKind::Replication)]))
}

struct Neighbours {
    cluster: Weak<Cluster>,
    from: End,
    silence_max: Duration,
}

#[async_trait]
impl Peers for Neighbours {
    async fn find(&self, target: &Target) -> Result<Arc<dyn Peer>, Refusal> {
        let cluster = self.cluster.upgrade().expect("the cluster outlives its nodes");
        let link = Link::new(cluster, self.from, node_at(&target.ip));
        Ok(Arc::new(GrpcPeer::new(Arc::new(link), self.silence_max)))
    }
}

impl Cluster {
    /// All nodes up, with empty disks.
    pub(crate) fn new(
        seed: u64,
        random: &mut Random,
        weather: Weather,
        cast: Cast,
        moments: mpsc::Sender<Moment>,
    ) -> (Arc<Self>, [Arc<Ring>; 2]) {
        let layout = Layout::new(cast.replicas, random);
        let rings = match cast.kind {
            Kind::Opposed => layout.opposed(random),
            Kind::Usual | Kind::Thin => {
                let ring = layout.ring(None, random);
                [Arc::clone(&ring), ring]
            }
        };
        let moments = (cast.kind == Kind::Thin).then_some(moments);
        let began = Instant::now();
        let nodes = (0..layout.nodes())
            .map(|node| {
                let skew = random.below(2 * SKEW_MAX as usize + 1) as i64 - SKEW_MAX;
                let disk = || {
                    let options = Options { clock: Some(clock(began, skew)), ..Options::default() };
                    SimDisk::new(options)
                };
                let parked = layout.devices_of(node).map(|name| (name.clone(), disk())).collect();
                let state = Mutex::new(State { parked, ..State::default() });
                Node { known: Arc::new(Known::new(Arc::clone(&rings[node % 2]))), state }
            })
            .collect();
        let replicator = ReplicatorConfig {
            recon_cache_path: None,
            concurrency: 1 + random.below(4),
            handoffs_first: random.once_in(8),
            handoff_delete: cast.handoff_delete,
            ..ReplicatorConfig::default()
        };
        let receiver = ReceiverConfig {
            inline_bytes_max: 100,
            replication_concurrency: 1 + random.below(4) as u32,
            outstanding_updates_max: 1 + random.below(20) as u32,
            session_updates_max: if random.once_in(4) { 5 } else { 1000 },
            ..ReceiverConfig::default()
        };
        let network = Network::new(seed, weather);
        let trace = Mutex::default();
        let (asked, replaced) = (AtomicBool::new(false), Mutex::default());
        let cluster = Arc::new(Self {
            seed,
            layout,
            network,
            began,
            nodes,
            replicator,
            receiver,
            trace,
            moments,
            asked,
            replaced,
        });
        for node in 0..cluster.nodes.len() {
            cluster.start(node);
        }
        (cluster, rings)
    }

    /// Notes what happens.
    pub(crate) fn note(&self, line: impl AsRef<str>) {
        let now = self.began.elapsed();
        lock(&self.trace).push(format!("{:>9.3} {}", now.as_secs_f64(), line.as_ref()));
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        lock(&self.trace).clone()
    }

    /// The time by a clock that is right.
    pub(crate) fn now(&self) -> SystemTime {
        UNIX_EPOCH + BEGINNING + self.began.elapsed()
    }

    fn state(&self, node: usize) -> MutexGuard<'_, State> {
        lock(&self.nodes[node].state)
    }

    pub(crate) fn known(&self, node: usize) -> &Known {
        &self.nodes[node].known
    }

    /// The receiver of a node, and which of its lives it is.
    pub(crate) fn receiver(&self, node: usize) -> Option<(Arc<Receiver>, u64)> {
        let state = self.state(node);
        state.up.as_ref().map(|up| (Arc::clone(&up.receiver), state.life))
    }

    pub(crate) fn lives(&self, end: End) -> bool {
        end == End::CLIENT || {
            let state = self.state(end.node);
            state.up.is_some() && state.life == end.life
        }
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.state(node).up.is_some()
    }

    /// Begins a node that is down.
    pub(crate) fn start(self: &Arc<Self>, node: usize) {
        let known = Arc::clone(&self.nodes[node].known);
        let mut state = self.state(node);
        if state.up.is_some() {
            return;
        }
        state.life += 1;
        let machine = Arc::new(Machine::default());
        for (name, disk) in std::mem::take(&mut state.parked) {
            machine.mount(name, disk);
        }
        let devices = Arc::new(devices(Arc::clone(&machine)));
        let placement: Arc<dyn Placement> = Arc::clone(&known) as _;
        let receiver =
            Receiver::new(self.receiver.clone(), Arc::clone(&devices), placement, CancellationToken::new());
        let from = End { node, life: state.life };
        let silence_max = self.replicator.http_timeout;
        let peers = Neighbours { cluster: Arc::downgrade(self), from, silence_max };
        let own = u8::try_from(node).unwrap() + 1;
        let config = ReplicatorConfig { bind_ip: [10, 0, 0, own].into(), ..self.replicator.clone() };
        let rings: Arc<dyn Rings> = known;
        let local: Arc<dyn Store> = Arc::clone(&receiver) as _;
        let replicator = Replicator::with_peers(config, rings, devices, local, Arc::new(peers))
            .with_seed(self.seed ^ (node as u64 * 1000 + state.life));
        state.up = Some(Up { machine, receiver, replicator: Arc::new(replicator), pass: None });
    }

    /// Kills a node's programs.
    pub(crate) fn kill(&self, node: usize) {
        let mut state = self.state(node);
        let Some(up) = state.up.take() else { return };
        if let Some(pass) = up.pass {
            pass.abort();
        }
        for name in self.layout.devices_of(node) {
            if let Some(disk) = up.machine.disk(name) {
                // What was under way goes on, on a disk that nobody sees any more.
                state.parked.insert(name.clone(), disk.kill());
            }
        }
    }

    /// Cuts the power of a node that is down.
    pub(crate) fn cut_power(&self, node: usize, seed: u64) {
        for disk in self.state(node).parked.values_mut() {
            *disk = disk.crash(Model::Ordered, seed);
        }
    }

    /// Does something to a disk, wherever it is.
    pub(crate) fn with_disk(&self, device: &DeviceName, act: impl FnOnce(&SimDisk)) {
        if let Some(disk) = self.disk(device) {
            act(&disk);
        }
    }

    /// A disk, mounted or not.
    pub(crate) fn disk(&self, device: &DeviceName) -> Option<SimDisk> {
        let state = self.state(self.node_of(device));
        let mounted = state.up.as_ref().and_then(|up| up.machine.disk(device));
        mounted.or_else(|| state.parked.get(device).cloned())
    }

    pub(crate) fn node_of(&self, device: &DeviceName) -> usize {
        self.layout.devices.iter().find(|(_, name)| name == device).expect("a device of ours").0
    }

    /// Takes a disk away from a node that goes on.
    pub(crate) fn unmount(&self, device: &DeviceName) {
        let mut state = self.state(self.node_of(device));
        let disk = state.up.as_ref().and_then(|up| up.machine.unmount(device));
        if let Some(disk) = disk {
            state.parked.insert(device.clone(), disk.kill());
        }
    }

    /// Unmounts a disk if it is mounted, and mounts it again. What was not flushed may be lost.
    pub(crate) fn mount_again(&self, device: &DeviceName, seed: u64) {
        self.unmount(device);
        let mut state = self.state(self.node_of(device));
        let State { up: Some(up), parked, .. } = &mut *state else { return };
        if let Some(disk) = parked.remove(device) {
            up.machine.mount(device.clone(), disk.crash(Model::Ordered, seed));
        }
    }

    /// Puts an empty disk in place of one.
    pub(crate) fn wipe(&self, device: &DeviceName) {
        self.unmount(device);
        let mut state = self.state(self.node_of(device));
        let Some(disk) = state.parked.get(device) else { return };
        let empty = SimDisk::new(disk.options());
        *lock(&self.replaced).entry(device.clone()).or_default() += 1;
        match &state.up {
            Some(up) => {
                up.machine.mount(device.clone(), empty);
                state.parked.remove(device);
            }
            None => drop(state.parked.insert(device.clone(), empty)),
        }
    }

    /// A push asks for something whose answer may let it remove what it has: that may be on its way before anybody hears of it.
    pub(crate) fn has_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// A push has come so far.
    pub(crate) fn moment(&self, moment: Moment) {
        if let Some(moments) = &self.moments {
            let _ = moments.try_send(moment);
        }
    }

    /// Whether a disk may be replaced on whose word nobody can still remove anything: of all passes that are under way none
    /// has asked for anything yet.
    pub(crate) fn nobody_has_asked(&self) -> bool {
        !self.asked.load(Ordering::Relaxed)
    }

    /// How many disks a device has had.
    pub(crate) fn disks_of(&self, device: &DeviceName) -> u64 {
        lock(&self.replaced).get(device).copied().unwrap_or(0)
    }

    fn passes_are_under_way(&self) -> bool {
        let under_way = |up: &Up| up.pass.as_ref().is_some_and(|pass| !pass.is_finished());
        (0..self.nodes.len()).any(|node| self.state(node).up.as_ref().is_some_and(under_way))
    }

    /// Begins a pass of a node, unless one is under way.
    pub(crate) fn begin_pass(self: &Arc<Self>, node: usize) {
        if !self.passes_are_under_way() {
            self.asked.store(false, Ordering::Relaxed);
        }
        let mut state = self.state(node);
        let life = state.life;
        let Some(up) = &mut state.up else { return };
        if up.pass.as_ref().is_some_and(|pass| !pass.is_finished()) {
            return;
        }
        let (replicator, cluster) = (Arc::clone(&up.replicator), Arc::clone(self));
        up.pass = Some(tokio::spawn(async move {
            cluster.note(format!("n{node}.{life}: pass begins"));
            let stats = replicator.run_once(&Overrides::default(), CancellationToken::new()).await;
            cluster.note(format!(
                "n{node}.{life}: pass ends: {} partitions, {} stored, {} released, {} failures, {} put back, {:?}",
                stats.partitions, stats.objects, stats.released, stats.failure, stats.put_back, stats.aborted,
            ));
            stats
        }));
    }

    /// Waits for the passes that are under way; what each did, and whose it was.
    pub(crate) async fn passes_end(&self) -> Vec<(usize, PassStats)> {
        let mut passes = Vec::new();
        for node in 0..self.nodes.len() {
            let pass = self.state(node).up.as_mut().and_then(|up| up.pass.take());
            if let Some(pass) = pass {
                passes.push((node, pass.await.expect("a pass that panicked")));
            }
        }
        passes
    }

    /// Ends all nodes.
    pub(crate) fn end(&self) {
        for (node, device) in &self.layout.devices {
            hang(device, false);
            self.kill(*node);
        }
    }
}

fn clock(began: Instant, skew: i64) -> Clock {
    Clock(Arc::new(move || {
        let right = UNIX_EPOCH + BEGINNING + began.elapsed();
        let by = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { right - by } else { right + by }
    }))
}
