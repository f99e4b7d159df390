//! Our replicator pushes to a stock object server, by SSYNC.

use anyhow::Result;
use ssync_tests::{Cluster, Replicator, Server, Shape};

in_every_shape!(a_tree_that_swift_wrote_reaches_an_empty_stock_server);

fn a_tree_that_swift_wrote_reaches_an_empty_stock_server(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(2).tapped().build()?;
    let written = cluster.node(1).write_tree(50)?;
    let _source = cluster.node(1).serve(Server::Ssync(shape))?;
    let _peer = cluster.node(2).serve(Server::Stock)?;

    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    let tree = cluster.node(1).read_tree()?;
    tree.assert_same(&cluster.node(2).read_tree()?);
    assert_eq!(tree.objects.len(), written.objects.len(), "an object of the tree was not read");
    let first = cluster.node(2).tap().take();
    assert!(first.iter().any(|conversation| conversation.has_sent("SSYNC /sdb1/")));
    assert!(first.iter().any(|conversation| conversation.has_sent("PUT /AUTH_test/c/plain\r\n")));

    let before = cluster.node(2).snapshot()?.objects();
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    before.assert_unchanged(&cluster.node(2).snapshot()?.objects(), "the second pass");
    let second = cluster.node(2).tap().take();
    assert!(second.iter().any(|conversation| conversation.has_sent("REPLICATE /sdb1/")), "nothing was asked");
    for update in ["PUT /AUTH", "POST /AUTH", "DELETE /AUTH", "SSYNC /"] {
        assert!(
            !second.iter().any(|conversation| conversation.has_sent(update)),
            "the second pass sent a {update}"
        );
    }
    Ok(())
}
