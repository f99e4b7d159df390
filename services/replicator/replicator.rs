//! The daemon: passes over the partitions of this node, one after the other.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ssync_diskfile::Devices;
use ssync_store::{RemoteSettings, Store};
use ssync_types::{DeviceName, PartitionRef};
use tokio::{
    sync::watch,
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    collect::collect,
    config::{Overrides, ReplicatorConfig},
    job::{Context, Job, JobEnd},
    peer::Peers,
    places::Rings,
    progress::{Meter, Progress},
    recon,
    schedule::{Next, Schedule},
    shuffle::Shuffle,
    source::{LocalDevices, Pulse},
    stats::{Abort, PassStats},
    ways::Nodes,
};

/// A wait without a reason of its own.
const LONG: Duration = Duration::from_secs(3600);
/// A job that has not got on for so many times `http_timeout` hangs: longer than any wait for a peer. While the daemon
/// drains, one time is enough.
const STUCK_FACTOR: u32 = 15;

/// Pushes what its peers lack, and lets go of what does not belong here.
pub struct Replicator {
    config: ReplicatorConfig,
    rings: Arc<dyn Rings>,
    devices: LocalDevices,
    local: Arc<dyn Store>,
    peers: Arc<dyn Peers>,
    /// Counts passes, from a random number on, so that passes by hand list every partition in time.
    cycle: AtomicU64,
    meter: Meter,
}

impl std::fmt::Debug for Replicator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicator").field("config", &self.config).finish_non_exhaustive()
    }
}

type Ended = Result<(Id, (Job, JobEnd, Duration)), JoinError>;

/// A job under way, and how to do without it.
struct Running {
    at: PartitionRef,
    pulse: Pulse,
    task: AbortHandle,
}

/// The jobs under way, by their tasks, and the devices that the pass does without.
#[derive(Default)]
struct Workers {
    running: HashMap<Id, Running>,
    left_out: BTreeSet<DeviceName>,
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
        Self {
            config,
            rings,
            devices: LocalDevices::new(devices),
            local,
            peers,
            cycle: AtomicU64::new(Shuffle::new().next()),
            meter: Meter::new(),
        }
    }

    /// How far it is, now and from now on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.meter.watch()
    }

    /// One pass (`--once`), limited by `overrides`. Ends early, at the next boundary of an object, when `drain` is cancelled.
    pub async fn run_once(&self, overrides: &Overrides, drain: CancellationToken) -> PassStats {
        tracing::info!("Running object replicator in script mode.");
        let stats = self.pass(overrides, drain).await;
        tracing::info!(
            "Object replication complete (once). ({:.02} minutes)",
            stats.elapsed.as_secs_f64() / 60.0
        );
        stats
    }

    /// Passes until `drain` is cancelled.
    pub async fn run_forever(&self, drain: CancellationToken) {
        tracing::info!("Starting object replicator in daemon mode.");
        while !drain.is_cancelled() {
            tracing::info!("Starting object replication pass.");
            let stats = self.pass(&Overrides::default(), drain.clone()).await;
            let minutes = stats.elapsed.as_secs_f64() / 60.0;
            tracing::info!("Object replication complete. ({minutes:.02} minutes)");
            tracing::debug!("Replication sleeping for {:?}.", self.config.interval);
            drain.run_until_cancelled(sleep(self.config.interval)).await;
        }
    }

    async fn pass(&self, overrides: &Overrides, drain: CancellationToken) -> PassStats {
        let begin = Instant::now();
        self.meter.begin();
        let aborted = tokio::select! {
            aborted = self.work(overrides, drain) => aborted,
            () = self.report(begin) => None,
        };
        let elapsed = begin.elapsed();
        self.meter.count(|stats| {
            stats.aborted = aborted;
            stats.elapsed = elapsed;
        });
        let stats = self.meter.end();
        stats.lines(0, elapsed).iter().for_each(|line| tracing::info!("{line}"));
        if !overrides.any() {
            self.write_recon(&stats).await;
        }
        stats
    }

    /// Reports now and then; never ends.
    async fn report(&self, begin: Instant) {
        let every = self.config.stats_interval.max(Duration::from_secs(1));
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        let mut before = 0;
        loop {
            ticks.tick().await;
            let stats = self.meter.snapshot();
            stats.lines(before, begin.elapsed()).iter().for_each(|line| tracing::info!("{line}"));
            before = stats.attempted;
        }
    }

    async fn work(&self, overrides: &Overrides, drain: CancellationToken) -> Option<Abort> {
        let rings = Arc::clone(&self.rings);
        let policies = tokio::task::spawn_blocking(move || rings.current()).await.unwrap_or_default();
        let replicas: Vec<usize> =
            policies.iter().map(|policy| policy.ring.replica_count().ceil() as usize).collect();
        let handoff_delete = self.config.effective_handoff_delete(&replicas);
        self.warn(handoff_delete);
        let collected = collect(&self.config, policies, &self.devices, overrides, &self.meter).await;
        let context = Arc::new(Context {
            config: self.config.clone(),
            local: Arc::clone(&self.local),
            peers: Arc::clone(&self.peers),
            meter: self.meter.clone(),
            handoff_delete,
            drain,
            cycle: self.cycle.fetch_add(1, Ordering::Relaxed),
        });
        let mut workers = Workers::default();
        if !self.config.handoffs_first {
            let jobs = collected.handoffs.into_iter().chain(collected.primaries).collect();
            return self.run_jobs(jobs, &context, &mut workers).await;
        }
        let aborted = self.run_jobs(collected.handoffs, &context, &mut workers).await;
        if aborted.is_some() {
            return aborted;
        }
        if self.meter.snapshot().handoffs_remaining > 0 {
            tracing::warn!(
                "Handoffs first mode still has handoffs remaining.  Aborting current replication pass."
            );
            return Some(Abort::HandoffsRemain);
        }
        self.run_jobs(collected.primaries, &context, &mut workers).await
    }

    fn warn(&self, handoff_delete: Option<usize>) {
        if self.config.handoffs_first {
            tracing::warn!("handoffs_first is set: primaries wait until no handoff is left");
        }
        match (self.config.handoff_delete.filter(|&count| count > 0), handoff_delete) {
            (Some(asked), None) => {
                tracing::warn!("handoff_delete={asked} is no fewer than all replicas, so it is ignored");
            }
            (Some(_), Some(count)) => {
                tracing::warn!(
                    "handoff_delete={count}: a handoff lets go before all primaries have answered"
                );
            }
            (None, _) => {}
        }
    }

    async fn run_jobs(
        &self,
        mut jobs: Vec<Job>,
        context: &Arc<Context>,
        workers: &mut Workers,
    ) -> Option<Abort> {
        let concurrency = self.config.concurrency.max(1);
        jobs.retain(|job| !workers.left_out.contains(&job.device));
        let mut schedule = Schedule::new(jobs, concurrency);
        let mut running: JoinSet<(Job, JobEnd, Duration)> = JoinSet::new();
        let mut next_look = Instant::now() + self.config.ring_check_interval;
        let mut aborted = None;
        loop {
            if aborted.is_none() {
                aborted = self.reason_to_stop(context, &mut next_look).await;
            }
            let mut wait = None;
            while aborted.is_none() && workers.running.len() < concurrency {
                match schedule.next(Instant::now()) {
                    Next::Job(job) => {
                        let (at, pulse) = (job.at(&job.device), job.local.pulse().clone());
                        pulse.beat();
                        let task = running.spawn(run_job(job, Arc::clone(context)).in_current_span());
                        workers.running.insert(task.id(), Running { at, pulse, task });
                    }
                    Next::Wait(time) => {
                        wait = time;
                        break;
                    }
                    Next::Done if workers.running.is_empty() => return None,
                    // Jobs of a device that gets no more of them.
                    Next::Done => break,
                }
            }
            if workers.running.is_empty() && aborted.is_some() {
                return aborted;
            }
            // Who is stuck is looked for in time: no job has to end for it.
            let stuck = self.stuck_in(workers, context);
            let look = next_look.saturating_duration_since(Instant::now()).min(stuck);
            tokio::select! {
                Some(ended) = running.join_next_with_id() => self.ended(ended, &mut schedule, workers),
                () = sleep(wait.unwrap_or(LONG).min(look)) => self.leave_out_stuck(&mut schedule, workers, context),
                () = context.drain.cancelled(), if aborted.is_none() => {}
            }
        }
    }

    fn stuck_after(&self, context: &Context) -> Duration {
        let times = if context.drain.is_cancelled() { 1 } else { STUCK_FACTOR };
        self.config.http_timeout.saturating_mul(times)
    }

    /// When the first of the jobs under way would be stuck.
    fn stuck_in(&self, workers: &Workers, context: &Context) -> Duration {
        let silence = workers.running.values().map(|job| job.pulse.silence()).max().unwrap_or_default();
        self.stuck_after(context).saturating_sub(silence)
    }

    /// Goes on without jobs that hang, and without their devices. Their tasks are told to stop, and are not waited for; a
    /// thread that hangs in a disk cannot be stopped.
    fn leave_out_stuck(&self, schedule: &mut Schedule<Job>, workers: &mut Workers, context: &Context) {
        let after = self.stuck_after(context);
        for (_, job) in workers.running.extract_if(|_, job| job.pulse.silence() >= after) {
            job.task.abort();
            let left = schedule.leave_out(&job.at.device);
            tracing::error!(
                device = %job.at.device, partition = %job.at.partition, policy = %job.at.policy,
                "nothing has happened in this partition for {after:?}; it is not in sync. The device and {left} more of \
                 its partitions are left out of this pass: look at the disk"
            );
            workers.left_out.insert(job.at.device.clone());
            self.meter.count(|stats| {
                stats.failure += 1;
                stats.device_failed(&job.at.device);
            });
            self.meter.job_done();
        }
    }

    async fn reason_to_stop(&self, context: &Context, next_look: &mut Instant) -> Option<Abort> {
        if context.drain.is_cancelled() {
            return Some(Abort::Draining);
        }
        if Instant::now() < *next_look {
            return None;
        }
        *next_look = Instant::now() + self.config.ring_check_interval;
        let rings = Arc::clone(&self.rings);
        let changed = tokio::task::spawn_blocking(move || rings.changed()).await.unwrap_or(false);
        changed.then(|| {
            tracing::info!("Ring change detected. Aborting current replication pass.");
            Abort::RingChanged
        })
    }

    fn ended(&self, ended: Ended, schedule: &mut Schedule<Job>, workers: &mut Workers) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        // One that was left out has been counted.
        let Some(Running { at, .. }) = workers.running.remove(&id) else { return };
        match ended {
            Ok((_, (job, JobEnd::ComeBack(delay), _))) => schedule.put_back(job, delay, Instant::now()),
            Ok((_, (job, JobEnd::Done, took))) => {
                tracing::debug!(partition = %job.partition, device = %job.device, ?took, "a partition is done with");
                schedule.ended(&job.device);
                self.meter.job_done();
            }
            Err(error) => {
                tracing::error!(%error, "the job of {at} broke off: a fault of this program; it is not in sync");
                schedule.ended(&at.device);
                self.meter.count(|stats| stats.failure += 1);
                self.meter.job_done();
            }
        }
    }

    async fn write_recon(&self, stats: &PassStats) {
        let Some(folder) = self.config.recon_cache_path.clone() else { return };
        let entries = recon::entries(stats, SystemTime::now());
        match tokio::task::spawn_blocking(move || recon::dump(&folder, entries)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("{error}"),
            Err(error) => tracing::error!(%error, "writing the recon cache was stopped"),
        }
    }
}

async fn run_job(mut job: Job, context: Arc<Context>) -> (Job, JobEnd, Duration) {
    let begin = Instant::now();
    let end = job.run(&context).await;
    (job, end, begin.elapsed())
}
