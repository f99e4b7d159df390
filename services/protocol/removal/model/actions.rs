//! Steps, each of which one process does alone, and how a person reads them.

use std::fmt;

use super::{
    scope::{Kind, NODES, Scope},
    state::{Answer, Model, State, Violation},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Acknowledge { op: usize, node: usize },
    Refuse { op: usize, node: usize },
    LookBeforePost { op: usize, node: usize },
    Rsync { op: usize, node: usize },
    Kill { node: usize },
    CutPower { node: usize },
    Wipe { node: usize },
    NewRing { node: usize },
    Lock { job: usize },
    Open { job: usize, peer: usize },
    Check { job: usize, peer: usize, object: usize, wanted: Wanted },
    Update { job: usize, peer: usize, object: usize, ends: Ends },
    Confirm { job: usize, peer: usize, object: usize, answer: Answer },
    AskAgain { job: usize, peer: usize },
    Hear { job: usize, peer: usize, object: usize, answer: Answer, again: bool },
    HearLate { job: usize, peer: usize, object: usize, answer: Answer },
    Break { job: usize, peer: usize },
    Compare { job: usize, object: usize },
    Unlink { job: usize, object: usize, gone: bool },
    End { job: usize },
    RsyncLock { node: usize },
    RsyncCopy { node: usize, to: usize },
    RsyncRemove { node: usize },
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Parts { data: bool, metadata: bool },
    Changed,
    Unreadable,
}

/// What an update came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Answered(Answer),
    ThenAsks,
    Unsaid,
}

impl Model {
    /// All that can happen next.
    pub(super) fn successors(&self, state: &State, next: &mut Vec<(Action, State)>) {
        next.clear();
        self.client_steps(state, next);
        self.accidents(state, next);
        self.stock_steps(state, next);
        for job in 0..self.scope.senders.len() {
            self.sender_steps(state, job, next);
            self.removal_steps(state, job, next);
        }
    }
}

/// An action of a scope, in words.
pub(super) struct Told<'a>(pub(super) &'a Scope, pub(super) Action);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(scope, action) = self;
        let name = |node: usize| scope.names[node];
        let sender = |job: usize| name(scope.senders[job]);
        let object = |object: usize| ["a", "b"][object];
        let request = |op: usize| {
            let op = &scope.ops[op];
            let method = match op.kind {
                Kind::Put => "PUT",
                Kind::Post => "POST",
                Kind::Delete => "DELETE",
            };
            format!("{method} {}@{}", object(op.object), op.time)
        };
        match *action {
            Action::Acknowledge { op, node } => write!(f, "{} acknowledges {}", name(node), request(op)),
            Action::Refuse { op, node } => write!(f, "{} refuses {}", name(node), request(op)),
            Action::LookBeforePost { op, node } => {
                write!(f, "{} finds the body that {} is for", name(node), request(op))
            }
            Action::Rsync { op, node } => {
                write!(f, "an rsync writes the file of {} to {}, unflushed", request(op), name(node))
            }
            Action::Kill { node } => write!(f, "{} is killed", name(node)),
            Action::CutPower { node } => write!(f, "{} loses its power", name(node)),
            Action::Wipe { node } => write!(f, "{} gets an empty disk", name(node)),
            Action::NewRing { node } => write!(f, "{} gets its next ring", name(node)),
            Action::Lock { job } => write!(f, "{} takes its lock and lists", sender(job)),
            Action::Open { job, peer } => write!(f, "{} opens a session with {}", sender(job), name(peer)),
            Action::Check { job, peer, object: o, wanted } => {
                write!(f, "{} offers {} to {}: {wanted:?}", sender(job), object(o), name(peer))
            }
            Action::Update { job, peer, object: o, ends } => {
                write!(f, "{} sends {} to {}: {ends:?}", sender(job), object(o), name(peer))
            }
            Action::Confirm { job, peer, object: o, answer } => {
                write!(f, "{} asks {} to confirm {}: {answer:?}", sender(job), name(peer), object(o))
            }
            Action::AskAgain { job, peer } => {
                write!(f, "{} begins a second conversation with {}", sender(job), name(peer))
            }
            Action::Hear { job, peer, object: o, answer, again } => {
                let again = if again { ", and it will come again" } else { "" };
                write!(f, "{} hears of {} from {}: {answer:?}{again}", sender(job), object(o), name(peer))
            }
            Action::HearLate { job, peer, object: o, answer } => {
                write!(
                    f,
                    "{} hears of {} from {}, of a session before: {answer:?}",
                    sender(job),
                    object(o),
                    name(peer)
                )
            }
            Action::Break { job, peer } => {
                write!(f, "the session of {} with {} breaks", sender(job), name(peer))
            }
            Action::Compare { job, object: o } => {
                write!(f, "{} finds {} as it was listed", sender(job), object(o))
            }
            Action::Unlink { job, object: o, gone: true } => {
                write!(f, "{} removes {}", sender(job), object(o))
            }
            Action::Unlink { job, object: o, gone: false } => {
                write!(f, "{} finds {} changed and keeps it", sender(job), object(o))
            }
            Action::End { job } => write!(f, "{} ends its pass", sender(job)),
            Action::RsyncLock { node } => write!(f, "stock's replicator on {} takes its lock", name(node)),
            Action::RsyncCopy { node, to } => {
                write!(f, "stock's replicator on {} brings {} what it has not", name(node), name(to))
            }
            Action::RsyncRemove { node } => {
                write!(f, "stock's replicator on {} removes the partition", name(node))
            }
        }
    }
}

/// A state of a scope, as a list of files: what would not outlast a power cut stands in brackets.
pub(super) struct Shown<'a>(pub(super) &'a Scope, pub(super) &'a State);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in 0..NODES {
            let mut files = Vec::new();
            for (object, directory) in self.1.disks[node].iter().enumerate() {
                let (all, flushed) = (directory.all, directory.flushed);
                for (what, all, flushed) in [
                    ("data", all.data, flushed.data),
                    ("meta", all.meta, flushed.meta),
                    ("ts", all.tombstone, flushed.tombstone),
                ] {
                    for time in (0..8).filter(|time| all & 1 << time != 0) {
                        let name = format!("{}@{time}.{what}", ["a", "b"][object]);
                        files.push(if flushed & 1 << time != 0 { name } else { format!("({name})") });
                    }
                }
            }
            if !files.is_empty() {
                write!(f, " {}: {}", self.0.names[node], files.join(" "))?;
            }
        }
        Ok(())
    }
}

/// What is wrong, in words.
pub(super) struct Wrong<'a>(pub(super) &'a Scope, pub(super) Violation);

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node: u8| self.0.names[usize::from(node)];
        match self.1 {
            Violation::Lost { op } => {
                let op = &self.0.ops[usize::from(op)];
                let kind = format!("{:?}", op.kind).to_uppercase();
                write!(
                    f,
                    "LOST: {kind} {}@{} was acknowledged and is on no disk",
                    ["a", "b"][op.object],
                    op.time
                )
            }
            Violation::NotAtPrimaries { node, object } => {
                let object = ["a", "b"][usize::from(object)];
                write!(f, "S2: {} removed {object}, and not all required primaries have it", name(node))
            }
            Violation::NoTargets { node } => write!(f, "S3: {} removed without anyone to ask", name(node)),
            Violation::Skipped { node, peer } => {
                write!(f, "S4: {} removed what it did not send to {}", name(node), name(peer))
            }
            Violation::Primary { node } => write!(f, "S6: {} is a primary and removed", name(node)),
            Violation::LastCopy { node } => {
                write!(f, "S6: {} removed, and so has the one it relied on", name(node))
            }
        }
    }
}
