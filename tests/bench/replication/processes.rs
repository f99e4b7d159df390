//! Programs that run while something is measured, each in a process group of its own.

use std::{
    fs::File,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cpu;

/// Longest that a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(40);
/// Longest that one pass may take.
const PASS_MAX: Duration = Duration::from_secs(1800);
const POLL: Duration = Duration::from_millis(5);

/// Daemons; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Processes {
    log: PathBuf,
    running: Vec<Child>,
}

impl Processes {
    /// None yet; what they say is appended to a file.
    pub(crate) fn new(log: PathBuf) -> Self {
        Self { log, running: Vec::new() }
    }

    fn start(&self, command: &mut Command) -> Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
    }

    /// Starts a daemon and returns when it listens.
    pub(crate) fn serve(&mut self, command: &mut Command, address: SocketAddr) -> Result<()> {
        let child = self.start(command)?;
        self.running.push(child);
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            self.assert_alive()?;
            ensure!(
                started.elapsed() < START_MAX,
                "nothing listens at {address}; see {}",
                self.log.display()
            );
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Fails when a daemon has ended.
    pub(crate) fn assert_alive(&mut self) -> Result<()> {
        for child in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!("a daemon has ended ({status}); see {}", self.log.display());
            }
        }
        Ok(())
    }

    /// Runs a program to its end, which may be a bad one: what it came to is to be seen on the disks.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let mut child = Group(self.start(command)?);
        let started = Instant::now();
        while child.0.try_wait()?.is_none() {
            ensure!(started.elapsed() < PASS_MAX, "a pass takes more than {PASS_MAX:?}");
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Processor time that the daemons have used.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu::seconds_of_groups(&self.running.iter().map(Child::id).collect::<Vec<_>>())
    }

    /// The folder and name of what they said.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.running.drain(..).for_each(|child| drop(Group(child)));
    }
}

/// A process with all its children; killed when it is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}
