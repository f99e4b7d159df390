//! The daemon: passes over the partitions of this node, one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use ssync_diskfile::Devices;
use ssync_store::{RemoteSettings, Store};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backlog::{Backlog, Outlook},
    blocking::blocking,
    claims::Claims,
    collect::{Collected, Upkeep, collect},
    config::{Overrides, ReplicatorConfig},
    course::{self, Course, Record},
    failures::Failures,
    gates::{GatedPeers, Gates},
    job::{Context, Job},
    metrics::PassTimes,
    parked::{Parked, ParkedObject},
    pass::Pass,
    pauses::Pauses,
    peer::{Peers, Target},
    places::{PolicyPlaces, Rings},
    progress::{Meter, Progress},
    recon,
    shuffle::Shuffle,
    source::LocalDevices,
    spent::Share,
    stats::{Abort, PassStats},
    ways::Nodes,
};

/// Whether a pass goes on where the one before it was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// The daemon's do.
    On,
    /// One that somebody asked for is whole.
    Once,
}

/// Pushes what its peers lack, and lets go of what does not belong here.
pub struct Replicator {
    config: Mutex<Arc<ReplicatorConfig>>,
    rings: Arc<dyn Rings>,
    pub(crate) devices: LocalDevices,
    local: Arc<dyn Store>,
    peers: Arc<dyn Peers>,
    pub(crate) gates: Arc<Gates>,
    /// Counts passes, from a random number on, so that passes by hand list every partition in time.
    cycle: AtomicU64,
    /// Where all that is random here comes from.
    seed: u64,
    pub(crate) meter: Meter,
    pub(crate) claims: Claims,
    /// What was last warned of.
    warned: Mutex<Vec<String>>,
    pub(crate) parked: Parked,
    pub(crate) pauses: Pauses,
    pub(crate) failures: Failures,
    /// Jobs at once: as configured, or as an operator has said since.
    pub(crate) workers: Arc<AtomicUsize>,
    /// When the next pass begins, while the daemon sleeps.
    pub(crate) next_pass: watch::Sender<Option<Instant>>,
    /// Somebody wants it to begin now.
    pub(crate) waker: Notify,
    /// How far the last pass of the daemon was when it was interrupted.
    interrupted: Mutex<Option<Record>>,
    pub(crate) times: PassTimes,
    pub(crate) backlog: Backlog,
}

impl std::fmt::Debug for Replicator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicator").field("config", &self.config()).finish_non_exhaustive()
    }
}

impl Replicator {
    /// A replicator of the devices that the rings have for this node. `local` is this node's own receiver: it knows the
    /// suffix hashes, and removes what may go. Other nodes are called with `settings`.
    #[must_use]
    pub fn new(
        config: ReplicatorConfig,
        rings: Arc<dyn Rings>,
        devices: Arc<Devices>,
        local: Arc<dyn Store>,
        settings: RemoteSettings,
    ) -> Self {
        let peers = Arc::new(Nodes::new(&config, settings));
        Self::with_peers(config, rings, devices, local, peers)
    }

    /// The same, with peers that are reached in another way.
    #[must_use]
    pub fn with_peers(
        config: ReplicatorConfig,
        rings: Arc<dyn Rings>,
        devices: Arc<Devices>,
        local: Arc<dyn Store>,
        peers: Arc<dyn Peers>,
    ) -> Self {
        let seed = Shuffle::new().next();
        let meter = Meter::new(config.statsd.clone());
        let workers = Arc::new(AtomicUsize::new(config.concurrency.max(1)));
        Self {
            config: Mutex::new(Arc::new(config)),
            rings,
            devices: LocalDevices::new(devices),
            local,
            peers,
            gates: Gates::new(seed),
            cycle: AtomicU64::new(seed),
            seed,
            meter,
            claims: Claims::default(),
            warned: Mutex::default(),
            parked: Parked::default(),
            pauses: Pauses::default(),
            failures: Failures::default(),
            workers,
            next_pass: watch::Sender::new(None),
            waker: Notify::new(),
            interrupted: Mutex::default(),
            times: PassTimes::default(),
            backlog: Backlog::default(),
        }
    }

    /// The same, with everything that is random made from `seed`, so that a run can be repeated.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, cycle: AtomicU64::new(seed), gates: Gates::new(seed), ..self }
    }

    /// What it was told.
    pub(crate) fn config(&self) -> Arc<ReplicatorConfig> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works by what can be changed of `config` from the next pass on, with its concurrency at once; the rest stays. What an operator
    /// has set otherwise is forgotten.
    pub fn follow(&self, config: &ReplicatorConfig) {
        let mut held = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(held.as_ref().clone().following(config));
        drop(held);
        self.work_on(config.concurrency);
    }

    /// How far it is, now and from now on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.meter.watch()
    }

    /// The counters, for those who show them.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// One pass (`--once`), limited by `overrides`. Ends early, at the next boundary of an object, when `drain` is cancelled.
    pub async fn run_once(&self, overrides: &Overrides, drain: CancellationToken) -> PassStats {
        tracing::info!("Running object replicator in script mode.");
        let stats = self.pass(overrides, drain, Going::Once).await;
        tracing::info!(
            "Object replication complete (once). ({:.02} minutes)",
            stats.elapsed.as_secs_f64() / 60.0
        );
        self.config().statsd.settle().await;
        stats
    }

    /// Passes until `drain` is cancelled.
    pub async fn run_forever(&self, drain: CancellationToken) {
        tracing::info!("Starting object replicator in daemon mode.");
        self.recall().await;
        while !drain.is_cancelled() {
            tracing::info!("Starting object replication pass.");
            let stats = self.pass(&Overrides::default(), drain.clone(), Going::On).await;
            let minutes = stats.elapsed.as_secs_f64() / 60.0;
            tracing::info!("Object replication complete. ({minutes:.02} minutes)");
            let interval = self.config().interval;
            tracing::debug!("Replication sleeping for {interval:?}.");
            self.rest(interval, &drain).await;
        }
    }

    /// Until the next pass is due, or somebody wants it now.
    async fn rest(&self, interval: Duration, drain: &CancellationToken) {
        self.next_pass.send_replace(Some(Instant::now() + interval));
        tokio::select! {
            () = sleep(interval) => {}
            () = self.waker.notified() => tracing::info!("The next replication pass begins now, as an operator has asked."),
            () = drain.cancelled() => {}
        }
        self.next_pass.send_replace(None);
    }

    pub(crate) async fn pass(
        &self,
        overrides: &Overrides,
        drain: CancellationToken,
        going: Going,
    ) -> PassStats {
        let begin = Instant::now();
        // One for the whole pass, whatever it is told meanwhile.
        let config = self.config();
        self.meter.begin();
        self.warn_of_pause();
        let aborted = tokio::select! {
            biased;
            aborted = self.work(&config, overrides, drain, going) => aborted,
            () = self.report(&config, begin) => None,
        };
        let elapsed = begin.elapsed();
        self.meter.count(|stats| {
            stats.aborted = aborted;
            stats.elapsed = elapsed;
        });
        let stats = self.meter.end();
        self.meter.report(elapsed).iter().for_each(|line| tracing::info!("{line}"));
        if !overrides.any() {
            self.times.ended(&stats);
            self.write_recon(&config, &stats).await;
        }
        stats
    }

    /// Reports now and then; never ends.
    async fn report(&self, config: &ReplicatorConfig, begin: Instant) {
        let every = config.stats_interval.max(Duration::from_secs(1));
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        loop {
            ticks.tick().await;
            self.meter.report(begin.elapsed()).iter().for_each(|line| tracing::info!("{line}"));
        }
    }

    async fn work(
        &self,
        config: &ReplicatorConfig,
        overrides: &Overrides,
        drain: CancellationToken,
        going: Going,
    ) -> Option<Abort> {
        let policies = self.policies().await;
        let addresses = addresses(&policies);
        self.gates.forget_all_but(&addresses);
        self.backlog.forget_all_but(&addresses);
        let handoff_delete = handoff_delete(config, &policies);
        self.warn(config, handoff_delete);
        let upkeep = Upkeep::Tidy;
        let mut collected = collect(config, policies, &self.devices, overrides, &self.meter, upkeep).await;
        // Who asks by hand wants to know now; passes leave peers in peace.
        let peers = Arc::new(self.gated_peers());
        let mut context = Context {
            peers,
            counts: true,
            ..self.context(config, self.meter.clone(), handoff_delete, drain)
        };
        let found = collected.len();
        let course = self.course(&mut collected, &mut context, going);
        let is_whole = collected.len() == found && !collected.left_out && !overrides.any();
        self.backlog.begin(collected.handoffs.iter().chain(&collected.primaries));
        let mut pass = Pass::new(Arc::new(context), &self.rings, course);
        let aborted = pass.run(collected).await;
        let stats = self.meter.snapshot();
        let all_there = stats.devices_failed == 0 && stats.devices_away == 0 && stats.partitions_outside == 0;
        self.backlog.end(is_whole && all_there && aborted.is_none());
        if let Some(record) = pass.into_record() {
            self.remember(record, aborted).await;
        }
        aborted
    }

    fn gated_peers(&self) -> GatedPeers {
        GatedPeers::new(Arc::clone(&self.peers), Arc::clone(&self.gates), self.parked.clone())
    }

    /// Puts the jobs into their order. A pass of the daemon goes on where the last one was interrupted.
    fn course(&self, collected: &mut Collected, context: &mut Context, going: Going) -> Option<Course> {
        let Collected { handoffs, primaries, .. } = collected;
        if !context.config.handoffs_first {
            // In one order, as Swift: neither kind waits for the other.
            primaries.append(handoffs);
        }
        let course = match going {
            Going::On => {
                let before = self.interrupted().take();
                Some(Course::over(primaries, before, context.seed, SystemTime::now()))
            }
            Going::Once => None,
        };
        context.seed = course.as_ref().map_or(context.seed, Course::seed);
        if course.is_none() {
            primaries.sort_by_cached_key(|job| job.order_key(context.seed));
        }
        // With handoffs_first, each handoff that is still here is in the way of what comes after it.
        let is_suspect = |job: &Job| course.as_ref().is_some_and(|course| course.is_suspect(job));
        handoffs.sort_by_cached_key(|job| (is_suspect(job), job.order_key(context.seed)));
        let left = (handoffs.len() + primaries.len()) as u64;
        context.meter.count(|stats| stats.partitions = left);
        course
    }

    async fn remember(&self, record: Record, aborted: Option<Abort>) {
        let folder = self.config().recon_cache_path.clone();
        match (aborted, folder) {
            (None, Some(folder)) => drop(blocking(move || course::forget(&folder)).await),
            (Some(_), Some(folder)) => course::save_in(folder, record.clone()).await,
            (_, None) => {}
        }
        *self.interrupted() = aborted.is_some().then_some(record);
    }

    /// Looks for what a daemon before this one has left.
    pub(crate) async fn recall(&self) {
        let Some(folder) = self.config().recon_cache_path.clone() else { return };
        let load = move || course::load(&folder, SystemTime::now());
        let record = blocking(load).await.ok().flatten();
        if record.is_some() {
            tracing::info!("Going on with the replication pass that was interrupted.");
        }
        *self.interrupted() = record;
    }

    // Nothing panics while it holds this.
    fn interrupted(&self) -> MutexGuard<'_, Option<Record>> {
        self.interrupted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Objects that are left alone for a while, because they have failed again and again.
    #[must_use]
    pub fn parked(&self) -> Vec<ParkedObject> {
        self.parked.list()
    }

    /// What is pending, and until when.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        self.backlog.outlook()
    }

    /// What the workers' time has gone to in the last minutes, most first, and for how long they were looked at.
    #[must_use]
    pub fn time_spent(&self) -> (Vec<(Share, Duration)>, Duration) {
        (self.backlog.spent.shares(), self.backlog.spent.looked_at())
    }

    /// When each node last did its part, by address.
    #[must_use]
    pub fn last_successes(&self) -> BTreeMap<String, SystemTime> {
        self.gates.last_successes()
    }

    /// The rings as they are now.
    pub(crate) async fn policies(&self) -> Vec<PolicyPlaces> {
        let rings = Arc::clone(&self.rings);
        blocking(move || rings.current()).await.unwrap_or_default()
    }

    /// What jobs share that are counted by `meter`.
    pub(crate) fn context(
        &self,
        config: &ReplicatorConfig,
        meter: Meter,
        handoff_delete: Option<usize>,
        drain: CancellationToken,
    ) -> Context {
        let cycle = self.cycle.fetch_add(1, Ordering::Relaxed);
        Context {
            config: config.clone(),
            local: Arc::clone(&self.local),
            peers: Arc::clone(&self.peers),
            gates: Arc::clone(&self.gates),
            parked: self.parked.clone(),
            pauses: self.pauses.clone(),
            failures: self.failures.clone(),
            workers: Arc::clone(&self.workers),
            meter,
            handoff_delete,
            drain,
            cycle,
            claims: self.claims.clone(),
            backlog: self.backlog.clone(),
            counts: false,
            seed: Shuffle::seeded(self.seed ^ cycle).next(),
        }
    }

    /// Warns of what the configuration asks for, once for each change of it.
    fn warn(&self, config: &ReplicatorConfig, handoff_delete: Option<usize>) {
        let warnings = config.warnings(handoff_delete);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if *warned != warnings {
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            *warned = warnings;
        }
    }

    async fn write_recon(&self, config: &ReplicatorConfig, stats: &PassStats) {
        let Some(folder) = config.recon_cache_path.clone() else { return };
        let devices = config.recon_per_disk.then(|| self.meter.by_device());
        let entries = recon::entries(stats, devices.as_ref(), SystemTime::now());
        match blocking(move || recon::dump(&folder, entries)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("{error}"),
            Err(error) => tracing::error!(%error, "writing the recon cache was stopped"),
        }
    }
}

/// How many primaries suffice to let go of a handoff's object, by these rings.
pub(crate) fn handoff_delete(config: &ReplicatorConfig, policies: &[PolicyPlaces]) -> Option<usize> {
    let replicas: Vec<usize> =
        policies.iter().map(|policy| policy.ring.replica_count().ceil() as usize).collect();
    config.effective_handoff_delete(&replicas)
}

/// Of all nodes of the rings.
fn addresses(policies: &[PolicyPlaces]) -> BTreeSet<String> {
    let devices = policies.iter().flat_map(|policy| policy.ring.devices());
    devices.map(|device| Target::from(device).address()).collect()
}
