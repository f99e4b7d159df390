//! What swift-init starts, signals and stops by the name of Swift's server: a process that keeps its number and the listening
//! sockets, while the worker that serves beneath it is replaced (Swift: common/wsgi.py run_wsgi).
//!
//! SIGUSR1 starts a worker anew, from the program file and the configuration as they are now. It has the same sockets, so no
//! connection is refused meanwhile; once it serves, the old worker finishes what it has begun. One that does not come up
//! changes nothing.

mod sockets;
mod worker;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use ssync_runtime::{Config, Inherited, notify};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::NodeArgs,
    commands::daemon,
    exit::{self, Exit, Refused},
    stdio,
};
use sockets::Sockets;
use worker::Worker;

pub(crate) use worker::{follow_manager, tell_ready};

/// Longest that a new worker may take until it serves, while another does. `swift-reload` waits as long.
const READY_WAIT_MAX: Duration = Duration::from_secs(300);

/// What is added to the time that a worker has by its own account, before it is killed.
const END_MARGIN: Duration = Duration::from_secs(5);

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

/// What a signal asks of the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// To end with its workers.
    Stop,
    /// To end, and leave its workers to what they have begun.
    Leave,
    /// To have another worker serve.
    Renew,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    seamless: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            seamless: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Leave,
            _ = self.seamless.recv() => Asked::Renew,
        }
    }

    /// The next one that ends the manager.
    async fn end(&mut self) -> Asked {
        loop {
            match self.next().await {
                Asked::Renew => say("SIGUSR1 is for later: a worker is on its way already"),
                end => return end,
            }
        }
    }
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
    hurry: CancellationToken,
    /// How long a worker has for what it has begun (`stale_worker_timeout`), and when it is told to stop.
    patience: Patience,
    restart_pause: Duration,
    restart: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Patience {
    leaving: Duration,
    stopping: Duration,
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
        let sockets = Sockets::bind(&config, args.parts(), inherited).await?;
        let mut worker = Worker::start(&sockets)?;
        let serves = tokio::select! {
            serves = worker.serves() => serves,
            _ = signals.end() => false,
        };
        if !serves {
            // It has said why, or the signal was for both.
            worker.stop(Patience::of(&config).stopping).await;
            return Ok(worker.exit());
        }
        tell_serving();
        if !args.daemon.verbose {
            stdio::let_go_of_pipes()?;
        }
        let manager = Self {
            args,
            signals,
            sockets,
            worker: Some(worker),
            leaving: JoinSet::new(),
            hurry: CancellationToken::new(),
            patience: Patience::of(&config),
            restart_pause: RESTART_PAUSE,
            restart: None,
        };
        Ok(manager.until_told().await)
    }

    async fn until_told(mut self) -> Exit {
        loop {
            let asked = tokio::select! {
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
            }
            Ok(Next::Ended(asked)) => return Some(asked),
            Err(error) => {
                say(&format!("no other worker: {error:#}"));
                self.restart_later();
            }
        }
        tell_serving();
        None
    }

    async fn next_worker(&mut self) -> anyhow::Result<Next> {
        let config = daemon::config(&self.args.daemon)?;
        let sockets = self.sockets.following(&config, self.args.parts()).await?;
        let mut next = Worker::start(&sockets)?;
        let serves = tokio::select! {
            serves = timeout(READY_WAIT_MAX, next.serves()) => serves.unwrap_or(false),
            end = self.signals.end() => {
                next.kill();
                return Ok(Next::Ended(end));
            }
        };
        if !serves {
            next.stop(END_MARGIN).await;
            anyhow::bail!("it has ended ({}) before it served", next.exit().name);
        }
        (self.sockets, self.patience) = (sockets, Patience::of(&config));
        if let Some(old) = self.worker.replace(next) {
            self.see_off(old);
        }
        Ok(Next::Serves)
    }

    /// Lets a worker finish what it has begun.
    fn see_off(&mut self, old: Worker) {
        if self.leaving.len() >= LEAVING_MAX {
            say("too many old workers are at work: they are told to stop");
            std::mem::take(&mut self.hurry).cancel();
        }
        let (patience, hurry) = (self.patience, self.hurry.clone());
        self.leaving.spawn(async move { old.leave(patience.leaving, patience.stopping, hurry).await });
    }

    /// The worker has died, and nobody had told it to.
    fn mourn(&mut self) {
        if let Some(worker) = self.worker.take() {
            say(&format!("the worker has ended ({}); another one follows", worker.exit().name));
        }
        self.restart_later();
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

    /// Ends with the workers. A second signal kills them.
    async fn stop(self) -> Exit {
        let Self { mut signals, sockets, worker, mut leaving, hurry, patience, .. } = self;
        tell_stopping(patience.stopping);
        drop(sockets);
        hurry.cancel();
        let Some(mut worker) = worker else { return exit::OK };
        let both = async {
            worker.stop(patience.stopping).await;
            while leaving.join_next().await.is_some() {}
        };
        let impatient = tokio::select! {
            () = both => false,
            _ = signals.end() => true,
        };
        if impatient {
            say("a second signal: the workers are killed");
            worker.kill();
            return exit::UNFINISHED;
        }
        worker.exit()
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

fn tell_serving() {
    notify::ready("serving");
    notify::tell_swift_reload("READY=1");
}

fn tell_stopping(longest: Duration) {
    notify::stopping(longest);
    notify::tell_swift_reload("STOPPING=1");
}

/// The manager has no log of its own; standard error may be gone.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "ssync: {text}");
}
