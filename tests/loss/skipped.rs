//! A file that the sender lists and then does not send.
//!
//! Its name is all that a listing needs. When it is to be sent it cannot be opened, and stock Swift goes on to the next
//! (ssync_sender.py updates); what was listed and not sent counts as being there, and the partition is removed.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::fs::removexattr;
use ssync_tests::{Cluster, Node, Server, Snapshot};

use crate::{
    OURS, STOCK,
    direct::{Clock, Object, put},
    replicator_of,
};

const BODY: &[u8] = b"a body that is whole, though nobody can tell whose it is";

/// Whether the body lies anywhere on the node's device, its quarantine included.
fn has_body(node: &Node) -> Result<bool> {
    let snapshot = Snapshot::of(&node.device())?.objects();
    let read = |path: &&std::path::Path| fs::read(node.device().join(path)).is_ok_and(|bytes| bytes == BODY);
    Ok(snapshot.paths().iter().any(read))
}

/// Node 1 is a handoff with two objects in a partition, one of which has lost its metadata; node 2 is the primary. Says
/// whether that one's body is still on the handoff after a pass.
fn listed_and_not_sent([handoff, primary]: [Server; 2]) -> Result<bool> {
    let cluster = Cluster::of(2).handoff(1).build()?;
    let nodes = [cluster.node(1), cluster.node(2)];
    let _serving = [nodes[0].serve(handoff)?, nodes[1].serve(primary)?];
    let clock = Clock::start()?;
    let damaged = Object::within(5, "damaged");
    put(nodes[0], &damaged, &clock.at(1), BODY)?;
    let data = nodes[0].snapshot()?.objects();
    let data = nodes[0].device().join(data.paths().first().context("nothing was stored")?);
    let sound = Object::within(5, "sound");
    put(nodes[0], &sound, &clock.at(1), b"sound")?;
    for name in ["user.swift.metadata", "user.swift.metadata_checksum"] {
        removexattr(&data, name)?;
    }
    nodes[0].replicate(replicator_of(handoff))?;
    let arrived = nodes[1].read_tree()?;
    assert!(arrived.object(&sound.path).is_some(), "the other object was not sent either");
    assert!(!has_body(nodes[1])?, "the primary has what could not be sent");
    has_body(nodes[0])
}

#[test]
fn stock_removes_what_it_skipped() -> Result<()> {
    assert!(!listed_and_not_sent([STOCK, STOCK])?, "the test cannot see the loss, or Swift has mended it");
    Ok(())
}

#[test]
fn what_was_skipped_is_kept() -> Result<()> {
    for primary in [OURS, STOCK] {
        assert!(listed_and_not_sent([OURS, primary])?, "to {primary:?}");
    }
    Ok(())
}
