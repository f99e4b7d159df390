//! A stock replicator pushes to our sidecar, by SSYNC.

use anyhow::Result;
use ssync_tests::{Cluster, Replicator, Server, Shape};

in_every_shape!(a_stock_replicator_fills_our_node_and_then_finds_nothing_to_do);

fn a_stock_replicator_fills_our_node_and_then_finds_nothing_to_do(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(2).tapped().build()?;
    let written = cluster.node(1).write_tree(50)?;
    let mut peer = cluster.node(2).serve(Server::Ssync(shape))?;

    cluster.node(1).replicate(Replicator::Stock)?.assert_success();
    let first = cluster.node(2).tap().take();
    assert!(first.iter().any(|conversation| conversation.has_sent("PUT /AUTH_test/c/plain\r\n")));
    let tree = cluster.node(1).read_tree()?;
    tree.assert_same(&cluster.node(2).read_tree()?);
    assert_eq!(tree.objects.len(), written.objects.len(), "an object of the tree was not read");

    let before = cluster.node(2).snapshot()?.objects();
    let again = cluster.node(1).replicate(Replicator::Stock)?;
    again.assert_success();
    assert_eq!((again.count("rsync"), again.count("suffix_sync")), (0, 0), "{}", again.stats);
    assert!(again.count("hashmatch") > 0, "nothing was compared: {}", again.stats);
    let second = cluster.node(2).tap().take();
    assert!(
        !second.iter().any(|conversation| conversation.has_sent("SSYNC /")),
        "the second pass sent SSYNC"
    );
    before.assert_unchanged(&cluster.node(2).snapshot()?.objects(), "the second pass");
    peer.assert_running();
    Ok(())
}
