//! What kind of cluster a seed is about: the usual one, or one in which a removal that was not allowed is a loss at once.

use ssync_diskfile::simulation::Random;
use ssync_types::{DeviceName, Partition};

/// The kind of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Three copies of all; clients are told when two are there.
    Usual,
    /// One copy is enough to be told, and most often it is on a handoff; clients write to what is being drained just now.
    Thin,
    /// Two rings for all the time, each of which names as handoffs those that have the other.
    Opposed,
}

/// What a seed decides before all else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast {
    pub(crate) kind: Kind,
    pub(crate) replicas: usize,
    pub(crate) handoff_delete: Option<usize>,
    /// Objects that clients know of. The fewer, the more often two things happen to one.
    pub(crate) objects: usize,
}

impl Cast {
    pub(crate) fn new(seed: u64, objects_max: usize) -> Self {
        let mut random = Random::of(seed, 3);
        let kind = *random.pick(&[Kind::Usual, Kind::Usual, Kind::Thin, Kind::Opposed]);
        match kind {
            Kind::Usual => {
                let handoff_delete = random.once_in(6).then_some(2);
                Self { kind, replicas: 3, handoff_delete, objects: objects_max }
            }
            Kind::Thin => Self {
                kind,
                replicas: *random.pick(&[1, 1, 2, 3]),
                handoff_delete: random.once_in(2).then_some(1),
                objects: 4,
            },
            Kind::Opposed => Self { kind, replicas: 1 + random.below(2), handoff_delete: None, objects: 6 },
        }
    }

    /// Copies that make a client's request a success (Swift: utils `quorum_size`).
    pub(crate) fn quorum(self) -> usize {
        if self.kind == Kind::Usual { self.replicas.div_ceil(2) } else { 1 }
    }
}

/// A moment at which something may be aimed at a partition between two nodes.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) stage: Stage,
    /// Who pushes.
    pub(crate) from: usize,
    /// To which device.
    pub(crate) to: DeviceName,
    pub(crate) partition: Partition,
}

/// How far a push has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The other has said what it lacks; nothing is sent or confirmed yet.
    Checked,
    /// The other has answered for some objects.
    Answered,
}
