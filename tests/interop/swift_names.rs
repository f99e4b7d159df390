//! A link with a name of Swift's is that daemon, so that units and scripts go on working (swift-init: tests/life).

use anyhow::Result;
use ssync_tests::{Cluster, Replicator, Server, exchange};

#[test]
fn links_named_like_swifts_daemons_replicate() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    cluster.node(1).write_tree(5)?;
    let mut first = cluster.node(1).serve(Server::SsyncByLink)?;
    let _second = cluster.node(2).serve(Server::SsyncByLink)?;
    let partly = cluster.node(1).replicate_with(Replicator::SsyncByLink, &["--devices", "sdb9"])?;
    assert!(partly.success && cluster.node(2).snapshot()?.objects().is_empty(), "{}", partly.log);
    cluster.node(1).replicate(Replicator::SsyncByLink)?.assert_success();
    cluster.node(1).read_tree()?.assert_same(&cluster.node(2).read_tree()?);

    let healthy = exchange(cluster.node(1).address(), b"GET /healthcheck HTTP/1.1\r\nHost: node\r\n\r\n")?;
    assert_eq!((healthy.status, healthy.text().as_str()), (200, "OK"));
    let status = first.daemons[0].stop()?;
    assert!(status.success(), "SIGTERM ended it with {status}");
    Ok(())
}
