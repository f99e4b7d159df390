//! A daemon that a test starts in its own way: with other variables, by another program.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use ssync_tests::{Cluster, Node, as_own_group, exchange, ssync_binary};

/// Longest that anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_so()? {
        ensure!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether the node answers.
pub(crate) fn healthy(node: &Node) -> bool {
    exchange(node.address(), b"GET /healthcheck HTTP/1.1\r\nHost: node\r\n\r\n")
        .is_ok_and(|answer| answer.status == 200)
}

/// Killed when this is dropped.
pub(crate) struct Started {
    child: Child,
    log: PathBuf,
}

impl Started {
    /// `ssync COMMAND --conf ...`, as `prepare` has it.
    pub(crate) fn ssync(
        cluster: &Cluster,
        command: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut program = as_own_group(&ssync_binary()?);
        program.args(command.split(' ')).arg("--conf").arg(cluster.node(1).conf());
        prepare(&mut program);
        Self::of(cluster, program)
    }

    pub(crate) fn of(cluster: &Cluster, mut program: Command) -> Result<Self> {
        let log = cluster.folder().join("started.log");
        let file = File::options().create(true).append(true).open(&log)?;
        let child = program.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child, log })
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns when it has said so.
    pub(crate) fn says(&mut self, text: &str) -> Result<()> {
        let started = Instant::now();
        while !self.log().contains(text) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended ({status}) and did not say {text:?}:\n{}", self.log());
            }
            ensure!(started.elapsed() < PATIENCE, "it does not say {text:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// How it ends.
    pub(crate) fn end(&mut self) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(started.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        eprintln!("--- its log\n{}", self.log());
    }
}
