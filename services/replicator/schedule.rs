//! Which job is next: devices take turns, each has a share of the workers, and what was put back waits for its time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ssync_types::DeviceName;
use tokio::time::Instant;

/// What is put in, by device.
pub(crate) trait Scheduled {
    /// The local device that it works on.
    fn device(&self) -> &DeviceName;
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<J> {
    /// This.
    Job(J),
    /// Nothing before a job ends, or this much time has passed.
    Wait(Option<Duration>),
    /// Nothing, ever.
    Done,
}

#[derive(Debug)]
struct Queue<J> {
    ready: VecDeque<J>,
    later: Vec<(Instant, J)>,
    running: usize,
}

/// The jobs of a pass. Their number is bounded by the partitions of the node.
#[derive(Debug)]
pub(crate) struct Schedule<J> {
    queues: BTreeMap<DeviceName, Queue<J>>,
    device_jobs_max: usize,
    last: Option<DeviceName>,
}

impl<J: Scheduled> Schedule<J> {
    /// These jobs, each device's in the given order. A device may have half of the workers, so that a bad one does not hold
    /// up the others; when it is alone it may have all.
    pub(crate) fn new(jobs: Vec<J>, concurrency: usize) -> Self {
        let mut queues: BTreeMap<DeviceName, Queue<J>> = BTreeMap::new();
        for job in jobs {
            let empty = || Queue { ready: VecDeque::new(), later: Vec::new(), running: 0 };
            queues.entry(job.device().clone()).or_insert_with(empty).ready.push_back(job);
        }
        let device_jobs_max = if queues.len() > 1 { concurrency.div_ceil(2) } else { concurrency }.max(1);
        Self { queues, device_jobs_max, last: None }
    }

    /// The next job; counts as running until [`ended`](Self::ended) or [`put_back`](Self::put_back).
    pub(crate) fn next(&mut self, now: Instant) -> Next<J> {
        for queue in self.queues.values_mut() {
            while let Some(place) = queue.later.iter().position(|(due, _)| *due <= now) {
                queue.ready.push_back(queue.later.swap_remove(place).1);
            }
        }
        let after_last = |name: &&DeviceName| self.last.as_ref().is_none_or(|last| *name > last);
        let (after, before): (Vec<_>, Vec<_>) = self.queues.keys().partition(|name| after_last(name));
        let turn: Vec<DeviceName> = after.into_iter().chain(before).cloned().collect();
        for name in turn {
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            if queue.running < self.device_jobs_max
                && let Some(job) = queue.ready.pop_front()
            {
                queue.running += 1;
                self.last = Some(name);
                return Next::Job(job);
            }
        }
        self.idle(now)
    }

    fn idle(&self, now: Instant) -> Next<J> {
        let due = self.queues.values().flat_map(|queue| &queue.later).map(|(due, _)| *due).min();
        let busy = self.queues.values().any(|queue| queue.running > 0);
        match due {
            Some(due) => Next::Wait(Some(due.saturating_duration_since(now))),
            None if busy => Next::Wait(None),
            None => Next::Done,
        }
    }

    /// A job of this device is done.
    pub(crate) fn ended(&mut self, device: &DeviceName) {
        if let Some(queue) = self.queues.get_mut(device) {
            queue.running = queue.running.saturating_sub(1);
        }
    }

    /// A device gets nothing more of this pass. Answers with the number of jobs that it would have had.
    pub(crate) fn leave_out(&mut self, device: &DeviceName) -> usize {
        let left = self.queues.remove(device);
        left.map_or(0, |queue| queue.ready.len() + queue.later.len())
    }

    /// A job comes again after `delay`, others first.
    pub(crate) fn put_back(&mut self, job: J, delay: Duration, now: Instant) {
        self.ended(job.device());
        if let Some(queue) = self.queues.get_mut(job.device()) {
            queue.later.push((now + delay, job));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Job(DeviceName, u32);

    impl Scheduled for Job {
        fn device(&self) -> &DeviceName {
            &self.0
        }
    }

    fn job(device: &str, number: u32) -> Job {
        Job(device.parse().unwrap(), number)
    }

    #[test]
    fn devices_take_turns_and_none_has_all_workers() {
        let now = Instant::now();
        let jobs = vec![job("d1", 1), job("d1", 2), job("d1", 3), job("d2", 4)];
        let mut schedule = Schedule::new(jobs, 4);
        assert_eq!(schedule.next(now), Next::Job(job("d1", 1)));
        assert_eq!(schedule.next(now), Next::Job(job("d2", 4)));
        assert_eq!(schedule.next(now), Next::Job(job("d1", 2)));
        assert_eq!(schedule.next(now), Next::Wait(None), "two of four workers are d1's share");
        schedule.ended(&"d1".parse().unwrap());
        assert_eq!(schedule.next(now), Next::Job(job("d1", 3)));
        for device in ["d1", "d1", "d2"] {
            schedule.ended(&device.parse().unwrap());
        }
        assert_eq!(schedule.next(now), Next::Done);
    }

    #[test]
    fn what_was_put_back_lets_others_go_first_and_waits_for_its_time() {
        let now = Instant::now();
        let mut schedule = Schedule::new(vec![job("d1", 1), job("d1", 2)], 1);
        let Next::Job(first) = schedule.next(now) else { panic!("a job") };
        schedule.put_back(first, Duration::from_secs(5), now);
        assert_eq!(schedule.next(now), Next::Job(job("d1", 2)));
        schedule.ended(&"d1".parse().unwrap());
        assert_eq!(schedule.next(now), Next::Wait(Some(Duration::from_secs(5))));
        assert_eq!(schedule.next(now + Duration::from_secs(5)), Next::Job(job("d1", 1)));
    }

    #[test]
    fn a_device_that_is_left_out_is_waited_for_no_more() {
        let now = Instant::now();
        let device = "d1".parse().unwrap();
        let mut schedule = Schedule::new(vec![job("d1", 1), job("d1", 2), job("d1", 3), job("d2", 4)], 2);
        let Next::Job(first) = schedule.next(now) else { panic!("a job") };
        schedule.put_back(first, Duration::from_secs(5), now);
        assert_eq!(schedule.next(now), Next::Job(job("d2", 4)));
        assert_eq!(schedule.next(now), Next::Job(job("d1", 2)));
        assert_eq!(schedule.leave_out(&device), 2, "one that waits for its time, and one that was not begun");
        schedule.ended(&"d2".parse().unwrap());
        assert_eq!(schedule.next(now), Next::Done);
        schedule.put_back(job("d1", 2), Duration::ZERO, now);
        assert_eq!(schedule.next(now), Next::Done, "what comes back late is left out too");
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        assert_eq!(Schedule::<Job>::new(Vec::new(), 4).next(Instant::now()), Next::Done);
    }
}
