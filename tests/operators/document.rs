//! The commands of docs/operators.md can be given as they stand there.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Cluster, Node, Server, Shape, repository};

use crate::ssync::ssync;

/// The node that the document speaks of.
const PEER: &str = "10.0.0.2:6200";
/// And its rings that are to come.
const NEW_RINGS: &str = "/etc/swift/new";

/// Lines between fences that call the binary.
fn commands(document: &str) -> Vec<Vec<String>> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in document.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if let Some(rest) = line.strip_prefix("ssync ").filter(|_| fenced) {
            found.push(rest.split_whitespace().map(str::to_owned).collect());
        }
    }
    found
}

fn wait_for_replicator(node: &Node) -> Result<()> {
    let started = Instant::now();
    while ssync(node, &["errors"])?.code != Some(0) {
        ensure!(started.elapsed() < Duration::from_secs(30), "no replicator answers");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn commands_do_what_they_say() -> Result<()> {
    let document = fs::read_to_string(repository().join("docs/operators.md"))?;
    let cluster = Cluster::of(2).part_power(4).build()?;
    let ours = Server::Ssync(Shape::OneProcess);
    let _serving = [cluster.node(1).serve(ours)?, cluster.node(2).serve(ours)?];
    cluster.node(1).write_tree(200)?;
    assert!(cluster.node(1).device().join("objects/7").exists(), "the document speaks of partition 7");
    let peer = cluster.node(2).ring_address().to_string();
    let (to, mut replicator) = (format!("{peer}/sdb1"), None);
    let mut names = Vec::new();
    for command in commands(&document) {
        // Rings that are to come: the present ones do.
        let rings = cluster.node(1).swift_dir().display().to_string();
        let words: Vec<String> =
            command.iter().map(|word| word.replace(PEER, &peer).replace(NEW_RINGS, &rings)).collect();
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let name = *arguments.first().context("a command")?;
        if name == "pause" && replicator.is_none() {
            // From here on the document speaks of a node that replicates.
            replicator = Some(cluster.node(1).replicator(ours)?);
            wait_for_replicator(cluster.node(1))?;
        }
        let said = ssync(cluster.node(1), &arguments)?;
        let expected = match name {
            // Nobody has stored the document's object, and the other node lacks the partition.
            "object" | "partition" => 1,
            // No replicator runs here.
            "status" => 69,
            // Nothing has failed.
            "errors" if words.last().is_some_and(|word| *word == to) => 1,
            _ => 0,
        };
        assert_eq!(said.code, Some(expected), "ssync {}: {said:?}", words.join(" "));
        names.push(name.to_owned());
    }
    names.dedup();
    assert_eq!(
        names,
        [
            "log-level",
            "object",
            "partition",
            "verify",
            "plan",
            "push",
            "status",
            "pause",
            "resume",
            "drain",
            "resume",
            "limits",
            "errors"
        ],
        "each command has its place in the document"
    );
    Ok(())
}
