//! One seed: clients, passes and faults for some minutes, then quiet; and what must be so in the end.

mod quiet;
mod requests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use ssync_diskfile::simulation::{self, Again, Errno, Faults, Random, Single};
use ssync_ring::Ring;
use ssync_types::DeviceName;
use tokio::{
    runtime::{Builder, Handle},
    sync::mpsc,
    task::JoinSet,
    time::{Duration, Instant, sleep},
};

use crate::{
    cast::{Cast, Kind, Moment},
    cluster::Cluster,
    history::{Answer, History},
    judge::can_be_spared,
    network::{CLIENTS, Weather},
};

pub(crate) const OBJECTS: usize = 10;
/// The longest that a pass may take when nothing is wrong any more, and what may be left of others.
const PASS_MAX: Duration = Duration::from_secs(4 * 3600);
/// Requests of clients at once.
const REQUESTS_MAX: usize = 4;
/// Moments that nobody has looked at yet.
const MOMENTS_MAX: usize = 64;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Kill,
    PowerCut,
    Partition,
    DiskErrors,
    Publishing,
    Full,
    Unmount,
    Hang,
    Wipe,
    NewRing,
    /// A node is away for longer than tombstones are kept, when all else is over.
    Absence,
}

impl Fault {
    /// Those that strike at any time.
    const SUDDEN: [Self; 10] = [
        Self::Kill,
        Self::PowerCut,
        Self::Partition,
        Self::DiskErrors,
        Self::Publishing,
        Self::Full,
        Self::Unmount,
        Self::Hang,
        Self::Wipe,
        Self::NewRing,
    ];

    /// How many kinds there are.
    pub(crate) const KINDS: usize = Self::SUDDEN.len() + 1;
}

/// How something ends that went wrong.
enum Repair {
    Start(usize),
    CutPowerAndStart(usize, u64),
    Join(usize, usize),
    MountAgain(DeviceName, u64),
    Publish(DeviceName),
    Space(DeviceName),
    Hang(DeviceName),
    Learn(usize, Arc<Ring>),
}

/// What a seed came to.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// What is wrong.
    pub(crate) problem: Option<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) faults: BTreeMap<Fault, usize>,
    pub(crate) requests: usize,
    pub(crate) acknowledged: usize,
    pub(crate) rounds: usize,
}

struct Scenario {
    random: Random,
    cluster: Arc<Cluster>,
    /// Of this one, and of that; the first is the one that all will learn.
    rings: [Arc<Ring>; 2],
    cast: Cast,
    moments: mpsc::Receiver<Moment>,
    history: Arc<Mutex<History>>,
    requests: JoinSet<()>,
    repairs: Vec<(Instant, Repair)>,
    kinds: Vec<Fault>,
    faults: BTreeMap<Fault, usize>,
    rounds: usize,
}

/// Runs a seed, on this thread alone.
pub(crate) fn run(seed: u64) -> Report {
    let single = Single::begin(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let report = runtime.block_on(async {
        let mut scenario = Scenario::new(seed);
        let mut problem = scenario.play().await.err();
        let Scenario { cluster, mut requests, history, faults, rounds, .. } = scenario;
        requests.shutdown().await;
        cluster.end();
        // Longer than any wait of a stream, or of disk work.
        sleep(PASS_MAX).await;
        let left = Handle::current().metrics().num_alive_tasks();
        if left > 0 && problem.is_none() {
            problem = Some(format!("{left} tasks never end"));
        }
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        let acknowledged = history.requests.iter().filter(|(_, answer)| *answer != Answer::Unknown).count();
        let trace = cluster.trace();
        Report { seed, problem, trace, faults, requests: history.requests.len(), acknowledged, rounds }
    });
    drop(runtime);
    drop(single);
    report
}

impl Scenario {
    fn new(seed: u64) -> Self {
        let mut random = Random::of(seed, 1);
        let weather = Weather {
            requests_lost: *random.pick(&[0, 0, 20, 100]),
            answers_lost: *random.pick(&[0, 0, 20, 100]),
            cuts: *random.pick(&[0, 0, 5, 50]),
            delay_max: *random.pick(&[2, 50, 1000]),
        };
        let cast = Cast::new(seed, OBJECTS);
        let mut kinds: Vec<_> = Fault::SUDDEN.into_iter().filter(|_| random.once_in(2)).collect();
        // What is on one disk alone is lost with it; and of two rings that stay there is no newer one.
        kinds.retain(|kind| match cast.kind {
            Kind::Usual => true,
            Kind::Thin => *kind != Fault::Wipe,
            Kind::Opposed => !matches!(kind, Fault::Wipe | Fault::NewRing),
        });
        let (sender, moments) = mpsc::channel(MOMENTS_MAX);
        let (cluster, rings) = Cluster::new(seed, &mut random, weather, cast, sender);
        cluster.note(format!("{cast:?}, {weather:?}, {kinds:?}, {} devices", cluster.layout.devices.len()));
        Self {
            random,
            cluster,
            rings,
            cast,
            moments,
            history: Arc::default(),
            requests: JoinSet::new(),
            repairs: Vec::new(),
            kinds,
            faults: BTreeMap::new(),
            rounds: 0,
        }
    }

    async fn play(&mut self) -> Result<(), String> {
        for _ in 0..40 + self.random.below(60) {
            let wait = Duration::from_millis(self.random.below(5000) as u64);
            self.aim_until(Instant::now() + wait).await;
            self.repair(Instant::now());
            match self.random.below(100) {
                0..50 => self.request().await,
                50..85 => {
                    let nodes = self.cluster.layout.nodes();
                    match self.cast.kind {
                        Kind::Opposed => (0..nodes).for_each(|node| self.cluster.begin_pass(node)),
                        _ => self.cluster.begin_pass(self.random.below(nodes)),
                    }
                }
                _ => self.fault(),
            }
        }
        self.quiet().await?;
        self.settle(true).await?;
        self.nothing_moves().await?;
        match self.random.below(6) {
            0 | 1 => self.reclaim().await,
            // With fewer copies what the others have is not all.
            2 | 3 if self.cast.kind == Kind::Usual => self.absence().await,
            _ => Ok(()),
        }
    }

    // === Faults ===

    fn count(&mut self, kind: Fault, device: &DeviceName) {
        self.cluster.note(format!("{kind:?} {device}"));
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Nothing gets a name on a disk that is otherwise well: single updates fail.
    fn publishing_fails(&mut self, device: &DeviceName) {
        let faults = Faults::default().named("link objects", Errno::IO, Again::Always);
        self.cluster.with_disk(device, |disk| disk.set_faults(faults));
        self.later(30, Repair::Publish(device.clone()));
    }

    fn later(&mut self, most: usize, repair: Repair) {
        let after = Duration::from_millis(self.random.below(1000 * most) as u64);
        self.repairs.push((Instant::now() + after, repair));
    }

    fn fault(&mut self) {
        if self.kinds.is_empty() {
            return;
        }
        let kind = *self.random.pick(&self.kinds);
        let (node, device) = self.random.pick(&self.cluster.layout.devices).clone();
        let seed = self.random.next();
        let done = match kind {
            Fault::Kill | Fault::PowerCut => self.stop(kind, node, seed),
            Fault::Partition => self.part(node),
            Fault::DiskErrors => {
                let per_mille = *self.random.pick(&[2, 20, 200]);
                let faults = Faults::default().by_chance(seed, per_mille, &[Errno::IO]);
                self.cluster.with_disk(&device, |disk| disk.set_faults(faults));
                self.later(60, Repair::MountAgain(device.clone(), seed));
                true
            }
            Fault::Publishing => {
                self.publishing_fails(&device);
                true
            }
            Fault::Full => {
                self.cluster.with_disk(&device, |disk| disk.set_space(0, 1 << 40));
                self.later(60, Repair::Space(device.clone()));
                true
            }
            Fault::Unmount => {
                self.cluster.unmount(&device);
                self.later(60, Repair::MountAgain(device.clone(), seed));
                true
            }
            Fault::Hang => {
                simulation::hang(&device, true);
                self.later(200, Repair::Hang(device.clone()));
                true
            }
            Fault::Wipe => self.wipe(&device, seed),
            Fault::NewRing => {
                self.new_ring();
                true
            }
            Fault::Absence => false,
        };
        if done {
            self.count(kind, &device);
        }
    }

    fn stop(&mut self, kind: Fault, node: usize, seed: u64) -> bool {
        if !self.cluster.is_up(node) {
            return false;
        }
        self.cluster.kill(node);
        match kind {
            Fault::Kill => {
                // Killed first, and the power cut later.
                let repair = match self.random.once_in(3) {
                    true => Repair::CutPowerAndStart(node, seed),
                    false => Repair::Start(node),
                };
                self.later(90, repair);
            }
            _ => {
                self.cluster.cut_power(node, seed);
                self.later(90, Repair::Start(node));
            }
        }
        true
    }

    /// A node does not hear some others, or is not heard.
    fn part(&mut self, node: usize) -> bool {
        let both = self.random.once_in(2);
        for other in (0..self.cluster.layout.nodes()).chain([CLIENTS]) {
            if other != node && self.random.once_in(2) {
                self.cluster.network.cut(node, other);
                self.later(90, Repair::Join(node, other));
                if both {
                    self.cluster.network.cut(other, node);
                    self.later(90, Repair::Join(other, node));
                }
            }
        }
        true
    }

    /// Never the last copy of anything that was promised.
    fn wipe(&mut self, device: &DeviceName, seed: u64) -> bool {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let spared = can_be_spared(&self.cluster, &history, device, seed);
        if spared {
            self.cluster.wipe(device);
        }
        spared
    }

    fn new_ring(&mut self) {
        let ring = self.cluster.layout.ring(Some(&self.rings[0]), &mut self.random);
        self.rings = [Arc::clone(&ring), ring];
        for node in 0..self.cluster.layout.nodes() {
            self.later(60, Repair::Learn(node, Arc::clone(&self.rings[0])));
        }
    }

    /// Ends what was to end by now.
    fn repair(&mut self, now: Instant) {
        let (due, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.repairs).into_iter().partition(|(at, _)| *at <= now);
        self.repairs = left;
        for (_, repair) in due {
            self.carry_out(repair);
        }
    }

    fn carry_out(&self, repair: Repair) {
        let cluster = &self.cluster;
        match repair {
            Repair::Start(node) => cluster.start(node),
            Repair::CutPowerAndStart(node, seed) => {
                if !cluster.is_up(node) {
                    cluster.cut_power(node, seed);
                }
                cluster.start(node);
            }
            Repair::Join(from, to) => cluster.network.join(from, to),
            Repair::MountAgain(device, seed) => cluster.mount_again(&device, seed),
            Repair::Publish(device) => cluster.with_disk(&device, |disk| disk.set_faults(Faults::default())),
            Repair::Space(device) => cluster.with_disk(&device, |disk| disk.set_space(1 << 40, 1 << 40)),
            Repair::Hang(device) => simulation::hang(&device, false),
            Repair::Learn(node, ring) => cluster.known(node).learn(ring),
        }
    }
}
