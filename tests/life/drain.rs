//! A node drains while clients write to it, or while a handoff pushes to it and to another primary: nothing is lost, and the
//! other goes on.

use std::thread;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use ssync_tests::{Cluster, Replicator, Server, Shape, exchange};

use crate::{
    load::{Load, Upload, head, objects},
    told::{Started, healthy, until},
};

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
        assert!(!pass.is_finished(), "the pass was over before the drain");
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

/// What a client was told is stored is there afterwards, and what it had begun is finished.
#[test]
fn under_clients_keeps_all_that_was_acknowledged() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut daemon = Started::ssync(&cluster, "node --no-replicator", |_| {})?;
    until("it serves", || Ok(healthy(node)))?;
    let load = Load::on(node)?;
    load.go_on_for(100)?;
    let upload = Upload::begin(node, &objects(node, 9)?[8])?;
    daemon.signal(Signal::TERM)?;
    daemon.says("draining after SIGTERM")?;
    upload.finish_unread()?;
    assert!(daemon.end()?.success(), "{}", daemon.log());
    let outcome = load.outcome();
    assert!(outcome.refused > 0 && outcome.stored.len() > 1, "{outcome:?}");

    let _again = Started::ssync(&cluster, "node --no-replicator", |_| {})?;
    until("it serves again", || Ok(healthy(node)))?;
    for (path, tick) in &outcome.stored {
        let found = exchange(node.address(), head("GET", path, "").as_bytes())?;
        let version = found.text().strip_prefix("version ").and_then(|tick| tick.parse::<u64>().ok());
        // One more may have been stored whose answer did not arrive.
        assert!(
            version.is_some_and(|version| version >= *tick),
            "{path} {tick}: {}{}",
            found.head,
            found.text()
        );
    }
    Ok(())
}
