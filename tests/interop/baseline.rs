//! Stock Swift on both sides: what the harness takes for granted, and that it can fail.

use std::{fs, panic};

use anyhow::{Context as _, Result};
use ssync_tests::{Cluster, Replicator, Server};

#[test]
fn stock_pushes_every_kind_of_object_to_stock() -> Result<()> {
    let cluster = Cluster::of(2).tapped().build()?;
    let written = cluster.node(1).write_tree(20)?;
    let _peer = cluster.node(2).serve(Server::Stock)?;

    cluster.node(1).replicate(Replicator::Stock)?.assert_success();
    let tree = cluster.node(1).read_tree()?;
    tree.assert_same(&cluster.node(2).read_tree()?);
    assert_eq!(tree.objects.len(), written.objects.len(), "an object of the tree was not read");
    let sent: usize = cluster.node(2).tap().take().iter().map(|conversation| conversation.sent.len()).sum();
    assert!(
        sent as u64 > written.bytes,
        "{sent} bytes went over the wire, bodies alone are {}",
        written.bytes
    );

    let again = cluster.node(1).replicate(Replicator::Stock)?;
    again.assert_success();
    assert_eq!((again.count("rsync"), again.count("suffix_sync")), (0, 0), "{}", again.stats);
    let conversations = cluster.node(2).tap().take();
    assert!(conversations.iter().all(|conversation| conversation.has_sent("REPLICATE /sdb1/")));
    Ok(())
}

#[test]
fn the_judge_sees_a_changed_byte_a_lost_file_and_a_lost_attribute() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    cluster.node(1).write_tree(0)?;
    let peer = cluster.node(2).serve(Server::Stock)?;
    cluster.node(1).replicate(Replicator::Stock)?.assert_success();
    drop(peer);
    let tree = cluster.node(1).read_tree()?;
    tree.assert_same(&cluster.node(2).read_tree()?);

    let objects = cluster.node(2).snapshot()?.objects();
    let meta = objects.paths().into_iter().find(|path| path.extension().is_some_and(|kind| kind == "meta"));
    fs::remove_file(cluster.node(2).device().join(meta.context("no .meta file")?))?;
    let without_meta = cluster.node(2).read_tree()?;
    assert!(panic::catch_unwind(|| tree.assert_same(&without_meta)).is_err(), "a lost file was not seen");

    let cluster = Cluster::of(1).build()?;
    cluster.node(1).write_tree(0)?;
    let sound = cluster.node(1).snapshot()?.objects();
    let data = sound.paths().into_iter().find(|path| path.extension().is_some_and(|kind| kind == "data"));
    let data = cluster.node(1).device().join(data.context("no .data file")?);
    fs::OpenOptions::new().write(true).open(&data)?.set_len(3)?;
    let damaged = cluster.node(1).read_tree()?;
    assert!(panic::catch_unwind(|| damaged.assert_sound()).is_err(), "a cut file was not seen");
    Ok(())
}

#[test]
fn a_stock_handoff_is_emptied_when_both_primaries_have_it() -> Result<()> {
    let cluster = Cluster::of(3).handoff(1).build()?;
    cluster.node(1).write_tree(0)?;
    let tree = cluster.node(1).read_tree()?;
    let _second = cluster.node(2).serve(Server::Stock)?;

    let alone = cluster.node(1).replicate(Replicator::Stock)?;
    assert!(alone.count("failure") > 0, "a primary is down and nothing failed: {}", alone.stats);
    tree.assert_same(&cluster.node(1).read_tree()?);

    let _third = cluster.node(3).serve(Server::Stock)?;
    cluster.node(1).replicate(Replicator::Stock)?.assert_success();
    assert_eq!(cluster.node(1).snapshot()?.objects().paths(), Vec::<&std::path::Path>::new());
    tree.assert_same(&cluster.node(2).read_tree()?);
    tree.assert_same(&cluster.node(3).read_tree()?);
    Ok(())
}
