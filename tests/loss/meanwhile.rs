//! A client writes to a handoff while that lets go of its partition.
//!
//! The primary's answer to the sender is held back until the client has its own. Stock Swift then removes the partition's
//! folder with all that is in it (replicator.py revert, delete_partition).

use std::thread;

use anyhow::{Result, anyhow};
use ssync_tests::{Cluster, Node, Server, Snapshot};

use crate::{
    OURS, STOCK,
    direct::{Change, Clock, Object, delete, put, tell},
    replicator_of,
};

/// Objects of the partition, by what a client does to them meanwhile.
struct Objects {
    untouched: Object,
    new: Object,
    overwritten: Object,
    posted: Object,
    deleted: Object,
}

impl Objects {
    fn of_one_partition() -> Self {
        let [untouched, new, overwritten, posted, deleted] =
            ["untouched", "new", "overwritten", "posted", "deleted"].map(|name| Object::within(3, name));
        Self { untouched, new, overwritten, posted, deleted }
    }

    fn write_before(&self, node: &Node, clock: Clock) -> Result<()> {
        for object in [&self.untouched, &self.overwritten, &self.posted, &self.deleted] {
            put(node, object, &clock.at(1), b"before")?;
        }
        Ok(())
    }

    fn write_meanwhile(&self, node: &Node, clock: Clock) -> Result<()> {
        put(node, &self.new, &clock.at(2), b"new")?;
        put(node, &self.overwritten, &clock.at(2), b"overwritten")?;
        let headers = [("X-Object-Meta-Posted", "yes")];
        tell(
            node,
            &self.posted,
            Change { method: "POST", timestamp: &clock.at(2), headers: &headers, body: b"" },
        )?;
        delete(node, &self.deleted, &clock.at(2))
    }

    /// What the client was told is stored, and no node has.
    fn lost(&self, nodes: [&Node; 2], clock: Clock) -> Result<Vec<&'static str>> {
        let trees = [nodes[0].read_tree()?, nodes[1].read_tree()?];
        let has = |object: &Object, second: u64| {
            let time = clock.at(second);
            trees
                .iter()
                .filter_map(|tree| tree.object(&object.path))
                .any(|entry| entry.to_string().contains(&time))
        };
        let changes = [
            ("untouched", &self.untouched, 1),
            ("new", &self.new, 2),
            ("overwritten", &self.overwritten, 2),
            ("posted", &self.posted, 2),
            ("deleted", &self.deleted, 2),
        ];
        Ok(changes.into_iter().filter(|(_, object, at)| !has(object, *at)).map(|(what, ..)| what).collect())
    }
}

/// Node 1 is a handoff, node 2 the primary. Says what is lost after the handoff's pass, and after its next.
fn written_during_the_removal([handoff, primary]: [Server; 2]) -> Result<Vec<&'static str>> {
    let cluster = Cluster::of(2).handoff(1).tapped().build()?;
    let nodes = [cluster.node(1), cluster.node(2)];
    let _serving = [nodes[0].serve(handoff)?, nodes[1].serve(primary)?];
    let (clock, objects) = (Clock::start()?, Objects::of_one_partition());
    objects.write_before(nodes[0], clock)?;

    let device = nodes[1].device();
    let held = nodes[1]
        .tap()
        .hold_answers(move || Snapshot::of(&device).is_ok_and(|snapshot| !snapshot.objects().is_empty()));
    let replicator = replicator_of(handoff);
    thread::scope(|scope| {
        let pass = scope.spawn(|| nodes[0].replicate(replicator));
        held.wait()?;
        objects.write_meanwhile(nodes[0], clock)?;
        drop(held);
        pass.join().map_err(|_| anyhow!("the pass panicked"))?
    })?;
    let lost = objects.lost(nodes, clock)?;
    if lost.is_empty() {
        nodes[0].replicate(replicator)?.assert_success();
        assert_eq!(objects.lost(nodes, clock)?, Vec::<&str>::new(), "lost by the next pass");
        let left = nodes[0].snapshot()?.objects();
        assert!(left.is_empty(), "left on the handoff: {:?}", left.paths());
    }
    Ok(lost)
}

#[test]
fn stock_removes_what_was_written_to_a_handoff_during_its_removal() -> Result<()> {
    let lost = written_during_the_removal([STOCK, STOCK])?;
    assert_eq!(
        lost,
        ["new", "overwritten", "posted", "deleted"],
        "the test cannot see the loss, or Swift has mended it"
    );
    Ok(())
}

#[test]
fn what_is_written_to_a_handoff_during_its_removal_is_kept() -> Result<()> {
    assert_eq!(written_during_the_removal([OURS, OURS])?, Vec::<&str>::new());
    Ok(())
}

#[test]
fn what_is_written_to_a_handoff_of_stock_primaries_during_its_removal_is_kept() -> Result<()> {
    assert_eq!(written_during_the_removal([OURS, STOCK])?, Vec::<&str>::new());
    Ok(())
}
