//! Python's grpcio, with stubs generated from `proto/`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use ssync_tests::{Cluster, Server, Shape, helper, repository, venv_program};

const PARTITION: u32 = 3;

fn run_client(arguments: &Value) -> Result<Value> {
    let mut child = Command::new(venv_program("python")?)
        .arg(repository().join("tests/polyglot/client.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no pipe")?.write_all(arguments.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "client.py: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn python_checks_and_updates(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let node = cluster.node(2);
    let mut serving = node.serve(Server::Ssync(shape))?;
    let objects = helper(
        "locate",
        &json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": PARTITION, "count": 4}),
    )?;
    let answer =
        run_client(&json!({"proto": repository().join("proto"), "address": node.address().to_string(),
                                    "partition": PARTITION, "objects": objects}))?;

    let hash = |index: usize| objects[index]["hash"].clone();
    assert_eq!(answer["lacking"], json!([hash(0), hash(1)]));
    let outcome = |id: &str| answer["results"][id].clone();
    assert_eq!(outcome("1"), json!(["UPDATE_OUTCOME_APPLIED", hash(0)]), "{answer}");
    assert_eq!(outcome("2"), json!(["UPDATE_OUTCOME_APPLIED", hash(1)]), "{answer}");
    assert_eq!(outcome("3"), json!(["UPDATE_OUTCOME_FAILED", hash(2)]), "{answer}");
    assert_eq!(outcome("4"), json!(["UPDATE_OUTCOME_APPLIED", hash(3)]), "{answer}");
    assert_eq!((&answer["applied"], &answer["failed"]), (&json!(3), &json!(1)));
    assert_eq!(answer["lacking_after"], json!([hash(2)]));
    assert_eq!(
        answer["refused"],
        json!({"code": "FAILED_PRECONDITION", "reason": "POLICY_UNKNOWN", "domain": "ssync.v1"})
    );

    serving.assert_running();
    let tree = node.read_tree()?;
    tree.assert_sound();
    let object = |index: usize| tree.object(objects[index]["path"].as_str().unwrap_or_default());
    let (whole, chunked, broken, deleted) = (object(0), object(1), object(2), object(3));
    let whole = whole.context("the small object is not there")?;
    assert_eq!(whole["length"], 5);
    assert_eq!(whole["data"]["X-Object-Meta-From"], "Python");
    assert_eq!(whole["data"]["Content-Type"], "text/plain");
    assert_eq!(chunked.context("the large object is not there")?["md5"], answer["chunked_md5"]);
    assert_eq!(broken, None, "an object that was broken off is there");
    assert_eq!(deleted.context("no tombstone")?["kind"], "tombstone");
    Ok(())
}

#[test]
fn checks_and_updates_one_process() -> Result<()> {
    python_checks_and_updates(Shape::OneProcess)
}

#[test]
fn checks_and_updates_two_over_tcp() -> Result<()> {
    python_checks_and_updates(Shape::TwoOverTcp)
}

#[test]
fn checks_and_updates_two_over_unix() -> Result<()> {
    python_checks_and_updates(Shape::TwoOverUnix)
}
