//! The number of partitions doubles beneath a node: Swift's relinker works on our disk, and the replicator keeps out of it.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use ssync_tests::{
    Cluster, DEVICE, Node, Replicator, Server, Serving, Shape, helper, repository, run_to_end, venv_program,
};

use crate::direct::{Change, Clock, Object, ask, put, tell};

const OURS: Server = Server::Ssync(Shape::OneProcess);
const BEFORE: u32 = 3;
const AFTER: u32 = 4;
const STEPS: [&str; 3] =
    ["prepare_increase_partition_power", "increase_partition_power", "finish_increase_partition_power"];

/// The cluster's rings, so many steps on the way.
fn grow(cluster: &Cluster, steps: usize) -> Result<()> {
    let devices: Vec<_> = (1..=cluster.size())
        .map(|number| {
            let address = cluster.node(number).ring_address();
            json!({"ip": address.ip(), "port": address.port(), "device": DEVICE, "weight": 1})
        })
        .collect();
    let ring = json!({"policy": 0, "part_power": BEFORE, "replicas": cluster.size(), "devices": devices,
                      "grow": STEPS[..steps]});
    helper("rings", &json!({"dir": cluster.node(1).swift_dir(), "rings": [ring]})).map(drop)
}

fn relinker(node: &Node, command: &str) -> Result<()> {
    let program = repository().join("tests/harness/python/run.py").display().to_string();
    let (swift_dir, devices) = (node.swift_dir().display().to_string(), node.devices().display().to_string());
    let arguments = [
        &program,
        &swift_dir,
        "swift-object-relinker",
        command,
        "--swift-dir",
        &swift_dir,
        "--devices",
        &devices,
        "--skip-mount-check",
        "--policy",
        "0",
    ];
    let output = run_to_end(&venv_program("python")?, &arguments)?;
    // 2 says that there was nothing to do.
    let done = matches!(output.status.code(), Some(0 | 2));
    ensure!(done, "{command}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Where an object's files are when there are 2^`power` partitions.
fn home(node: &Node, object: &Object, power: u32) -> PathBuf {
    let hash = object.hash();
    let partition = object.partition_of(power).to_string();
    node.device().join("objects").join(partition).join(&hash[29..]).join(hash)
}

fn files(folder: &PathBuf) -> Result<Vec<(String, u64)>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.ino()));
    }
    found.sort();
    Ok(found)
}

fn assert_in_both(node: &Node, object: &Object) -> Result<()> {
    let (old, new) = (files(&home(node, object, BEFORE))?, files(&home(node, object, AFTER))?);
    ensure!(!old.is_empty() && old == new, "{}: {old:?} and {new:?}", object.path);
    Ok(())
}

/// It looks for rings now and then; a start is a look.
fn restart(serving: &mut Serving, node: &Node) -> Result<()> {
    for daemon in &mut serving.daemons {
        daemon.stop()?;
    }
    *serving = node.serve(OURS)?;
    Ok(())
}

#[test]
fn the_partition_power_grows_with_swifts_relinker_and_nothing_is_lost_or_sent_twice() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let nodes = [cluster.node(1), cluster.node(2)];
    let mut serving = [nodes[0].serve(OURS)?, nodes[1].serve(Server::Stock)?];
    let clock = Clock::start()?;
    let objects: Vec<_> = (0..12).map(|number| Object::named(&format!("o-{number}"))).collect();
    for object in &objects {
        for node in nodes {
            put(node, object, &clock.at(1), b"first")?;
        }
    }
    let lacking = Object::named("lacking");
    put(nodes[0], &lacking, &clock.at(1), b"only on one")?;

    grow(&cluster, 1)?;
    nodes[0].replicate(Replicator::Ssync)?;
    assert!(files(&home(nodes[1], &lacking, BEFORE))?.is_empty(), "a partition that is being split was sent");
    // What a proxy says meanwhile.
    let next = AFTER.to_string();
    let during = [("Content-Type", "text/plain"), ("X-Backend-Next-Part-Power", next.as_str())];
    let (written, deleted) = (Object::named("written"), &objects[0]);
    for node in nodes {
        tell(
            node,
            &written,
            Change { method: "PUT", timestamp: &clock.at(2), headers: &during, body: b"meanwhile" },
        )?;
        assert_in_both(node, &written)?;
        relinker(node, "relink")?;
        // Again: what is linked already is no error.
        relinker(node, "relink")?;
        tell(
            node,
            deleted,
            Change { method: "DELETE", timestamp: &clock.at(3), headers: &during[1..], body: b"" },
        )?;
        for object in objects.iter().chain([&written]) {
            assert_in_both(node, object)?;
        }
    }

    grow(&cluster, 2)?;
    restart(&mut serving[0], nodes[0])?;
    for node in nodes {
        for object in objects.iter().chain([&written]) {
            let object = Object { partition: object.partition_of(AFTER), ..object.clone() };
            let change = Change { method: "GET", timestamp: &clock.at(9), headers: &[], body: b"" };
            let status = ask(node, &object, change)?.status;
            let expected = if object.path == deleted.path { 404 } else { 200 };
            assert_eq!(status, expected, "{}", object.path);
        }
        relinker(node, "cleanup")?;
        for object in objects.iter().chain([&written]) {
            assert!(
                files(&home(node, object, BEFORE))?.is_empty()
                    || object.partition_of(BEFORE) == object.partition_of(AFTER)
            );
            assert!(!files(&home(node, object, AFTER))?.is_empty(), "{} is lost", object.path);
        }
    }

    grow(&cluster, 3)?;
    restart(&mut serving[0], nodes[0])?;
    nodes[0].replicate(Replicator::Ssync)?.assert_success();
    let tree = nodes[0].read_tree()?;
    // Stock's hashes still tell of what was there before the deletion: it notes a change only where the object was.
    tree.assert_sound();
    assert_eq!(tree.objects, nodes[1].read_tree()?.objects);
    assert!(
        tree.object(&lacking.path).context("what was lacking did not come afterwards")?["kind"] == "data"
    );
    assert_eq!(tree.objects.len(), objects.len() + 2);
    Ok(())
}
