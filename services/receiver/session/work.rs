//! What a session's time goes to, so that its sender can tell what is slow.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ssync_diskfile::flush_time;
use ssync_types::WorkTimes;
use tokio::time::Instant;

/// How often it is told while there is something to tell.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);

/// Sums since they were told last.
#[derive(Debug, Default)]
pub(crate) struct Work {
    idle: Nanoseconds,
    queued: Nanoseconds,
    working: Nanoseconds,
    flushing: Nanoseconds,
}

#[derive(Debug, Default)]
struct Nanoseconds(AtomicU64);

impl Nanoseconds {
    fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }
}

impl Work {
    /// Does what was handed over at `since`, on a thread of the device, and counts what it took.
    pub(super) fn done<T>(&self, since: Instant, work: impl FnOnce() -> T) -> T {
        let (begin, flushed) = (Instant::now(), flush_time());
        self.queued.add(begin.saturating_duration_since(since));
        let done = work();
        self.working.add(begin.elapsed());
        self.flushing.add(flush_time().saturating_sub(flushed));
        done
    }

    /// Something was worked on for so long, in pieces.
    pub(super) fn worked(&self, time: Duration) {
        self.working.add(time);
    }

    /// There was nothing to do but to wait for the sender for so long.
    pub(super) fn waited(&self, time: Duration) {
        self.idle.add(time);
    }

    /// What was counted since this was asked last, `elapsed` ago.
    pub(super) fn take(&self, elapsed: Duration) -> WorkTimes {
        WorkTimes {
            elapsed,
            idle: self.idle.take().min(elapsed),
            queued: self.queued.take(),
            working: self.working.take(),
            flushing: self.flushing.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_told_is_told_once() {
        let work = Work::default();
        let since = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(work.done(since, || 5), 5);
        work.worked(Duration::from_secs(3));
        work.waited(Duration::from_secs(9));
        let times = work.take(Duration::from_secs(4));
        assert_eq!((times.queued, times.working), (Duration::from_secs(2), Duration::from_secs(3)));
        assert_eq!(times.idle, Duration::from_secs(4), "no more than there was");
        assert_eq!(work.take(Duration::ZERO), WorkTimes::default());
    }
}
