//! Names on the platter, and the changes to names that are on their way to it.
//!
//! Two models of a power cut. *Ordered*: what XFS and ext4 do. Changes to names are one log; a flush of a directory forces the
//! log up to the last change of that directory, and a power cut leaves the log up to an arbitrary place at or after what was
//! forced. *Weak*: what POSIX promises. Each change that no flush of its own directory forced survives by itself, or not; only a
//! rename stays one step. Neither lets the flush of a file force its name.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::random::Random;

/// A node for good: numbers are used again, these are not.
pub(super) type Id = u64;
pub(super) type Names = BTreeMap<OsString, Id>;

/// How names survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// As a journalled file system.
    Ordered,
    /// As POSIX.
    Weak,
}

/// One name that comes, goes, or stands for something else.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) directory: Id,
    pub(super) name: OsString,
    pub(super) to: Option<Id>,
}

#[derive(Debug, Clone)]
struct Step {
    number: u64,
    at: SystemTime,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    flushed: BTreeMap<Id, Arc<Names>>,
    pending: Vec<Arc<Step>>,
    last: u64,
    /// The last step that a flush forced, and with it in the ordered model all before it.
    forced: u64,
}

impl Journal {
    pub(super) fn of(flushed: BTreeMap<Id, Arc<Names>>) -> Self {
        Self { flushed, ..Self::default() }
    }

    pub(super) fn add(&mut self, at: SystemTime, changes: Vec<Change>) {
        self.last += 1;
        self.pending.push(Arc::new(Step { number: self.last, at, changes }));
    }

    /// A flush of a directory.
    pub(super) fn force(&mut self, directory: Id) {
        self.force_where(|step| step.changes.iter().any(|change| change.directory == directory));
    }

    pub(super) fn force_all(&mut self) {
        self.force_where(|_| true);
    }

    /// What the file system writes back by itself.
    pub(super) fn force_older(&mut self, now: SystemTime, age: Duration) {
        self.force_where(|step| now.duration_since(step.at).is_ok_and(|old| old >= age));
    }

    fn force_where(&mut self, wanted: impl Fn(&Step) -> bool) {
        let (forced, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|step| wanted(step));
        for step in &forced {
            self.forced = self.forced.max(step.number);
            for change in &step.changes {
                apply(change, &mut self.flushed);
                // What came before to the same name cannot come after it.
                for earlier in kept.iter_mut().filter(|earlier| earlier.number < step.number) {
                    let same = |other: &Change| is_same(other, change.directory, &change.name);
                    if earlier.changes.iter().any(same) {
                        Arc::make_mut(earlier).changes.retain(|other| !same(other));
                    }
                }
            }
        }
        kept.retain(|step| !step.changes.is_empty());
        self.pending = kept;
    }

    /// The names after a power cut.
    pub(super) fn survive(&self, model: Model, random: &mut Random) -> BTreeMap<Id, Arc<Names>> {
        let mut names = self.flushed.clone();
        // The ends are as likely as all between.
        let open = (self.last - self.forced) as usize;
        let between = random.below(open + 1);
        let last = self.forced + *random.pick(&[0, open, between]) as u64;
        let often = 250 * random.below(5);
        for step in &self.pending {
            let survives = match model {
                Model::Ordered => step.number <= last,
                Model::Weak => random.per_mille(often),
            };
            if survives {
                step.changes.iter().for_each(|change| apply(change, &mut names));
            }
        }
        names
    }

    /// All that have a name on the platter, or may have one after a power cut.
    pub(super) fn nodes(&self) -> BTreeSet<Id> {
        let flushed = self.flushed.values().flat_map(|names| names.values().copied());
        let pending = self.pending.iter().flat_map(|step| step.changes.iter().filter_map(|change| change.to));
        flushed.chain(pending).collect()
    }

    /// Whether this change has reached the platter.
    pub(super) fn is_flushed(&self, directory: Id, name: &OsStr) -> bool {
        !self.pending.iter().any(|step| step.changes.iter().any(|change| is_same(change, directory, name)))
    }
}

fn is_same(change: &Change, directory: Id, name: &OsStr) -> bool {
    change.directory == directory && change.name == name
}

fn apply(change: &Change, names: &mut BTreeMap<Id, Arc<Names>>) {
    let directory = Arc::make_mut(names.entry(change.directory).or_default());
    match change.to {
        Some(id) => directory.insert(change.name.clone(), id),
        None => directory.remove(&change.name),
    };
}
