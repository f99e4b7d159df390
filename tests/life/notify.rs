//! What systemd is told (`Type=notify`), heard as systemd hears it.

use std::{fs, os::unix::net::UnixDatagram, time::Duration};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use ssync_tests::{Cluster, as_own_group, ssync_binary};
use tempfile::TempDir;

use crate::told::{PATIENCE, Started, healthy};

/// The socket that stands in `NOTIFY_SOCKET`.
struct Ear {
    socket: UnixDatagram,
    _folder: TempDir,
    path: String,
}

impl Ear {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path: path.display().to_string(), _folder: folder })
    }

    /// The next message that has this line, whatever comes before it.
    fn hears(&self, line: &str) -> Result<String> {
        let mut buffer = [0; 4096];
        let mut before = Vec::new();
        loop {
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) => anyhow::bail!("{line:?} does not come ({error}), but {before:?}"),
            };
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.lines().any(|found| found.starts_with(line)) {
                return Ok(message);
            }
            before.push(message);
        }
    }
}

#[test]
fn a_node_says_how_it_is_from_its_start_to_its_end() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let ear = Ear::new()?;
    let mut node = Started::ssync(&cluster, "node --no-replicator", |command| {
        command.env("NOTIFY_SOCKET", &ear.path).env("WATCHDOG_USEC", "400000");
    })?;
    let ready = ear.hears("READY=1")?;
    assert!(ready.contains("STATUS=serving") && healthy(cluster.node(1)), "{ready}");
    // By one interval systemd would have ended it.
    ear.socket.set_read_timeout(Some(Duration::from_millis(400)))?;
    for _ in 0..5 {
        ear.hears("WATCHDOG=1")?;
    }
    ear.socket.set_read_timeout(Some(PATIENCE))?;
    node.signal(Signal::HUP)?;
    let reloading = ear.hears("RELOADING=1")?;
    let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(since.is_some_and(|since| since.parse::<u64>().is_ok_and(|since| since > 0)), "{reloading}");
    ear.hears("READY=1")?;
    node.signal(Signal::TERM)?;
    let stopping = ear.hears("STOPPING=1")?;
    // drain_timeout, and what comes after it.
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=40000000"), "{stopping}");
    let status = node.end()?;
    ensure!(status.success(), "{status}: {}", node.log());
    Ok(())
}

/// systemd's own program takes a process for the one that it asked by its number.
#[test]
fn a_watchdog_of_another_process_is_not_fed() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let ear = Ear::new()?;
    let _node = Started::ssync(&cluster, "node --no-replicator", |command| {
        command.env("NOTIFY_SOCKET", &ear.path).env("WATCHDOG_USEC", "100000").env("WATCHDOG_PID", "1");
    })?;
    ear.hears("READY=1")?;
    ear.socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    assert!(ear.hears("WATCHDOG=1").is_err());
    Ok(())
}

/// A unit may start Swift's server by its name: its manager is whom the service manager knows.
#[test]
fn swifts_server_beats_through_a_reload_and_tells_of_one_that_fails() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let ear = Ear::new()?;
    let link = cluster.folder().join("swift-object-server");
    std::os::unix::fs::symlink(ssync_binary()?, &link)?;
    let mut program = as_own_group(&link);
    program.arg(cluster.node(1).conf());
    program.env("NOTIFY_SOCKET", &ear.path).env("WATCHDOG_USEC", "400000");
    let mut server = Started::of(&cluster, program)?;
    ear.hears("READY=1")?;
    server.signal(Signal::USR1)?;
    ear.hears("RELOADING=1")?;
    ear.hears("READY=1")?;
    ear.socket.set_read_timeout(Some(Duration::from_millis(400)))?;
    for _ in 0..5 {
        ear.hears("WATCHDOG=1")?;
    }
    ear.socket.set_read_timeout(Some(PATIENCE))?;

    let conf = cluster.node(1).conf();
    let text = fs::read_to_string(conf)?;
    fs::write(conf, text.replace("[DEFAULT]", "[DEFAULT]\nmax_clients = many"))?;
    server.signal(Signal::USR1)?;
    let over = ear.hears("READY=1")?;
    assert!(
        over.contains("STATUS=serving as before; no other worker") && over.contains("max_clients"),
        "{over}"
    );
    assert!(healthy(cluster.node(1)));
    server.signal(Signal::TERM)?;
    ear.hears("STOPPING=1")?;
    ensure!(server.end()?.success(), "{}", server.log());
    Ok(())
}
