//! Commands of the documents, given to a cluster of two nodes that replicates, document by document.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ssync_tests::{Cluster, Node, Server, Serving, Shape};

use crate::{
    accounts::{By, account},
    commands::{Command, all},
    scene::Scene,
};

/// Longest that a replicator may take to answer.
const READY_WAIT_MAX: Duration = Duration::from_secs(30);

/// The nodes that documents speak of, and their folders.
fn scene(cluster: &Cluster) -> Result<Scene> {
    let (here, peer) = (cluster.node(1), cluster.node(2));
    let text = |path: &std::path::Path| path.display().to_string();
    let admin = here.admin_address().to_string();
    Scene::new(
        &[
            ("10.0.0.2:6200", peer.ring_address().to_string()),
            ("127.0.0.1:6200", here.address().to_string()),
            ("127.0.0.1:6301", admin.clone()),
            ("127.0.0.1:6303", admin),
            ("/etc/swift/object-server.conf", text(here.conf())),
            ("/etc/swift/new", text(here.swift_dir())),
            ("/etc/swift", text(here.swift_dir())),
            ("/srv/node", text(here.devices())),
        ],
        &[("SSYNC_CONF", text(here.conf()))],
    )
}

/// How a command may end. Those that say by their code whether something is wrong may find something, or not: nobody has stored the
/// object that documents speak of, and the replicator is at work.
fn codes(text: &str) -> &'static [i32] {
    // By its hash an object is known where it lies, and the documents' lies nowhere.
    if text.starts_with("ssync object ") && !text.starts_with("ssync object /") {
        return &[2];
    }
    let asks = ["ssync object /", "ssync partition ", "ssync verify", "ssync errors --retry "];
    if asks.iter().any(|command| text.starts_with(command)) { &[0, 1] } else { &[0] }
}

fn serve(cluster: &Cluster) -> Result<[Serving; 2]> {
    let ours = Server::Ssync(Shape::OneProcess);
    cluster.node(1).write_tree(200)?;
    let serving = [cluster.node(1).serve_and_replicate(ours)?, cluster.node(2).serve(ours)?];
    wait_for_replicator(cluster.node(1), &scene(cluster)?)?;
    Ok(serving)
}

fn wait_for_replicator(node: &Node, scene: &Scene) -> Result<()> {
    let started = Instant::now();
    while scene.give("ssync errors")?.code != Some(0) {
        ensure!(started.elapsed() < READY_WAIT_MAX, "no replicator answers at {}", node.admin_address());
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Gives those of the documents that `belongs` says.
fn give(belongs: impl Fn(&str) -> bool, least: usize) -> Result<()> {
    let ours = |command: &Command| {
        belongs(&command.document)
            && matches!(account(&command.document, &command.text), Some((_, By::Cluster)))
    };
    let commands: Vec<Command> = all().into_iter().filter(ours).collect();
    ensure!(commands.len() >= least, "{} commands", commands.len());
    let cluster = Cluster::of(2).part_power(4).build()?;
    let _serving = serve(&cluster)?;
    let scene = scene(&cluster)?;
    for command in commands {
        let said = scene.give(&command.text)?;
        let expected = codes(&command.text);
        ensure!(
            said.code.is_some_and(|code| expected.contains(&code)),
            "{}\nended with {:?}, not {expected:?}:\n{}",
            command.place(),
            said.code,
            said.text
        );
    }
    Ok(())
}

#[test]
fn what_operators_are_told() -> Result<()> {
    give(|document| document == "docs/operators.md", 20)
}

#[test]
fn what_other_pages_tell() -> Result<()> {
    give(|document| document != "docs/operators.md", 8)
}
