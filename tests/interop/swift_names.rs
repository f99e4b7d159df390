//! A link with a name of Swift's is that daemon, so that swift-init, units and scripts go on working.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use ssync_tests::{Cluster, Replicator, Server, as_own_group, exchange, ssync_binary, venv_program};

#[test]
fn links_named_like_swifts_daemons_replicate() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    cluster.node(1).write_tree(5)?;
    let mut first = cluster.node(1).serve(Server::SsyncByLink)?;
    let _second = cluster.node(2).serve(Server::SsyncByLink)?;
    let partly = cluster.node(1).replicate_with(Replicator::SsyncByLink, &["--devices", "sdb9"])?;
    assert!(partly.success && cluster.node(2).snapshot()?.objects().is_empty(), "{}", partly.log);
    cluster.node(1).replicate(Replicator::SsyncByLink)?.assert_success();
    cluster.node(1).read_tree()?.assert_same(&cluster.node(2).read_tree()?);

    let healthy = exchange(cluster.node(1).address(), b"GET /healthcheck HTTP/1.1\r\nHost: node\r\n\r\n")?;
    assert_eq!((healthy.status, healthy.text().as_str()), (200, "OK"));
    let status = first.daemons[0].stop()?;
    assert!(status.success(), "SIGTERM ended it with {status}");
    Ok(())
}

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
        symlink(fs::canonicalize(ssync_binary()?)?, programs.join("swift-object-server"))?;
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

/// swift-init reads what a daemon says until that closes it, and reloads by SIGHUP. Started by root, a daemon becomes the
/// user that the configuration names.
#[test]
fn swift_init_starts_reloads_and_stops_it() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let is_root = geteuid().is_root();
    if is_root {
        let conf = cluster.node(1).conf();
        fs::write(conf, fs::read_to_string(conf)?.replace("user = root", "user = nobody"))?;
        fs::set_permissions(cluster.folder(), Permissions::from_mode(0o755))?;
    }
    let managed = Managed::of(&cluster)?;
    let started = managed.init("start")?;
    assert!(managed.healthy(), "{started}");
    let first = managed.pid()?;
    if is_root {
        let status = fs::read_to_string(format!("/proc/{first}/status"))?;
        assert!(status.lines().all(|line| !line.starts_with("Uid:\t0\t")), "{status}");
    }
    let reloaded = managed.init("reload")?;
    assert!(managed.healthy() && managed.pid()? != first, "{reloaded}");
    let stopped = managed.init("stop")?;
    assert!(stopped.contains("stopped") && !managed.healthy(), "{stopped}");
    Ok(())
}
