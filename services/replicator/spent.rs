//! Where the workers' time has gone in the last minutes: what each was at, and for whom. A worker that has nothing to do waits for
//! something too, and that is charged in the same way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_types::{DeviceName, Reason, WorkTimes};
use tokio::time::Instant;

/// What one bucket covers, and how many there are: five minutes.
const BUCKET: Duration = Duration::from_secs(10);
const BUCKETS_MAX: usize = 30;
/// Most different things that the time of one bucket goes to. What is beyond is left out.
const KEYS_MAX: usize = 4_096;

/// What a worker's time goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spender {
    /// Suffixes were hashed here.
    Hashing,
    /// Directories and files were read here.
    Reading,
    /// The peer told its hashes, or what it lacks.
    Comparing,
    /// The connection took no more.
    Window,
    /// The peer stored objects, and does not say how.
    Storing,
    /// Objects waited for a thread of the peer's device.
    PeerQueue,
    /// The peer wrote files.
    PeerWriting,
    /// The peer flushed files and directories.
    PeerFlushing,
    /// The peer admits no more sessions.
    Admission,
    /// Somebody holds a lock.
    Lock,
    /// The peer is left alone.
    Unreachable,
    /// As many visits to one peer are under way as this node allows itself.
    OwnLimit,
    /// Nothing is left to begin.
    NothingLeft,
    /// Objects of a handoff are let go here.
    Releasing,
}

impl Spender {
    /// What a refusal makes a worker wait for.
    pub(crate) fn of(reason: Reason) -> Self {
        match reason {
            Reason::ReceiverBusy => Self::Admission,
            Reason::PartitionLocked | Reason::DeviceLocked => Self::Lock,
            _ => Self::Unreachable,
        }
    }
}

/// What time went to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// What it was.
    pub spender: Spender,
    /// The peer that it was about: `ip:port/device`.
    pub peer: Option<Arc<str>>,
    /// The device of this node that it was about.
    pub device: Option<DeviceName>,
}

/// Where time goes now.
#[derive(Debug)]
struct Clock {
    share: Share,
    since: Instant,
    /// How many workers.
    workers: u32,
    /// Time that is to be told apart by what the peer says of itself.
    at_peer: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// When the first was begun; buckets are numbered from there.
    origin: Option<Instant>,
    buckets: BTreeMap<u64, BTreeMap<Share, Duration>>,
    running: BTreeMap<u64, Clock>,
    next: u64,
}

/// The times of all workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spent(Arc<Mutex<State>>);

/// What one worker is at. Its time ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    spent: Spent,
    id: u64,
}

impl Spent {
    /// A worker, or several, is at something from now on.
    pub(crate) fn start(&self, share: Share, workers: u32) -> Stopwatch {
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        let clock = Clock { share, since: Instant::now(), workers, at_peer: Duration::ZERO };
        state.running.insert(id, clock);
        Stopwatch { spent: self.clone(), id }
    }

    /// What time went to in the last minutes, most first.
    pub(crate) fn shares(&self) -> Vec<(Share, Duration)> {
        let (mut state, now) = (self.lock(), Instant::now());
        state.settle_all(now);
        state.forget(now);
        let mut sums: BTreeMap<&Share, Duration> = BTreeMap::new();
        for (share, time) in state.buckets.values().flatten() {
            *sums.entry(share).or_default() += *time;
        }
        let mut shares: Vec<_> = sums.into_iter().map(|(share, time)| (share.clone(), time)).collect();
        shares.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        shares
    }

    /// For how long the workers were looked at.
    pub(crate) fn looked_at(&self) -> Duration {
        let state = self.lock();
        let first = state.origin.zip(state.buckets.keys().next());
        first.map_or(Duration::ZERO, |(origin, number)| begun(origin, *number).elapsed())
    }

    // Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle_all(&mut self, now: Instant) {
        let running: Vec<u64> = self.running.keys().copied().collect();
        running.into_iter().for_each(|id| self.settle(id, now));
    }

    /// Charges what a clock has run up.
    fn settle(&mut self, id: u64, now: Instant) {
        let Some(clock) = self.running.get_mut(&id) else { return };
        let (share, since, workers) =
            (clock.share.clone(), std::mem::replace(&mut clock.since, now), clock.workers);
        if is_told_apart(share.spender) {
            clock.at_peer += now.saturating_duration_since(since) * workers;
        }
        self.charge(&share, since, now, workers);
    }

    /// Puts a stretch of time into the buckets that it covers.
    fn charge(&mut self, share: &Share, from: Instant, to: Instant, workers: u32) {
        let origin = *self.origin.get_or_insert(from);
        let (first, last) = (number(origin, from), number(origin, to));
        for number in first.max(last.saturating_sub(BUCKETS_MAX as u64))..=last {
            let (begins, ends) = (from.max(begun(origin, number)), to.min(begun(origin, number + 1)));
            self.add(number, share, ends.saturating_duration_since(begins) * workers);
        }
        self.forget(to);
    }

    fn add(&mut self, number: u64, share: &Share, time: Duration) {
        if time.is_zero() {
            return;
        }
        let bucket = self.buckets.entry(number).or_default();
        if let Some(sum) = bucket.get_mut(share) {
            *sum += time;
        } else if bucket.len() < KEYS_MAX {
            bucket.insert(share.clone(), time);
        }
    }

    fn forget(&mut self, now: Instant) {
        let Some(origin) = self.origin else { return };
        let oldest = number(origin, now).saturating_sub(BUCKETS_MAX as u64);
        self.buckets.retain(|number, _| *number >= oldest);
    }

    /// Takes time from one share, as much as there is of it, newest first; gives what was taken by bucket.
    fn take(&mut self, share: &Share, mut time: Duration) -> Vec<(u64, Duration)> {
        let mut taken = Vec::new();
        for (number, bucket) in self.buckets.iter_mut().rev() {
            let Some(sum) = bucket.get_mut(share) else { continue };
            let part = time.min(*sum);
            *sum -= part;
            time -= part;
            taken.push((*number, part));
            if sum.is_zero() {
                bucket.remove(share);
            }
            if time.is_zero() {
                break;
            }
        }
        taken
    }
}

/// The bucket that a moment falls into.
fn number(origin: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(origin).as_nanos() / BUCKET.as_nanos()).unwrap_or(u64::MAX)
}

/// When a bucket begins.
fn begun(origin: Instant, number: u64) -> Instant {
    origin + BUCKET * u32::try_from(number).unwrap_or(u32::MAX)
}

/// Only the peer knows whether it waited for more or was at work.
fn is_told_apart(spender: Spender) -> bool {
    matches!(spender, Spender::Window | Spender::Storing)
}

impl Stopwatch {
    /// From now on it is at this.
    pub(crate) fn spend(&self, spender: Spender) {
        let (mut state, now) = (self.spent.lock(), Instant::now());
        if state.running.get(&self.id).is_some_and(|clock| clock.share.spender == spender) {
            return;
        }
        state.settle(self.id, now);
        if let Some(clock) = state.running.get_mut(&self.id) {
            clock.share.spender = spender;
        }
    }

    /// What it is at.
    pub(crate) fn spends(&self) -> Option<Spender> {
        self.spent.lock().running.get(&self.id).map(|clock| clock.share.spender)
    }

    /// The peer says what it did since it last said so: the time that was spent on it meanwhile is told apart. While the peer
    /// waited for more, it was the way there that was slow.
    pub(crate) fn tell_apart(&self, times: &WorkTimes) {
        let (mut state, now) = (self.spent.lock(), Instant::now());
        state.settle(self.id, now);
        let Some(clock) = state.running.get_mut(&self.id) else { return };
        let (at_peer, share) = (std::mem::take(&mut clock.at_peer), clock.share.clone());
        let parts = parts(times);
        if at_peer.is_zero() || parts.is_empty() {
            return;
        }
        let mut left = at_peer;
        for spender in [Spender::Window, Spender::Storing] {
            let from = Share { spender, ..share.clone() };
            let taken = state.take(&from, left);
            for (number, time) in taken {
                left -= time;
                for (spender, part) in &parts {
                    state.add(number, &Share { spender: *spender, ..share.clone() }, time.mul_f64(*part));
                }
            }
        }
    }
}

/// How the peer's time divides, as parts of one.
fn parts(times: &WorkTimes) -> Vec<(Spender, f64)> {
    let wall = times.elapsed.as_secs_f64();
    if wall <= 0.0 {
        return Vec::new();
    }
    let idle = (times.idle.as_secs_f64() / wall).min(1.0);
    let work = [
        (Spender::PeerQueue, times.queued),
        (Spender::PeerWriting, times.working.saturating_sub(times.flushing)),
        (Spender::PeerFlushing, times.flushing),
    ];
    let sum: f64 = work.iter().map(|(_, time)| time.as_secs_f64()).sum();
    let mut parts = vec![(Spender::Window, if sum > 0.0 { idle } else { 1.0 })];
    if sum > 0.0 {
        parts.extend(work.map(|(spender, time)| (spender, (1.0 - idle) * time.as_secs_f64() / sum)));
    }
    parts.retain(|(_, part)| *part > 0.0);
    parts
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let mut state = self.spent.lock();
        state.settle(self.id, Instant::now());
        state.running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn share(spender: Spender) -> Share {
        Share { spender, peer: Some("10.0.0.1:6200/d1".into()), device: None }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn time_goes_to_what_was_done() {
        let spent = Spent::default();
        let watch = spent.start(share(Spender::Reading), 1);
        advance(seconds(3)).await;
        watch.spend(Spender::Window);
        advance(seconds(25)).await;
        assert_eq!(
            spent.shares(),
            [(share(Spender::Window), seconds(25)), (share(Spender::Reading), seconds(3))],
            "also what is not over yet"
        );
        drop(watch);
        advance(seconds(5)).await;
        assert_eq!(spent.shares()[0].1, seconds(25), "nobody is at it any more");
        advance(BUCKET * (BUCKETS_MAX as u32 + 2)).await;
        assert_eq!(spent.shares(), []);
    }

    /// One of them begins before a bucket that another one makes, and settles after it.
    #[tokio::test(start_paused = true)]
    async fn who_begins_earlier_and_ends_later_is_charged_too() {
        let spent = Spent::default();
        drop(spent.start(share(Spender::Lock), 1));
        advance(seconds(42)).await;
        let early = spent.start(share(Spender::Reading), 1);
        advance(seconds(9)).await;
        let late = spent.start(share(Spender::Window), 1);
        advance(seconds(1)).await;
        late.spend(Spender::Lock);
        advance(seconds(1)).await;
        early.spend(Spender::Lock);
        advance(seconds(1)).await;
        drop((early, late));
        let expected = [(Spender::Reading, 11), (Spender::Lock, 3), (Spender::Window, 1)];
        assert_eq!(spent.shares(), expected.map(|(spender, time)| (share(spender), seconds(time))));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_workers_wait_together() {
        let spent = Spent::default();
        let _watch = spent.start(share(Spender::Admission), 3);
        advance(seconds(2)).await;
        assert_eq!(spent.shares(), [(share(Spender::Admission), seconds(6))]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_peer_says_what_it_did_in_the_time_that_it_was_waited_for() {
        let spent = Spent::default();
        let watch = spent.start(share(Spender::Reading), 1);
        advance(seconds(2)).await;
        watch.spend(Spender::Window);
        advance(seconds(4)).await;
        watch.spend(Spender::Storing);
        advance(seconds(16)).await;
        watch.tell_apart(&WorkTimes {
            elapsed: seconds(20),
            idle: seconds(5),
            queued: seconds(0),
            working: seconds(30),
            flushing: seconds(24),
        });
        let shares: BTreeMap<Spender, f64> = spent
            .shares()
            .into_iter()
            .map(|(share, time)| (share.spender, time.as_secs_f64().round()))
            .collect();
        let expected = [
            (Spender::Reading, 2.0),
            (Spender::Window, 5.0),
            (Spender::PeerWriting, 3.0),
            (Spender::PeerFlushing, 12.0),
        ];
        assert_eq!(shares, expected.into());
        advance(seconds(1)).await;
        watch.tell_apart(&WorkTimes::default());
        assert_eq!(
            spent.shares().iter().find(|(share, _)| share.spender == Spender::Storing).unwrap().1,
            seconds(1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_of_is_bounded() {
        let spent = Spent::default();
        for number in 0..KEYS_MAX + 100 {
            let share = Share { peer: Some(number.to_string().into()), ..share(Spender::Window) };
            let _watch = spent.start(share, 1);
            advance(Duration::from_millis(1)).await;
        }
        assert!(spent.shares().len() <= KEYS_MAX);
    }
}
