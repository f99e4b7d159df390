//! A partition on every device that has to hold it or may: who answers, what each has, and what that means.

mod ask;
mod busy;
mod diagnosis;
mod local;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use ask::{Question, ask_all};
pub(crate) use busy::{Busy, busy, locks};
pub(crate) use diagnosis::{Diagnosis, diagnose};
pub(crate) use local::Local;
pub(crate) use view::{Shown, print, to_json};

use ssync_replicator::Target;
use ssync_types::SuffixHashes;

use crate::object::Role;

/// A device and what is known of its copy of the partition.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) role: Role,
    pub(crate) target: Target,
    /// Whether it is a device of this node.
    pub(crate) is_own: bool,
    pub(crate) state: State,
}

/// What a device answered.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Answered(Told),
    /// It could not be asked, or could not tell.
    Failed(String),
}

/// What a device told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// What its node speaks.
    pub(crate) kind: &'static str,
    /// The hashes of its suffixes.
    pub(crate) hashes: SuffixHashes,
    /// What is in it, where that was counted: on this node's devices.
    pub(crate) held: Option<Held>,
    /// How many of this node's objects it lacks, or has in an older version, where it was asked.
    pub(crate) lacks: Option<Lacks>,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Live objects.
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) tombstones: u64,
    /// Objects that could not be read.
    pub(crate) unread: u64,
    /// Whether all of it was counted; else there is more.
    pub(crate) whole: bool,
    /// Seconds since its hashes were written: a pass that compares it writes them now and then.
    pub(crate) hashed_seconds: Option<u64>,
}

/// What a peer lacks of what this node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    pub(crate) objects: u64,
    /// How many it was asked for; not all, where they are very many.
    pub(crate) asked: u64,
}

impl Replica {
    pub(crate) fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    pub(crate) fn told(&self) -> Option<&Told> {
        match &self.state {
            State::Answered(told) => Some(told),
            State::Failed(_) => None,
        }
    }

    /// Whether there is nothing of the partition.
    pub(crate) fn is_empty(&self) -> bool {
        self.told().is_some_and(|told| told.hashes.is_empty())
    }

    /// As people call it.
    pub(crate) fn name(&self) -> String {
        format!("{} of {} ({})", self.target.device, self.target.address(), self.role)
    }
}
