//! The process that keeps its number and the sockets while others serve for it: where something goes wrong, or comes twice.

use std::{
    net::TcpListener,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use ssync_tests::Cluster;

use crate::{
    load::{Upload, objects},
    managed::{Managed, runs, set},
    told::{PATIENCE, until},
};

/// What goes wrong after the look at the configuration is no success either.
#[test]
fn a_reload_that_fails_is_not_told_as_one_that_worked() -> Result<()> {
    let cluster = Cluster::of(1).setting("DEFAULT", "bind_timeout", "0").build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    let worker = managed.worker()?;
    let taken = TcpListener::bind((cluster.node(1).address().ip(), 0))?;
    let port = taken.local_addr()?.port();
    set(&cluster, "[ssync]", &format!("[ssync]\ngrpc_port = {port}"))?;
    let said = managed.swift_reload_within(Duration::from_secs(5));
    let complaint = said.map_or_else(|error| error.to_string(), |said| format!("success: {said}"));
    assert!(complaint.contains("Timed out reloading") && !complaint.contains("READY"), "{complaint}");
    assert!(managed.healthy() && managed.worker()? == worker);

    drop(taken);
    let said = managed.swift_reload()?;
    assert!(said.contains("Process is READY"), "{said}");
    managed.wait_for_another(worker)?;
    Ok(())
}

/// The second may have been sent because the configuration changed after the first was begun.
#[test]
fn of_two_signals_none_is_lost() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    // On a busy machine the one that is to be held up may serve before it is.
    for _ in 0..10 {
        if is_not_lost(&managed)? {
            return Ok(());
        }
    }
    bail!("no worker could be held up on its way")
}

/// False where the other signal came too late to be lost.
fn is_not_lost(managed: &Managed<'_>) -> Result<bool> {
    managed.signal(Signal::USR1)?;
    let started = Instant::now();
    let next = loop {
        if let [_, next] = managed.workers()?.as_slice() {
            break *next;
        }
        ensure!(started.elapsed() < PATIENCE, "nobody is started");
    };
    let process = Pid::from_raw(next).context("a process")?;
    kill_process(process, Signal::STOP)?;
    managed.signal(Signal::USR1)?;
    thread::sleep(Duration::from_millis(200));
    let was_on_its_way = managed.worker()? == next && managed.workers()?.len() == 2;
    kill_process(process, Signal::CONT)?;
    until("another one serves alone", || Ok(managed.worker()? != next && managed.workers()?.len() == 1))?;
    ensure!(managed.healthy(), "nobody serves");
    Ok(was_on_its_way)
}

/// They serve no new connection, but they are this server's all the same.
#[test]
fn a_stop_ends_those_too_that_finish_what_they_have_begun() -> Result<()> {
    let cluster = Cluster::of(1).setting("ssync", "drain_timeout", "2").build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    let (node, first) = (cluster.node(1), managed.worker()?);
    let _unfinished = Upload::begin(node, &objects(node, 1)?[0])?;
    managed.swift_reload()?;
    let second = managed.worker()?;
    assert!(runs(first) && second != first);
    managed.init("stop")?;
    assert!(!runs(first) && !runs(second), "a worker is still there");
    Ok(())
}

/// Where nobody serves at the moment the others are waited for as well.
#[test]
fn a_stop_between_two_workers_ends_those_that_leave() -> Result<()> {
    let cluster = Cluster::of(1).setting("ssync", "drain_timeout", "2").build()?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    let (node, first) = (cluster.node(1), managed.worker()?);
    let _unfinished = Upload::begin(node, &objects(node, 1)?[0])?;
    managed.swift_reload()?;
    let second = managed.worker()?;
    kill_process(Pid::from_raw(second).context("a process")?, Signal::KILL)?;
    until("the manager has seen it", || Ok(managed.workers()? == [first]))?;
    let manager = managed.pid()?;
    managed.signal(Signal::TERM)?;
    until("it ends", || Ok(!runs(manager)))?;
    assert!(!runs(first), "it goes on for nobody");
    Ok(())
}

/// The file is the manager's, and the workers have the socket only.
#[test]
fn an_admin_address_that_is_a_file_is_there_through_reloads() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let path = cluster.folder().join("admin.socket");
    let node = cluster.node(1);
    set(
        &cluster,
        &format!("admin_bind = {}", node.admin_address()),
        &format!("admin_bind = unix:{}", path.display()),
    )?;
    let managed = Managed::of(&cluster)?;
    managed.init("start")?;
    UnixStream::connect(&path)?;
    let worker = managed.worker()?;
    managed.swift_reload()?;
    managed.wait_for_another(worker)?;
    UnixStream::connect(&path)?;
    managed.init("stop")?;
    until("it is gone with the server", || {
        thread::sleep(Duration::from_millis(10));
        Ok(!path.exists())
    })
}
