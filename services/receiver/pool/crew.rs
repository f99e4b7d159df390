//! The threads that a device has for one kind of work, and what waits for them.

use std::{collections::VecDeque, mem};

use super::{Job, Lane};

/// Counts threads and keeps the queue; it is under the pool's lock.
#[derive(Default)]
pub(super) struct Crew {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Of the idle ones, those that were called and have not come yet.
    called: usize,
}

/// One for each lane.
#[derive(Default)]
pub(super) struct Crews {
    requests: Crew,
    replication: Crew,
}

impl Crews {
    pub(super) fn of(&mut self, lane: Lane) -> &mut Crew {
        match lane {
            Lane::Request => &mut self.requests,
            Lane::Replication => &mut self.replication,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.requests.queue.len() + self.replication.queue.len()
    }
}

impl Crew {
    pub(super) fn add(&mut self, job: Job) {
        self.queue.push_back(job);
    }

    pub(super) fn next(&mut self) -> Option<Job> {
        self.queue.pop_front()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A thread counts as idle until it has taken its job: what it was woken for must not make it stand for more.
    pub(super) fn wants_thread(&self, threads_max: usize) -> bool {
        self.idle < self.queue.len() && self.threads < threads_max
    }

    /// One has started.
    pub(super) fn grow(&mut self) {
        self.threads += 1;
    }

    /// One has ended.
    pub(super) fn shrink(&mut self) {
        self.threads -= 1;
    }

    pub(super) fn has_threads(&self) -> bool {
        self.threads > 0
    }

    /// One waits for work, or has been woken.
    pub(super) fn rest(&mut self) {
        self.idle += 1;
    }

    #[cfg(test)]
    pub(super) fn resting(&self) -> usize {
        self.idle
    }

    /// Whether one is to be called that was not yet; it counts as called.
    pub(super) fn call(&mut self) -> bool {
        let calls = self.idle > self.called;
        self.called += usize::from(calls);
        calls
    }

    /// Whether one is on its way.
    pub(super) fn is_called(&self) -> bool {
        self.called > 0
    }

    /// One that waited goes on.
    pub(super) fn wake(&mut self) {
        self.idle -= 1;
        self.called = self.called.saturating_sub(1);
    }

    /// Takes out what belongs to a session, or everything.
    pub(super) fn take_out(&mut self, is_meant: impl Fn(&Job) -> bool) -> VecDeque<Job> {
        let (out, rest) = mem::take(&mut self.queue).into_iter().partition(is_meant);
        self.queue = rest;
        out
    }
}
