//! Threads of one device: a device that hangs stalls its own work and nobody else's.

mod held;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ssync_types::{DeviceName, Reason, Refusal};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

pub(crate) use held::Held;

/// Requests that may wait for a thread; more wait to be queued. Updates of sessions are bounded by their sessions.
const QUEUE_MAX: usize = 256;
/// How long a thread waits for work before it ends.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How often those who wait look whether the device hangs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

struct Job {
    /// The session that it is withdrawn with.
    session: Option<u64>,
    /// Whether it may take minutes, and so does not tell that the device hangs.
    long: bool,
    work: Box<dyn FnOnce() + Send>,
}

/// Whose work it is. The two take turns, so that neither waits behind a long queue of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Single requests: somebody waits.
    Request,
    /// Sessions, checks, hashing.
    Replication,
}

/// A bounded number of threads with a bounded queue. Threads begin as work comes, and end when there is none.
#[derive(Debug)]
pub(crate) struct DevicePool {
    shared: Arc<Shared>,
    /// A device hangs when an operation takes longer.
    patience: Duration,
    queue: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    device: DeviceName,
    threads_max: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Job>,
    replication: VecDeque<Job>,
    replication_first: bool,
    threads: usize,
    idle: usize,
    closed: bool,
    /// Jobs begun so far.
    begun: u64,
    /// When the jobs began that run and are not long, by their number, so the oldest is the first.
    under_way: BTreeMap<u64, Instant>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("threads", &self.threads)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

impl State {
    fn next(&mut self) -> Option<Job> {
        self.replication_first = !self.replication_first;
        let (first, second) = match self.replication_first {
            true => (&mut self.replication, &mut self.requests),
            false => (&mut self.requests, &mut self.replication),
        };
        first.pop_front().or_else(|| second.pop_front())
    }

    fn begin(&mut self, job: &Job) -> u64 {
        self.begun += 1;
        if !job.long {
            self.under_way.insert(self.begun, Instant::now());
        }
        self.begun
    }

    fn waiting(&self) -> usize {
        self.requests.len() + self.replication.len()
    }
}

impl DevicePool {
    pub(crate) fn new(device: DeviceName, threads_max: u32, patience: Duration) -> Self {
        let threads_max = usize::try_from(threads_max.max(1)).unwrap_or(1);
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { device, threads_max, state, wake: Condvar::new() });
        Self {
            shared,
            patience,
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
        self.run_job(lane, None, false, work).await
    }

    /// As [`run`](Self::run), for work that is withdrawn with its session.
    pub(crate) async fn run_of<R: Send + 'static>(
        &self,
        session: u64,
        lane: Lane,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_job(lane, Some(session), false, work).await
    }

    /// As [`run`](Self::run), for work of minutes: it never takes all threads.
    pub(crate) async fn run_long<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        let place = self.unless_it_hangs(Arc::clone(&self.long).acquire_owned(), || false).await?;
        let place = place.map_err(|_| self.fault())?;
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        self.run_job(Lane::Replication, None, true, work).await
    }

    async fn run_job<R: Send + 'static>(
        &self,
        lane: Lane,
        session: Option<u64>,
        long: bool,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.refuse_if_it_hangs()?;
        let place = self.unless_it_hangs(Arc::clone(&self.queue).acquire_owned(), || false).await?;
        let place = place.map_err(|_| self.fault())?;
        let (answer, answered) = oneshot::channel();
        let begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&begun);
        let work = Box::new(move || {
            drop(place);
            begins.store(true, Ordering::Release);
            if !answer.is_closed() {
                // Who went away in the meantime misses the answer, not the work.
                let _ = answer.send(work());
            }
        });
        self.shared.queue(lane, Job { session, long, work });
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
        let mut waited_for = pin!(waited_for);
        loop {
            match timeout(LOOK_EVERY.min(self.patience), waited_for.as_mut()).await {
                Ok(came) => return Ok(came),
                Err(_) if is_patient() => {}
                Err(_) => self.refuse_if_it_hangs()?,
            }
        }
    }

    /// How long the oldest operation has been under way, when that is too long.
    pub(crate) fn hangs_for(&self) -> Option<Duration> {
        let state = self.shared.lock();
        let (_, oldest) = state.under_way.first_key_value()?;
        Some(oldest.elapsed()).filter(|age| *age >= self.patience)
    }

    fn refuse_if_it_hangs(&self) -> Result<(), Refusal> {
        let Some(age) = self.hangs_for() else { return Ok(()) };
        let message = format!(
            "device {} hangs: an operation has not ended for {} s (device_timeout is {} s); is the disk dying?",
            self.shared.device,
            age.as_secs(),
            self.patience.as_secs_f64()
        );
        Err(Refusal::new(Reason::DeviceUnmounted, message))
    }

    /// Queues `work` of a session. The caller bounds how much it queues.
    pub(crate) fn push(&self, lane: Lane, session: Option<u64>, work: impl FnOnce() + Send + 'static) {
        self.shared.queue(lane, Job { session, long: false, work: Box::new(work) });
    }

    /// Has `value` dropped by a thread of the device.
    pub(crate) fn hold<T: Send + 'static>(&self, value: T) -> Held<T> {
        Held::new(value, &self.shared)
    }

    /// Drops the session's work that has not begun.
    pub(crate) fn withdraw(&self, session: u64) {
        let withdrawn: VecDeque<Job> = {
            let mut state = self.shared.lock();
            let (withdrawn, rest) = mem::take(&mut state.replication)
                .into_iter()
                .partition(|job: &Job| job.session == Some(session));
            state.replication = rest;
            withdrawn
        };
        // Not under the lock: with the last of it a session's locks go.
        drop(withdrawn);
    }

    /// Work that waits for a thread now.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().waiting()
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
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, but a poisoned queue would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(self: &Arc<Self>, lane: Lane, job: Job) {
        let lost = {
            let mut state = self.lock();
            match lane {
                Lane::Request => state.requests.push_back(job),
                Lane::Replication => state.replication.push_back(job),
            }
            if state.idle > 0 {
                self.wake.notify_one();
            }
            // A thread counts as idle until it has taken its job: what it was woken for must not make it stand for more.
            if state.idle < state.waiting() && state.threads < self.threads_max {
                self.start_thread(&mut state)
            } else {
                VecDeque::new()
            }
        };
        // Not under the lock: what it holds may be queued in its turn.
        drop(lost);
    }

    /// Gives the work that nobody would ever take.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> VecDeque<Job> {
        let mut lost = VecDeque::new();
        let shared = Arc::clone(self);
        let started =
            thread::Builder::new().name(format!("disk-{}", self.device)).spawn(move || shared.serve());
        match started {
            Ok(_) => state.threads += 1,
            Err(error) => {
                tracing::error!(device = %self.device, %error, "no thread for a disk; check the limits of threads");
                if state.threads == 0 {
                    // Those who wait for it know when it is dropped.
                    lost.append(&mut state.requests);
                    lost.append(&mut state.replication);
                }
            }
        }
        lost
    }

    fn serve(&self) {
        held::serves(self);
        let mut ended = None;
        while let Some((number, job)) = self.take(ended) {
            ended = Some(number);
            if catch_unwind(AssertUnwindSafe(job.work)).is_err() {
                tracing::error!(device = %self.device, "a disk operation panicked; its caller is told");
            }
        }
    }

    /// The next job and its number, after the one that has `ended`; `None` when there was none for a while.
    fn take(&self, ended: Option<u64>) -> Option<(u64, Job)> {
        let mut state = self.lock();
        if let Some(ended) = ended {
            state.under_way.remove(&ended);
        }
        loop {
            if let Some(job) = state.next() {
                return Some((state.begin(&job), job));
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, waited) =
                self.wake.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.waiting() == 0 {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
