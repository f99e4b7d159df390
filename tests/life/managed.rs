//! A node that Swift's own tools start, signal and stop by the name of Swift's server.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use ssync_tests::{Cluster, as_own_group, exchange, ssync_binary, venv_program};

/// What swift-init runs, with a folder of the test's own in place of /etc/swift and /var/run/swift.
const SWIFT_INIT: &str = "\
import sys
from swift.common import manager
manager.SWIFT_DIR, manager.RUN_DIR = sys.argv[1:3]
manager.Manager.__init__.__defaults__ = manager.Server.__init__.__defaults__ = (manager.RUN_DIR,)
sys.argv = ['swift-init'] + sys.argv[3:]
sys.exit(manager.main())
";
/// Longest that swift-init may take; it waits for 15 seconds by itself.
const SWIFT_INIT_SECONDS: &str = "60";

/// Longest that one worker may take to follow another.
pub(crate) const CHANGE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Whether a process is there, and has not ended without anybody's having asked for its end.
pub(crate) fn runs(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// A node that swift-init starts and stops. What is still running at the end is killed.
pub(crate) struct Managed<'a> {
    cluster: &'a Cluster,
    run: PathBuf,
    programs: PathBuf,
}

impl<'a> Managed<'a> {
    pub(crate) fn of(cluster: &'a Cluster) -> Result<Self> {
        let (run, programs) = (cluster.folder().join("run"), cluster.folder().join("bin"));
        fs::create_dir_all(&run)?;
        fs::create_dir_all(&programs)?;
        // Whoever the daemon becomes can read it there.
        fs::copy(ssync_binary()?, programs.join("ssync"))?;
        symlink("ssync", programs.join("swift-object-server"))?;
        Ok(Self { cluster, run, programs })
    }

    /// What it says; fails when it does not end well and in time.
    pub(crate) fn init(&self, command: &str) -> Result<String> {
        let path = format!("{}:{}", self.programs.display(), env::var("PATH")?);
        let output = as_own_group(Path::new("timeout"))
            .arg(SWIFT_INIT_SECONDS)
            .arg(venv_program("python")?)
            .args(["-c", SWIFT_INIT])
            .args([self.cluster.node(1).swift_dir(), &self.run])
            .args(["object-server", command])
            .env("PATH", path)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "swift-init {command}: {}\n{said}{complaint}", output.status);
        Ok(said)
    }

    /// What `swift-reload` says of the process that swift-init has started.
    pub(crate) fn swift_reload(&self) -> Result<String> {
        self.swift_reload_within(CHANGE_WAIT_MAX)
    }

    pub(crate) fn swift_reload_within(&self, longest: Duration) -> Result<String> {
        let id = self.pid()?.to_string();
        let output = as_own_group(Path::new("timeout"))
            .arg(SWIFT_INIT_SECONDS)
            .args([venv_program("python")?, venv_program("swift-reload")?])
            .args(["-v", "-t", &longest.as_secs().to_string(), &id])
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "swift-reload: {}\n{said}{complaint}", output.status);
        Ok(said)
    }

    /// The one that serves, beneath the one that swift-init knows.
    pub(crate) fn worker(&self) -> Result<i32> {
        let id = self.pid()?;
        let file = format!("/proc/{id}/task/{id}/children");
        let children = fs::read_to_string(&file)?;
        // A new one comes last.
        Ok(children.split_whitespace().last().with_context(|| format!("{file} is empty"))?.parse()?)
    }

    /// Returns when another one than `before` serves alone.
    pub(crate) fn wait_for_another(&self, before: i32) -> Result<i32> {
        let started = Instant::now();
        while started.elapsed() < CHANGE_WAIT_MAX {
            let now = self.worker()?;
            if now != before && !runs(before) {
                return Ok(now);
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("{before} still serves, or nobody in its place")
    }

    /// All that serve, or finish what they have begun.
    pub(crate) fn workers(&self) -> Result<Vec<i32>> {
        let id = self.pid()?;
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        children.split_whitespace().map(|child| Ok(child.parse()?)).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_raw(self.pid()?).context("a process")?, signal)?)
    }

    pub(crate) fn pid(&self) -> Result<i32> {
        let file = self.run.join("object-server/1.pid");
        let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
        Ok(text.trim().parse()?)
    }

    pub(crate) fn healthy(&self) -> bool {
        let request = b"GET /healthcheck HTTP/1.1\r\nHost: node\r\n\r\n";
        exchange(self.cluster.node(1).address(), request).is_ok_and(|answer| answer.status == 200)
    }
}

impl Drop for Managed<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Replaces a text of the configuration.
pub(crate) fn set(cluster: &Cluster, before: &str, now: &str) -> Result<()> {
    let conf = cluster.node(1).conf();
    let text = fs::read_to_string(conf)?;
    ensure!(text.contains(before), "no {before:?} in {text}");
    Ok(fs::write(conf, text.replace(before, now))?)
}
