//! A link with the name of Swift's server, in the hands of swift-init and swift-reload.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use ssync_tests::{Cluster, exchange};

use crate::{
    load::{Load, Upload, objects},
    managed::{CHANGE_WAIT_MAX, Managed, runs, set},
};

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
