//! `hashes.pkl` and what lies beneath it: lost, stale, damaged, or made up.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};
use ssync_tests::{Cluster, Node, Replicator, Server, Shape};

use crate::direct::{Clock, Object, put};

const OURS: Server = Server::Ssync(Shape::OneProcess);

fn partitions(node: &Node) -> Result<Vec<PathBuf>> {
    let found = fs::read_dir(node.device().join("objects"))?;
    Ok(found.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

/// Swift's own `test/probe/test_replication_servers_working.py`: a device is emptied beneath a node that serves it.
#[test]
fn an_emptied_device_is_filled_again_and_so_is_what_its_hashes_still_tell_of() -> Result<()> {
    let cluster = Cluster::of(3).build()?;
    cluster.node(1).write_tree(5)?;
    let servers = [OURS, Server::Stock, OURS];
    let _serving = (1..)
        .zip(servers)
        .map(|(number, server)| cluster.node(number).serve(server))
        .collect::<Result<Vec<_>>>()?;
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    let whole = cluster.node(1).read_tree()?;
    let emptied = cluster.node(3);
    whole.assert_same(&emptied.read_tree()?);

    for entry in fs::read_dir(emptied.device())? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    cluster.node(2).replicate(Replicator::Stock)?.assert_success();
    whole.assert_same(&emptied.read_tree()?);

    // The hashes stay: nobody sees that there is nothing behind them.
    for partition in partitions(emptied)? {
        for entry in fs::read_dir(partition)? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            }
        }
    }
    ensure!(emptied.snapshot()?.objects().is_empty(), "something is left");
    for partition in partitions(emptied)? {
        fs::remove_file(partition.join("hashes.pkl"))?;
    }
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    whole.assert_same(&emptied.read_tree()?);
    Ok(())
}

/// What has been found in place of hashes: of each, whether Python can load it.
const POISON: [&[u8]; 6] = [
    b"",
    b"\x80\x02}q\x00(X\x07",
    b"no pickle at all",
    // A dictionary whose keys are no suffixes.
    b"(dp0\nN(lp1\nsVupdated\nI-1\nsVvalid\nI01\ns.",
    b"(dp0\nVnot a suffix\nVnot a hash\nsVupdated\nI-1\nsVvalid\nI01\ns.",
    // A call.
    b"cos\nsystem\n(S'touch poisoned'\ntR.",
];

#[test]
fn whatever_stands_in_place_of_hashes_ends_no_pass_and_is_made_anew() -> Result<()> {
    let cluster = Cluster::of(3).build()?;
    let servers = [OURS, OURS, Server::Stock];
    let _serving = (1..)
        .zip(servers)
        .map(|(number, server)| cluster.node(number).serve(server))
        .collect::<Result<Vec<_>>>()?;
    let clock = Clock::start()?;
    for partition in 0..8 {
        for node in [1, 2, 3] {
            put(cluster.node(node), &Object::within(partition, "everywhere"), &clock.at(1), b"everywhere")?;
        }
    }
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    for (at, poison) in POISON.iter().enumerate() {
        // What has not been told of yet must be found all the same.
        let new = format!("new-{at}");
        for partition in 0..8 {
            put(cluster.node(1), &Object::within(partition, &new), &clock.at(2), b"new")?;
        }
        for node in [1, 2] {
            for partition in partitions(cluster.node(node))? {
                fs::write(partition.join("hashes.pkl"), poison)?;
            }
        }
        cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
        cluster.node(3).replicate(Replicator::Stock)?.assert_success();
    }
    let tree = cluster.node(1).read_tree()?;
    assert_eq!(tree.objects.len(), 8 * (1 + POISON.len()));
    tree.assert_same(&cluster.node(2).read_tree()?);
    tree.assert_same(&cluster.node(3).read_tree()?);
    Ok(())
}
