//! Damage on the node's own disks: metadata that are no metadata, rings that are cut.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use ssync_tests::{Cluster, Node, Server, Shape, Tree, exchange, helper, run_to_end, ssync_binary};

use crate::scene::Scene;

/// Bytes that are left of a ring.
const RING_BYTES_LEFT: u64 = 100;

/// The partition and the newest file of an object that Swift wrote.
fn newest_file(node: &Node, tree: &Tree, path: &str) -> Result<(String, PathBuf)> {
    let entry = tree.object(path).with_context(|| format!("{path} is not there"))?;
    let partition = entry["partition"].as_str().context("no partition")?.to_owned();
    let name = entry["files"][0].as_str().context("no file")?;
    let hash = helper("hash_of", &json!({"swift_dir": node.swift_dir(), "path": path}))?;
    let folder = PathBuf::from(hash.as_str().context("no hash")?);
    let files = node.snapshot()?.objects();
    let found = files.paths().into_iter().find(|file| file.ends_with(folder.join(name)));
    Ok((partition, node.device().join(found.context("no such file")?)))
}

/// Damages the metadata of `path` on `node`; returns a request for it.
fn damage(node: &Node, tree: &Tree, path: &str, kind: &str, sentinel: &Path) -> Result<String> {
    let (partition, file) = newest_file(node, tree, path)?;
    helper("damage", &json!({"file": file, "kind": kind, "sentinel": sentinel}))?;
    Ok(format!("GET /sdb1/{partition}{path} HTTP/1.1\r\nHost: node\r\n\r\n"))
}

#[test]
fn metadata_that_rot_are_quarantined_as_by_stock() -> Result<()> {
    let mut answers = Vec::new();
    for server in [Server::Stock, Server::Ssync(Shape::OneProcess)] {
        let cluster = Cluster::of(1).build()?;
        let node = cluster.node(1);
        node.write_tree(0)?;
        let request = damage(node, &node.read_tree()?, "/AUTH_test/c/plain", "rot", Path::new(""))?;
        let mut serving = node.serve(server)?;
        let status = exchange(node.address(), request.as_bytes())?.status;
        serving.assert_running();
        let after = node.read_tree()?;
        assert!(after.damaged.is_empty(), "{server:?} left it in its place: {:?}", after.damaged);
        answers.push((status, after.quarantined));
    }
    assert_eq!(answers[0], answers[1], "stock first, ours second");
    assert_eq!((answers[0].0, answers[0].1.len()), (404, 1));
    Ok(())
}

/// A node serves no damaged object, does not fall over one, and runs nothing that it finds in it.
#[test]
fn metadata_that_are_no_metadata_harm_nothing_else() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    node.write_tree(0)?;
    let tree = node.read_tree()?;
    let victims = [
        ("garbage", "/AUTH_test/c/plain"),
        ("cut", "/AUTH_test/c/zero"),
        ("command", "/AUTH_test/c/chunk"),
        ("bomb", "/AUTH_test/c/chunks"),
        ("list", "/AUTH_test/c/sysmeta"),
    ];
    let sentinel = cluster.folder().join("was-run");
    let requests: Vec<(&str, String)> = victims
        .into_iter()
        .map(|(kind, path)| Ok((kind, damage(node, &tree, path, kind, &sentinel)?)))
        .collect::<Result<_>>()?;
    let mut serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    for (kind, request) in requests {
        let answer = exchange(node.address(), request.as_bytes())?;
        assert!(answer.status >= 400, "{kind}: a damaged object was served: {}", answer.text());
    }
    assert!(!sentinel.exists(), "a command in a pickle was run");

    let partition = &tree.object("/AUTH_test/c/expiring").context("not written")?["partition"];
    let partition = partition.as_str().context("no partition")?;
    let request = format!("GET /sdb1/{partition}/AUTH_test/c/expiring HTTP/1.1\r\nHost: node\r\n\r\n");
    let whole = exchange(node.address(), request.as_bytes())?;
    assert_eq!((whole.status, whole.text().as_str()), (200, "expiring"));
    serving.assert_running();
    let after = node.read_tree()?;
    for (name, entry) in &after.objects {
        assert_eq!(tree.objects.get(name), Some(entry), "{name} was changed");
    }
    assert_eq!(after.objects.len(), tree.objects.len() - victims.len());
    Ok(())
}

fn cut(ring: &PathBuf) -> Result<()> {
    Ok(fs::OpenOptions::new().write(true).open(ring)?.set_len(RING_BYTES_LEFT)?)
}

#[tokio::test]
async fn a_ring_that_is_cut_while_the_node_runs_is_not_taken() -> Result<()> {
    let scene = Scene::of(
        Cluster::of(1).setting("object-replicator", "ring_check_interval", "1"),
        Server::Ssync(Shape::OneProcess),
    )?;
    cut(&scene.node().swift_dir().join("object.ring.gz"))?;
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    // Questions that need the ring go on being answered by the one before.
    let mut peer = scene.peer().await?;
    let mut beyond = crate::peer::Peer::partition();
    beyond.partition = 8;
    let Err(status) = peer.check(vec![crate::peer::Peer::question(&beyond, &[])]).await else {
        panic!("a partition beyond the ring was answered")
    };
    crate::peer::assert_refusal(&status, tonic::Code::FailedPrecondition, "RING_MISMATCH");
    // Not `assert_untouched`: finding objects that lie in a partition needs a whole ring.
    let sound = crate::peer::Peer::question(&crate::peer::Peer::partition(), &[]);
    peer.check(vec![sound]).await.map_err(|status| anyhow::anyhow!("a good question got {status}"))?;
    Ok(())
}

#[test]
fn a_replicator_with_a_cut_ring_removes_nothing_and_says_which_file() -> Result<()> {
    let cluster = Cluster::of(2).handoff(1).build()?;
    let node = cluster.node(1);
    node.write_tree(0)?;
    let ring = node.swift_dir().join("object.ring.gz");
    cut(&ring)?;
    let before = node.snapshot()?.without_bookkeeping();
    let conf = node.conf().display().to_string();
    let output = run_to_end(&ssync_binary()?, &["replicator", "--conf", &conf, "--once"])?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "a pass without a ring was a success: {said}");
    assert!(said.contains("object.ring.gz"), "the file is not named: {said}");
    before.assert_unchanged(&node.snapshot()?.without_bookkeeping(), "a pass with a cut ring");
    Ok(())
}
