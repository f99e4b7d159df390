//! Threads of one device: a device that hangs stalls its own work and nobody else's.

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use ssync_types::{DeviceName, Reason, Refusal};
use tokio::sync::{Semaphore, oneshot};

/// Requests that may wait for a thread; more wait to be queued. Updates of sessions are bounded by their sessions.
const QUEUE_MAX: usize = 256;
/// How long a thread waits for work before it ends.
const IDLE_MAX: Duration = Duration::from_secs(20);

struct Job {
    /// The session that it is withdrawn with.
    session: Option<u64>,
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

    fn waiting(&self) -> usize {
        self.requests.len() + self.replication.len()
    }
}

impl DevicePool {
    pub(crate) fn new(device: DeviceName, threads_max: u32) -> Self {
        let threads_max = usize::try_from(threads_max.max(1)).unwrap_or(1);
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { device, threads_max, state, wake: Condvar::new() });
        Self {
            shared,
            queue: Arc::new(Semaphore::new(QUEUE_MAX)),
            long: Arc::new(Semaphore::new((threads_max / 4).max(1))),
        }
    }

    /// Runs `work` on one of the threads, when there is room in the queue. Not begun if by then nobody waits for it.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_of(None, lane, work).await
    }

    /// As [`run`](Self::run), for work that is withdrawn with its session.
    pub(crate) async fn run_of<R: Send + 'static>(
        &self,
        session: Option<u64>,
        lane: Lane,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        let place = Arc::clone(&self.queue).acquire_owned().await.map_err(|_| self.fault())?;
        let (answer, answered) = oneshot::channel();
        self.push(lane, session, move || {
            drop(place);
            if !answer.is_closed() {
                // Who went away in the meantime misses the answer, not the work.
                let _ = answer.send(work());
            }
        });
        answered.await.map_err(|_| self.fault())
    }

    /// As [`run`](Self::run), for work of minutes: it never takes all threads.
    pub(crate) async fn run_long<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        let place = Arc::clone(&self.long).acquire_owned().await.map_err(|_| self.fault())?;
        self.run(Lane::Replication, move || {
            let done = work();
            drop(place);
            done
        })
        .await
    }

    /// Queues `work`. The caller bounds how much it queues.
    pub(crate) fn push(&self, lane: Lane, session: Option<u64>, work: impl FnOnce() + Send + 'static) {
        let job = Job { session, work: Box::new(work) };
        let mut state = self.shared.lock();
        match lane {
            Lane::Request => state.requests.push_back(job),
            Lane::Replication => state.replication.push_back(job),
        }
        if state.idle > 0 {
            self.shared.wake.notify_one();
        }
        // A thread counts as idle until it has taken its job: what it was woken for must not make it stand for more.
        if state.idle < state.waiting() && state.threads < self.shared.threads_max {
            self.shared.start_thread(&mut state);
        }
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

    fn start_thread(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        let started =
            thread::Builder::new().name(format!("disk-{}", self.device)).spawn(move || shared.serve());
        match started {
            Ok(_) => state.threads += 1,
            Err(error) => {
                tracing::error!(device = %self.device, %error, "no thread for a disk; check the limits of threads");
                if state.threads == 0 {
                    // Nobody would ever take the work: let those who wait for it know.
                    state.requests.clear();
                    state.replication.clear();
                }
            }
        }
    }

    fn serve(&self) {
        while let Some(job) = self.take() {
            if catch_unwind(AssertUnwindSafe(job.work)).is_err() {
                tracing::error!(device = %self.device, "a disk operation panicked; its caller is told");
            }
        }
    }

    /// The next job; `None` when there was none for a while.
    fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.next() {
                return Some(job);
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
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pool(threads: u32) -> Arc<DevicePool> {
        Arc::new(DevicePool::new("d1".parse().unwrap(), threads))
    }

    #[tokio::test]
    async fn runs_as_many_at_once_as_it_has_threads() {
        let pool = pool(2);
        let (first, first_gate) = mpsc::channel::<()>();
        let (second, second_gate) = mpsc::channel::<()>();
        // Each waits for the other: with one thread neither would end.
        let one = pool.run(Lane::Request, move || {
            second.send(()).unwrap();
            first_gate.recv().unwrap();
        });
        let two = pool.run(Lane::Replication, move || {
            first.send(()).unwrap();
            second_gate.recv().unwrap();
        });
        let (one, two) = tokio::join!(one, two);
        assert!(one.is_ok() && two.is_ok());
    }

    #[tokio::test]
    async fn no_job_waits_for_a_thread_that_was_woken_for_another() {
        for round in 0..50 {
            let pool = pool(2);
            pool.run(Lane::Request, || ()).await.unwrap();
            while pool.shared.lock().idle == 0 {
                thread::yield_now();
            }
            let (open, gate) = mpsc::channel::<()>();
            let (answer, answered) = mpsc::channel();
            pool.push(Lane::Request, None, move || gate.recv().unwrap());
            pool.push(Lane::Request, None, move || answer.send(()).unwrap());
            assert_eq!(answered.recv_timeout(Duration::from_secs(5)), Ok(()), "round {round}");
            open.send(()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_job() {
        let pool = pool(1);
        let lost = pool.run(Lane::Request, || panic!("on purpose")).await;
        assert_eq!(lost.unwrap_err().reason, Reason::Internal);
        assert_eq!(pool.run(Lane::Request, || 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn requests_do_not_wait_behind_all_of_replication() {
        let pool = pool(1);
        let (order, seen) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        pool.push(Lane::Replication, None, move || gate.recv().unwrap());
        for n in 0..4 {
            let order = order.clone();
            pool.push(Lane::Replication, None, move || order.send(n).unwrap());
        }
        pool.push(Lane::Request, None, move || order.send(100).unwrap());
        open.send(()).unwrap();
        let order: Vec<i32> = tokio::task::spawn_blocking(move || seen.iter().collect()).await.unwrap();
        let place = order.iter().position(|&n| n == 100).unwrap();
        assert!(place <= 1, "{order:?}");
    }
}
