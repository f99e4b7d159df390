//! Who there is, and what may happen how often.

use super::directory::{Names, Version};

/// Nodes of a scope: each has one device.
pub(super) const NODES: usize = 5;
/// Objects of a scope.
pub(super) const OBJECTS: usize = 2;
/// Handoffs with a replicator of ours.
pub(super) const JOBS: usize = 2;
/// Client requests of a scope, those that were answered before it begins included.
pub(super) const OPS: usize = 5;

/// Some nodes: bit n is node n.
pub(super) type Nodes = u8;

pub(super) fn has(nodes: Nodes, node: usize) -> bool {
    nodes & 1 << node != 0
}

pub(super) fn each(nodes: Nodes) -> impl Iterator<Item = usize> {
    (0..NODES).filter(move |&node| has(nodes, node))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Post,
    Delete,
}

/// A client's request. Each node that it goes to answers for itself: an acknowledgement is of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Op {
    pub(super) kind: Kind,
    pub(super) object: usize,
    pub(super) time: u8,
    /// Where it may arrive, at any time and in any order.
    pub(super) nodes: Nodes,
    /// Where it was acknowledged before all this.
    pub(super) before: Nodes,
}

impl Op {
    /// The file that it leaves.
    pub(super) fn names(&self) -> Names {
        let time = 1 << self.time;
        match self.kind {
            Kind::Put => Names { data: time, ..Names::default() },
            Kind::Post => Names { meta: time, ..Names::default() },
            Kind::Delete => Names { tombstone: time, ..Names::default() },
        }
    }

    /// Whether a directory with this version still knows of the request, or of a newer one.
    pub(super) fn survives_in(&self, version: Version) -> bool {
        match (self.kind, version) {
            (Kind::Post, Version::Data { metadata, .. }) => metadata >= self.time,
            (Kind::Put, Version::Data { data, .. }) => data >= self.time,
            (Kind::Delete, Version::Data { data, .. }) => data > self.time,
            (_, Version::Tombstone(time)) => time >= self.time,
        }
    }
}

/// How often each thing may happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// A node's programs are killed.
    pub(super) kills: u8,
    /// A node's power is cut.
    pub(super) power_cuts: u8,
    /// A session breaks, with what was on its way.
    pub(super) breaks: u8,
    /// An answer comes twice.
    pub(super) duplicates: u8,
    /// A peer cannot store or read an object.
    pub(super) faults: u8,
    /// A sender cannot read an object.
    pub(super) unreadable: u8,
    /// An rsync of a stock node writes a file.
    pub(super) rsyncs: u8,
    /// A disk is replaced by an empty one.
    pub(super) wipes: u8,
    /// A node gets its next ring.
    pub(super) rings: u8,
    /// Passes of each handoff.
    pub(super) passes: u8,
}

#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) names: [&'static str; NODES],
    /// The primaries by each node's ring.
    pub(super) rings: [Nodes; NODES],
    /// And by its next ring.
    pub(super) next_rings: [Nodes; NODES],
    /// Which nodes run our replicator as handoffs.
    pub(super) senders: &'static [usize],
    pub(super) handoff_delete: Option<usize>,
    pub(super) ops: Vec<Op>,
    pub(super) budget: Budget,
    /// Nodes reached by SSYNC.
    pub(super) ssync: Nodes,
    /// Nodes that run stock Swift.
    pub(super) stock: Nodes,
    /// Nodes with `durability = none`.
    pub(super) unflushed: Nodes,
    /// Nodes that an rsync may write to.
    pub(super) rsync_to: Nodes,
    /// A node whose device a stock replicator with rsync reverts.
    pub(super) rsync_revert: Option<usize>,
    /// Nodes whose disk may be replaced, or may fail.
    pub(super) failing: Nodes,
    /// Whether only what is flushed counts as kept.
    pub(super) durable: bool,
}

/// Three primaries and two handoffs, of one ring.
pub(super) const P1: usize = 0;
pub(super) const P2: usize = 1;
pub(super) const P3: usize = 2;
pub(super) const H1: usize = 3;
pub(super) const H2: usize = 4;
/// The three primaries.
pub(super) const PRIMARIES: Nodes = 0b00111;

impl Scope {
    /// Three primaries that have nothing, and a handoff with one object, alone and undisturbed.
    pub(super) fn quiet() -> Self {
        Self {
            names: ["P1", "P2", "P3", "H1", "H2"],
            rings: [PRIMARIES; NODES],
            next_rings: [PRIMARIES; NODES],
            senders: &[H1],
            handoff_delete: None,
            ops: vec![put(0, 1, 0).before(1 << H1)],
            budget: Budget { passes: 1, ..Budget::default() },
            ssync: 0,
            stock: 0,
            unflushed: 0,
            rsync_to: 0,
            rsync_revert: None,
            failing: 0,
            durable: true,
        }
    }
}

pub(super) fn put(object: usize, time: u8, nodes: Nodes) -> Op {
    Op { kind: Kind::Put, object, time, nodes, before: 0 }
}

pub(super) fn post(object: usize, time: u8, nodes: Nodes) -> Op {
    Op { kind: Kind::Post, ..put(object, time, nodes) }
}

pub(super) fn delete(object: usize, time: u8, nodes: Nodes) -> Op {
    Op { kind: Kind::Delete, ..put(object, time, nodes) }
}

impl Op {
    /// Acknowledged before all this.
    pub(super) fn before(self, nodes: Nodes) -> Self {
        Self { before: nodes, ..self }
    }
}
