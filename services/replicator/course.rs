//! How far a pass of the daemon has got, so that one that was interrupted goes on where it was.
//!
//! Each partition has a place in the pass that its seed gives, so a place for each device and policy says what is done.
//! What is skipped once, because it was done before the interruption, is looked at by the next pass as all else.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::SystemTime,
};

use ssync_types::{DeviceName, PolicyIndex};

use crate::{blocking::blocking, job::Job};

pub(crate) use file::{forget, load, save};

/// A device in one policy.
pub(crate) type Slot = (DeviceName, PolicyIndex);

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

impl Course {
    /// A pass over `jobs`: the one of `before` goes on, or one with `seed` begins. Puts the jobs into their order, and takes
    /// out those that are done.
    ///
    /// Where the ring is another one now, nothing is taken out: what was done comes last.
    pub(crate) fn over(jobs: &mut Vec<Job>, before: Option<Record>, seed: u64, now: SystemTime) -> Self {
        if let Some(record) = before {
            let course = Self::of(jobs, &record);
            let is_done = |job: &Job| {
                course.place(job) < course.record.marks.get(&slot(job)).map_or(0, |mark| mark.done)
            };
            if jobs.is_empty() || !jobs.iter().all(is_done) {
                jobs.retain(|job| !is_done(job));
                return course.begin(jobs);
            }
        }
        Self::of(jobs, &Record { seed, begun: now, marks: BTreeMap::new() }).begin(jobs)
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
        let record = Record { seed: before.seed, begun: before.begun, marks };
        Self { record, left: BTreeMap::new() }
    }

    fn begin(mut self, jobs: &mut [Job]) -> Self {
        jobs.sort_by_cached_key(|job| self.place(job));
        for job in jobs.iter() {
            let place = self.place(job);
            self.left.entry(slot(job)).or_default().insert(place);
        }
        self
    }

    /// Where a job stands in its slot's order.
    fn place(&self, job: &Job) -> u64 {
        let start = self.record.marks.get(&slot(job)).map_or(0, |mark| mark.start);
        job.order_key(self.record.seed).wrapping_sub(start)
    }

    /// The seed of the order.
    pub(crate) fn seed(&self) -> u64 {
        self.record.seed
    }

    /// A job is done with, well or not.
    pub(crate) fn done(&mut self, job: &Job) {
        let (slot, place) = (slot(job), self.place(job));
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
