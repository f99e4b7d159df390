//! A handoff lets go of an object when every primary has it, and not before (rule S2).

use anyhow::Result;
use ssync_tests::{Cluster, Replicator, Server, Shape};

in_every_shape!(a_handoff_is_emptied_when_both_primaries_have_it);

fn a_handoff_is_emptied_when_both_primaries_have_it(shape: Shape) -> Result<()> {
    drained(Server::Ssync(shape), Replicator::Ssync, [Server::Ssync(shape), Server::Ssync(shape)])
}

#[test]
fn into_stock_primaries() -> Result<()> {
    drained(Server::Ssync(Shape::OneProcess), Replicator::Ssync, [Server::Stock, Server::Stock])
}

#[test]
fn into_one_primary_of_each_kind() -> Result<()> {
    drained(
        Server::Ssync(Shape::OneProcess),
        Replicator::Ssync,
        [Server::Stock, Server::Ssync(Shape::TwoOverTcp)],
    )
}

#[test]
fn of_stock_into_our_primaries() -> Result<()> {
    let ours = Server::Ssync(Shape::OneProcess);
    drained(Server::Stock, Replicator::Stock, [ours, ours])
}

fn drained(handoff: Server, replicator: Replicator, primaries: [Server; 2]) -> Result<()> {
    drained_of(20, handoff, replicator, primaries)
}

/// Node 1 is no primary and holds a tree; nodes 2 and 3 are the primaries, and node 3 comes up late.
fn drained_of(small: u32, handoff: Server, replicator: Replicator, primaries: [Server; 2]) -> Result<()> {
    let cluster = Cluster::of(3).handoff(1).build()?;
    cluster.node(1).write_tree(small)?;
    let tree = cluster.node(1).read_tree()?;
    let _first = cluster.node(1).serve(handoff)?;
    let _second = cluster.node(2).serve(primaries[0])?;

    // One primary is down: everything is pushed to the other, and everything is kept.
    let before = cluster.node(1).snapshot()?.objects();
    let alone = cluster.node(1).replicate(replicator)?;
    assert!(alone.count("failure") > 0, "a primary is down and nothing failed: {}", alone.stats);
    before.assert_unchanged(&cluster.node(1).snapshot()?.objects(), "a pass without one primary");
    tree.assert_same(&cluster.node(2).read_tree()?);
    assert!(cluster.node(3).snapshot()?.is_empty());

    let _third = cluster.node(3).serve(primaries[1])?;
    cluster.node(1).replicate(replicator)?.assert_success();
    tree.assert_same(&cluster.node(2).read_tree()?);
    tree.assert_same(&cluster.node(3).read_tree()?);
    let left = cluster.node(1).snapshot()?.objects();
    assert!(left.is_empty(), "left on the handoff: {:?}", left.paths());
    assert!(cluster.node(1).read_tree()?.quarantined.is_empty());
    Ok(())
}

#[test]
fn what_a_primary_lost_in_secret_is_not_let_go_of() -> Result<()> {
    let cluster = Cluster::of(3).handoff(1).build()?;
    cluster.node(1).write_tree(0)?;
    let tree = cluster.node(1).read_tree()?;
    let ours = Server::Ssync(Shape::OneProcess);
    let _nodes = [1, 2, 3].map(|number| cluster.node(number).serve(ours));
    // A primary whose device is gone answers so, and the handoff keeps what it would have had.
    std::fs::rename(cluster.node(3).device(), cluster.node(3).device().with_extension("away"))?;
    std::fs::write(cluster.node(3).device(), b"no folder")?;
    let before = cluster.node(1).snapshot()?.objects();
    let pass = cluster.node(1).replicate(Replicator::Ssync)?;
    assert!(pass.count("failure") > 0, "a primary has no device and nothing failed: {}", pass.stats);
    before.assert_unchanged(&cluster.node(1).snapshot()?.objects(), "a pass without one device");
    tree.assert_same(&cluster.node(2).read_tree()?);
    Ok(())
}

#[test]
#[ignore = "long: run tests/run --full"]
fn of_thousands_of_objects() -> Result<()> {
    let ours = Server::Ssync(Shape::OneProcess);
    drained_of(5000, ours, Replicator::Ssync, [ours, Server::Stock])
}
