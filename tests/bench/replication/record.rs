//! What a turn came to.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::processes::Role;

/// What the processes of one role cost.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
}

/// A turn that was timed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) medium: String,
    pub(crate) contestant: String,
    pub(crate) work: String,
    pub(crate) round: u32,
    /// That had to be moved.
    pub(crate) objects: usize,
    pub(crate) bytes: u64,
    pub(crate) passes: u32,
    /// Of the passes.
    pub(crate) seconds: f64,
    /// Of a flush of all that was not yet on the disk.
    pub(crate) flush_seconds: f64,
    pub(crate) usage: BTreeMap<Role, Usage>,
    /// To and from the nodes that are pushed to; nothing where no one could count.
    pub(crate) wire_bytes: Option<u64>,
}

impl Record {
    pub(crate) fn usage(&self, role: Role) -> Usage {
        self.usage.get(&role).copied().unwrap_or_default()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium, contestant, work, round, passes, seconds, flush_seconds, .. } = self;
        let cpu = |role| self.usage(role).cpu_seconds;
        write!(
            f,
            "round {round}  {medium:<5} {work:<20} {contestant:<18} {seconds:>8.3} s in {passes} passes, flush \
             {flush_seconds:.2} s, CPU {:.2} + {:.2} + {:.2} s",
            cpu(Role::Sender),
            cpu(Role::Home),
            cpu(Role::Receiver),
        )
    }
}

/// How far a work was at a time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) seconds: f64,
    /// Suffix directories at the device where most is missing.
    pub(crate) arrived: usize,
    /// Suffix directories at the device that pushes.
    pub(crate) left: usize,
}

/// A turn in which flushes were counted, and which was looked at; that slows it, so it is not timed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Watched {
    pub(crate) medium: String,
    pub(crate) contestant: String,
    pub(crate) work: String,
    pub(crate) objects: usize,
    pub(crate) flushes: BTreeMap<Role, u64>,
    pub(crate) looks: Vec<Look>,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium, contestant, work, flushes, .. } = self;
        write!(f, "flushes  {medium:<5} {work:<20} {contestant:<18} {flushes:?}")
    }
}
