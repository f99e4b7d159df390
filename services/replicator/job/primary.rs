//! This device is a primary: bring the others up to date (Swift: replicator.py update).

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use ssync_protocol::removal::PeerIndex;
use ssync_types::{Job as Purpose, Reason, Refusal, Rehash, Suffix, SuffixHashes};
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument as _;

use super::{Context, Job, JobEnd, Kind};
use crate::{
    backlog::{Found, Visit},
    listing::{Listing, SLICE_OBJECTS_MAX},
    peer::{OFFER_QUEUE_MAX, Peer, PushError, PushMode, Pushed, Target, Verdicts},
    plan::count_pending,
    remedy::Remedy,
    spent::Spender,
    stats::Nodes,
};

/// For so long nobody hashes a suffix again that was hashed.
const FRESH_MAX: Duration = Duration::from_secs(60);

/// What is left to do for a partition, over all times that it is put back.
#[derive(Debug, Default)]
pub(crate) struct Round {
    begun: bool,
    /// Its suffixes are in the figures of the pass.
    counted: bool,
    /// The first of the nodes to ask keeps a place for this job.
    announced: bool,
    /// Nodes to ask.
    queue: VecDeque<Target>,
    /// Nodes that were busy.
    busy: Vec<Target>,
    /// The last of them, and what is waited for there.
    busy_for: Option<Box<(Target, Spender)>>,
    /// Nodes owed in place of those without a disk.
    substitutes: usize,
    handoffs_taken: usize,
    synced_regions: BTreeSet<u32>,
    nodes: Nodes,
    took: Duration,
}

impl Round {
    /// Whether a node is still to be asked, or asked again.
    pub(super) fn awaits(&self, target: &Target) -> bool {
        !self.begun || self.queue.contains(target) || self.busy.contains(target)
    }

    /// Nodes that are to be asked.
    pub(super) fn left<'a>(&'a self, all: &'a [Target]) -> impl Iterator<Item = &'a Target> {
        let all = if self.begun { &[] } else { all };
        all.iter().chain(&self.queue)
    }

    /// The first that is free goes first, and has been told.
    pub(super) fn announce(&mut self, all: &mut [Target], mut is_free: impl FnMut(&Target) -> bool) {
        let left = if self.begun { self.queue.make_contiguous() } else { all };
        let free = left.iter().position(&mut is_free);
        if let Some(place) = free {
            left[..=place].rotate_right(1);
        }
        self.announced = free.is_some();
    }
}

/// What became of one node.
enum NodeEnd {
    Equal,
    Pushed(Pushed),
    /// It did not say what it has.
    Refused(Refusal),
    /// It did not take what it lacks.
    Broken(Refusal),
    /// The device here could not be read.
    NotRead(Refusal),
}

impl NodeEnd {
    /// What is pending now, where that is known.
    fn found(&self) -> Option<Found> {
        match self {
            Self::Equal => Some(Found::InSync),
            Self::Pushed(pushed) if pushed.complete() => Some(Found::InSync),
            // Who does not tell its hashes does not tell what it lacks.
            Self::Refused(_) if !self.comes_back() => Some(Found::Unknown),
            Self::NotRead(_) => Some(Found::Unknown),
            Self::Pushed(_) | Self::Refused(_) | Self::Broken(_) => None,
        }
    }

    /// Whether the node is only busy.
    fn comes_back(&self) -> bool {
        matches!(self, Self::Refused(refusal) | Self::Broken(refusal) if matches!(Remedy::of(refusal), Remedy::ComeBack(_)))
    }
}

pub(super) async fn run(job: &mut Job, context: &Context) -> JobEnd {
    let Kind::Primary(round) = &mut job.kind else { return JobEnd::Done };
    let mut round = std::mem::take(round);
    let begin = Instant::now();
    if !round.begun {
        round.begun = true;
        round.queue = job.targets.iter().cloned().collect();
        job.tally(context).update_begins();
    }
    let delay = visit_all(job, context, &mut round).await;
    round.took += begin.elapsed();
    let delay = delay.filter(|_| !context.drain.is_cancelled());
    if let Some(delay) = delay.and_then(|asked| job.come_back(asked)) {
        round.queue.extend(std::mem::take(&mut round.busy));
        job.waits_for = round.busy_for.as_deref().cloned();
        job.kind = Kind::Primary(round);
        return JobEnd::ComeBack(delay);
    }
    for target in &round.busy {
        // Who was told to stop has not come back to it.
        if context.drain.is_cancelled() {
            round.nodes.forget(target);
            continue;
        }
        tracing::error!("Error syncing with node: {target}: it stayed busy");
        context.backlog.visit(job, target, context.counts).end(Found::Unknown);
        round.nodes.failed(target);
        context.failures.note(&job.at(&job.device), Some(target), &stayed_busy());
    }
    job.tally(context).count(|stats| round.nodes.count(stats));
    job.tally(context).update_ends(round.took);
    // Who looks at the partition after a pause knows by it whose visits are not over.
    job.kind = Kind::Primary(round);
    JobEnd::Done
}

/// Visits the nodes that are left; answers with the wait that a busy one asked for.
async fn visit_all(job: &Job, context: &Context, round: &mut Round) -> Option<Duration> {
    let rehash = Rehash { list: context.lists(job.partition), ..Rehash::default() };
    let (hashing, since) = (context.local.suffix_hashes(job.at(&job.device), rehash), Instant::now());
    let watch = context.backlog.spent.start(job.share(Spender::Hashing), 1);
    let hashed = job.local.hashing(hashing).await;
    drop(watch);
    let hashes = match hashed {
        Ok(hashes) => hashes,
        Err(refusal) => {
            tracing::error!("Error syncing partition {}: {refusal}", job.at(&job.device));
            let left: Vec<Target> = round.queue.drain(..).chain(round.busy.drain(..)).collect();
            for target in &left {
                round.nodes.failed(target);
                context.backlog.visit(job, target, context.counts).end(Found::Unknown);
            }
            context.failures.note(&job.at(&job.device), None, &refusal);
            return None;
        }
    };
    match std::mem::replace(&mut round.counted, true) {
        false => job.tally(context).suffixes(hashes.len(), hashes.hashed),
        true => job.tally(context).hashed_again(hashes.hashed),
    }
    let local = Known { hashes, since };
    job.local.pulse().beat();
    let mut delay: Option<Duration> = None;
    while let Some(target) = next_target(job, context, round) {
        if context.drain.is_cancelled() {
            round.queue.push_front(target);
            break;
        }
        round.nodes.tried(&target);
        // Who stands in for another is none of those that the pass has counted.
        let counts = context.counts && job.targets.contains(&target);
        let seen = context.backlog.visit(job, &target, counts);
        if target.region != job.region && round.synced_regions.contains(&target.region) {
            seen.end(Found::NotCompared);
            continue;
        }
        let span = tracing::info_span!("sync", peer = %target);
        let end = visit(job, context, &target, &local, &seen).instrument(span).await;
        job.local.pulse().beat();
        if let Some(found) = end.found() {
            seen.end(found);
        } else if context.drain.is_cancelled() {
            // Its visit is not over.
            round.queue.push_front(target.clone());
        } else if !end.comes_back() {
            seen.end(count_pending(job, context, &target, &local.hashes).await);
        }
        if let Some(asked) = note(job, context, round, target, end) {
            delay = Some(delay.map_or(asked, |least| least.min(asked)));
        }
    }
    delay
}

/// One that does not have to be waited for, if there is any.
fn next_target(job: &Job, context: &Context, round: &mut Round) -> Option<Target> {
    let open = |target: &Target| context.gates.blocks(target, job.stage()).is_none();
    let announced = std::mem::take(&mut round.announced);
    let place = if announced { 0 } else { round.queue.iter().position(open).unwrap_or(0) };
    if let Some(target) = round.queue.remove(place) {
        return Some(target);
    }
    round.substitutes = round.substitutes.checked_sub(1)?;
    let next = job.places.handoffs(job.partition).nth(round.handoffs_taken);
    round.handoffs_taken += 1;
    if next.is_none() {
        round.substitutes = 0;
        tracing::error!(
            "Ran out of handoffs while replicating partition {} of policy {}",
            job.partition,
            job.policy
        );
    }
    next
}

/// Counts what became of a node.
fn note(job: &Job, context: &Context, round: &mut Round, target: Target, end: NodeEnd) -> Option<Duration> {
    let at = job.at(&job.device);
    let refusal = match end {
        NodeEnd::Equal => {
            context.failures.went_well(&at, &target);
            job.tally(context).count(|stats| stats.hashmatch += 1);
            return None;
        }
        NodeEnd::Pushed(pushed) if pushed.complete() => {
            context.failures.went_well(&at, &target);
            if target.region != job.region {
                round.synced_regions.insert(target.region);
            }
            return None;
        }
        NodeEnd::Pushed(Pushed { failed: 0, skipped: 0, .. }) => {
            // It was told to stop, which is nobody's failure.
            round.nodes.forget(&target);
            return None;
        }
        NodeEnd::Pushed(pushed) => {
            let Pushed { failed, skipped, .. } = pushed;
            tracing::error!("{target}/{} {failed} objects failed, {skipped} were skipped", job.partition);
            round.nodes.failed(&target);
            context.failures.note(&at, Some(&target), &pushed.shortfall());
            return None;
        }
        NodeEnd::NotRead(refusal) => {
            tracing::error!("{target} did not get all: device {} could not be read: {refusal}", job.device);
            round.nodes.forget(&target);
            context.failures.note(&at, Some(&target), &refusal);
            job.tally(context).count(|stats| stats.device_failed(&job.device));
            return None;
        }
        NodeEnd::Refused(ref refusal) | NodeEnd::Broken(ref refusal) => refusal,
    };
    let remedy = Remedy::of(refusal);
    if !matches!(remedy, Remedy::ComeBack(_)) {
        context.failures.note(&at, Some(&target), refusal);
    }
    match remedy {
        Remedy::ComeBack(asked) => {
            tracing::debug!(peer = %target, %refusal, "a busy peer");
            round.busy_for = Some(Box::new((target.clone(), Spender::of(refusal.reason))));
            round.busy.push(target);
            return Some(asked);
        }
        Remedy::NextDevice => {
            tracing::error!(%refusal, "{target} responded as unmounted");
            round.nodes.failed(&target);
            if !job.limited && wants_substitute(context.handoff_delete, round) {
                round.substitutes += 1;
            }
        }
        Remedy::Failure => {
            match end {
                // That a peer was given up is told once, by its gate.
                NodeEnd::Refused(_) if refusal.retry_after.is_some() => {
                    tracing::debug!("Error syncing with node: {target}: {refusal}");
                }
                NodeEnd::Broken(_) => tracing::error!("{target}/{} {refusal}", job.partition),
                _ => tracing::error!("Error syncing with node: {target}: {refusal}"),
            }
            round.nodes.failed(&target);
        }
    }
    None
}

/// Of a peer to which was come back as often as that is done.
pub(super) fn stayed_busy() -> Refusal {
    Refusal::new(Reason::ReceiverBusy, "it stayed busy")
}

/// With handoff_delete, a copy more only while the nodes left cannot make up the copies that suffice.
fn wants_substitute(handoff_delete: Option<usize>, round: &Round) -> bool {
    let Some(enough) = handoff_delete else { return true };
    let left = round.queue.len() + round.substitutes + round.busy.len();
    1 + round.nodes.good() + left < enough
}

/// Local suffixes that the peer lacks or has otherwise. Nothing is ever pulled.
pub(crate) fn differing(local: &SuffixHashes, remote: &SuffixHashes) -> Vec<Suffix> {
    local
        .iter()
        .filter(|(suffix, hash)| !remote.get(suffix).is_some_and(|theirs| hash.agrees(theirs)))
        .map(|(suffix, _)| *suffix)
        .collect()
}

async fn visit(job: &Job, context: &Context, target: &Target, local: &Known, seen: &Visit) -> NodeEnd {
    let (peer, suffixes) = match compare(job, context, target, local, seen).await {
        Ok((_, suffixes)) if suffixes.is_empty() => return NodeEnd::Equal,
        Ok(lacking) => lacking,
        Err(PushError::Peer(refusal)) => return NodeEnd::Refused(refusal),
        Err(PushError::Here(refusal)) => return NodeEnd::NotRead(refusal),
    };
    let count = suffixes.len() as u64;
    let end = match push(job, context, target, peer.as_ref(), suffixes, seen).await {
        Ok(pushed) => NodeEnd::Pushed(pushed),
        Err(PushError::Peer(refusal)) => NodeEnd::Broken(refusal),
        Err(PushError::Here(refusal)) => NodeEnd::NotRead(refusal),
    };
    // One that is to be repeated is counted then.
    if !matches!(&end, NodeEnd::Broken(refusal) if matches!(Remedy::of(refusal), Remedy::ComeBack(_))) {
        job.tally(context).push_ended(count);
    }
    if let NodeEnd::Pushed(Pushed { offered, objects, .. }) = &end {
        tracing::debug!(
            "ssync completed ok: dev: {}, part: {}, policy: {}, num suffixes: {count}, available: {offered}, \
             sent: {objects}",
            job.device,
            job.partition,
            job.policy
        );
    }
    end
}

/// Hashes of this node, and since when they were asked for.
struct Known {
    hashes: SuffixHashes,
    since: Instant,
}

impl Known {
    /// Suffixes that were not hashed just now: their hashes are from a file, and tell what was here once.
    fn doubtful(&self, suffixes: &[Suffix]) -> Vec<Suffix> {
        let is_fresh =
            |suffix: &&Suffix| self.since.elapsed() < FRESH_MAX && self.hashes.fresh.contains(suffix);
        suffixes.iter().filter(|suffix| !is_fresh(suffix)).copied().collect()
    }
}

/// The suffixes that a peer lacks or has otherwise, and a way to it. Those that seem to be are hashed anew before anything is
/// sent, as in Swift: what was kept of them may be wrong. Those that were hashed just now are not: what has changed since then
/// is found when they are listed.
async fn compare(
    job: &Job,
    context: &Context,
    target: &Target,
    local: &Known,
    seen: &Visit,
) -> Result<(Arc<dyn Peer>, Vec<Suffix>), PushError> {
    let peer = context.peers.find(target).await?;
    let remote = peer.suffix_hashes(&job.at(&target.device)).await?;
    let stale = differing(&local.hashes, &remote);
    let doubtful = local.doubtful(&stale);
    if doubtful.is_empty() {
        return Ok((peer, stale));
    }
    seen.spend(Spender::Hashing);
    let hashing = context.local.suffix_hashes(job.at(&job.device), doubtful.into());
    let local = job.local.hashing(hashing).await.map_err(PushError::Here)?;
    job.tally(context).hashed_again(local.hashed);
    Ok((peer, differing(&local, &remote)))
}

async fn push(
    job: &Job,
    context: &Context,
    target: &Target,
    peer: &dyn Peer,
    suffixes: Vec<Suffix>,
    seen: &Visit,
) -> Result<Pushed, PushError> {
    let mut listing = Listing::new(job.source(), suffixes, context.drain.clone());
    let mut total = Pushed::default();
    while !listing.is_done() && !context.drain.is_cancelled() {
        seen.spend(Spender::Admission);
        let session = peer.open(job.errand(target, context, seen.clone(), Purpose::Sync)).await?;
        seen.spend(Spender::Reading);
        let (offers, offered) = mpsc::channel(OFFER_QUEUE_MAX);
        let (to, _nobody) = mpsc::channel(1);
        let verdicts = Verdicts { peer: PeerIndex::FIRST, to };
        let (_, pushed) = tokio::join!(
            listing.offer_slice(SLICE_OBJECTS_MAX, vec![offers], |_| {}),
            session.push(PushMode::Update, offered, verdicts)
        );
        let pushed = pushed?;
        job.tally(context).pushed(&pushed);
        total.add(&pushed);
    }
    total.stopped |= !listing.is_done();
    match listing.failure() {
        Some(refusal) => Err(PushError::Here(refusal.clone())),
        None => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use ssync_types::SuffixHash;

    use super::*;

    fn hashes(items: &[(&str, &str)]) -> SuffixHashes {
        items
            .iter()
            .map(|(suffix, hash)| (suffix.parse().unwrap(), SuffixHash::Replicated((*hash).into())))
            .collect()
    }

    #[test]
    fn pushes_what_is_here_and_differs_and_pulls_nothing() {
        let local = hashes(&[("000", "a"), ("001", "b"), ("002", "c")]);
        let remote = hashes(&[("000", "a"), ("001", "x"), ("003", "d")]);
        let suffixes: Vec<_> = differing(&local, &remote).iter().map(ToString::to_string).collect();
        assert_eq!(suffixes, ["001", "002"]);
        assert!(differing(&hashes(&[]), &remote).is_empty());
    }

    #[test]
    fn a_suffix_that_cannot_be_read_is_in_sync_with_nobody() {
        let suffix: Suffix = "000".parse().unwrap();
        let unknown = SuffixHashes::from([(suffix, SuffixHash::Unknown)]);
        for (local, remote) in
            [(&unknown, &unknown), (&unknown, &hashes(&[("000", "a")])), (&hashes(&[("000", "a")]), &unknown)]
        {
            assert_eq!(differing(local, remote), [suffix]);
        }
    }

    #[test]
    fn a_copy_more_is_made_only_where_too_few_would_be_left() {
        let mut round = Round::default();
        assert!(wants_substitute(None, &round));
        assert!(wants_substitute(Some(2), &round), "this copy alone is not two");
        let target = |device: &str| Target {
            ip: "10.0.0.1".into(),
            port: 1,
            device: device.parse().unwrap(),
            region: 1,
            meta: String::new(),
        };
        round.queue.push_back(target("d1"));
        assert!(!wants_substitute(Some(2), &round));
        assert!(wants_substitute(Some(3), &round));
        round.nodes.tried(&target("d2"));
        assert!(!wants_substitute(Some(3), &round));
    }
}
