//! One pass: the jobs of this node's devices, several at a time, until all are done with or there is a reason to stop.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ssync_types::{DeviceName, PartitionRef, Reason, Refusal};
use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, sleep},
};
use tracing::Instrument as _;

use crate::{
    blocking::blocking,
    collect::Collected,
    course::{self, Course, Record},
    gates::Spread,
    job::{Context, Job, JobEnd},
    places::Rings,
    schedule::{Next, Schedule, Waits},
    source::Pulse,
    spent::{Share, Spender, Stopwatch},
    stats::Abort,
};

/// The rings are looked at no more often than this.
const LOOK_MIN: Duration = Duration::from_millis(10);
/// How soon it is seen that a job has nothing but large bodies left.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// A job that has not got on for so many times `http_timeout` hangs: longer than any wait for a peer. While the daemon
/// drains, one time is enough.
const STUCK_FACTOR: u32 = 15;

type Ended = Result<(Id, (Job, JobEnd, Duration)), JoinError>;

/// A job under way, and how to do without it.
struct Running {
    at: PartitionRef,
    is_handoff: bool,
    pulse: Pulse,
    task: AbortHandle,
}

/// A pass under way.
pub(crate) struct Pass<'a> {
    rings: &'a Arc<dyn Rings>,
    context: Arc<Context>,
    /// The jobs under way, by their tasks.
    running: HashMap<Id, Running>,
    /// The devices that the pass does without.
    left_out: BTreeSet<DeviceName>,
    /// How far it is, if that is to be remembered.
    course: Option<Course>,
    /// When to look at the rings again.
    next_look: Instant,
    /// What workers that have nothing to do wait for, and how many they are.
    idle: Option<(Share, usize, Stopwatch)>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(context: Arc<Context>, rings: &'a Arc<dyn Rings>, course: Option<Course>) -> Self {
        let next_look = Instant::now() + context.config.ring_check_interval.max(LOOK_MIN);
        let (running, left_out) = (HashMap::new(), BTreeSet::new());
        Self { rings, context, running, left_out, course, next_look, idle: None }
    }

    /// How far it has got.
    pub(crate) fn into_record(self) -> Option<Record> {
        self.course.map(|course| course.record().clone())
    }

    /// Does the jobs in their order; answers with why it ended early, if it did.
    pub(crate) async fn run(&mut self, collected: Collected) -> Option<Abort> {
        let Collected { handoffs, primaries, .. } = collected;
        if !self.context.config.handoffs_first {
            return self.run_jobs(handoffs.into_iter().chain(primaries).collect()).await;
        }
        // Those of a device that nothing is pushed from are in nobody's way.
        let others = self.context.meter.snapshot().handoffs_remaining;
        let aborted = self.run_jobs(handoffs).await;
        if aborted.is_some() {
            return aborted;
        }
        // Nor are those that an operator has paused.
        let stats = self.context.meter.snapshot();
        if stats.handoffs_remaining > others + stats.handoffs_paused {
            tracing::warn!(
                "Handoffs first mode still has handoffs remaining.  Aborting current replication pass."
            );
            return Some(Abort::HandoffsRemain);
        }
        self.run_jobs(primaries).await
    }

    async fn run_jobs(&mut self, mut jobs: Vec<Job>) -> Option<Abort> {
        let (mut concurrency, mut hurries) = (self.workers(), self.context.gates.hurries());
        jobs.retain(|job| !self.left_out.contains(&job.device));
        jobs.iter_mut().for_each(|job| job.shuffle_targets(self.context.seed));
        let spread = Spread::of(jobs.iter().flat_map(|job| &job.targets));
        self.limit(&spread, concurrency);
        let mut schedule = Schedule::new(jobs, concurrency);
        let mut tasks: JoinSet<(Job, JobEnd, Duration)> = JoinSet::new();
        let mut aborted = None;
        loop {
            if aborted.is_none() {
                aborted = self.reason_to_stop().await;
            }
            if self.workers() != concurrency {
                concurrency = self.workers();
                self.limit(&spread, concurrency);
                schedule.share(concurrency);
            }
            if self.context.gates.hurries() != hurries {
                hurries = self.context.gates.hurries();
                schedule.hurry(Instant::now());
            }
            let mut wait = None;
            while aborted.is_none() && self.running.len() < concurrency + self.long(None).min(concurrency) {
                let long = |device: &DeviceName| self.long(Some(device));
                match schedule.next(Instant::now(), long, |job| job.blocked(&self.context.gates)) {
                    Next::Job(job) => {
                        self.note(&job).await;
                        self.start(job, &mut tasks);
                    }
                    Next::Wait(time) => {
                        wait = time;
                        break;
                    }
                    Next::Done if self.running.is_empty() => return None,
                    // Jobs of a device that gets no more of them.
                    Next::Done => break,
                }
            }
            if self.running.is_empty() && aborted.is_some() {
                return aborted;
            }
            self.charge_idle(&schedule, concurrency);
            // Who is stuck is looked for in time: no job has to end for it.
            let look = match aborted {
                Some(_) => LOOK_MAX,
                None => self.next_look.saturating_duration_since(Instant::now()).min(LOOK_MAX),
            };
            let look = look.min(self.stuck_in());
            let context = Arc::clone(&self.context);
            tokio::select! {
                biased;
                Some(ended) = tasks.join_next_with_id() => self.ended(ended, &mut schedule),
                () = sleep(wait.unwrap_or(LOOK_MAX).min(look)) => self.leave_out_stuck(&mut schedule),
                () = context.gates.changed(), if aborted.is_none() => {}
                () = context.drain.cancelled(), if aborted.is_none() => {}
            }
        }
    }

    fn limit(&self, spread: &Spread, workers: usize) {
        let limits = spread.limits(workers);
        self.context.gates.limit(limits);
        self.context.backlog.limit(workers, limits.node_max);
    }

    /// Workers that have nothing to do wait for something.
    fn charge_idle(&mut self, schedule: &Schedule<Job>, concurrency: usize) {
        let idle = concurrency.saturating_sub(self.running.len());
        if idle == 0 {
            self.idle = None;
            return;
        }
        let share = self.idle_share(&schedule.waits());
        let is_same = |(before, workers, _): &(Share, usize, Stopwatch)| (before, *workers) == (&share, idle);
        if !self.idle.as_ref().is_some_and(is_same) {
            let watch = self.context.backlog.spent.start(share.clone(), idle as u32);
            self.idle = Some((share, idle, watch));
        }
    }

    fn idle_share(&self, waits: &Waits<'_, Job>) -> Share {
        let gates = &self.context.gates;
        match waits {
            Waits::Peer(peer) => Share {
                spender: gates.why(peer).map_or(Spender::OwnLimit, Spender::of),
                peer: Some(format!("{}/{}", peer.0, peer.1).into()),
                device: None,
            },
            Waits::Later(job) => match &job.waits_for {
                Some((target, spender)) => {
                    Share { spender: *spender, peer: Some(target.to_string().into()), device: None }
                }
                None => Share { spender: Spender::Lock, peer: None, device: Some(job.device.clone()) },
            },
            Waits::Device(device) => {
                Share { spender: Spender::OwnLimit, peer: None, device: Some((*device).clone()) }
            }
            Waits::Nothing => Share { spender: Spender::NothingLeft, peer: None, device: None },
        }
    }

    /// Jobs that there may be at once, now.
    fn workers(&self) -> usize {
        self.context.workers.load(Ordering::Relaxed).max(1)
    }

    /// Jobs under way that have nothing but large bodies left, of one device or of all.
    fn long(&self, device: Option<&DeviceName>) -> usize {
        let of_it = |job: &&Running| device.is_none_or(|device| job.at.device == *device);
        self.running.values().filter(of_it).filter(|job| job.pulse.is_long()).count()
    }

    fn start(&mut self, mut job: Job, tasks: &mut JoinSet<(Job, JobEnd, Duration)>) {
        let (at, is_handoff, pulse) = (job.at(&job.device), job.is_handoff(), job.local.pulse().clone());
        pulse.beat();
        job.announce(&self.context.gates);
        let task = tasks.spawn(run_job(job, Arc::clone(&self.context)).in_current_span());
        self.running.insert(task.id(), Running { at, is_handoff, pulse, task });
    }

    /// When the first of the jobs under way would be stuck.
    fn stuck_in(&self) -> Duration {
        let silence = self.running.values().map(|job| job.pulse.silence()).max().unwrap_or_default();
        self.context.stuck_after().saturating_sub(silence)
    }

    /// Goes on without jobs that hang, and without their devices. Their tasks are told to stop, and are not waited for; a
    /// thread that hangs in a disk cannot be stopped.
    fn leave_out_stuck(&mut self, schedule: &mut Schedule<Job>) {
        let after = self.context.stuck_after();
        for (_, job) in self.running.extract_if(|_, job| job.pulse.silence() >= after) {
            job.task.abort();
            let left = schedule.leave_out(&job.at.device);
            let handoffs = left.iter().filter(|job| job.is_handoff()).count() + usize::from(job.is_handoff);
            let left = left.len();
            tracing::error!(
                device = %job.at.device, partition = %job.at.partition, policy = %job.at.policy,
                "nothing has happened in this partition for {after:?}; it is not in sync. The device and {left} more of \
                 its partitions are left out of this pass: look at the disk"
            );
            let hung = format!("nothing has happened for {after:?}: look at the disk");
            self.context.failures.note(&job.at, None, &Refusal::new(Reason::IdleTimeout, hung));
            self.left_out.insert(job.at.device.clone());
            if let Some(course) = &mut self.course {
                course.ended(&job.at);
            }
            self.context.meter.of(&job.at.device).count(|stats| {
                stats.failure += 1;
                stats.handoffs_remaining += handoffs as u64;
                stats.device_failed(&job.at.device);
            });
            self.context.meter.job_done();
        }
    }

    /// What is begun may kill the daemon. One that was killed before notes it each time, so that it can tell which it was.
    async fn note(&mut self, job: &Job) {
        let Some(course) = &mut self.course else { return };
        course.begins(job);
        if course.is_careful() {
            self.save_course().await;
        }
    }

    /// A daemon that is killed goes on from here.
    async fn save_course(&self) {
        if let (Some(course), Some(folder)) = (&self.course, &self.context.config.recon_cache_path) {
            course::save_in(folder.clone(), course.record().clone()).await;
        }
    }

    async fn reason_to_stop(&mut self) -> Option<Abort> {
        if self.context.drain.is_cancelled() {
            return Some(Abort::Draining);
        }
        if Instant::now() < self.next_look {
            return None;
        }
        self.next_look = Instant::now() + self.context.config.ring_check_interval.max(LOOK_MIN);
        self.save_course().await;
        let rings = Arc::clone(self.rings);
        let changed = blocking(move || rings.changed()).await.unwrap_or(false);
        changed.then(|| {
            tracing::info!("Ring change detected. Aborting current replication pass.");
            Abort::RingChanged
        })
    }

    fn ended(&mut self, ended: Ended, schedule: &mut Schedule<Job>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        // One that was left out has been counted.
        let Some(Running { at, .. }) = self.running.remove(&id) else { return };
        if let Some(course) = &mut self.course {
            course.ended(&at);
        }
        let meter = &self.context.meter;
        match ended {
            Ok((_, (job, JobEnd::ComeBack(delay), _))) => {
                if schedule.put_back(job, delay, Instant::now()).is_some_and(|job| job.is_handoff()) {
                    meter.of(&at.device).count(|stats| stats.handoffs_remaining += 1);
                }
            }
            Ok((_, (job, JobEnd::Done, took))) => {
                tracing::debug!(partition = %job.partition, device = %job.device, ?took, "a partition is done with");
                schedule.ended(&job.device);
                meter.job_done();
                self.context.backlog.job_done(&job.device);
                // While it drains, a job may have ended before its time.
                if let Some(course) = self.course.as_mut().filter(|_| !self.context.drain.is_cancelled()) {
                    course.done(&job);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the job of {at} broke off: a fault of this program; it is not in sync");
                let fault = Refusal::new(Reason::Internal, "a fault of this program");
                self.context.failures.note(&at, None, &fault);
                schedule.ended(&at.device);
                meter.of(&at.device).count(|stats| stats.failure += 1);
                meter.job_done();
            }
        }
    }
}

impl Context {
    /// After how long without any sign a job counts as stuck.
    pub(crate) fn stuck_after(&self) -> Duration {
        let times = if self.drain.is_cancelled() { 1 } else { STUCK_FACTOR };
        self.config.http_timeout.saturating_mul(times)
    }
}

async fn run_job(mut job: Job, context: Arc<Context>) -> (Job, JobEnd, Duration) {
    let begin = Instant::now();
    let end = job.run(&context).await;
    (job, end, begin.elapsed())
}
