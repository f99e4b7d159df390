//! A node drains while a handoff pushes to it and to another primary: nothing is lost, and the other goes on.

use std::thread;

use anyhow::{Context as _, Result};
use ssync_tests::{Cluster, Replicator, Server, Shape};

use crate::told::until;

const OURS: Server = Server::Ssync(Shape::OneProcess);
const OBJECTS: u32 = 1500;

#[test]
fn of_a_primary_costs_nothing_and_holds_up_nobody_else() -> Result<()> {
    let cluster = Cluster::of(3).handoff(1).build()?;
    let (source, leaving, staying) = (cluster.node(1), cluster.node(2), cluster.node(3));
    source.write_tree(OBJECTS)?;
    let before = source.read_tree()?;
    let _here = source.serve(OURS)?;
    let mut drained = leaving.serve(OURS)?;
    let _other = staying.serve(OURS)?;

    thread::scope(|scope| -> Result<()> {
        let pass = scope.spawn(|| source.replicate(Replicator::Ssync));
        until("the push has begun", || Ok(!leaving.snapshot()?.objects().is_empty()))?;
        let status = drained.daemons.first_mut().context("a daemon")?.stop()?;
        assert!(status.success(), "what was under way did not come to its end: {status}");
        let pass = pass.join().ok().context("the pass panicked")??;
        eprintln!("the pass had success: {}", pass.success);
        Ok(())
    })?;

    // Whatever the node that is away lacks is still here; the other has all of it.
    staying.read_tree()?.assert_same(&before);
    let (here, there) = (source.read_tree()?, leaving.read_tree()?);
    there.assert_sound();
    let lost: Vec<_> = before
        .objects
        .keys()
        .filter(|name| !here.objects.contains_key(*name) && !there.objects.contains_key(*name))
        .collect();
    assert!(lost.is_empty(), "let go of without {} having them: {lost:?}", leaving.address());

    let _back = leaving.serve(OURS)?;
    source.replicate(Replicator::Ssync)?.assert_success();
    leaving.read_tree()?.assert_same(&before);
    assert!(source.snapshot()?.objects().is_empty(), "the handoff keeps what all primaries have");
    Ok(())
}
