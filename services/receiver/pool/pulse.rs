//! Whether a device hangs, told by the operations that begin and end on it.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::Lane;

/// How many times as long work of minutes may take, and how far bytes to flush stretch the patience at most.
pub(super) const LONG_FACTOR: u32 = 10;
/// Bytes that a slow disk flushes in a second, with all else that it does.
const FLUSHED_PER_SECOND: u64 = 8 * 1024 * 1024;

/// What an operation asks of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It often ends without the disk: that it ends tells nothing.
    Look,
    /// A request's or a session's work, which may flush so many bytes.
    Short { bytes: u64 },
    /// Work of minutes.
    Long,
}

/// The operations under way, and the last that ended.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Operations begun so far: each has the next number.
    begun: u64,
    under_way: BTreeMap<u64, Operation>,
    /// When an operation last ended, and how many had begun by then.
    beat: Option<(Instant, u64)>,
    /// When one of each lane last ended.
    beats: BTreeMap<Lane, Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Operation {
    lane: Lane,
    kind: Kind,
    since: Instant,
}

impl Pulse {
    /// An operation begins: its number.
    pub(super) fn begin(&mut self, lane: Lane, kind: Kind, now: Instant) -> u64 {
        self.begun += 1;
        self.under_way.insert(self.begun, Operation { lane, kind, since: now });
        self.begun
    }

    /// An operation ends, which has turned out to be of this kind. Only the first word counts.
    pub(super) fn end(&mut self, number: u64, kind: Kind, now: Instant) {
        if let Some(ended) = self.under_way.remove(&number)
            && kind != Kind::Look
        {
            self.beat = Some((now, self.begun));
            self.beats.insert(ended.lane, now);
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// For how long nothing has ended on a device that hangs. It hangs when an operation takes too long and none has ended
    /// since that one began. An operation that stands still while others end does not speak for the device; unless all
    /// `threads` of a lane are taken, for then no other of that lane can end.
    pub(super) fn hangs_for(&self, patience: Duration, threads: usize, now: Instant) -> Option<Duration> {
        let short = self.patience(patience);
        let limit = |kind: Kind| match kind {
            Kind::Long => patience.saturating_mul(LONG_FACTOR),
            Kind::Look | Kind::Short { .. } => short,
        };
        let seen = self.beat.map_or(0, |(_, begun)| begun);
        let alone = self
            .under_way
            .range(seen.saturating_add(1)..)
            .map(|(_, one)| (now.saturating_duration_since(one.since), limit(one.kind)));
        let all = [Lane::Request, Lane::Replication].into_iter().filter_map(|lane| {
            let taken = || self.under_way.values().filter(move |one| one.lane == lane);
            if taken().count() < threads {
                return None;
            }
            // A device that was at rest does not hang because work comes.
            let since = taken().map(|one| one.since).min().max(self.beats.get(&lane).copied())?;
            Some((now.saturating_duration_since(since), taken().map(|one| limit(one.kind)).min()?))
        });
        alone.chain(all).find(|(age, limit)| age >= limit).map(|(age, _)| age)
    }

    /// What is granted to an operation that shares the disk with all flushes under way: they may all end at the same time.
    fn patience(&self, patience: Duration) -> Duration {
        let bytes = |one: &Operation| match one.kind {
            Kind::Short { bytes } => bytes,
            Kind::Look | Kind::Long => 0,
        };
        let bytes = self.under_way.values().map(bytes).fold(0, u64::saturating_add);
        let flushes = Duration::from_secs(bytes / FLUSHED_PER_SECOND);
        patience.saturating_add(flushes).min(patience.saturating_mul(LONG_FACTOR))
    }
}

#[cfg(test)]
mod tests;
