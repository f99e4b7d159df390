//! Partitions that the ring does not have: the partition power was rolled back.
//!
//! Stock Swift finds nobody to send them to, takes that for everybody having them, and removes them (replicator.py
//! build_replication_jobs and revert).

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use ssync_tests::{Cluster, DEVICE, Node, Pass, Server, helper};

use crate::{OURS, STOCK, replicator_of};

/// Partitions of the ring that there is in the end.
const PARTITIONS: u32 = 8;

/// The files of a node's objects in partitions beyond the ring.
fn beyond(node: &Node) -> Result<Vec<PathBuf>> {
    let snapshot = node.snapshot()?.objects();
    let is_beyond = |path: &&Path| {
        let partition = path.strip_prefix("objects").ok().and_then(|path| path.iter().next());
        let number = partition.and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        number.is_some_and(|number| number >= PARTITIONS)
    };
    Ok(snapshot.paths().into_iter().filter(is_beyond).map(Path::to_path_buf).collect())
}

/// Objects were stored by a ring of 16 partitions; then a ring of 8 is put back. Returns the files beyond it before and after
/// a pass, and the pass.
fn rolled_back([own, peer]: [Server; 2]) -> Result<(Vec<PathBuf>, Vec<PathBuf>, Pass)> {
    let cluster = Cluster::of(2).part_power(4).build()?;
    cluster.node(1).write_tree(40)?;
    let devices: Vec<_> = (1..=2)
        .map(|number| {
            let address = cluster.node(number).ring_address();
            json!({"ip": address.ip(), "port": address.port(), "device": DEVICE, "weight": 1})
        })
        .collect();
    let ring = json!({"policy": 0, "part_power": 3, "replicas": 2, "devices": devices});
    helper("rings", &json!({"dir": cluster.node(1).swift_dir(), "rings": [ring]}))?;
    let _serving = [cluster.node(1).serve(own)?, cluster.node(2).serve(peer)?];
    let before = beyond(cluster.node(1))?;
    assert!(before.len() > 10, "hardly anything is beyond the ring: {before:?}");
    let pass = cluster.node(1).replicate(replicator_of(own))?;
    assert_eq!(beyond(cluster.node(2))?, Vec::<PathBuf>::new(), "the peer has some");
    Ok((before, beyond(cluster.node(1))?, pass))
}

#[test]
fn stock_removes_a_partition_beyond_the_ring_without_a_copy() -> Result<()> {
    let (_, after, pass) = rolled_back([STOCK, STOCK])?;
    assert_eq!(after, Vec::<PathBuf>::new(), "the test cannot see the loss, or Swift has mended it");
    assert_eq!(pass.count("failure"), 0, "and nobody hears of it");
    Ok(())
}

#[test]
fn a_partition_beyond_the_ring_is_kept_and_reported() -> Result<()> {
    for peer in [OURS, STOCK] {
        let (before, after, pass) = rolled_back([OURS, peer])?;
        assert_eq!(before, after);
        assert!(pass.log.contains("has no place in the ring"), "nobody hears of it: {}", pass.log);
    }
    Ok(())
}
