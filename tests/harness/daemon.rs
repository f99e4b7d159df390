//! A process under test: started, waited for, stopped, its log at hand.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// Longest that a daemon may take until it listens; stock Swift imports a lot.
const START_WAIT_MAX: Duration = Duration::from_secs(40);
/// Longest that a daemon may take to end after SIGTERM.
const STOP_WAIT_MAX: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Lines of its log that are printed at the end.
const TAIL_LINES_MAX: usize = 60;

/// Where a daemon listens.
#[derive(Debug, Clone)]
pub(crate) enum Listening {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// It is there when it has been started.
    Nowhere,
}

/// A running process, killed with all that it started when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
    listening: Listening,
}

/// `program` in a process group of its own, killed by the kernel when the thread that starts it ends: a test that is
/// killed leaves nothing behind.
pub fn as_own_group(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).process_group(0);
    // Variables of this name are options to the binary under test; those that steer the tests are none.
    for steering in ["SSYNC_BIN", "SSYNC_STATIC_BIN", "SSYNC_TEST_DISK", "SSYNC_EXAMPLES"] {
        command.env_remove(steering);
    }
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1").env("RUST_BACKTRACE", "1");
    command
}

impl Daemon {
    /// Starts `program`, which [`Daemon::wait`] then waits for.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        log: PathBuf,
        listening: Listening,
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = as_own_group(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, log, listening })
    }

    /// Returns when it listens.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            let reached = match &self.listening {
                Listening::Tcp(address) => TcpStream::connect(address).is_ok(),
                Listening::Unix(path) => UnixStream::connect(path).is_ok(),
                Listening::Nowhere => true,
            };
            if reached {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}): {}", self.name, self.log());
            }
            if started.elapsed() > START_WAIT_MAX {
                bail!("{} does not listen at {:?}: {}", self.name, self.listening, self.log());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All that it has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL)?;
        Ok(self.child.wait()?)
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        kill_process_group(Pid::from_child(&self.child), Signal::TERM)?;
        let started = Instant::now();
        while started.elapsed() < STOP_WAIT_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(POLL_INTERVAL);
        }
        bail!("{} did not end within {STOP_WAIT_MAX:?} of SIGTERM", self.name)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; what it started may still be there.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- {}: the end of its log", self.name);
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES_MAX)) {
            eprintln!("{line}");
        }
    }
}
