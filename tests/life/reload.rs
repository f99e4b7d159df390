//! SIGHUP to a node that was started by its own name.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;
use ssync_tests::{Cluster, exchange};

use crate::{
    load::{Load, Upload, objects},
    told::{Started, until},
};

fn replace(cluster: &Cluster, before: &str, now: &str) -> Result<()> {
    let conf = cluster.node(1).conf();
    let text = fs::read_to_string(conf)?;
    anyhow::ensure!(text.contains(before), "no {before:?} in {text}");
    Ok(fs::write(conf, text.replace(before, now))?)
}

/// An option as the admin address has it.
fn shown(cluster: &Cluster, section: &str, name: &str) -> Result<String> {
    let answer = exchange(cluster.node(1).admin_address(), b"GET /config HTTP/1.1\r\nHost: node\r\n\r\n")?;
    let rows: Vec<Value> = serde_json::from_slice(&answer.body)?;
    let row = rows.iter().find(|row| row["section"] == section && row["name"] == name);
    Ok(row.and_then(|row| row["value"].as_str()).context("no such row")?.to_owned())
}

#[test]
fn what_can_change_does_and_what_cannot_is_named_under_load() -> Result<()> {
    let cluster = Cluster::of(1)
        .setting("object-replicator", "interval", "3600")
        .setting("DEFAULT", "log_level", "INFO")
        .build()?;
    let node = cluster.node(1);
    let mut daemon = Started::ssync(&cluster, "node", |_| {})?;
    daemon.says("Object replication complete.")?;
    let load = Load::on(node)?;
    load.go_on_for(20)?;
    let upload = Upload::begin(node, &objects(node, 9)?[8])?;

    replace(&cluster, "interval = 3600", "interval = 7200")?;
    replace(&cluster, "log_level = INFO", "log_level = DEBUG")?;
    replace(&cluster, "disable_fallocate = true", "disable_fallocate = false")?;
    daemon.signal(Signal::HUP)?;
    daemon.says("reload: in force with the next pass: [object-replicator] interval = 7200 (was 3600;")?;
    daemon.says("reload: in force at once: [DEFAULT] log_level = DEBUG (was INFO;")?;
    daemon.says("reload: only a restart changes this: [DEFAULT] disable_fallocate = false (was true;")?;
    daemon.says("reload: looked again at the rings")?;
    until("the new value is shown", || Ok(shown(&cluster, "object-replicator", "interval")? == "7200"))?;
    assert_eq!(shown(&cluster, "DEFAULT", "disable_fallocate")?, "true", "what is in force is shown");
    until("lines of the level come", || Ok(daemon.log().lines().any(|line| line.contains("Z DEBUG "))))?;

    replace(&cluster, "interval = 7200", "interval = often")?;
    daemon.signal(Signal::HUP)?;
    daemon.says("reload: the configuration cannot be used, and stays as it was")?;
    assert_eq!(shown(&cluster, "object-replicator", "interval")?, "7200");
    load.go_on_for(20)?;
    upload.finish(node)?;
    let outcome = load.outcome();
    assert!(outcome.refused == 0 && outcome.broken.is_empty(), "{outcome:?}");

    daemon.signal(Signal::TERM)?;
    assert!(daemon.end()?.success());
    Ok(())
}

/// Long before the daemon would look by itself.
#[test]
fn a_new_ring_is_taken_up() -> Result<()> {
    let cluster = Cluster::of(1).setting("object-replicator", "ring_check_interval", "3600").build()?;
    let mut daemon = Started::ssync(&cluster, "node --no-replicator", |_| {})?;
    daemon.says("listening")?;
    let ring = cluster.node(1).swift_dir().join("object.ring.gz");
    let bytes = fs::read(&ring)?;
    fs::remove_file(&ring)?;
    fs::write(&ring, bytes)?;
    fs::File::options().write(true).open(&ring)?.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
    daemon.signal(Signal::HUP)?;
    daemon.says("ring reloaded")
}
