//! `/recon` and swift-recon.

use std::{collections::BTreeMap, fs};

use anyhow::Result;
use serde_json::Value;
use ssync_tests::{Answer, Cluster, Node, Server, repository, run_to_end, venv_program};

use crate::told::{SERVERS, ask, assert_same};

/// What swift-recon and people ask. Those behind which a `~` stands tell of the moment: kinds are compared there.
const PATHS: &[&str] = &[
    "mem~",
    "load~",
    "sockstat~",
    "time~",
    "diskusage~",
    "mounted~",
    "version~",
    "async",
    "replication",
    "replication/object",
    "replication/account",
    "replication/container",
    "replication/other",
    "replication/",
    "devices",
    "updater/object",
    "updater/container",
    "updater/account",
    "updater",
    "auditor/object",
    "auditor/account",
    "auditor/container",
    "expirer/object",
    "expirer/container",
    "unmounted",
    "ringmd5",
    "swiftconfmd5",
    "quarantined",
    "driveaudit",
    "sharding",
    "relinker",
    "reconstruction/object",
    "reconstruction",
    "unknown",
    "unknown/%C3%A9",
    "",
];

/// The cache that Swift's daemons have left.
const CACHE: &str = r#"{"async_pending": 3, "async_pending_last": 1700000000.25, "expired_last_pass": 12, "object_auditor_stats_ALL": {"disk1": {"audit_time": 1.5e-07, "bytes_processed": 1e+16, "errors": 0, "passes": 42, "start_time": 1699999999.123456}}, "object_expiration_pass": 0.25, "object_reconstruction_last": 1700000000.5, "object_reconstruction_time": 2.0, "object_replication_last": 1700000000.125, "object_replication_time": 0.016, "object_updater_last": null, "object_updater_sweep": 7.25, "replication_last": 1700000000.125, "replication_stats": {"attempted": 5, "failure": 1, "failure_nodes": {"127.0.0.1": {"gr\u00fcn": 1}}, "success": 4}, "replication_time": 0.016}"#;

/// Devices of every kind, and what is quarantined on them.
fn furnish(node: &Node) -> Result<()> {
    let devices = node.devices();
    for folder in [
        "marked/quarantined/objects/aaa",
        "marked/quarantined/objects/bbb",
        "marked/quarantined/objects-1/ccc",
        "marked/quarantined/containers/ddd",
        "marked/quarantined/accounts",
        "bare/quarantined/objects-1/eee",
    ] {
        fs::create_dir_all(devices.join(folder))?;
    }
    fs::write(devices.join("marked/.ismount"), "")?;
    fs::write(devices.join("notes.txt"), "")?;
    Ok(fs::write(node.recon().join("object.recon"), CACHE)?)
}

/// Rows 93, 94 and 171.
#[test]
fn recon_answers_as_stock_does_and_swift_recon_prints_the_same() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    furnish(node)?;
    let (mut stock, mut printed_of_stock) = (Vec::new(), Vec::new());
    for server in SERVERS {
        let _serving = node.serve(server)?;
        let mut said = Vec::new();
        for path in PATHS {
            said.push(shown(
                path,
                &ask(node.address(), "GET", &format!("/recon/{}", path.trim_end_matches('~')), &[], b"")?,
            ));
        }
        for method in ["HEAD", "PUT", "DELETE", "COPY"] {
            said.push(shown("async", &ask(node.address(), method, "/recon/async", &[], b"")?));
        }
        fs::rename(node.devices(), node.devices().with_extension("gone"))?;
        for path in ["devices", "quarantined~"] {
            said.push(shown(
                path,
                &ask(node.address(), "GET", &format!("/recon/{}", path.trim_end_matches('~')), &[], b"")?,
            ));
        }
        fs::rename(node.devices().with_extension("gone"), node.devices())?;
        let printed = swift_recon(node)?;
        match server {
            Server::Stock => {
                let all = printed.join("\n");
                assert!(all.contains("1/1 hosts matched, 0 error") && !all.contains("rror 111"), "{all}");
                (stock, printed_of_stock) = (said, printed);
            }
            _ => {
                assert_same("answer", server, &stock, &said);
                assert_same("swift-recon, line", server, &printed_of_stock, &printed);
            }
        }
    }
    Ok(())
}

/// An answer, as far as it must be the same.
fn shown(path: &str, answer: &Answer) -> String {
    let kind = answer.header("content-type").unwrap_or_default();
    let length = answer.header("content-length").unwrap_or_default();
    if answer.status == 500 {
        // Stock's is the traceback of its programming language.
        return format!("{path} 500");
    }
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) if path.ends_with('~') => format!("{path} {} {kind} {}", answer.status, kinds(&value)),
        Ok(value) => format!("{path} {} {kind} {length} {}", answer.status, sorted(value)),
        Err(_) => format!("{path} {} {kind} {length} {}", answer.status, answer.text()),
    }
}

/// What kinds of values there are, by name. Lists and mounts differ in length from moment to moment.
fn kinds(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let named: BTreeMap<&String, String> =
                map.iter().map(|(key, value)| (key, kinds(value))).collect();
            format!("{named:?}")
        }
        Value::Array(values) => format!("[{}]", values.first().map(kinds).unwrap_or_default()),
        Value::Number(number) if number.is_f64() => "float".to_owned(),
        Value::Number(_) => "integer".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Bool(_) | Value::Null => value.to_string(),
    }
}

/// Folders are listed in no order.
fn sorted(mut value: Value) -> Value {
    match &mut value {
        Value::Array(values) => values.sort_by_key(ToString::to_string),
        Value::Object(map) => map.values_mut().for_each(|value| *value = sorted(value.take())),
        _ => {}
    }
    value
}

fn swift_recon(node: &Node) -> Result<Vec<String>> {
    let script = repository().join("tests/harness/python/run.py").display().to_string();
    let swift_dir = node.swift_dir().display().to_string();
    let flag = format!("--swiftdir={swift_dir}");
    let mut arguments =
        vec![script.as_str(), &swift_dir, "swift-recon", "object", "--verbose", "--policy=gold", &flag];
    arguments.extend([
        "--async",
        "--replication",
        "--auditor",
        "--updater",
        "--expirer",
        "--unmounted",
        "--quarantined",
        "--driveaudit",
        "--md5",
        "--validate-servers",
    ]);
    let output = run_to_end(&venv_program("python")?, &arguments)?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // Dates, and how long ago something was.
    let masked = |line: &str| {
        let line =
            if line.starts_with('[') { line.split_once("] ").map_or(line, |(_, rest)| rest) } else { line };
        line.split_once("(").map_or(line, |(known, _)| known).to_owned()
    };
    // Its own files it names in an order of its own.
    Ok(text.lines().filter(|line| !line.contains("On disk")).map(masked).collect())
}
