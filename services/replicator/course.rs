//! How far a pass of the daemon has got, so that one that was interrupted goes on where it was.
//!
//! Each partition has a place in the pass that its seed gives, so a place for each device and policy says what is done.
//! What is skipped once, because it was done before the interruption, is looked at by the next pass as all else.
//!
//! A partition at which the daemon died more than once comes last, so that it does not keep the others from their turn.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::SystemTime,
};

use ssync_types::{DeviceName, Partition, PartitionRef, PolicyIndex};

use crate::{blocking::blocking, job::Job};

pub(crate) use file::{forget, load, save};

/// A device in one policy.
pub(crate) type Slot = (DeviceName, PolicyIndex);

/// A partition of a slot.
pub(crate) type Spot = (DeviceName, PolicyIndex, Partition);

/// A partition that was under way at so many deaths of the daemon comes last.
const DEATHS_LAST: u32 = 2;
/// Such partitions that are remembered.
const SUSPECTS_MAX: usize = 1_000;

/// How far a slot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The digest of the ring by which the jobs were made.
    pub(crate) ring: Vec<u8>,
    /// The order begins here.
    pub(crate) start: u64,
    /// All places before this one, counted from `start`, are done.
    pub(crate) done: u64,
}

/// What is remembered of a pass that was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) seed: u64,
    /// When the pass was begun.
    pub(crate) begun: SystemTime,
    pub(crate) marks: BTreeMap<Slot, Mark>,
    /// What was being worked on.
    pub(crate) under_way: BTreeSet<Spot>,
    /// At how many deaths of the daemon a partition was under way, if it was not done since.
    pub(crate) deaths: BTreeMap<Spot, u32>,
    /// It is of a daemon before this one.
    pub(crate) has_died: bool,
}

impl Record {
    /// A pass that has done nothing yet.
    fn new(seed: u64, begun: SystemTime) -> Self {
        let (marks, under_way, deaths) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { seed, begun, marks, under_way, deaths, has_died: false }
    }

    /// The daemon of which it is has gone. What was under way then may have been the cause; who stops in order has nothing
    /// under way.
    pub(crate) fn recalled(mut self) -> Self {
        // Who stopped in order costs the next one no care.
        let died = !self.under_way.is_empty() || !self.deaths.is_empty();
        for spot in std::mem::take(&mut self.under_way) {
            if self.deaths.len() < SUSPECTS_MAX || self.deaths.contains_key(&spot) {
                let deaths = self.deaths.entry(spot).or_default();
                *deaths = deaths.saturating_add(1);
            }
        }
        Self { has_died: died, ..self }
    }
}

/// A pass under way.
#[derive(Debug)]
pub(crate) struct Course {
    record: Record,
    /// Places that are not done, by slot.
    left: BTreeMap<Slot, BTreeSet<u64>>,
}

fn slot(job: &Job) -> Slot {
    (job.device.clone(), job.policy)
}

fn spot(job: &Job) -> Spot {
    (job.device.clone(), job.policy, job.partition)
}

impl Course {
    /// A pass over `jobs`: the one of `before` goes on, or one with `seed` begins. Puts the jobs into their order, and takes
    /// out those that are done.
    ///
    /// Where the ring is another one now, nothing is taken out: what was done comes last.
    pub(crate) fn over(jobs: &mut Vec<Job>, before: Option<Record>, seed: u64, now: SystemTime) -> Self {
        let mut new = Record::new(seed, now);
        if let Some(record) = before {
            let course = Self::of(jobs, &record);
            let is_done = |job: &Job| {
                place(&course.record, job) < course.record.marks.get(&slot(job)).map_or(0, |mark| mark.done)
            };
            if jobs.is_empty() || !jobs.iter().all(is_done) {
                jobs.retain(|job| !is_done(job));
                return course.begin(jobs);
            }
            (new.deaths, new.has_died) = (record.deaths, record.has_died);
        }
        Self::of(jobs, &new).begin(jobs)
    }

    /// The marks of these jobs' slots.
    fn of(jobs: &[Job], before: &Record) -> Self {
        let mut marks = BTreeMap::new();
        for job in jobs {
            marks.entry(slot(job)).or_insert_with(|| {
                let ring = job.places.digest();
                match before.marks.get(&slot(job)) {
                    Some(mark) if mark.ring == ring => mark.clone(),
                    Some(mark) => Mark { ring, start: mark.start.wrapping_add(mark.done), done: 0 },
                    None => Mark { ring, start: 0, done: 0 },
                }
            });
        }
        let record = Record { marks, ..before.clone() };
        Self { record, left: BTreeMap::new() }
    }

    fn begin(mut self, jobs: &mut [Job]) -> Self {
        jobs.sort_by_cached_key(|job| (self.is_suspect(job), place(&self.record, job)));
        // What comes last is not waited for: a daemon that dies of it goes on behind all others, with the next pass.
        for job in jobs.iter() {
            let left = self.left.entry(slot(job)).or_default();
            match self.record.deaths.get(&spot(job)).filter(|deaths| **deaths >= DEATHS_LAST) {
                None => drop(left.insert(place(&self.record, job))),
                Some(deaths) => tracing::error!(
                    device = %job.device, partition = %job.partition, policy = %job.policy,
                    "the replicator has died {deaths} times while it was at this partition, which comes last from now on: \
                     look at its log before the restarts, and at the partition's files"
                ),
            }
        }
        self
    }

    /// The seed of the order.
    pub(crate) fn seed(&self) -> u64 {
        self.record.seed
    }

    /// Whether the daemon may die of it.
    pub(crate) fn is_suspect(&self, job: &Job) -> bool {
        is_suspect(&self.record, job)
    }

    /// Whether a daemon has died, so that it is worth its while to note each partition before it is begun.
    pub(crate) fn is_careful(&self) -> bool {
        self.record.has_died
    }

    /// A job is about to be begun.
    pub(crate) fn begins(&mut self, job: &Job) {
        self.record.under_way.insert(spot(job));
    }

    /// It is not under way any more, done or not.
    pub(crate) fn ended(&mut self, at: &PartitionRef) {
        self.record.under_way.remove(&(at.device.clone(), at.policy, at.partition));
    }

    /// A job is done with, well or not.
    pub(crate) fn done(&mut self, job: &Job) {
        self.record.deaths.remove(&spot(job));
        let (slot, place) = (slot(job), place(&self.record, job));
        let (Some(left), Some(mark)) = (self.left.get_mut(&slot), self.record.marks.get_mut(&slot)) else {
            return;
        };
        left.remove(&place);
        mark.done = left.first().copied().unwrap_or(u64::MAX);
    }

    /// What to remember if it is interrupted now.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
}

/// Where a job stands in its slot's order.
fn place(record: &Record, job: &Job) -> u64 {
    let start = record.marks.get(&slot(job)).map_or(0, |mark| mark.start);
    job.order_key(record.seed).wrapping_sub(start)
}

fn is_suspect(record: &Record, job: &Job) -> bool {
    record.deaths.get(&spot(job)).is_some_and(|deaths| *deaths >= DEATHS_LAST)
}

/// Saves it on a thread of its own; that it could not be saved is told and changes nothing.
pub(crate) async fn save_in(folder: PathBuf, record: Record) {
    match blocking(move || save(&folder, &record)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{error}"),
        Err(error) => tracing::warn!(%error, "remembering how far the pass is was stopped"),
    }
}

#[cfg(test)]
mod tests;
