//! Which job is next: devices take turns, each has a share of the workers, and what was put back waits for its time or for
//! its peer.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ssync_types::DeviceName;
use tokio::time::Instant;

use crate::gates::{Blocked, PeerKey};

/// Of the jobs that wait for a peer behind another one, so many are looked at each time.
const LOOKS_MAX: usize = 64;

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
    /// Nothing before a job ends, a peer opens, or this much time has passed.
    Wait(Option<Duration>),
    /// Nothing, ever.
    Done,
}

/// What keeps workers from having something to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waits<'a, J> {
    /// The gate of a peer.
    Peer(&'a PeerKey),
    /// What was put back is not due yet.
    Later(&'a J),
    /// A device here has its share of the workers.
    Device(&'a DeviceName),
    /// Nothing is left to begin.
    Nothing,
}

#[derive(Debug)]
struct Queue<J> {
    ready: VecDeque<J>,
    /// What comes again at a time.
    later: Vec<(Instant, J)>,
    /// What waits for a peer. None of these is empty.
    blocked: BTreeMap<PeerKey, Waiting<J>>,
    running: usize,
}

/// What waits for one peer.
#[derive(Debug)]
struct Waiting<J> {
    jobs: VecDeque<J>,
    /// The last place behind the first that was looked at.
    looked: usize,
}

impl<J> Default for Waiting<J> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), looked: 0 }
    }
}

impl<J> Queue<J> {
    fn new() -> Self {
        Self { ready: VecDeque::new(), later: Vec::new(), blocked: BTreeMap::new(), running: 0 }
    }

    fn len(&self) -> usize {
        self.ready.len()
            + self.later.len()
            + self.blocked.values().map(|waiting| waiting.jobs.len()).sum::<usize>()
    }

    fn wake(&mut self, now: Instant) {
        while let Some(place) = self.later.iter().position(|(due, _)| *due <= now) {
            self.ready.push_back(self.later.swap_remove(place).1);
        }
    }

    /// One whose peer has opened goes before those that were not begun; `due` becomes the earliest time that another's
    /// does.
    fn take(&mut self, blocks: &impl Fn(&J) -> Option<Blocked>, due: &mut Option<Instant>) -> Option<J> {
        let peers: Vec<PeerKey> = self.blocked.keys().cloned().collect();
        for peer in peers {
            while let Some(front) = self.blocked.get(&peer).and_then(|waiting| waiting.jobs.front()) {
                match blocks(front) {
                    Some(Blocked { peer: still, until }) if still == peer => {
                        *due = [*due, until].into_iter().flatten().min();
                        break;
                    }
                    other => {
                        let job = self.take_blocked(&peer, 0)?;
                        let Some(other) = other else { return Some(job) };
                        self.block(job, other, due);
                    }
                }
            }
        }
        while let Some(job) = self.ready.pop_front() {
            match blocks(&job) {
                None => return Some(job),
                Some(other) => self.block(job, other, due),
            }
        }
        let peers: Vec<PeerKey> = self.blocked.keys().cloned().collect();
        peers.iter().find_map(|peer| self.take_behind(peer, blocks, due))
    }

    /// Who waits behind another for the same peer may have one more to go on with by now, or need less of this one. Looks at a
    /// few, and goes on with the others the next time.
    fn take_behind(
        &mut self,
        peer: &PeerKey,
        blocks: &impl Fn(&J) -> Option<Blocked>,
        due: &mut Option<Instant>,
    ) -> Option<J> {
        let behind = self.blocked.get(peer).map_or(0, |waiting| waiting.jobs.len().saturating_sub(1));
        for _ in 0..behind.min(LOOKS_MAX) {
            let waiting = self.blocked.get_mut(peer)?;
            let place = if waiting.looked + 1 < waiting.jobs.len() { waiting.looked + 1 } else { 1 };
            waiting.looked = place;
            match blocks(waiting.jobs.get(place)?) {
                None => return self.take_blocked(peer, place),
                Some(Blocked { peer: still, until }) if still == *peer => {
                    *due = [*due, until].into_iter().flatten().min();
                }
                Some(other) => {
                    let job = self.take_blocked(peer, place)?;
                    self.block(job, other, due);
                }
            }
        }
        None
    }

    fn take_blocked(&mut self, peer: &PeerKey, place: usize) -> Option<J> {
        let waiting = self.blocked.get_mut(peer)?;
        let job = waiting.jobs.remove(place);
        if place <= waiting.looked {
            waiting.looked = waiting.looked.saturating_sub(1);
        }
        if waiting.jobs.is_empty() {
            self.blocked.remove(peer);
        }
        job
    }

    fn block(&mut self, job: J, by: Blocked, due: &mut Option<Instant>) {
        *due = [*due, by.until].into_iter().flatten().min();
        self.blocked.entry(by.peer).or_default().jobs.push_back(job);
    }
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
            queues.entry(job.device().clone()).or_insert_with(Queue::new).ready.push_back(job);
        }
        let mut schedule = Self { queues, device_jobs_max: 1, last: None };
        schedule.share(concurrency);
        schedule
    }

    /// There are so many workers from now on.
    pub(crate) fn share(&mut self, concurrency: usize) {
        let share = if self.queues.len() > 1 { concurrency.div_ceil(2) } else { concurrency };
        self.device_jobs_max = share.max(1);
    }

    /// The next job that nothing `blocks`; counts as running until [`ended`](Self::ended) or
    /// [`put_back`](Self::put_back).
    ///
    /// Of the jobs that run, `long` are not counted.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        long: impl Fn(&DeviceName) -> usize,
        blocks: impl Fn(&J) -> Option<Blocked>,
    ) -> Next<J> {
        let after_last = |name: &&DeviceName| self.last.as_ref().is_none_or(|last| *name > last);
        let (after, before): (Vec<_>, Vec<_>) = self.queues.keys().partition(|name| after_last(name));
        let turn: Vec<DeviceName> = after.into_iter().chain(before).cloned().collect();
        let mut due = None;
        for name in turn {
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            queue.wake(now);
            if queue.running < self.device_jobs_max + long(&name).min(self.device_jobs_max)
                && let Some(job) = queue.take(&blocks, &mut due)
            {
                queue.running += 1;
                self.last = Some(name);
                return Next::Job(job);
            }
        }
        self.idle(now, due)
    }

    fn idle(&self, now: Instant, due: Option<Instant>) -> Next<J> {
        let later = self.queues.values().flat_map(|queue| &queue.later).map(|(due, _)| *due).min();
        if let Some(due) = [due, later].into_iter().flatten().min() {
            return Next::Wait(Some(due.saturating_duration_since(now)));
        }
        match self.queues.values().any(|queue| queue.running > 0 || queue.len() > 0) {
            true => Next::Wait(None),
            false => Next::Done,
        }
    }

    /// What workers wait for that have nothing to do: that for which the most jobs wait.
    pub(crate) fn waits(&self) -> Waits<'_, J> {
        let blocked = self.queues.values().flat_map(|queue| &queue.blocked);
        let most = blocked.max_by_key(|(_, waiting)| waiting.jobs.len());
        let later = || self.queues.values().flat_map(|queue| &queue.later).map(|(_, job)| job).next();
        let is_ready = |queue: &&Queue<J>| !queue.ready.is_empty();
        match (most, later()) {
            (Some((peer, _)), _) => Waits::Peer(peer),
            (None, Some(job)) => Waits::Later(job),
            (None, None) => match self.queues.iter().find(|(_, queue)| is_ready(queue)) {
                Some((device, _)) => Waits::Device(device),
                None => Waits::Nothing,
            },
        }
    }

    /// What was put back comes again now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.queues.values_mut().flat_map(|queue| &mut queue.later).for_each(|(due, _)| *due = now.min(*due));
    }

    /// A job of this device is done.
    pub(crate) fn ended(&mut self, device: &DeviceName) {
        if let Some(queue) = self.queues.get_mut(device) {
            queue.running = queue.running.saturating_sub(1);
        }
    }

    /// A device gets nothing more of this pass. Answers with the jobs that it would have had.
    pub(crate) fn leave_out(&mut self, device: &DeviceName) -> Vec<J> {
        let Some(Queue { ready, later, blocked, .. }) = self.queues.remove(device) else { return Vec::new() };
        let blocked = blocked.into_values().flat_map(|waiting| waiting.jobs);
        ready.into_iter().chain(later.into_iter().map(|(_, job)| job)).chain(blocked).collect()
    }

    /// A job comes again after `delay`, others first. It is given back when its device was left out meanwhile.
    pub(crate) fn put_back(&mut self, job: J, delay: Duration, now: Instant) -> Option<J> {
        self.ended(job.device());
        let Some(queue) = self.queues.get_mut(job.device()) else { return Some(job) };
        queue.later.push((now + delay, job));
        None
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

    fn none(_: &DeviceName) -> usize {
        0
    }

    fn free(_: &Job) -> Option<Blocked> {
        None
    }

    fn job(device: &str, number: u32) -> Job {
        Job(device.parse().unwrap(), number)
    }

    #[test]
    fn devices_take_turns_and_none_has_all_workers() {
        let now = Instant::now();
        let jobs = vec![job("d1", 1), job("d1", 2), job("d1", 3), job("d2", 4)];
        let mut schedule = Schedule::new(jobs, 4);
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d1", 1)));
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d2", 4)));
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d1", 2)));
        assert_eq!(schedule.next(now, none, free), Next::Wait(None), "two of four workers are d1's share");
        schedule.ended(&"d1".parse().unwrap());
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d1", 3)));
        for device in ["d1", "d1", "d2"] {
            schedule.ended(&device.parse().unwrap());
        }
        assert_eq!(schedule.next(now, none, free), Next::Done);
    }

    #[test]
    fn what_was_put_back_lets_others_go_first_and_waits_for_its_time() {
        let now = Instant::now();
        let mut schedule = Schedule::new(vec![job("d1", 1), job("d1", 2)], 1);
        let Next::Job(first) = schedule.next(now, none, free) else { panic!("a job") };
        assert_eq!(schedule.put_back(first, Duration::from_secs(5), now), None);
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d1", 2)));
        schedule.ended(&"d1".parse().unwrap());
        assert_eq!(schedule.next(now, none, free), Next::Wait(Some(Duration::from_secs(5))));
        let Next::Job(first) = schedule.next(now + Duration::from_secs(5), none, free) else {
            panic!("a job")
        };
        assert_eq!(schedule.put_back(first, Duration::from_secs(50), now), None);
        schedule.hurry(now);
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d1", 1)), "somebody wants it now");
    }

    #[test]
    fn a_device_that_is_left_out_is_waited_for_no_more() {
        let now = Instant::now();
        let device = "d1".parse().unwrap();
        let mut schedule = Schedule::new(vec![job("d1", 1), job("d1", 2), job("d1", 3), job("d2", 4)], 2);
        let Next::Job(first) = schedule.next(now, none, free) else { panic!("a job") };
        assert_eq!(schedule.put_back(first, Duration::from_secs(5), now), None);
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d2", 4)));
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d1", 2)));
        let left = schedule.leave_out(&device);
        assert_eq!(
            left,
            [job("d1", 3), job("d1", 1)],
            "one that was not begun, and one that waits for its time"
        );
        schedule.ended(&"d2".parse().unwrap());
        assert_eq!(schedule.next(now, none, free), Next::Done);
        let late = schedule.put_back(job("d1", 2), Duration::ZERO, now);
        assert_eq!(late, Some(job("d1", 2)), "what comes back late is left out too");
        assert_eq!(schedule.next(now, none, free), Next::Done);
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        assert_eq!(Schedule::<Job>::new(Vec::new(), 4).next(Instant::now(), none, free), Next::Done);
    }

    fn peer(name: &str) -> PeerKey {
        (name.to_owned(), "sdb1".parse().unwrap())
    }

    /// Jobs below ten are for peer `slow`, the others for `quick`.
    fn blocked_by(name: &'static str, until: Option<Instant>) -> impl Fn(&Job) -> Option<Blocked> {
        move |job| {
            let of = if job.1 < 10 { "slow" } else { "quick" };
            (of == name).then(|| Blocked { peer: peer(of), until })
        }
    }

    #[test]
    fn what_waits_for_a_peer_lets_the_others_go_first() {
        let now = Instant::now();
        let until = now + Duration::from_secs(7);
        let jobs = [1, 2, 10, 3, 11].map(|number| job("d1", number)).into();
        let mut schedule = Schedule::new(jobs, 9);
        let slow = || blocked_by("slow", Some(until));
        assert_eq!(schedule.next(now, none, slow()), Next::Job(job("d1", 10)));
        assert_eq!(schedule.next(now, none, slow()), Next::Job(job("d1", 11)));
        assert_eq!(schedule.next(now, none, slow()), Next::Wait(Some(Duration::from_secs(7))));
        for number in 1..=3 {
            assert_eq!(schedule.next(until, none, free), Next::Job(job("d1", number)), "in their order");
        }
        assert_eq!(schedule.next(until, none, free), Next::Wait(None));
        (0..5).for_each(|_| schedule.ended(&"d1".parse().unwrap()));
        assert_eq!(schedule.next(until, none, free), Next::Done);
    }

    #[test]
    fn who_waits_for_one_peer_may_have_to_wait_for_another_and_is_never_lost() {
        let now = Instant::now();
        let mut schedule = Schedule::new([1, 2].map(|number| job("d1", number)).into(), 9);
        for name in ["slow", "quick", "slow", "other"] {
            let next = schedule.next(now, none, |_| Some(Blocked { peer: peer(name), until: None }));
            assert_eq!(next, Next::Wait(None), "it waits, though nothing runs and no time is known");
        }
        assert_eq!(schedule.next(now, none, free), Next::Job(job("d1", 1)));
        assert_eq!(schedule.leave_out(&"d1".parse().unwrap()), [job("d1", 2)]);
    }

    /// The first needs more of the peer, or has no other.
    #[test]
    fn who_waits_for_a_peer_does_not_hold_up_those_behind_it() {
        let now = Instant::now();
        let count = 3 * LOOKS_MAX as u32;
        let mut schedule = Schedule::new((0..count).map(|number| job("d1", number)).collect(), 9);
        let slow = |job: &Job| {
            Some(Blocked { peer: peer("slow"), until: Some(now + Duration::from_secs(u64::from(job.1))) })
        };
        assert!(matches!(schedule.next(now, none, slow), Next::Wait(Some(_))));
        let but_one = |job: &Job| slow(job).filter(|_| job.1 != count - 2);
        let found = (0..4).find_map(|_| match schedule.next(now, none, but_one) {
            Next::Job(job) => Some(job.1),
            _ => None,
        });
        assert_eq!(found, Some(count - 2));
        // Others have another peer to wait for.
        let odd = |job: &Job| {
            Some(Blocked { peer: peer(if job.1 % 2 == 1 { "odd" } else { "slow" }), until: None })
        };
        (0..9).for_each(|_| assert_eq!(schedule.next(now, none, odd), Next::Wait(None)));
        let mut left: Vec<u32> = Vec::new();
        while let Next::Job(job) = schedule.next(now, none, free) {
            left.push(job.1);
            schedule.ended(&"d1".parse().unwrap());
        }
        left.sort_unstable();
        assert_eq!(
            left,
            (0..count).filter(|number| *number != count - 2).collect::<Vec<_>>(),
            "none is lost"
        );
    }

    #[test]
    fn a_long_job_takes_no_worker_of_its_device_from_the_others() {
        let now = Instant::now();
        let jobs = (0..9).map(|number| job("d1", number)).collect();
        let mut schedule = Schedule::new(jobs, 2);
        for long in [0, 0, 1, 2] {
            assert!(matches!(schedule.next(now, |_| long, free), Next::Job(_)), "{long}");
        }
        assert_eq!(schedule.next(now, |_| 99, free), Next::Wait(None), "but not without a bound");
    }
}
