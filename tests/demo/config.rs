//! `ssync config show` tells what counts, and where it comes from.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use ssync_tests::{Cluster, as_own_group, ssync_binary};

#[test]
fn tells_each_value_and_its_source() -> Result<()> {
    let cluster = Cluster::of(1).setting("object-replicator", "concurrency", "3").build()?;
    let conf = cluster.node(1).conf().display().to_string();
    let shown = as_own_group(&ssync_binary()?)
        .args(["config", "show", "--conf", &conf, "--set", "server.client_timeout=7"])
        .env("SSYNC_INLINE_BYTES_MAX", "4096")
        .output()?;
    let said = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{said}{}", String::from_utf8_lossy(&shown.stderr));
    let line = |name: &str, value: &str| {
        let found = said.lines().find(|line| line.contains(name) && line.contains(value));
        found.unwrap_or_else(|| panic!("no line with {name} and {value}:\n{said}")).to_owned()
    };
    assert!(line("bind_ip", &cluster.node(1).address().ip().to_string()).contains("1.conf"), "{said}");
    assert!(line("concurrency", "3").contains("object-replicator"), "{said}");
    assert!(line("inline_bytes_max", "4096").contains("SSYNC_INLINE_BYTES_MAX"), "{said}");
    assert!(line("client_timeout", "7").contains("set"), "{said}");
    line("mb_per_sync", "512");
    Ok(())
}

#[test]
fn tells_it_as_json() -> Result<()> {
    let cluster = Cluster::of(1).setting("object-replicator", "run_pause", "7").build()?;
    let conf = cluster.node(1).conf().display().to_string();
    let shown =
        as_own_group(&ssync_binary()?).args(["config", "show", "--json", "--conf", &conf]).output()?;
    let rows: Vec<Value> = serde_json::from_slice(&shown.stdout)?;
    let row = rows.iter().find(|row| row["name"] == "interval").context("no interval")?;
    assert_eq!((&row["section"], &row["value"]), (&json!("object-replicator"), &json!("7")));
    assert!(row["origin"].as_str().is_some_and(|origin| origin.contains("1.conf")), "{row}");
    Ok(())
}

#[test]
fn names_every_mistake_at_once() -> Result<()> {
    let cluster = Cluster::of(1)
        .setting("object-replicator", "concurrency", "many")
        .setting("app:object-server", "client_timeout", "soon")
        .build()?;
    let conf = cluster.node(1).conf().display().to_string();
    let shown = as_own_group(&ssync_binary()?).args(["config", "show", "--conf", &conf]).output()?;
    let said = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(!shown.status.success(), "mistakes were taken");
    for word in ["concurrency", "many", "client_timeout", "soon"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    Ok(())
}
