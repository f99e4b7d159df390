//! A process that serves for a manager.

use std::{
    env,
    io::{self, Write as _},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::sockets::Sockets;
use crate::{
    commands::running::NotThere,
    exit::{self, Exit},
    stdio,
};

/// What a worker says once it serves.
const READY: &[u8] = b"ready\n";

/// What concerns the manager alone.
const MANAGERS_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// A worker says that it serves, and has nothing more to say there.
pub(crate) fn tell_ready() -> io::Result<()> {
    let mut output = io::stdout();
    output.write_all(READY)?;
    output.flush()?;
    stdio::let_go_of_output()
}

/// A worker without its manager finishes what it has begun, as when another has taken over.
pub(crate) fn follow_manager(manager: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::HUP)).context("the manager's end would not be noticed")?;
    let parent = getppid().map(Pid::as_raw_nonzero);
    if parent.is_some_and(|parent| parent.get() == manager) {
        return Ok(());
    }
    Err(NotThere(format!("the manager ({manager}) has ended")).into())
}

/// A worker, until its end has been seen.
pub(super) struct Worker {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Worker {
    /// Starts one: this program's file as it is now, with the words that the manager was called with.
    pub(super) fn start(sockets: &Sockets) -> anyhow::Result<Self> {
        let mut words = env::args_os();
        let program = words.next().context("this program was called without a name")?;
        let mut command = std::process::Command::new(&program);
        command.args(words).arg(format!("--worker={}", std::process::id()));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        for variable in MANAGERS_VARIABLES {
            command.env_remove(variable);
        }
        // It has them open until the worker has been started.
        let legacy = sockets.legacy().context("the listening sockets cannot be handed over")?;
        legacy.announce(&mut command);
        let child = Command::from(command)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        drop(legacy);
        Ok(Self { child, ended: None })
    }

    /// Whether it serves; known when it does, or has given up.
    pub(super) async fn serves(&mut self) -> bool {
        let Some(output) = &mut self.child.stdout else { return false };
        let mut said = [0; READY.len()];
        output.read_exact(&mut said).await.is_ok() && said == READY
    }

    /// Returns when it has ended. May be given up and called again.
    pub(super) async fn ended(&mut self) {
        if self.ended.is_none() {
            // An error means that there is nothing to wait for.
            self.ended = Some(self.child.wait().await.unwrap_or_default());
        }
    }

    /// How it has ended; by a signal, or not yet: unfinished.
    pub(super) fn exit(&self) -> Exit {
        let code = self.ended.and_then(|status| status.code());
        exit::CODES.into_iter().find(|exit| code == Some(i32::from(exit.code))).unwrap_or(exit::UNFINISHED)
    }

    pub(super) fn tell_to_leave(&self) {
        self.signal(Signal::HUP);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // Until its end has been seen the number is its own.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // An error means that it has ended.
            let _ = kill_process(id, signal);
        }
    }

    /// Ends it: with what it has begun, if that takes no longer than `patience`.
    pub(super) async fn stop(&mut self, patience: Duration) {
        self.signal(Signal::TERM);
        if timeout(patience, self.ended()).await.is_err() {
            self.kill();
            self.ended().await;
        }
    }

    /// The same, unless they are to be killed before.
    pub(super) async fn stop_unless(&mut self, patience: Duration, haste: &Haste) -> Exit {
        let killed = tokio::select! {
            () = self.stop(patience) => false,
            () = haste.killed.cancelled() => true,
        };
        if killed {
            self.kill();
            self.ended().await;
        }
        self.exit()
    }

    /// Lets it finish what it has begun, in the time for that, or until others are in a hurry.
    pub(super) async fn leave(mut self, patience: Patience, haste: Haste) {
        self.tell_to_leave();
        let done = tokio::select! {
            () = self.ended() => true,
            () = tokio::time::sleep(patience.leaving) => false,
            () = haste.hurried.cancelled() => false,
        };
        if !done {
            self.stop_unless(patience.stopping, &haste).await;
        }
    }
}

/// How long a worker has for what it has begun (`stale_worker_timeout`), and when it is told to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) leaving: Duration,
    pub(super) stopping: Duration,
}

/// What does not wait for workers to be done.
#[derive(Debug, Clone, Default)]
pub(super) struct Haste {
    hurried: CancellationToken,
    killed: CancellationToken,
}

impl Haste {
    /// They are told to stop, and have the time that this takes.
    pub(super) fn hurry(&self) {
        self.hurried.cancel();
    }

    /// Those who have been given this are told to stop; those who are given it from now on are not.
    pub(super) fn hurry_so_far(&mut self) {
        std::mem::take(&mut self.hurried).cancel();
    }

    /// They are killed.
    pub(super) fn kill(&self) {
        self.hurried.cancel();
        self.killed.cancel();
    }
}
