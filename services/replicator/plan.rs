//! What a pass would push and remove, found out without doing it.
//!
//! Suffix hashes are compared as a pass does, and of suffixes that differ each peer is asked object by object what it lacks. No
//! object is sent, no file is removed, no handoff is locked.

mod count;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use ssync_protocol::removal::Quorum;
use ssync_statsd::Statsd;
use ssync_types::{DeviceName, Partition, PolicyIndex, Refusal, Rehash, SuffixHashes};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Replicator,
    backlog::Found,
    collect::Collected,
    config::Overrides,
    job::{Context, Job, Kind, differing},
    peer::Target,
    progress::Meter,
    remedy::Remedy,
    replicator::handoff_delete,
    samples::Amount,
};
pub(crate) use count::Count;
use count::{count_all, count_lacking};

/// How long a busy peer is waited for.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(30);

/// A piece of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// A peer would get objects, or could not be asked.
    Push(PlannedPush),
    /// A handoff's partition would be let go.
    Removal(PlannedRemoval),
    /// A partition could not be looked at.
    Nothing {
        /// The device here.
        device: DeviceName,
        /// The partition.
        partition: Partition,
        /// Its policy.
        policy: PolicyIndex,
        /// Why.
        problem: String,
    },
    /// The last piece.
    Total(PlanTotal),
}

/// What one peer would get of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPush {
    /// The device here.
    pub device: DeviceName,
    /// The partition.
    pub partition: Partition,
    /// Its policy.
    pub policy: PolicyIndex,
    /// Whether the device here is a handoff for it.
    pub from_handoff: bool,
    /// The peer.
    pub peer: Target,
    /// Live objects that the peer lacks.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Tombstones that it lacks, and objects of which it lacks the latest metadata alone.
    pub others: u64,
    /// Whether it may be less: the peer could not be asked object by object.
    pub at_most: bool,
    /// Why the peer could not be asked at all.
    pub problem: Option<String>,
}

/// What would be removed of a handoff's partition, once the peers have what they lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRemoval {
    /// The device here.
    pub device: DeviceName,
    /// The partition.
    pub partition: Partition,
    /// Its policy.
    pub policy: PolicyIndex,
    /// Objects that would go.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Objects that would stay, since too few peers answered, or since they cannot be read.
    pub kept: u64,
}

/// The sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanTotal {
    /// Partitions that were looked at.
    pub partitions: u64,
    /// Peers that are equal.
    pub equal_peers: u64,
    /// Peers that would get something.
    pub pushes: u64,
    /// Objects that would be pushed, one for each peer that gets it.
    pub push_objects: u64,
    /// Bytes of their bodies.
    pub push_bytes: u64,
    /// Whether the two may be less.
    pub at_most: bool,
    /// Objects that would be removed.
    pub remove_objects: u64,
    /// Bytes of their bodies.
    pub remove_bytes: u64,
    /// Peers and partitions that could not be looked at.
    pub problems: u64,
}

/// What is planned for one partition.
#[derive(Debug, Default)]
struct Part {
    pieces: Vec<Planned>,
    equal_peers: u64,
}

impl Replicator {
    /// Finds out what a pass with these overrides would do, partition by partition, several at a time; `pieces` gets what is
    /// found, and the total at the end. Stops when nobody listens, or when `drain` is cancelled.
    pub async fn plan(&self, overrides: &Overrides, drain: CancellationToken, pieces: mpsc::Sender<Planned>) {
        let Collected { handoffs, primaries, .. } = self.jobs(overrides).await;
        let config = self.config();
        let handoff_delete = handoff_delete(&config, &self.policies().await);
        let context = Arc::new(self.context(&config, Meter::new(Statsd::disabled()), handoff_delete, drain));
        let concurrency = config.concurrency.max(1);
        let parts = handoffs.into_iter().chain(primaries).map(|job| {
            let context = Arc::clone(&context);
            async move { plan_job(&job, &context).await }
        });
        let mut parts = stream::iter(parts).buffer_unordered(concurrency);
        let mut total = PlanTotal::default();
        while let Some(part) = parts.next().await {
            if context.drain.is_cancelled() {
                return;
            }
            total.add(&part);
            for piece in part.pieces {
                if pieces.send(piece).await.is_err() {
                    return;
                }
            }
        }
        // Who does not listen any more does not miss it.
        let _ = pieces.send(Planned::Total(total)).await;
    }
}

impl PlanTotal {
    fn add(&mut self, part: &Part) {
        self.partitions += 1;
        self.equal_peers += part.equal_peers;
        for piece in &part.pieces {
            match piece {
                Planned::Push(push) => {
                    self.pushes += u64::from(push.problem.is_none());
                    self.push_objects += push.objects;
                    self.push_bytes += push.bytes;
                    self.at_most |= push.at_most;
                    self.problems += u64::from(push.problem.is_some());
                }
                Planned::Removal(removal) => {
                    self.remove_objects += removal.objects;
                    self.remove_bytes += removal.bytes;
                }
                Planned::Nothing { .. } => self.problems += 1,
                Planned::Total(_) => {}
            }
        }
    }
}

/// What a pass would do with a partition.
async fn plan_job(job: &Job, context: &Context) -> Part {
    let (mut part, mut answered) = (Part::default(), 0);
    let looked = look(job, context, |target, found| match found {
        Ok(None) => {
            part.equal_peers += 1;
            answered += 1;
        }
        Ok(Some(count)) => {
            part.pieces.push(push(job, target, count, None));
            answered += 1;
        }
        Err(refusal) => part.pieces.push(push(job, target, Count::default(), Some(refusal.to_string()))),
    });
    let local = match looked.await {
        Ok(local) => local,
        Err(refusal) => return Part { pieces: vec![nothing(job, &refusal)], equal_peers: 0 },
    };
    if job.is_handoff() {
        let suffixes: Vec<_> = local.keys().copied().collect();
        part.pieces.push(match count_all(job, &suffixes).await {
            Ok(all) => removal(job, context, answered, all),
            Err(refusal) => nothing(job, &refusal),
        });
    }
    part
}

/// Asks the peers of a partition, one after the other, what they would get of it; `each` hears what, `None` of one that is equal.
/// Other jobs may be working on the partition all the while: what is told is how it was when it was looked at. Answers with the
/// hashes of its suffixes here.
pub(crate) async fn look(
    job: &Job,
    context: &Context,
    mut each: impl FnMut(&Target, Result<Option<Count>, Refusal>),
) -> Result<SuffixHashes, Refusal> {
    let local = context.local.suffix_hashes(job.at(&job.device), Rehash::default());
    let local = job.local.hashing(local).await?;
    let mut synced_regions = BTreeSet::new();
    for target in &job.targets {
        if context.drain.is_cancelled() {
            break;
        }
        // One copy to a remote region; the others get theirs from that one (Swift: replicator.py update).
        if !job.is_handoff() && target.region != job.region && synced_regions.contains(&target.region) {
            continue;
        }
        job.local.pulse().beat();
        let found = plan_patiently(job, context, target, &local).await;
        if matches!(found, Ok(Some(_))) && target.region != job.region {
            synced_regions.insert(target.region);
        }
        each(target, found);
    }
    Ok(local)
}

/// Comes back to a busy peer, as a pass does, but not for as long.
async fn plan_patiently(
    job: &Job,
    context: &Context,
    target: &Target,
    local: &SuffixHashes,
) -> Result<Option<Count>, Refusal> {
    let until = Instant::now() + BUSY_WAIT_MAX;
    loop {
        let refusal = match plan_peer(job, context, target, local).await {
            Ok(planned) => return Ok(planned),
            Err(refusal) => refusal,
        };
        match Remedy::of(&refusal) {
            Remedy::ComeBack(wait) if Instant::now() + wait < until && !context.drain.is_cancelled() => {
                context.drain.run_until_cancelled(sleep(wait)).await;
            }
            _ => return Err(refusal),
        }
    }
}

/// What is pending at a peer that did not take all that it lacks. What cannot be counted object by object is not known.
pub(crate) async fn count_pending(
    job: &Job,
    context: &Context,
    target: &Target,
    local: &SuffixHashes,
) -> Found {
    match pending(&plan_peer(job, context, target, local).await) {
        // Not a live object; but something was not taken.
        Found::InSync => Found::Lacks(Amount::default()),
        found => found,
    }
}

/// What is pending by what was found.
pub(crate) fn pending(found: &Result<Option<Count>, Refusal>) -> Found {
    match found {
        Ok(None) => Found::InSync,
        Ok(Some(count)) if !count.at_most => Found::Lacks(Amount::of(count.objects, count.bytes)),
        Ok(Some(_)) | Err(_) => Found::Unknown,
    }
}

/// What a peer would get; `None` when it is equal.
async fn plan_peer(
    job: &Job,
    context: &Context,
    target: &Target,
    local: &SuffixHashes,
) -> Result<Option<Count>, Refusal> {
    let peer = context.peers.find(target).await?;
    let remote = peer.suffix_hashes(&job.at(&target.device)).await?;
    let suffixes = differing(local, &remote);
    if suffixes.is_empty() {
        return Ok(None);
    }
    let count = count_lacking(job, &context.drain, target, peer.as_ref(), &suffixes, &remote).await?;
    // Where hashes differ and no object does, it is the peer that has more.
    Ok((count.objects + count.others > 0).then_some(count))
}

fn push(job: &Job, target: &Target, count: Count, problem: Option<String>) -> Planned {
    Planned::Push(PlannedPush {
        device: job.device.clone(),
        partition: job.partition,
        policy: job.policy,
        from_handoff: matches!(job.kind, Kind::Handoff),
        peer: target.clone(),
        objects: count.objects,
        bytes: count.bytes,
        others: count.others,
        at_most: count.at_most,
        problem,
    })
}

fn removal(job: &Job, context: &Context, answered: usize, all: Count) -> Planned {
    let needed = Quorum::of(job.targets.len(), context.handoff_delete).map(Quorum::needed);
    let enough = needed.is_some_and(|needed| answered >= needed);
    Planned::Removal(PlannedRemoval {
        device: job.device.clone(),
        partition: job.partition,
        policy: job.policy,
        objects: if enough { all.objects } else { 0 },
        bytes: if enough { all.bytes } else { 0 },
        kept: if enough { all.unread } else { all.objects + all.unread },
    })
}

fn nothing(job: &Job, refusal: &Refusal) -> Planned {
    Planned::Nothing {
        device: job.device.clone(),
        partition: job.partition,
        policy: job.policy,
        problem: refusal.to_string(),
    }
}

#[cfg(test)]
mod tests;
