//! What a handoff sends, to whom, and what it keeps.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use ssync_tests::{Cluster, DEVICE, Node, Replicator, Server, Shape, helper};

use crate::direct::{Change, Clock, Object, delete, put, tell};

const OURS: Server = Server::Ssync(Shape::OneProcess);
const STOCK: Server = Server::Stock;
/// Objects of a story.
const OBJECTS: usize = 12;
/// Passes after which a handoff must have nothing more to do.
const PASSES_MAX: usize = 3;

fn replicator_of(server: Server) -> Replicator {
    if server == STOCK { Replicator::Stock } else { Replicator::Ssync }
}

fn objects() -> Vec<Object> {
    (0..OBJECTS).map(|number| Object::named(&format!("o-{number}"))).collect()
}

fn partitions(node: &Node) -> Vec<String> {
    let found = fs::read_dir(node.device().join("objects")).into_iter().flatten().flatten();
    found
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.parse::<u32>().is_ok())
        .collect()
}

/// A copy with another handoff would be one that nobody asked for, and the two would send it to and fro.
#[test]
fn primaries_are_sent_to_and_no_other_handoff() -> Result<()> {
    let cluster = Cluster::of(4).handoff(1).handoff(2).tapped().build()?;
    cluster.node(1).write_tree(5)?;
    let tree = cluster.node(1).read_tree()?;
    let servers = [OURS, OURS, OURS, STOCK];
    let _serving = (1..)
        .zip(servers)
        .map(|(number, server)| cluster.node(number).serve(server))
        .collect::<Result<Vec<_>>>()?;
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    for primary in [3, 4] {
        tree.assert_same(&cluster.node(primary).read_tree()?);
    }
    assert!(cluster.node(1).snapshot()?.objects().is_empty(), "the handoff keeps something");
    assert!(cluster.node(2).tap().take().is_empty(), "the other handoff was talked to");
    assert!(cluster.node(2).snapshot()?.is_empty(), "the other handoff has something");
    Ok(())
}

/// A ring by which only node `primary` has anything, in a folder of its own that `node` is told of.
fn believe(cluster: &Cluster, node: &Node, primary: u8) -> Result<()> {
    let folder = cluster.folder().join(format!("etc-{primary}"));
    fs::create_dir_all(&folder)?;
    for file in ["swift.conf", "object-1.ring.gz", "object-2.ring.gz"] {
        fs::copy(node.swift_dir().join(file), folder.join(file))?;
    }
    let devices: Vec<_> = (1..=2)
        .map(|number| {
            let address = cluster.node(number).ring_address();
            let weight = u8::from(number == primary);
            json!({"ip": address.ip(), "port": address.port(), "device": DEVICE, "weight": weight})
        })
        .collect();
    let ring = json!({"policy": 0, "part_power": 3, "replicas": 1, "devices": devices});
    helper("rings", &json!({"dir": folder, "rings": [ring]}))?;
    let text = fs::read_to_string(node.conf())?;
    let line = text.lines().find(|line| line.starts_with("swift_dir")).context("no swift_dir")?;
    Ok(fs::write(node.conf(), text.replace(line, &format!("swift_dir = {}", folder.display())))?)
}

/// Each of two nodes holds the other for the primary of everything.
fn each_takes_the_other_for_the_primary(servers: [Server; 2]) -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let nodes = [cluster.node(1), cluster.node(2)];
    believe(&cluster, nodes[0], 2)?;
    believe(&cluster, nodes[1], 1)?;
    let _serving = [nodes[0].serve(servers[0])?, nodes[1].serve(servers[1])?];
    let clock = Clock::start()?;
    for object in objects() {
        for node in nodes {
            put(node, &object, &clock.at(1), b"the last two copies")?;
        }
    }
    // At the same time, and one after the other.
    for together in [true, true, false] {
        let pass = |at: usize| nodes[at].replicate(replicator_of(servers[at]));
        if together {
            thread::scope(|scope| {
                let first = scope.spawn(|| pass(0));
                pass(1).and(first.join().map_err(|_| anyhow::anyhow!("a thread died"))?)
            })?;
        } else {
            pass(0)?;
            pass(1)?;
        }
        let trees = [nodes[0].read_tree()?, nodes[1].read_tree()?];
        for object in objects() {
            let left = trees.iter().filter(|tree| tree.object(&object.path).is_some()).count();
            assert!(left > 0, "{} is lost (passes at the same time: {together})", object.path);
            assert!(
                left == 2 || servers != [OURS, OURS],
                "{}: a node that is no primary took it",
                object.path
            );
        }
    }
    Ok(())
}

#[test]
fn two_nodes_with_different_rings_never_both_let_go() -> Result<()> {
    each_takes_the_other_for_the_primary([OURS, OURS])?;
    each_takes_the_other_for_the_primary([OURS, STOCK])
}

#[test]
#[ignore = "long: run tests/run --full"]
fn two_stock_nodes_with_different_rings_do_not_either() -> Result<()> {
    each_takes_the_other_for_the_primary([STOCK, STOCK])
}

#[test]
fn a_partition_of_tombstones_alone_is_brought_home_and_removed() -> Result<()> {
    let cluster = Cluster::of(3).handoff(1).build()?;
    let _serving =
        [cluster.node(1).serve(OURS)?, cluster.node(2).serve(OURS)?, cluster.node(3).serve(STOCK)?];
    let clock = Clock::start()?;
    for object in objects() {
        delete(cluster.node(1), &object, &clock.at(5))?;
    }
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    assert_eq!(partitions(cluster.node(1)), Vec::<String>::new());
    let tree = cluster.node(2).read_tree()?;
    tree.assert_same(&cluster.node(3).read_tree()?);
    assert_eq!(tree.objects.len(), OBJECTS);
    Ok(())
}

/// What a partition of a handoff holds is older than anybody needs it: it goes, and is not sent first.
#[test]
fn a_partition_of_tombstones_that_are_too_old_is_removed_and_they_are_not_sent() -> Result<()> {
    let cluster = Cluster::of(2).handoff(1).setting("DEFAULT", "reclaim_age", "1").build()?;
    let _serving = [cluster.node(1).serve(OURS)?, cluster.node(2).serve(OURS)?];
    // An hour ahead of what has passed: they are young when they come.
    let clock = Clock::start()?;
    for object in objects() {
        delete(cluster.node(1), &object, &clock.at(3600))?;
    }
    assert_eq!(cluster.node(1).snapshot()?.objects().len(), OBJECTS);
    thread::sleep(Duration::from_millis(2500));
    for _ in 0..2 {
        cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    }
    assert_eq!(partitions(cluster.node(1)), Vec::<String>::new());
    assert!(cluster.node(2).snapshot()?.objects().is_empty(), "a tombstone was sent");
    Ok(())
}

/// A client deletes, then, while the primaries are away, stores anew and posts; the handoff has the body and what was posted.
/// Says whether the metadata are on both primaries when the handoff has let go of its copy.
fn posted_survives(servers: [Server; 2]) -> Result<bool> {
    let [handoff, primaries] = servers;
    let cluster = Cluster::of(3).handoff(1).build()?;
    let _serving = [
        cluster.node(1).serve(handoff)?,
        cluster.node(2).serve(primaries)?,
        cluster.node(3).serve(primaries)?,
    ];
    let clock = Clock::start()?;
    for object in objects() {
        delete(cluster.node(2), &object, &clock.at(3))?;
        delete(cluster.node(3), &object, &clock.at(3))?;
        put(cluster.node(1), &object, &clock.at(5), b"stored anew")?;
        let headers = [("X-Object-Meta-Posted", "yes")];
        let change = Change { method: "POST", timestamp: &clock.at(6), headers: &headers, body: b"" };
        tell(cluster.node(1), &object, change)?;
    }
    for _ in 0..PASSES_MAX {
        cluster.node(1).replicate(replicator_of(handoff))?;
    }
    let left = cluster.node(1).snapshot()?.objects();
    ensure!(left.is_empty(), "left on the handoff: {:?}", left.paths());
    let tree = cluster.node(2).read_tree()?;
    tree.assert_same(&cluster.node(3).read_tree()?);
    ensure!(tree.objects.len() == OBJECTS, "a body is lost: {:?}", tree.objects.keys());
    Ok(tree.objects.values().all(|object| object["merged"]["X-Object-Meta-Posted"] == "yes"))
}

#[test]
fn what_was_posted_after_a_deletion_is_not_let_go_of_with_the_body() -> Result<()> {
    assert!(posted_survives([OURS, OURS])?, "ours to ours");
    assert!(posted_survives([OURS, STOCK])?, "ours to stock");
    assert!(posted_survives([STOCK, OURS])?, "stock to ours");
    Ok(())
}

/// Swift's receiver asks for no metadata where it has a tombstone, and its sender takes what is not asked for as being there.
#[test]
#[ignore = "long: run tests/run --full"]
fn between_stock_nodes_what_was_posted_after_a_deletion_is_lost() -> Result<()> {
    assert!(!posted_survives([STOCK, STOCK])?, "the test cannot see the loss, or Swift has mended it");
    Ok(())
}

/// An rsync that was cut off leaves `.NAME.XXXXXX`: no file of an object, and no reason to keep one.
#[test]
fn what_rsync_left_is_not_sent_and_keeps_no_handoff() -> Result<()> {
    let cluster = Cluster::of(2).handoff(1).build()?;
    let node = cluster.node(1);
    let _serving = [node.serve(OURS)?, cluster.node(2).serve(STOCK)?];
    let clock = Clock::start()?;
    let object = Object::named("o");
    put(node, &object, &clock.at(1), b"whole")?;
    let data = node.snapshot()?.objects();
    let data = node.device().join(data.paths().first().context("no file")?);
    let name = data.file_name().and_then(|name| name.to_str()).context("no name")?;
    fs::write(data.with_file_name(format!(".{name}.6MbL6r")), b"who")?;

    node.replicate(Replicator::Ssync)?.assert_success();
    let tree = cluster.node(2).read_tree()?;
    assert_eq!(tree.object(&object.path).map(|entry| entry["length"].clone()), Some(5.into()));
    let there = cluster.node(2).snapshot()?;
    assert!(there.paths().iter().all(|path| !path.to_string_lossy().ends_with(".6MbL6r")), "{there:?}");
    assert_eq!(partitions(node), Vec::<String>::new(), "the handoff keeps the object because of it");
    Ok(())
}

/// Files of other daemons among the partitions, and partitions that are empty, are nobody's failure.
#[test]
fn what_is_no_partition_or_holds_nothing_is_no_failure() -> Result<()> {
    let cluster = Cluster::of(3).handoff(1).build()?;
    let servers = [OURS, OURS, STOCK];
    let _serving = (1..)
        .zip(servers)
        .map(|(number, server)| cluster.node(number).serve(server))
        .collect::<Result<Vec<_>>>()?;
    let strays = ["auditor_status_ALL.json", "auditor_status_ZBF.json"];
    for number in [1, 2] {
        let top = cluster.node(number).device().join("objects");
        fs::create_dir_all(top.join("5"))?;
        fs::create_dir_all(top.join("6/abc"))?;
        for stray in strays {
            fs::write(top.join(stray), b"{}")?;
        }
    }
    for number in [1, 2] {
        cluster.node(number).replicate(Replicator::Ssync)?.assert_success();
        let top = cluster.node(number).device().join("objects");
        assert!(strays.iter().all(|stray| top.join(stray).exists()), "a file of the auditor is gone");
    }
    assert_eq!(partitions(cluster.node(1)), Vec::<String>::new(), "an empty partition of a handoff stays");
    Ok(())
}
