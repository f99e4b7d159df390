//! One contestant does one work once: nodes of its own, servers, passes until all has arrived.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use ssync_tests::{Cluster, Node};

use super::{
    contestant::Contestant,
    dataset::{Dataset, SECOND, put_all},
    inventory,
    swift_like::{SwiftLike, node_server},
    turn::Turn,
    work::{Kind, Work},
};
use crate::{
    placement::PART_POWER,
    processes::{Processes, Role},
};

/// Passes until everything must be in its place.
const PASSES_MAX: u32 = 5;
/// Longest that one pass of a daemon may take.
const DAEMON_PASS_MAX: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(5);

/// What passes came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) passes: u32,
    pub(crate) seconds: f64,
}

/// Nodes with their data and servers, at rest.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    contestant: &'a Contestant,
    work: &'a Work,
    dataset: &'a Dataset,
    pub(crate) processes: Processes,
    cluster: Cluster,
    /// Of a daemon's last pass, in seconds of the epoch.
    ended: f64,
    /// What the contestant did by itself.
    pub(crate) own_flushes: u64,
}

impl<'a> Scene<'a> {
    /// Up to the moment from which it is measured.
    pub(crate) fn set(turn: Turn<'a>, processes: fn(&Path) -> Processes) -> Result<Self> {
        let Turn { medium, contestant, work, dataset, pause } = turn;
        let builder = match work.kind {
            Kind::Drain => Cluster::of(3).handoff(3),
            _ => Cluster::of(2),
        };
        let builder = builder
            .within(medium.folder())
            .part_power(PART_POWER)
            // As Swift has them where nothing is said.
            .setting("DEFAULT", "log_level", "INFO")
            .setting("DEFAULT", "disable_fallocate", "false")
            .setting("DEFAULT", "workers", "auto")
            .setting("object-replicator", "interval", &pause.to_string());
        let cluster = match contestant {
            Contestant::SwiftLike(swift_like) => swift_like.configure(builder),
            _ => builder,
        }
        .build()?;
        let processes = processes(&cluster.folder().join("log"));
        let mut scene = Self { contestant, work, dataset, processes, cluster, ended: 0.0, own_flushes: 0 };
        scene.fill()?;
        if let Contestant::SwiftLike(swift_like) = contestant {
            scene.serve(swift_like)?;
        }
        scene.change().with_context(|| scene.processes.said())?;
        medium.flush()?;
        Ok(scene)
    }

    /// The node that pushes.
    pub(crate) fn sender(&self) -> &Node {
        self.cluster.node(if self.work.kind == Kind::Drain { 3 } else { 1 })
    }

    /// The nodes that are pushed to.
    pub(crate) fn targets(&self) -> Vec<&Node> {
        let targets = if self.work.kind == Kind::Drain { 1..=2 } else { 2..=2 };
        targets.map(|number| self.cluster.node(number)).collect()
    }

    fn fill(&self) -> Result<()> {
        self.dataset.copy_to(self.sender())?;
        if self.work.has_peers_filled() {
            self.targets().iter().try_for_each(|target| self.dataset.copy_to(target))?;
        }
        Ok(())
    }

    /// Starts the servers; and a daemon, which is let through its first pass.
    fn serve(&mut self, swift_like: &SwiftLike) -> Result<()> {
        let (sender, cluster) = (self.sender().address(), &self.cluster);
        for number in 1..=cluster.size() {
            let node = cluster.node(number);
            let role = if node.address() == sender { Role::Home } else { Role::Receiver };
            swift_like.serve(cluster, node, role, &mut self.processes)?;
        }
        if self.work.is_by_daemon() {
            let daemon = swift_like.replicator(&self.cluster, self.cluster.node(1))?;
            self.processes.begin(Role::Sender, &daemon)?;
            self.wait_for_pass()?;
        }
        Ok(())
    }

    /// What the work wants changed before it begins.
    fn change(&mut self) -> Result<()> {
        if self.work.kind == Kind::Cold {
            for node in [self.sender(), self.cluster.node(2)] {
                inventory::forget_hashes(&node.device())?;
            }
        }
        let put = |node| put_all(node, self.work.changed(), self.work.size, SECOND);
        match self.contestant {
            Contestant::SwiftLike(_) => put(self.sender())?,
            // Someone has to serve.
            _ if self.work.kind == Kind::Changed => {
                let mut processes = Processes::new(&self.cluster.folder().join("log"));
                let node = self.sender();
                processes.serve(Role::Home, &node_server(node)?, node.address())?;
                put(node)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Does the work.
    pub(crate) fn perform(&mut self) -> Result<Passed> {
        let began = seconds_now();
        self.ensure_unmoved()?;
        let mut passed = Passed { passes: 0, seconds: 0.0 };
        while passed.passes < PASSES_MAX {
            passed.passes += 1;
            passed.seconds += self.pass(began)?;
            if self.is_done() {
                self.processes.assert_alive()?;
                return Ok(passed);
            }
        }
        bail!("not all has arrived after {PASSES_MAX} passes: {}", self.processes.said())
    }

    /// Fails when a daemon has pushed some of what was changed already, in a pass that is not measured.
    fn ensure_unmoved(&self) -> Result<()> {
        if self.work.kind != Kind::Changed {
            return Ok(());
        }
        let (_, wanted) = self.wanted();
        let is_missing =
            |file: &&PathBuf| self.targets().iter().any(|target| !target.device().join(file).exists());
        let missing = wanted.iter().filter(is_missing).count();
        let moved = self.work.moved();
        ensure!(missing == moved, "{missing} of {moved} objects are still to be moved: give --pause more");
        Ok(())
    }

    /// Seconds that it took.
    fn pass(&mut self, began: f64) -> Result<f64> {
        if self.work.is_by_daemon() && matches!(self.contestant, Contestant::SwiftLike(_)) {
            let seconds = self.wait_for_pass()?;
            ensure!(self.ended - seconds >= began, "a pass began before all was ready for it");
            return Ok(seconds);
        }
        let started = Instant::now();
        match self.contestant {
            Contestant::SwiftLike(swift_like) => {
                let pass = swift_like.pass(&self.cluster, self.sender())?;
                self.processes.run(Role::Sender, &pass)?;
            }
            Contestant::Floor(floor) => {
                let folder = self.cluster.node(2).device();
                self.own_flushes += floor.publish(&folder, self.work.objects, self.work.size)?;
            }
            Contestant::Rsync | Contestant::Cp => {
                let copy = self.contestant.copy(self.sender(), self.cluster.node(2));
                self.processes.run(Role::Sender, &copy.context("nothing to run")?)?;
            }
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// Waits until the daemon's next pass has ended; how long that took, by the cache for swift-recon.
    fn wait_for_pass(&mut self) -> Result<f64> {
        let cache = self.cluster.folder().join("recon/1/object.recon");
        let started = Instant::now();
        loop {
            // It is not there, or is being written.
            let recon: Value = fs::read(&cache)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default();
            let number = |name: &str| recon.get(name).and_then(Value::as_f64);
            if let (Some(ended), Some(minutes)) =
                (number("object_replication_last"), number("object_replication_time"))
                && ended > self.ended
            {
                self.ended = ended;
                return Ok(minutes * 60.0);
            }
            self.processes.assert_alive()?;
            ensure!(
                started.elapsed() < DAEMON_PASS_MAX,
                "no pass ends within {DAEMON_PASS_MAX:?}: {}",
                self.processes.said()
            );
            thread::sleep(POLL);
        }
    }

    /// What must be on each target in the end, and where it is now.
    fn wanted(&self) -> (PathBuf, Vec<PathBuf>) {
        let device = match self.work.kind {
            Kind::Drain => self.dataset.device().to_path_buf(),
            _ => self.sender().device(),
        };
        let files = inventory::files(&device);
        (device, files)
    }

    fn is_done(&self) -> bool {
        let targets = self.targets();
        if matches!(self.contestant, Contestant::Floor(_)) {
            return inventory::files(&targets[0].device()).len() == self.work.objects;
        }
        let drained = self.work.kind != Kind::Drain || inventory::files(&self.sender().device()).is_empty();
        let (_, wanted) = self.wanted();
        drained && targets.iter().all(|target| wanted.iter().all(|file| target.device().join(file).exists()))
    }

    /// Fails unless the bytes and the metadata that have arrived are those that were sent.
    pub(crate) fn verify(&self) -> Result<()> {
        if matches!(self.contestant, Contestant::Floor(_)) {
            return Ok(());
        }
        let (device, wanted) = self.wanted();
        self.targets()
            .iter()
            .try_for_each(|target| inventory::ensure_same(&wanted, &device, &target.device()))
    }

    /// Suffix directories at the target where most is missing, and at the device that pushes.
    pub(crate) fn watcher(&self) -> impl Fn() -> (usize, usize) + Send + use<> {
        let targets: Vec<PathBuf> = self.targets().iter().map(|target| target.device()).collect();
        let sender = self.sender().device();
        move || {
            let arrived = targets.iter().map(|target| inventory::suffixes(target)).min().unwrap_or(0);
            (arrived, inventory::suffixes(&sender))
        }
    }

    /// Processor time by role, and by the contestant that is no process of its own.
    pub(crate) fn cpu_seconds(&self) -> Result<BTreeMap<Role, f64>> {
        match self.contestant {
            Contestant::Floor(_) => Ok(BTreeMap::from([(Role::Sender, crate::cpu::own_seconds()?)])),
            _ => self.processes.groups().cpu_seconds(),
        }
    }
}

pub(crate) fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
