//! Where the workers' time went, as the contract tells of it: with what each part means, and what to do.

use std::{collections::BTreeMap, time::Duration};

use ssync_api::admin::{GetTimeSpentResponse, TimeShare, TimeSpender};
use ssync_replicator::{Replicator, Share, Spender};

use super::milliseconds;

/// Most shares in an answer.
const SHARES_MAX: usize = 200;
/// Most that are said to hold the workers up, and the part of the time that each has at least.
const HELD_UP_MAX: usize = 4;
const HELD_UP_MIN: f64 = 0.05;
/// Less work than this, or than this part of the time that was looked at, holds up nothing.
const WORK_MIN: Duration = Duration::from_secs(1);
const WORK_PART: u32 = 100;
/// The part of a spender's time that makes one peer, or device, the one that it is about.
const MOST: f64 = 0.6;

/// Every part.
pub(super) fn all(replicator: &Replicator) -> GetTimeSpentResponse {
    let (spent, looked_at) = replicator.time_spent();
    let total = total(&spent);
    let shares = spent.iter().take(SHARES_MAX).map(|(share, time)| told(share, *time, total)).collect();
    GetTimeSpentResponse { seconds: looked_at.as_secs(), shares }
}

/// What took the most of it; the ends of passes, when nothing is left to begin, hold up nobody.
pub(super) fn held_up_by(replicator: &Replicator) -> Vec<TimeShare> {
    let (spent, looked_at) = replicator.time_spent();
    held_up(&spent, looked_at)
}

fn held_up(spent: &[(Share, Duration)], looked_at: Duration) -> Vec<TimeShare> {
    let total = total(spent);
    let at_work: Duration =
        spent.iter().filter(|(share, _)| share.spender != Spender::NothingLeft).map(|(_, time)| *time).sum();
    // Passes over what is in sync take their moments too, and nobody waits for them.
    if at_work < WORK_MIN.max(looked_at / WORK_PART) {
        return Vec::new();
    }
    let mut sums: BTreeMap<Spender, Duration> = BTreeMap::new();
    for (share, time) in spent {
        *sums.entry(share.spender).or_default() += *time;
    }
    sums.remove(&Spender::NothingLeft);
    let mut shares: Vec<TimeShare> = sums
        .into_iter()
        .map(|(spender, sum)| {
            let of_it: Vec<_> = spent.iter().filter(|(share, _)| share.spender == spender).collect();
            let peer = most(of_it.iter().map(|(share, time)| (share.peer.clone(), *time)), sum);
            let device = most(of_it.iter().map(|(share, time)| (share.device.clone(), *time)), sum);
            told(&Share { spender, peer, device }, sum, total)
        })
        .filter(|share| share.share >= HELD_UP_MIN)
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.milliseconds));
    shares.truncate(HELD_UP_MAX);
    shares
}

fn total(spent: &[(Share, Duration)]) -> Duration {
    spent.iter().map(|(_, time)| *time).sum()
}

/// The one that most of the time is about, if there is one.
fn most<T: Ord + Clone>(times: impl Iterator<Item = (Option<T>, Duration)>, sum: Duration) -> Option<T> {
    let mut sums: BTreeMap<T, Duration> = BTreeMap::new();
    for (one, time) in times {
        *sums.entry(one?).or_default() += time;
    }
    let (one, time) = sums.into_iter().max_by_key(|(_, time)| *time)?;
    (time >= sum.mul_f64(MOST)).then_some(one)
}

fn told(share: &Share, time: Duration, total: Duration) -> TimeShare {
    let (spender, advice) = meaning(share.spender);
    TimeShare {
        spender: spender.into(),
        peer: share.peer.as_deref().unwrap_or_default().to_owned(),
        device: share.device.as_ref().map(ToString::to_string).unwrap_or_default(),
        milliseconds: milliseconds(time),
        share: time.as_secs_f64() / total.as_secs_f64().max(1e-9),
        advice: advice.to_owned(),
    }
}

/// What a part means and what to do about it: one table.
fn meaning(spender: Spender) -> (TimeSpender, &'static str) {
    match spender {
        Spender::Hashing => (
            TimeSpender::Hashing,
            "suffixes are hashed anew on this node's disk, since objects came, or a hashes.pkl was lost; it ends with that. If it \
             does not, look whether the disk is slow to read",
        ),
        Spender::Reading => (
            TimeSpender::Reading,
            "this node's disk is read more slowly than the peer takes it: look at the disk (iostat, SMART), at the auditor's rate, \
             and at what clients read. More concurrency does not help a disk that is busy",
        ),
        Spender::Comparing => (
            TimeSpender::Comparing,
            "the peer takes long to tell its hashes, or what it lacks: its disk is slow to read, or it hashes many suffixes anew",
        ),
        Spender::Window => (
            TimeSpender::Window,
            "the connection takes no more, and the peer waits for what is on its way: the network or a proxy between is slow, or \
             gives streams small windows. Raise concurrency where each stream is small; look at the mesh's settings otherwise",
        ),
        Spender::Storing => (
            TimeSpender::Storing,
            "the peer takes long to store, and does not say why: stock Swift stores one object after the other",
        ),
        Spender::PeerQueue => (
            TimeSpender::PeerQueue,
            "objects wait for a thread of the peer's device: it serves others too. Look at that node's sessions (ssync status there) and at \
             its load",
        ),
        Spender::PeerWriting => (
            TimeSpender::PeerWriting,
            "the peer's device is slow to write: look at the disk there (iostat, SMART) and at what else writes to it",
        ),
        Spender::PeerFlushing => (
            TimeSpender::PeerFlushing,
            "the peer's device is slow to make objects durable: look at the disk there (iostat: w_await), at its write cache, and \
             at what else flushes on it",
        ),
        Spender::Admission => (
            TimeSpender::Admission,
            "the peer admits no more sessions: others replicate into it. Raise replication_concurrency there (ssync limits set), if \
             its disks bear more; otherwise this is what the limit is for",
        ),
        Spender::Lock => (
            TimeSpender::Lock,
            "somebody holds the lock of a partition or device: another session, a stock daemon that hashes or replicates there, or \
             a process that hangs. ssync status on that node shows its sessions; fuser on the .lock file shows others",
        ),
        Spender::Unreachable => (
            TimeSpender::Unreachable,
            "the peer does not answer, so its partitions wait: ssync errors has the cause",
        ),
        Spender::OwnLimit => (
            TimeSpender::OwnLimit,
            "as much is under way with one peer or device as this node allows itself. Raise concurrency (ssync limits set), if \
             both sides bear more",
        ),
        Spender::NothingLeft => {
            (TimeSpender::NothingLeft, "nothing was left to begin: the last jobs of a pass")
        }
        Spender::Releasing => (
            TimeSpender::Releasing,
            "objects that are in their place now are let go of here; each is flushed in the record of removals first",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(spender: Spender, peer: &str, seconds: u64) -> (Share, Duration) {
        let peer = Some(peer).filter(|peer| !peer.is_empty()).map(Into::into);
        (Share { spender, peer, device: None }, Duration::from_secs(seconds))
    }

    #[test]
    fn who_holds_up_is_named_where_it_is_one() {
        let spent = [
            share(Spender::PeerFlushing, "10.0.0.1:6200/d1", 50),
            share(Spender::PeerFlushing, "10.0.0.2:6200/d1", 10),
            share(Spender::Reading, "10.0.0.1:6200/d1", 20),
            share(Spender::Reading, "10.0.0.2:6200/d1", 20),
            share(Spender::NothingLeft, "", 97),
            share(Spender::Lock, "", 3),
        ];
        let told = held_up(&spent, Duration::from_secs(300));
        let names: Vec<_> =
            told.iter().map(|share| (share.spender(), share.peer.as_str(), share.share)).collect();
        assert_eq!(
            names,
            [(TimeSpender::PeerFlushing, "10.0.0.1:6200/d1", 0.3), (TimeSpender::Reading, "", 0.2)]
        );
        assert!(told[0].advice.contains("w_await"));
        assert!(held_up(&[], Duration::ZERO).is_empty());
        let quiet = [share(Spender::PeerFlushing, "", 2), share(Spender::NothingLeft, "", 9)];
        assert!(held_up(&quiet, Duration::from_secs(300)).is_empty(), "two seconds of five minutes");
    }
}
