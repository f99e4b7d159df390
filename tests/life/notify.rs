//! What systemd is told (`Type=notify`), heard as systemd hears it.

use std::{os::unix::net::UnixDatagram, time::Duration};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use ssync_tests::Cluster;
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
