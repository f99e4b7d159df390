//! A link with the name of Swift's server, in the hands of swift-init and swift-reload.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use ssync_tests::{Cluster, as_own_group, exchange, ssync_binary, venv_program};

use crate::load::{Load, Upload, objects};

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
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Whether a process is there, and has not ended without anybody's having asked for its end.
fn runs(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// A node that swift-init starts and stops. What is still running at the end is killed.
struct Managed<'a> {
    cluster: &'a Cluster,
    run: PathBuf,
    programs: PathBuf,
}

impl<'a> Managed<'a> {
    fn of(cluster: &'a Cluster) -> Result<Self> {
        let (run, programs) = (cluster.folder().join("run"), cluster.folder().join("bin"));
        fs::create_dir_all(&run)?;
        fs::create_dir_all(&programs)?;
        // Whoever the daemon becomes can read it there.
        fs::copy(ssync_binary()?, programs.join("ssync"))?;
        symlink("ssync", programs.join("swift-object-server"))?;
        Ok(Self { cluster, run, programs })
    }

    /// What it says; fails when it does not end well and in time.
    fn init(&self, command: &str) -> Result<String> {
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
    fn swift_reload(&self) -> Result<String> {
        let id = self.pid()?.to_string();
        let output = as_own_group(Path::new("timeout"))
            .arg(SWIFT_INIT_SECONDS)
            .args([venv_program("python")?, venv_program("swift-reload")?])
            .args(["-v", &id])
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "swift-reload: {}\n{said}{complaint}", output.status);
        Ok(said)
    }

    /// The one that serves, beneath the one that swift-init knows.
    fn worker(&self) -> Result<i32> {
        let id = self.pid()?;
        let file = format!("/proc/{id}/task/{id}/children");
        let children = fs::read_to_string(&file)?;
        // A new one comes last.
        Ok(children.split_whitespace().last().with_context(|| format!("{file} is empty"))?.parse()?)
    }

    /// Returns when another one than `before` serves alone.
    fn wait_for_another(&self, before: i32) -> Result<i32> {
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

    fn pid(&self) -> Result<i32> {
        let file = self.run.join("object-server/1.pid");
        let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
        Ok(text.trim().parse()?)
    }

    fn healthy(&self) -> bool {
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

fn set(cluster: &Cluster, before: &str, now: &str) -> Result<()> {
    let conf = cluster.node(1).conf();
    let text = fs::read_to_string(conf)?;
    ensure!(text.contains(before), "no {before:?} in {text}");
    Ok(fs::write(conf, text.replace(before, now))?)
}

/// swift-init reads what a daemon says until that closes it. Started by root, a daemon becomes the user that the
/// configuration names.
#[test]
fn it_starts_reloads_and_stops() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let is_root = geteuid().is_root();
    if is_root {
        set(&cluster, "user = root", "user = nobody")?;
        fs::set_permissions(cluster.folder(), Permissions::from_mode(0o755))?;
    }
    let managed = Managed::of(&cluster)?;
    let started = managed.init("start")?;
    assert!(managed.healthy(), "{started}");
    let first = managed.pid()?;
    if is_root {
        for id in [first, managed.worker()?] {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            assert!(status.lines().all(|line| !line.starts_with("Uid:\t0\t")), "{status}");
        }
    }
    let reloaded = managed.init("reload")?;
    assert!(managed.healthy() && managed.pid()? != first, "{reloaded}");
    let worker = managed.worker()?;
    let stopped = managed.init("stop")?;
    assert!(stopped.contains("stopped") && !managed.healthy(), "{stopped}");
    assert!(!runs(worker), "the worker is still there");
    Ok(())
}

/// One process serves what it has begun while another takes over the sockets: nobody notices.
#[test]
fn a_seamless_reload_refuses_no_connection_and_breaks_no_request() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    let (manager, first) = (managed.pid()?, managed.worker()?);
    let node = cluster.node(1);
    let load = Load::on(node)?;
    load.go_on_for(100)?;
    let upload = Upload::begin(node, &objects(node, 9)?[8])?;

    // What is read again is seen, and so is the new process.
    set(&cluster, "[filter:healthcheck]", "[filter:healthcheck]\ndisable_path = /")?;
    let said = managed.init("reload-seamless")?;
    let started = Instant::now();
    while exchange(node.address(), b"GET /healthcheck HTTP/1.1\r\nHost: node\r\n\r\n")?.status != 503 {
        ensure!(started.elapsed() < CHANGE_WAIT_MAX, "the old configuration counts: {said}");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(runs(first), "the upload's server is gone");
    load.go_on_for(100)?;
    upload.finish(node)?;
    let second = managed.wait_for_another(first)?;
    assert_eq!(managed.pid()?, manager, "swift-init would look for another process");

    // By the tool that looks first and waits for the end.
    let said = managed.swift_reload()?;
    assert!(said.contains("Process is READY"), "{said}");
    managed.wait_for_another(second)?;
    load.go_on_for(100)?;
    let outcome = load.outcome();
    assert!(outcome.refused == 0 && outcome.broken.is_empty() && outcome.answered > 300, "{outcome:?}");
    managed.init("stop")?;
    Ok(())
}

/// A configuration that cannot be used takes nothing down, neither by signal nor by the tool that looks first.
#[test]
fn a_reload_that_cannot_be_leaves_what_serves() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    let worker = managed.worker()?;
    set(&cluster, "mount_check = false", "mount_check = false\nmax_clients = many")?;
    managed.init("reload-seamless")?;
    assert!(managed.swift_reload().is_err(), "the tool has not seen it");
    thread::sleep(Duration::from_secs(1));
    assert!(managed.healthy() && managed.worker()? == worker);
    set(&cluster, "\nmax_clients = many", "")?;
    managed.swift_reload()?;
    managed.wait_for_another(worker)?;
    assert!(managed.healthy());
    Ok(())
}

/// A graceful end: no new work at once, what was begun comes to its end, without swift-init waiting for it.
#[test]
fn a_graceful_reload_finishes_what_was_begun() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    let (node, first) = (cluster.node(1), managed.worker()?);
    let upload = Upload::begin(node, &objects(node, 1)?[0])?;
    managed.init("reload")?;
    assert!(managed.healthy() && runs(first), "the upload's server is gone");
    upload.finish(node)?;
    let started = Instant::now();
    while runs(first) {
        ensure!(started.elapsed() < CHANGE_WAIT_MAX, "it goes on with nothing to do");
        thread::sleep(Duration::from_millis(20));
    }
    managed.init("stop")?;
    Ok(())
}

/// Neither of the two is left without the other.
#[test]
fn a_worker_that_dies_is_replaced_and_one_without_its_manager_ends() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    let first = managed.worker()?;
    kill_process(Pid::from_raw(first).context("a process")?, Signal::KILL)?;
    let started = Instant::now();
    let second = loop {
        match managed.worker() {
            Ok(worker) if worker != first && managed.healthy() => break worker,
            _ => ensure!(started.elapsed() < CHANGE_WAIT_MAX, "nobody serves any more"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    kill_process(Pid::from_raw(managed.pid()?).context("a process")?, Signal::KILL)?;
    let started = Instant::now();
    while runs(second) {
        ensure!(started.elapsed() < CHANGE_WAIT_MAX, "the worker serves on without a manager");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!managed.healthy());
    Ok(())
}
