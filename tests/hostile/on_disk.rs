//! Damage on the node's own disks: metadata that are no metadata, rings that are cut.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use ssync_tests::{Cluster, Node, Server, Shape, exchange, helper, run_to_end, ssync_binary};

use crate::scene::Scene;

/// Bytes that are left of a ring.
const RING_BYTES_LEFT: u64 = 100;

fn data_file(node: &Node, path: &str) -> Result<(String, PathBuf)> {
    let tree = node.read_tree()?;
    let entry = tree.object(path).with_context(|| format!("{path} is not there"))?;
    let partition = entry["partition"].as_str().context("no partition")?.to_owned();
    let name = entry["files"][0].as_str().context("no file")?;
    let files = node.snapshot()?.objects();
    let located = json!({"swift_dir": node.swift_dir(), "policy": 0, "path": path});
    let hash = helper("hash_of", &located)?;
    let hash = hash.as_str().context("no hash")?;
    let found = files.paths().into_iter().find(|file| {
        let file = file.display().to_string();
        file.contains(hash) && file.ends_with(name)
    });
    Ok((partition, node.device().join(found.context("no such file")?)))
}

/// A node answers for a damaged object as stock does, and runs nothing that it finds in it.
#[test]
fn metadata_that_are_none_are_quarantined_as_by_stock() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let (stock, ours) = (cluster.node(1), cluster.node(2));
    stock.write_tree(0)?;
    ours.write_tree(0)?;
    let victims = [
        ("garbage", "/AUTH_test/c/plain"),
        ("cut", "/AUTH_test/c/zero"),
        ("command", "/AUTH_test/c/chunk"),
        ("bomb", "/AUTH_test/c/chunks"),
        ("list", "/AUTH_test/c/sysmeta"),
    ];
    let sentinel = cluster.folder().join("was-run");
    let nothing = cluster.folder().join("was-run-by-stock");
    let mut requests = Vec::new();
    for (kind, path) in victims {
        for (node, sentinel) in [(stock, &nothing), (ours, &sentinel)] {
            let (partition, file) = data_file(node, path)?;
            helper("damage", &json!({"file": file, "kind": kind, "sentinel": sentinel}))?;
            requests.push((
                kind,
                node,
                format!("GET /sdb1/{partition}{path} HTTP/1.1\r\nHost: node\r\n\r\n"),
            ));
        }
    }
    let _stock = stock.serve(Server::Stock)?;
    let mut serving = ours.serve(Server::Ssync(Shape::OneProcess))?;
    for pair in requests.chunks(2) {
        let [(kind, _, first), (_, _, second)] = pair else { continue };
        // Stock's unpickler runs the command: its answer to that is no example.
        let expected =
            if *kind == "command" { 404 } else { exchange(stock.address(), first.as_bytes())?.status };
        let answer = exchange(ours.address(), second.as_bytes())?;
        assert_eq!(answer.status, expected, "{kind}: {}", answer.text());
        assert!(answer.status >= 400, "{kind}: a damaged object was served");
    }
    assert!(!sentinel.exists(), "a command in a pickle was run");

    // What is whole is still served.
    let whole = exchange(ours.address(), &{
        let (partition, _) = data_file(ours, "/AUTH_test/c/expiring")?;
        format!("GET /sdb1/{partition}/AUTH_test/c/expiring HTTP/1.1\r\nHost: node\r\n\r\n").into_bytes()
    })?;
    assert_eq!((whole.status, whole.text().as_str()), (200, "expiring"));
    serving.assert_running();
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
    let before = node.snapshot()?;
    let conf = node.conf().display().to_string();
    let output = run_to_end(&ssync_binary()?, &["replicator", "--conf", &conf, "--once"])?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "a pass without a ring was a success: {said}");
    assert!(said.contains("object.ring.gz"), "the file is not named: {said}");
    before.assert_unchanged(&node.snapshot()?, "a pass with a cut ring");
    Ok(())
}
