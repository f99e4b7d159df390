//! Programs that run while something is measured, each in a process group of its own, and what they cost.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    fs::File,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use ssync_tests::as_own_group;

use crate::{cpu, memory};

/// Longest that a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(40);
/// Longest that one pass may take.
const PASS_MAX: Duration = Duration::from_secs(1800);
const POLL: Duration = Duration::from_millis(2);
/// Lines of their log that an error shows.
const SAID_LINES_MAX: usize = 20;
/// The system calls that wait for a disk.
const FLUSHES: &str = "trace=fsync,fdatasync,syncfs,sync";

/// What a process is in a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It pushes.
    Sender,
    /// It serves the node that pushes.
    Home,
    /// It serves a node that is pushed to.
    Receiver,
}

/// A program and what it is told.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

impl Call {
    pub(crate) fn of(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), variables: Vec::new() }
    }

    #[must_use]
    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub(crate) fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// With a `trace`, each flush of it and its children is a line there.
    fn command(&self, trace: Option<&Path>) -> Command {
        let mut command = match trace {
            None => as_own_group(&self.program),
            Some(file) => {
                let mut strace = as_own_group(Path::new("strace"));
                strace.args(["-f", "--seccomp-bpf", "-qq", "-ttt", "-e", FLUSHES, "-e", "signal=none", "-o"]);
                // What is traced would outlive strace.
                strace.arg(file).args(["--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(&self.program);
                strace
            }
        };
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Daemons, and programs that are run beside them. All end when this is dropped.
#[derive(Debug)]
pub(crate) struct Processes {
    log: PathBuf,
    /// Whether flushes are counted.
    traced: bool,
    started: usize,
    running: Vec<Child>,
    groups: Groups,
}

/// The process groups that were started, and what they cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups(Arc<Mutex<Vec<(Role, u32)>>>);

impl Groups {
    // Nothing panics while it holds this.
    fn known(&self) -> MutexGuard<'_, Vec<(Role, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processor time by role. A program that has ended counts as far as it was waited for.
    pub(crate) fn cpu_seconds(&self) -> Result<BTreeMap<Role, f64>> {
        let mut seconds = cpu::seconds_of_groups(&self.known());
        // Only what pushes ends by itself.
        *seconds.entry(Role::Sender).or_default() += cpu::seconds_of_children()?;
        Ok(seconds)
    }

    /// What they hold at their highest, by role; what those of one role hold is joined.
    pub(crate) fn peak_bytes(&self, join: fn(u64, u64) -> u64) -> BTreeMap<Role, u64> {
        memory::peaks_of_groups(&self.known(), join)
    }
}

impl Processes {
    /// None yet; what they say is appended to `bench.log` in a folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let log = folder.join("bench.log");
        Self { log, traced: false, started: 0, running: Vec::new(), groups: Groups::default() }
    }

    /// The same, and their flushes are counted, which slows them.
    pub(crate) fn traced(folder: &Path) -> Self {
        let mut processes = Self::new(folder);
        processes.traced = true;
        processes
    }

    /// What was started, also from now on.
    pub(crate) fn groups(&self) -> Groups {
        self.groups.clone()
    }

    fn start(&mut self, role: Role, call: &Call) -> Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let trace = self.log.with_file_name(format!("flushes-{role:?}-{}", self.started));
        self.started += 1;
        let mut command = call.command(self.traced.then_some(&*trace));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.groups.known().push((role, child.id()));
        Ok(child)
    }

    /// Starts a daemon that nobody calls.
    pub(crate) fn begin(&mut self, role: Role, call: &Call) -> Result<()> {
        let child = self.start(role, call)?;
        self.running.push(child);
        Ok(())
    }

    /// Starts a daemon and returns when it listens.
    pub(crate) fn serve(&mut self, role: Role, call: &Call, address: SocketAddr) -> Result<()> {
        self.begin(role, call)?;
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            self.assert_alive()?;
            ensure!(started.elapsed() < START_MAX, "nothing listens at {address}: {}", self.said());
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Fails when a daemon has ended.
    pub(crate) fn assert_alive(&mut self) -> Result<()> {
        for place in 0..self.running.len() {
            if let Some(status) = self.running[place].try_wait()? {
                bail!("a daemon has ended ({status}): {}", self.said());
            }
        }
        Ok(())
    }

    /// Runs a program to its end, which may be a bad one: what it came to is to be seen on the disks.
    pub(crate) fn run(&mut self, role: Role, call: &Call) -> Result<()> {
        let mut child = Group(self.start(role, call)?);
        let started = Instant::now();
        while child.0.try_wait()?.is_none() {
            ensure!(started.elapsed() < PASS_MAX, "a pass takes more than {PASS_MAX:?}");
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Flushes by role since a time, in seconds of the epoch.
    pub(crate) fn flushes_since(&self, begin: f64) -> Result<BTreeMap<Role, u64>> {
        let mut flushes = BTreeMap::new();
        for entry in fs::read_dir(self.log.parent().unwrap_or(&self.log))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            for role in [Role::Sender, Role::Home, Role::Receiver] {
                if name.starts_with(&format!("flushes-{role:?}-")) {
                    let lines = fs::read_to_string(entry.path())?;
                    *flushes.entry(role).or_default() +=
                        lines.lines().filter(|line| is_flush_since(line, begin)).count() as u64;
                }
            }
        }
        Ok(flushes)
    }

    /// The end of what the programs wrote, which says why.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SAID_LINES_MAX)..].join("\n")
    }
}

/// Whether a line of strace is the beginning of a flush, and not of an earlier time.
fn is_flush_since(line: &str, begin: f64) -> bool {
    let mut words = line.split_whitespace();
    let time = words.nth(1).and_then(|word| word.parse::<f64>().ok());
    let call = words.next().unwrap_or_default();
    time.is_some_and(|time| time >= begin) && call.contains('(') && !call.starts_with('<')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_flush_counts() {
        for (line, counts) in [
            ("17 5.5 fsync(3)  = 0", true),
            ("17 4.9 fsync(3)  = 0", false),
            ("17 5.5 fdatasync(3 <unfinished ...>", true),
            ("17 5.6 <... fdatasync resumed>) = 0", false),
            ("17 5.6 +++ exited with 0 +++", false),
            ("", false),
        ] {
            assert_eq!(is_flush_since(line, 5.0), counts, "{line}");
        }
    }
}
