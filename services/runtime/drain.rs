//! Shutting down in order: fail the health check, refuse new work, let work under way end, then stop.

use std::{future::Future, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};

use crate::{
    Health, notify,
    signals::{Asked, Manners, Signals},
};

/// Time between two words to the service manager about a drain.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Tells every part of a daemon that it is shutting down, and knows which of them are still at work. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: CancellationToken,
    killed: CancellationToken,
    tasks: TaskTracker,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All work came to its end.
    Clean,
    /// So many tasks were still at work when the time was over.
    TimedOut {
        /// How many.
        tasks: usize,
    },
    /// A second signal came; so many tasks were still at work.
    Killed {
        /// How many.
        tasks: usize,
    },
}

impl Drain {
    /// For one daemon.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No new work from now on; work under way ends at its next boundary.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Nobody waits for work under way from now on.
    pub fn kill(&self) {
        self.begun.cancel();
        self.killed.cancel();
    }

    /// Whether it has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Ends when it begins.
    pub fn draining(&self) -> WaitForCancellationFutureOwned {
        self.begun.clone().cancelled_owned()
    }

    /// Ends when waiting is over.
    pub fn killed(&self) -> WaitForCancellationFutureOwned {
        self.killed.clone().cancelled_owned()
    }

    /// For parts that know tokens and not this crate. Cancelled when the drain begins; cancelling it changes nothing here.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.begun.child_token()
    }

    /// Starts a task that a drain waits for. It is dropped where it stands when the waiting is over.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_on(task, &Handle::current())
    }

    /// The same, on another runtime.
    pub fn spawn_on<F>(&self, task: F, runtime: &Handle) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let killed = self.killed.clone();
        let task = async move {
            killed.run_until_cancelled_owned(task).await;
        };
        self.tasks.spawn_on(task, runtime)
    }

    /// Tells the service manager how much is left; never ends.
    async fn tell(&self) {
        loop {
            sleep(TELL_INTERVAL).await;
            notify::status(&format!("draining; {} connections and tasks are at work", self.tasks.len()));
        }
    }

    /// Waits for work under way, for at most `deadline`. Does not begin the drain by itself.
    pub async fn finish(&self, deadline: Duration) -> Drained {
        self.tasks.close();
        tokio::select! {
            biased;
            // Before the other: a kill also ends the tasks.
            () = self.killed() => Drained::Killed { tasks: self.tasks.len() },
            waited = timeout(deadline, self.tasks.wait()) => match waited {
                Ok(()) => Drained::Clean,
                Err(_) => {
                    self.killed.cancel();
                    Drained::TimedOut { tasks: self.tasks.len() }
                }
            },
        }
    }
}

/// The order in which a daemon goes down.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// What to drain.
    pub drain: Drain,
    /// Says first that it is no longer ready.
    pub health: Health,
    /// Time between that and refusing work, for balancers to notice (`drain_notice`).
    pub notice: Duration,
    /// Time that work under way gets.
    pub deadline: Duration,
    /// The option that says so.
    pub limit: &'static str,
    /// Time that is left to it once a manager that said to leave says to stop.
    pub patience: Duration,
}

impl Shutdown {
    /// Goes down in order, now, because of `cause`. What signals ask for meanwhile: a service ends at the second one; a
    /// worker is told by its manager that others wait for it.
    pub async fn run_with(self, cause: &str, mut signals: Signals) -> Drained {
        tracing::info!(notice = ?self.notice, deadline = ?self.deadline, "draining after {cause}");
        let (drain, patience) = (self.drain.clone(), self.patience);
        let hurry = tokio::spawn(async move {
            while !matches!(signals.next().await, Asked::Stop(_)) {}
            if signals.manners() == Manners::SwiftWorker {
                sleep(patience).await;
                tracing::warn!(
                    ?patience,
                    "the server stops and waits no longer: work under way is broken off"
                );
            } else {
                tracing::warn!("a second signal: work under way is broken off");
            }
            drain.kill();
        });
        let drained = self.run().await;
        hurry.abort();
        drained
    }

    /// Goes down in order, now.
    pub async fn run(self) -> Drained {
        notify::stopping(self.notice + self.deadline);
        self.health.set_not_ready().await;
        tokio::select! {
            () = sleep(self.notice) => {}
            () = self.drain.killed() => {}
        }
        self.drain.begin();
        let drained = tokio::select! {
            drained = self.drain.finish(self.deadline) => drained,
            () = self.drain.tell() => Drained::Clean,
        };
        match drained {
            Drained::Clean => tracing::info!("drained"),
            Drained::TimedOut { tasks } => {
                tracing::warn!(tasks, deadline = ?self.deadline, limit = self.limit, "work was still under way at the deadline");
            }
            Drained::Killed { tasks } => tracing::warn!(tasks, "work was broken off"),
        }
        drained
    }
}

#[cfg(test)]
mod tests;
