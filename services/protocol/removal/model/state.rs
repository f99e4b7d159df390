//! One moment of the cluster.

use super::{
    directory::{Names, Version},
    rules::Rules,
    scope::{Budget, JOBS, NODES, Nodes, OBJECTS, OPS, Scope, each, has},
};

/// An object's directory on one disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Directory {
    pub(super) all: Names,
    /// What is there after a power cut.
    pub(super) flushed: Names,
    /// Another one when a file was replaced under its name.
    pub(super) inode: u8,
}

impl Directory {
    pub(super) fn add(&mut self, names: Names, flushed: bool) {
        self.all = self.all.with(names);
        if flushed {
            self.flushed = self.flushed.with(names);
        }
    }

    /// Removes what is obsolete.
    pub(super) fn clean(&mut self) {
        self.all = self.all.settled();
        self.flushed = self.flushed.both(self.all);
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.all.version()
    }
}

/// What a peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Applied,
    AppliedUnflushed,
    Confirmed,
    Superseded(u8),
    NotFound,
    NotPrimary,
    Failed,
}

/// Where an object is in the session with one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    #[default]
    Idle,
    /// To be offered.
    Check,
    /// Wanted and read: on its way.
    Carry { data: bool, metadata: bool },
    /// To be confirmed; in a second conversation of SSYNC: to be offered again.
    Ask,
    /// SSYNC: sent, or not wanted. The second conversation will say more.
    Sent,
    /// The answer is on its way.
    Told(Answer),
    /// The answer has come, or never will.
    Over,
}

/// A handoff's session with one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Visit {
    pub(super) begun: bool,
    /// SSYNC: the second conversation.
    pub(super) again: bool,
    pub(super) stages: [Stage; OBJECTS],
}

impl Visit {
    /// Whether the peer holds its lock for it. It may let go as soon as it has answered.
    pub(super) fn is_open(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage, Stage::Check | Stage::Carry { .. } | Stage::Ask))
    }

    /// Between two conversations of SSYNC.
    pub(super) fn may_ask_again(&self) -> bool {
        !self.again && !self.is_open() && self.stages.contains(&Stage::Sent)
    }

    fn is_over(&self) -> bool {
        !self.is_open() && !self.stages.iter().any(|stage| matches!(stage, Stage::Told(_)))
    }
}

/// How far a handoff is with an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    /// It has none.
    #[default]
    Absent,
    Offered,
    Releasable,
    /// Its directory was looked at. (Where that and the removal are two steps.)
    Compared(Names),
    Over,
}

/// An object of a handoff's pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Listed {
    pub(super) progress: Progress,
    pub(super) names: Names,
    pub(super) inode: u8,
    pub(super) confirmed: Nodes,
    pub(super) refused: Nodes,
    /// Answers that were safe, without regard of whose.
    pub(super) count: u8,
    /// Peers to whom it was not sent, and that count all the same.
    pub(super) skipped: Nodes,
}

/// A pass of a handoff. While it runs it holds the partition's lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Job {
    pub(super) running: bool,
    pub(super) passes: u8,
    pub(super) targets: Nodes,
    pub(super) objects: [Listed; OBJECTS],
    pub(super) visits: [Visit; NODES],
}

impl Job {
    /// The pass ends, as it should or not.
    pub(super) fn stop(&mut self) {
        *self = Self { passes: self.passes, ..Self::default() };
    }

    pub(super) fn is_done(&self) -> bool {
        self.visits.iter().all(Visit::is_over)
            && !self
                .objects
                .iter()
                .any(|object| matches!(object.progress, Progress::Releasable | Progress::Compared(_)))
    }
}

/// An answer of a session that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Late {
    pub(super) job: u8,
    pub(super) peer: u8,
    pub(super) object: u8,
    pub(super) names: Names,
    pub(super) answer: Answer,
}

/// A stock replicator that reverts a partition with rsync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum RsyncRevert {
    #[default]
    NotYet,
    /// It holds its lock, and has written to these.
    Copied(Nodes),
    Over,
}

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// A request that was acknowledged is nowhere.
    Lost { op: u8 },
    /// A handoff removed what not all required primaries have, on disk.
    NotAtPrimaries { node: u8, object: u8 },
    /// Something was removed that nobody had to be asked for.
    NoTargets { node: u8 },
    /// Something was removed that was not sent to someone.
    Skipped { node: u8, peer: u8 },
    /// A primary removed something.
    Primary { node: u8 },
    /// Nobody else has what was removed.
    LastCopy { node: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) disks: [[Directory; OBJECTS]; NODES],
    pub(super) jobs: [Job; JOBS],
    /// Where each request has arrived, is between its first look and its publication (a node, plus one), and was acknowledged.
    pub(super) arrived: [Nodes; OPS],
    pub(super) under_way: [u8; OPS],
    pub(super) acknowledged: [Nodes; OPS],
    pub(super) left: Budget,
    pub(super) new_ring: Nodes,
    pub(super) wiped: Nodes,
    /// Who has lawfully removed each object.
    pub(super) removed: [Nodes; OBJECTS],
    pub(super) late: Option<Late>,
    pub(super) rsync_revert: RsyncRevert,
    pub(super) violation: Option<Violation>,
}

/// A scope under some rules.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) scope: Scope,
    pub(super) rules: Rules,
}

impl Model {
    pub(super) fn begin(&self) -> State {
        let mut state = State {
            disks: Default::default(),
            jobs: Default::default(),
            arrived: [0; OPS],
            under_way: [0; OPS],
            acknowledged: [0; OPS],
            left: self.scope.budget,
            new_ring: 0,
            wiped: 0,
            removed: [0; OBJECTS],
            late: None,
            rsync_revert: RsyncRevert::NotYet,
            violation: None,
        };
        for (number, op) in self.scope.ops.iter().enumerate() {
            state.acknowledged[number] = op.before;
            for node in each(op.before) {
                state.disks[node][op.object].add(op.names(), true);
            }
        }
        state.jobs.iter_mut().for_each(|job| job.passes = self.scope.budget.passes);
        state
    }

    /// The primaries by the ring that a node has now.
    pub(super) fn ring(&self, state: &State, node: usize) -> Nodes {
        if has(state.new_ring, node) { self.scope.next_rings[node] } else { self.scope.rings[node] }
    }

    pub(super) fn is_primary(&self, state: &State, node: usize) -> bool {
        has(self.ring(state, node), node)
    }

    /// Whether a session or a stock replicator holds the partition's lock at `node`.
    pub(super) fn is_visited(&self, state: &State, node: usize) -> bool {
        let reverts =
            self.scope.rsync_revert == Some(node) && matches!(state.rsync_revert, RsyncRevert::Copied(_));
        reverts || state.jobs.iter().any(|job| job.visits[node].is_open())
    }

    /// Whether `node` lets nobody in, being about to let go itself.
    pub(super) fn releases(&self, state: &State, node: usize) -> bool {
        let own = self.scope.senders.iter().position(|&sender| sender == node);
        self.rules.lock && own.is_some_and(|job| state.jobs[job].running)
    }

    /// What is wrong with a state, if anything is.
    pub(super) fn violation(&self, state: &State) -> Option<Violation> {
        state.violation.or_else(|| {
            let lost = |(number, op): &(usize, &super::scope::Op)| {
                let told = state.acknowledged[*number] & !state.wiped != 0;
                told && !state.disks.iter().any(|disk| {
                    let directory = &disk[op.object];
                    let kept = if self.scope.durable { directory.flushed } else { directory.all };
                    kept.version().is_some_and(|version| op.survives_in(version))
                })
            };
            let lost = self.scope.ops.iter().enumerate().find(lost);
            lost.map(|(op, _)| Violation::Lost { op: op as u8 })
        })
    }
}
