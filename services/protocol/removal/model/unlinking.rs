//! A handoff's receiver removes what is releasable, and what must be true of the others then.

use ssync_types::{ReleaseFile, may_unlink};

use super::{
    actions::Action,
    directory::{Names, TIMES, Version},
    scope::{OBJECTS, each, has},
    state::{Directory, Model, Progress, State, Violation},
};

impl Model {
    pub(super) fn removal_steps(&self, state: &State, job: usize, next: &mut Vec<(Action, State)>) {
        let node = self.scope.senders[job];
        for object in 0..OBJECTS {
            let listed = &state.jobs[job].objects[object];
            let directory = &state.disks[node][object];
            match listed.progress {
                Progress::Releasable => {
                    let primary = self.rules.ring_at_removal && self.is_primary(state, node);
                    let confirmed = files(listed.names, listed.inode);
                    let exact = may_unlink(&confirmed, &files(directory.all, directory.inode));
                    if primary || (self.rules.exact_listing && !exact) {
                        next.push(self.keep(state, job, object));
                    } else if self.rules.exclusive {
                        next.push(self.remove(state, job, object, directory.all));
                    } else {
                        let mut after = *state;
                        after.jobs[job].objects[object].progress = Progress::Compared(directory.all);
                        next.push((Action::Compare { job, object }, after));
                    }
                }
                Progress::Compared(names) => next.push(self.remove(state, job, object, names)),
                Progress::Absent | Progress::Offered | Progress::Over => {}
            }
        }
    }

    fn keep(&self, state: &State, job: usize, object: usize) -> (Action, State) {
        let mut after = *state;
        after.jobs[job].objects[object].progress = Progress::Over;
        (Action::Unlink { job, object, gone: false }, after)
    }

    fn remove(&self, state: &State, job: usize, object: usize, names: Names) -> (Action, State) {
        let node = self.scope.senders[job];
        let mut after = *state;
        after.violation = self.wrong_removal(state, job, object, names);
        let directory = &mut after.disks[node][object];
        directory.all = directory.all.without(names);
        directory.flushed = directory.flushed.without(names);
        after.removed[object] |= 1 << node;
        after.jobs[job].objects[object].progress = Progress::Over;
        (Action::Unlink { job, object, gone: true }, after)
    }

    /// What is wrong with the removal of an object by a handoff, at this moment.
    fn wrong_removal(&self, state: &State, job: usize, object: usize, names: Names) -> Option<Violation> {
        let node = self.scope.senders[job];
        let (listed, targets) = (&state.jobs[job].objects[object], state.jobs[job].targets);
        let named = node as u8;
        if targets == 0 {
            return Some(Violation::NoTargets { node: named });
        }
        if self.is_primary(state, node) {
            return Some(Violation::Primary { node: named });
        }
        if let Some(peer) = each(listed.skipped & targets).next() {
            return Some(Violation::Skipped { node: named, peer: peer as u8 });
        }
        let version = names.version()?;
        let others = || (0..super::scope::NODES).filter(|&other| other != node);
        if !others().any(|other| as_new(&state.disks[other][object], version, self.scope.durable)) {
            return Some(Violation::LastCopy { node: named });
        }
        // Who handed it on by its own ring, or lost its disk, has it no longer, and had it.
        let has_it = |&peer: &usize| {
            let had = has(state.removed[object] | state.wiped, peer);
            had || as_new(&state.disks[peer][object], version, self.scope.durable)
        };
        let needed = ssync_quorum(targets.count_ones() as usize, self.scope.handoff_delete);
        let safe = each(targets).filter(has_it).count();
        (safe < needed).then_some(Violation::NotAtPrimaries { node: named, object: object as u8 })
    }
}

/// How many primaries must have it, said anew: the shipped count is what is being checked.
fn ssync_quorum(primaries: usize, handoff_delete: Option<usize>) -> usize {
    match handoff_delete {
        Some(count) if count > 0 => count.min(primaries),
        _ => primaries,
    }
}

/// Whether a directory has a version, or something newer that is not its handoff's business any more.
fn as_new(directory: &Directory, version: Version, durable: bool) -> bool {
    let covers = |names: Names| names.version().is_some_and(|own| covers(own, version));
    let kept = if durable { directory.flushed } else { directory.all };
    // An rsync may have brought something newer since, which its own source has as well.
    covers(kept) || directory.version().is_some_and(|own| own != version && covers(directory.all))
}

fn covers(own: Version, version: Version) -> bool {
    match (own, version) {
        (Version::Tombstone(own), _) => own >= version.time(),
        (Version::Data { data, .. }, Version::Tombstone(time)) => data > time,
        (Version::Data { data, metadata }, Version::Data { data: put, metadata: posted }) => {
            data >= put && metadata >= posted
        }
    }
}

/// A directory as the receiver lists it.
fn files(names: Names, inode: u8) -> Vec<ReleaseFile> {
    let kinds = [(names.data, "data"), (names.meta, "meta"), (names.tombstone, "ts")];
    let of_kind = |(times, extension): (u8, &'static str)| {
        (0..TIMES).filter(move |time| times & 1 << time != 0).map(move |time| ReleaseFile {
            name: format!("{}.{extension}", super::machine::timestamp(time).internal()),
            inode: u64::from(inode),
        })
    };
    kinds.into_iter().flat_map(of_kind).collect()
}
