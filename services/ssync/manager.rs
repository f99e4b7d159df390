//! What swift-init starts, signals and stops by the name of Swift's server: a process that keeps its number and the listening
//! sockets, while the worker that serves beneath it is replaced (Swift: common/wsgi.py run_wsgi).
//!
//! SIGUSR1 starts a worker anew, from the program file and the configuration as they are now. It has the same sockets, so no
//! connection is refused meanwhile; once it serves, the old worker finishes what it has begun. One that does not come up
//! changes nothing, and nobody is told that it has.

mod signals;
mod sockets;
mod worker;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use ssync_runtime::{Config, Inherited, Watchdog, notify};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    cli::NodeArgs,
    commands::daemon,
    exit::{self, Exit, Refused},
    stdio,
};
use signals::{Asked, Signals};
use sockets::Sockets;
use worker::{Haste, Patience, Worker};

pub(crate) use worker::{follow_manager, tell_ready};

/// Longest that a new worker may take until it serves, while another does. `swift-reload` waits as long.
const READY_WAIT_MAX: Duration = Duration::from_secs(300);

/// What is added to the time that a worker has by its own account, before it is killed: after its drain come the admin
/// address, the last traces, and threads that hang.
const END_MARGIN: Duration = Duration::from_secs(15);

/// Pause before a worker that has died is replaced; doubled while none comes up.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Old workers that may finish what they have begun at a time. When there are more, all of them are hurried.
const LEAVING_MAX: usize = 16;

/// Serves by way of workers until it is told to stop.
pub(crate) fn run(args: &NodeArgs, inherited: Inherited) -> anyhow::Result<ExitCode> {
    // What ends the group ends the workers too. One that leads a group already cannot, and need not.
    let _ = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Refused { what: "signals", source })?;
    runtime.block_on(Manager::serve(args.clone(), inherited)).map(ExitCode::from)
}

struct Manager {
    args: NodeArgs,
    signals: Signals,
    sockets: Sockets,
    /// The one that serves; none while it is being replaced after its death.
    worker: Option<Worker>,
    /// Those that finish what they have begun.
    leaving: JoinSet<()>,
    /// Hurries them.
    haste: Haste,
    /// How long a worker has for what it has begun (`stale_worker_timeout`), and when it is told to stop.
    patience: Patience,
    restart_pause: Duration,
    restart: Option<Instant>,
}

impl Patience {
    fn of(config: &Config) -> Self {
        Self {
            leaving: config.server.stale_worker_timeout + END_MARGIN,
            stopping: config.ssync.drain_notice + config.ssync.drain_timeout + END_MARGIN,
        }
    }
}

impl Manager {
    async fn serve(args: NodeArgs, inherited: Inherited) -> anyhow::Result<Exit> {
        let mut signals = Signals::catch().map_err(|source| Refused { what: "signals", source })?;
        let config = daemon::config(&args.daemon)?;
        let sockets = tokio::select! {
            sockets = Sockets::bind(&config, args.parts(), inherited) => sockets?,
            _ = signals.end() => return Ok(exit::OK),
        };
        let patience = Patience::of(&config);
        let mut worker = Worker::start(&sockets)?;
        let serves = tokio::select! {
            serves = worker.serves() => serves,
            _ = signals.end() => false,
        };
        if !serves {
            // It has said why, or the signal was for both.
            worker.stop(patience.stopping).await;
            return Ok(worker.exit());
        }
        if !args.daemon.verbose {
            stdio::let_go_of_pipes()?;
        }
        // The worker has no watchdog of its own: the service manager listens to this process alone.
        let _watchdog =
            Watchdog::start(vec![Handle::current()]).map_err(|source| Refused { what: "threads", source })?;
        let manager = Self {
            args,
            signals,
            sockets,
            worker: Some(worker),
            leaving: JoinSet::new(),
            haste: Haste::default(),
            patience,
            restart_pause: RESTART_PAUSE,
            restart: None,
        };
        manager.tell_serving("serving");
        Ok(manager.until_told().await)
    }

    async fn until_told(mut self) -> Exit {
        loop {
            let asked = tokio::select! {
                biased;
                asked = self.signals.next() => asked,
                () = died(&mut self.worker) => {
                    self.mourn();
                    continue;
                }
                () = due(self.restart) => {
                    self.restart = None;
                    Asked::Renew
                }
                Some(_) = self.leaving.join_next() => continue,
            };
            let end = match asked {
                Asked::Renew => self.renew().await,
                end => Some(end),
            };
            match end {
                Some(Asked::Leave) => return self.leave(),
                Some(_) => return self.stop().await,
                None => {}
            }
        }
    }

    /// Has another worker serve. Answers with what asks for the manager's end meanwhile.
    async fn renew(&mut self) -> Option<Asked> {
        notify::reloading();
        notify::tell_swift_reload("RELOADING=1");
        match self.next_worker().await {
            Ok(Next::Serves) => {
                self.restart_pause = RESTART_PAUSE;
                self.restart = None;
                self.tell_serving("serving");
            }
            Ok(Next::Ended(asked)) => return Some(asked),
            Err(error) => {
                self.restart_later();
                self.tell_failure(&format!("no other worker: {error:#}"));
            }
        }
        None
    }

    async fn next_worker(&mut self) -> anyhow::Result<Next> {
        let config = daemon::config(&self.args.daemon)?;
        let sockets = tokio::select! {
            sockets = self.sockets.following(&config, self.args.parts()) => sockets?,
            end = self.signals.end() => return Ok(Next::Ended(end)),
        };
        let mut next = Worker::start(&sockets)?;
        let patience = Patience::of(&config);
        let serves = tokio::select! {
            serves = timeout(READY_WAIT_MAX, next.serves()) => serves.unwrap_or(false),
            end = self.signals.end() => {
                // It may serve already.
                self.see_off(next);
                return Ok(Next::Ended(end));
            }
        };
        if !serves {
            next.stop(patience.stopping).await;
            anyhow::bail!("it has ended ({}) before it served", next.exit().name);
        }
        (self.sockets, self.patience) = (sockets, patience);
        if let Some(old) = self.worker.replace(next) {
            self.see_off(old);
        }
        Ok(Next::Serves)
    }

    /// Lets a worker finish what it has begun.
    fn see_off(&mut self, old: Worker) {
        if self.leaving.len() >= LEAVING_MAX {
            say("too many old workers are at work: they are told to stop");
            self.haste.hurry_so_far();
        }
        self.leaving.spawn(old.leave(self.patience, self.haste.clone()));
    }

    /// The worker has died, and nobody had told it to.
    fn mourn(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let said = format!("the worker has ended ({}); another one follows", worker.exit().name);
        say(&said);
        notify::status(&said);
        self.restart_later();
    }

    /// Says that a worker serves. swift-reload takes that for the answer to the signal that it has sent, so it hears nothing
    /// while another one is to come.
    fn tell_serving(&self, status: &str) {
        notify::ready(status);
        if !self.signals.renew_waits() {
            notify::tell_swift_reload("READY=1");
        }
    }

    /// The service manager is told that the reload is over, and what serves. swift-reload knows no word for this: it says itself
    /// that it has waited in vain.
    fn tell_failure(&self, failure: &str) {
        say(failure);
        match self.worker {
            Some(_) => notify::ready(&format!("serving as before; {failure}")),
            None => notify::ready(&format!("nobody serves, and another try follows; {failure}")),
        }
    }

    /// Unless one serves.
    fn restart_later(&mut self) {
        if self.worker.is_none() {
            self.restart = Some(Instant::now() + self.restart_pause);
            self.restart_pause = (self.restart_pause * 2).min(RESTART_PAUSE_MAX);
        }
    }

    /// Ends; the workers end when they are done (Swift: a graceful stop).
    fn leave(self) -> Exit {
        tell_stopping(Duration::ZERO);
        if let Some(worker) = &self.worker {
            worker.tell_to_leave();
        }
        exit::OK
    }

    /// Ends with the workers, also with those that had been told to leave. A second signal kills them.
    async fn stop(self) -> Exit {
        let Self { mut signals, sockets, mut worker, mut leaving, haste, patience, .. } = self;
        tell_stopping(patience.stopping);
        drop(sockets);
        haste.hurry();
        let all = async {
            let serving = async {
                match &mut worker {
                    Some(worker) => worker.stop_unless(patience.stopping, &haste).await,
                    None => exit::OK,
                }
            };
            let others = async { while leaving.join_next().await.is_some() {} };
            tokio::join!(serving, others).0
        };
        tokio::pin!(all);
        tokio::select! {
            exit = &mut all => return exit,
            () = signals.stop() => {}
        }
        say("a second signal: the workers are killed");
        haste.kill();
        all.await;
        exit::UNFINISHED
    }
}

enum Next {
    /// Another worker serves.
    Serves,
    /// This ends the manager.
    Ended(Asked),
}

async fn died(worker: &mut Option<Worker>) {
    match worker {
        Some(worker) => worker.ended().await,
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn tell_stopping(longest: Duration) {
    notify::stopping(longest);
    notify::tell_swift_reload("STOPPING=1");
}

/// The manager has no log of its own; standard error may be gone.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "ssync: {text}");
}
