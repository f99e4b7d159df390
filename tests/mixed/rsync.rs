//! rsync's daemon on each node, as Swift's rsync method wants it.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use ssync_tests::as_own_group;

use crate::scene::Scene;

const PORT: u16 = 8730;
/// `rsync_module` of the nodes' configuration; Swift puts the address in.
pub(crate) const MODULE: &str = "rsync://{replication_ip}:8730/object";
const START_MAX: Duration = Duration::from_secs(20);

/// A daemon, killed when this is dropped.
pub(crate) struct Rsyncd(Child);

impl Drop for Rsyncd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// One for each node, ours too.
pub(crate) fn serve(scene: &Scene) -> Result<Vec<Rsyncd>> {
    scene.nodes().map(|number| serve_node(scene, number)).collect()
}

fn serve_node(scene: &Scene, number: u8) -> Result<Rsyncd> {
    let node = scene.cloud.node(number);
    let ip = node.address().ip();
    let folder = scene.cloud.cluster().folder();
    let conf = folder.join(format!("rsyncd-{number}.conf"));
    let (lock, log) = (conf.with_extension("lock"), conf.with_extension("log"));
    let user = if rustix::process::geteuid().is_root() { "uid = root\ngid = root\n" } else { "" };
    let text = format!(
        "{user}use chroot = no\nlog file = {}\n[object]\nmax connections = 25\npath = {}\nread only = false\nlock file = {}\n",
        log.display(),
        node.devices().display(),
        lock.display()
    );
    fs::write(&conf, text)?;
    let mut command = as_own_group(Path::new("rsync"));
    let child = command
        .args(["--daemon", "--no-detach", &format!("--address={ip}"), &format!("--port={PORT}")])
        .arg(format!("--config={}", conf.display()))
        .stdin(Stdio::null())
        .spawn()?;
    let daemon = Rsyncd(child);
    let started = Instant::now();
    while TcpStream::connect((ip, PORT)).is_err() {
        ensure!(started.elapsed() < START_MAX, "rsyncd of node {number} does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(daemon)
}
