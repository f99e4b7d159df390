//! Threads of one device: a device that hangs stalls its own work and nobody else's.

mod crew;
mod held;
mod pulse;
#[cfg(feature = "simulation")]
mod single;

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ssync_background::{give_way, start_thread};
use ssync_diskfile::Device;
use ssync_types::{DeviceName, Reason, Refusal};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout},
};

pub(crate) use held::Held;

use crew::{Crew, Crews};
use pulse::{Kind, LONG_FACTOR, Pulse};

/// Requests that may wait for a thread; more wait to be queued. Updates of sessions are bounded by their sessions.
const QUEUE_MAX: usize = 256;
/// How long a thread waits for work before it ends.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How long a device that was in use stays open: what follows at once finds what is known of it, and who unmounts it does not
/// wait for long.
const OPEN_MAX: Duration = Duration::from_secs(1);
/// How often those who wait look whether the device hangs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often at most, however short `device_timeout` is.
const LOOK_MIN: Duration = Duration::from_millis(10);

struct Job {
    /// The session that it is withdrawn with.
    session: Option<u64>,
    kind: Kind,
    work: Work,
}

/// It calls what it is given when it is done with the disk, before it tells anybody, and says what kind of work it was.
type Work = Box<dyn FnOnce(&dyn Fn(Kind)) + Send>;

/// Whose work it is. Each has threads of its own, so that neither waits behind the other; those of replication give way to those
/// of requests at the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Single requests: somebody waits.
    Request,
    /// Sessions, checks, hashing.
    Replication,
}

/// A bounded number of threads for each lane with a bounded queue. Threads begin as work comes, and end when there is none.
#[derive(Debug)]
pub(crate) struct DevicePool {
    shared: Arc<Shared>,
    /// How long an operation may take; `None` for as long as it likes.
    patience: Option<Duration>,
    queue: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    device: DeviceName,
    /// Of each lane.
    threads_max: usize,
    state: Mutex<State>,
    /// Of each lane, for the threads that wait for work.
    requests: Condvar,
    replication: Condvar,
}

#[derive(Default)]
struct State {
    crews: Crews,
    closed: bool,
    pulse: Pulse,
    /// The device, while it is in use and for a moment longer. Only its threads let go of it.
    open: Option<Arc<Device>>,
    /// When work was last begun.
    busy: Option<Instant>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("waiting", &self.crews.waiting()).finish_non_exhaustive()
    }
}

impl State {
    /// The next job of a lane and its number.
    fn begin(&mut self, lane: Lane) -> Option<(u64, Job)> {
        let (job, now) = (self.crews.of(lane).next()?, Instant::now());
        self.busy = Some(now);
        Some((self.pulse.begin(lane, job.kind, now), job))
    }

    /// The device, when nobody has used it for a while.
    fn unused(&mut self) -> Option<Arc<Device>> {
        let busy = self.busy.is_some_and(|begun| begun.elapsed() < OPEN_MAX);
        self.open.take_if(|_| !busy && self.pulse.is_idle())
    }
}

impl Lane {
    /// A thread's name has no room for more than 15 bytes; what is beyond is not shown.
    fn thread_name(self, device: &DeviceName) -> String {
        match self {
            Self::Request => format!("disk-{device}"),
            Self::Replication => format!("sync-{device}"),
        }
    }
}

impl DevicePool {
    /// `patience`: how long an operation may take, or zero for as long as it likes.
    pub(crate) fn new(device: DeviceName, threads_max: u32, patience: Duration) -> Self {
        let threads_max = usize::try_from(threads_max.max(1)).unwrap_or(1);
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared {
            device,
            threads_max,
            state,
            requests: Condvar::new(),
            replication: Condvar::new(),
        });
        Self {
            shared,
            patience: Some(patience).filter(|patience| !patience.is_zero()),
            queue: Arc::new(Semaphore::new(QUEUE_MAX)),
            long: Arc::new(Semaphore::new((threads_max / 4).max(1))),
        }
    }

    /// Runs `work` on one of the threads, when there is room in the queue. Not begun if by then nobody waits for it, or if
    /// the device hangs.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_flushing(lane, 0, work).await
    }

    /// As [`run`](Self::run), for work that may flush so many bytes.
    pub(crate) async fn run_flushing<R: Send + 'static>(
        &self,
        lane: Lane,
        bytes: u64,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_job(lane, None, Kind::Short { bytes }, work).await
    }

    /// As [`run_flushing`](Self::run_flushing) on the device, which is opened first. It stays open for a moment, for the next.
    pub(crate) async fn run_opened<R: Send + 'static>(
        &self,
        lane: Lane,
        bytes: u64,
        open: impl FnOnce() -> Result<Arc<Device>, Refusal> + Send + 'static,
        work: impl FnOnce(Arc<Device>) -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        let shared = Arc::clone(&self.shared);
        let kind = Kind::Short { bytes };
        let opened = move || {
            let device = open();
            // Not under the lock: that may close the one before.
            let before = mem::replace(&mut shared.lock().open, device.as_ref().ok().cloned());
            drop(before);
            device.map(work)
        };
        // Where there is no device, nothing is told of it.
        let turned_out = move |done: &Result<R, Refusal>| if done.is_ok() { kind } else { Kind::Look };
        self.run_turning_out(lane, None, kind, opened, turned_out).await?
    }

    /// As [`run`](Self::run), for a request's work that often ends without the disk: that it does tells nothing of a device
    /// that may hang.
    pub(crate) async fn look<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_job(Lane::Request, None, Kind::Look, work).await
    }

    /// As [`run`](Self::run), for work that is withdrawn with its session.
    pub(crate) async fn run_of<R: Send + 'static>(
        &self,
        session: u64,
        lane: Lane,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_job(lane, Some(session), Kind::Short { bytes: 0 }, work).await
    }

    /// As [`run`](Self::run), for work of minutes: it never takes all threads, and what it finds no thread for is refused
    /// after as long as such work may take.
    pub(crate) async fn run_long<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        let place = self.unless_it_hangs(Arc::clone(&self.long).acquire_owned(), || false);
        let place = match self.patience.map(|patience| patience.saturating_mul(LONG_FACTOR)) {
            None => place.await,
            Some(limit) => timeout(limit, place).await.unwrap_or_else(|_| Err(self.crowded(limit))),
        };
        let place = place?.map_err(|_| self.fault())?;
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        self.run_job(Lane::Replication, None, Kind::Long, work).await
    }

    async fn run_job<R: Send + 'static>(
        &self,
        lane: Lane,
        session: Option<u64>,
        kind: Kind,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_turning_out(lane, session, kind, work, move |_| kind).await
    }

    /// As [`run_job`](Self::run_job), where only the outcome says of what kind it was.
    async fn run_turning_out<R: Send + 'static>(
        &self,
        lane: Lane,
        session: Option<u64>,
        kind: Kind,
        work: impl FnOnce() -> R + Send + 'static,
        turned_out: impl FnOnce(&R) -> Kind + Send + 'static,
    ) -> Result<R, Refusal> {
        self.refuse_if_it_hangs()?;
        let place = self.unless_it_hangs(Arc::clone(&self.queue).acquire_owned(), || false).await?;
        let place = place.map_err(|_| self.fault())?;
        let (answer, answered) = oneshot::channel();
        let begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&begun);
        let work: Work = Box::new(move |ended| {
            drop(place);
            begins.store(true, Ordering::Release);
            if answer.is_closed() {
                return ended(kind);
            }
            let done = work();
            // Who has the answer does not find the device hanging because of it.
            ended(turned_out(&done));
            // Who went away in the meantime misses the answer, not the work.
            let _ = answer.send(done);
        });
        self.shared.queue(lane, Job { session, kind, work });
        // What has begun ends with the disk's own answer, however late.
        let answered = self.unless_it_hangs(answered, || begun.load(Ordering::Acquire)).await?;
        answered.map_err(|_| self.fault())
    }

    /// Waits for what may never come while the device hangs.
    pub(crate) async fn unless_it_hangs<T>(
        &self,
        waited_for: impl Future<Output = T>,
        is_patient: impl Fn() -> bool,
    ) -> Result<T, Refusal> {
        let Some(patience) = self.patience else { return Ok(waited_for.await) };
        let mut waited_for = pin!(waited_for);
        loop {
            match timeout(patience.clamp(LOOK_MIN, LOOK_EVERY), waited_for.as_mut()).await {
                Ok(came) => return Ok(came),
                Err(_) if is_patient() => {}
                Err(_) => self.refuse_if_it_hangs()?,
            }
        }
    }

    /// For how long nothing has ended, when the device hangs.
    pub(crate) fn hangs_for(&self) -> Option<Duration> {
        self.shared.lock().pulse.hangs_for(self.patience?, self.shared.threads_max, Instant::now())
    }

    pub(crate) fn threads_max(&self) -> usize {
        self.shared.threads_max
    }

    pub(crate) fn refuse_if_it_hangs(&self) -> Result<(), Refusal> {
        let Some(age) = self.hangs_for() else { return Ok(()) };
        let message = format!(
            "device {} hangs: no operation has ended for {} s (device_timeout is {} s); is the disk dying?",
            self.shared.device,
            age.as_secs(),
            self.patience.unwrap_or_default().as_secs_f64()
        );
        Err(Refusal::new(Reason::DeviceUnmounted, message))
    }

    fn crowded(&self, waited: Duration) -> Refusal {
        let message = format!(
            "device {}: hashing and releases had no thread for this for {waited:?}; is the disk dying?",
            self.shared.device
        );
        Refusal::new(Reason::DeviceUnmounted, message)
    }

    /// Queues `work` of a session, which may flush so many bytes. The caller bounds how much it queues. It calls what it is given
    /// when it is done with the disk, before it tells anybody: who hears of it may begin what hangs.
    pub(crate) fn push(
        &self,
        lane: Lane,
        session: Option<u64>,
        bytes: u64,
        work: impl FnOnce(&dyn Fn()) + Send + 'static,
    ) {
        let kind = Kind::Short { bytes };
        let work: Work = Box::new(move |ended| work(&|| ended(kind)));
        self.shared.queue(lane, Job { session, kind, work });
    }

    /// Has `value` dropped by a thread of the device.
    pub(crate) fn hold<T: Send + 'static>(&self, value: T) -> Held<T> {
        Held::new(value, &self.shared)
    }

    /// Drops the session's work that has not begun.
    pub(crate) fn withdraw(&self, session: u64) {
        let withdrawn =
            self.shared.lock().crews.of(Lane::Replication).take_out(|job| job.session == Some(session));
        // Not under the lock: with the last of it a session's locks go.
        drop(withdrawn);
    }

    /// Work that waits for a thread now.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().crews.waiting()
    }

    fn fault(&self) -> Refusal {
        Refusal::new(
            Reason::Internal,
            format!("device {}: work was lost; the log has the cause", self.shared.device),
        )
    }
}

impl Drop for DevicePool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.requests.notify_all();
        self.shared.replication.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, but a poisoned queue would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, lane: Lane) -> &Condvar {
        match lane {
            Lane::Request => &self.requests,
            Lane::Replication => &self.replication,
        }
    }

    fn queue(self: &Arc<Self>, lane: Lane, job: Job) {
        let lost = {
            let mut state = self.lock();
            let crew = state.crews.of(lane);
            crew.add(job);
            // One that was woken wakes the next, if there is more than it takes: what a thread at work comes to by itself in the
            // meantime costs no switch to another.
            if !crew.is_called() {
                self.call_one(lane, crew);
            }
            if crew.wants_thread(self.threads_max) { self.start_thread(lane, crew) } else { VecDeque::new() }
        };
        // Not under the lock: what it holds may be queued in its turn.
        drop(lost);
    }

    fn call_one(&self, lane: Lane, crew: &mut Crew) {
        if crew.call() {
            self.wake(lane).notify_one();
        }
    }

    /// Gives the work that nobody would ever take.
    fn start_thread(self: &Arc<Self>, lane: Lane, crew: &mut Crew) -> VecDeque<Job> {
        #[cfg(feature = "simulation")]
        if single::start(self, lane) {
            crew.grow();
            return VecDeque::new();
        }
        let shared = Arc::clone(self);
        match start_thread(lane.thread_name(&self.device), move || shared.serve(lane)) {
            Ok(()) => crew.grow(),
            Err(error) => {
                tracing::error!(device = %self.device, %error, "no thread for a disk; check the limits of threads");
                if !crew.has_threads() {
                    // Those who wait for it know when it is dropped.
                    return crew.take_out(|_| true);
                }
            }
        }
        VecDeque::new()
    }

    fn serve(&self, lane: Lane) {
        if lane == Lane::Replication {
            give_way();
        }
        held::serves(self);
        while let Some((number, job)) = self.take(lane) {
            self.carry_out(number, job);
        }
    }

    fn carry_out(&self, number: u64, job: Job) {
        let ended = |kind| self.lock().pulse.end(number, kind, Instant::now());
        let Job { kind, work, .. } = job;
        if catch_unwind(AssertUnwindSafe(|| work(&ended))).is_err() {
            tracing::error!(device = %self.device, "a disk operation panicked; its caller is told");
        }
        // Also one that panicked.
        ended(kind);
    }

    /// The next job and its number; `None` when there was none for a while.
    fn take(&self, lane: Lane) -> Option<(u64, Job)> {
        let mut state = self.lock();
        let mut patience = OPEN_MAX;
        loop {
            if let Some(job) = state.begin(lane) {
                return Some(job);
            }
            if state.closed {
                state.crews.of(lane).shrink();
                return None;
            }
            state.crews.of(lane).rest();
            let (woken, waited) =
                self.wake(lane).wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            let crew = state.crews.of(lane);
            crew.wake();
            if !waited.timed_out() || !crew.is_idle() {
                if crew.waiting() > 1 {
                    self.call_one(lane, crew);
                }
                continue;
            }
            if patience == IDLE_MAX {
                crew.shrink();
                return None;
            }
            patience = IDLE_MAX;
            let unused = state.unused();
            drop(state);
            // Not under the lock: that closes it.
            drop(unused);
            state = self.lock();
        }
    }
}

#[cfg(test)]
mod tests;
