//! This device is a handoff: bring the partition home, and let go of each object as its primaries answer for it
//! (Swift: replicator.py revert; rule S2).

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use ssync_protocol::removal::{End, PeerIndex, Quorum};
use ssync_store::{Release, StoreResult};
use ssync_types::{Job as Purpose, Reason, Refusal, Rehash, ReleaseItem, ReleaseResult};
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument as _;

use super::{Context, Job, JobEnd};
use crate::{
    backlog::{Found, Visit},
    ledger::Ledger,
    listing::{Listing, SLICE_OBJECTS_MAX},
    peer::{
        Errand, OFFER_QUEUE_MAX, PushError, PushMode, PushSession, Pushed, Target, VERDICT_QUEUE_MAX,
        Verdict, Verdicts,
    },
    plan::count_pending,
    remedy::Remedy,
    spent::Spender,
    stats::Nodes,
};

/// How long Swift waits for a handoff's lock.
const LOCK_WAIT: Duration = Duration::from_millis(200);

/// What a handoff's visit home came to.
#[derive(Debug, Default)]
struct Outcome {
    nodes: Nodes,
    offered: u64,
    /// Objects that went.
    released: u64,
    /// The wait that a busy primary asked for.
    busy: Option<Duration>,
    /// The last of those who did, and what is waited for there.
    busy_for: Option<(Target, Spender)>,
    /// Busy primaries.
    busy_targets: Vec<Target>,
    /// Places of primaries that kept the others waiting for too long: they are not asked again by this job.
    given_up: BTreeSet<usize>,
    /// All suffixes were offered, and each could be read.
    listed_all: bool,
    /// Something that was wanted could not be read here.
    not_read: bool,
    /// What went wrong with whom.
    causes: Vec<(Target, Refusal)>,
}

pub(super) async fn run(job: &mut Job, context: &Context) -> JobEnd {
    let begin = Instant::now();
    if job.returns == 0 {
        job.tally(context).revert_begins();
    }
    // The lock comes before the first offer and is held until after the last removal.
    let seen: Vec<Visit> =
        job.targets.iter().map(|target| context.backlog.visit(job, target, context.counts)).collect();
    let release = match context.local.release(job.release()).await {
        Ok(release) => release,
        Err(refusal) => {
            seen.iter().for_each(|visit| visit.end(Found::Unknown));
            return not_locked(job, context, &refusal);
        }
    };
    let mut outcome = bring_home(job, context, release, &seen).await;
    if let Some(asked) = outcome.busy.filter(|_| !context.drain.is_cancelled()) {
        if let Some(delay) = job.come_back(asked) {
            job.waits_for = outcome.busy_for;
            return JobEnd::ComeBack(delay);
        }
        for target in std::mem::take(&mut outcome.busy_targets) {
            tracing::error!("Error syncing handoff partition: {target}: it stayed busy");
            outcome.nodes.failed(&target);
            outcome.causes.push((target, super::primary::stayed_busy()));
        }
    }
    if !context.drain.is_cancelled() {
        outcome.tell(job, context, &seen).await;
    }
    outcome.tell_failures(job, context);
    let emptied = outcome.listed_all && outcome.released == outcome.offered;
    let gone = emptied && remove_partition(job).await;
    job.gone = gone;
    job.tally(context).count(|stats| {
        outcome.nodes.count(stats);
        stats.remove += u64::from(emptied && outcome.offered > 0);
        stats.handoffs_remaining += u64::from(!gone);
    });
    job.tally(context).revert_ends(begin.elapsed());
    JobEnd::Done
}

fn not_locked(job: &Job, context: &Context, refusal: &Refusal) -> JobEnd {
    let Job { partition, device, policy, .. } = job;
    let unable = format!(
        "Unable to lock handoff partition {partition} for replication on device {device} policy {policy}"
    );
    match refusal.reason {
        Reason::DeviceFull => tracing::error!(
            %refusal,
            "{unable}: not a block is free. Free one, best by removing the hashes.pkl of any partition there: it is made anew"
        ),
        _ => tracing::info!(%refusal, "{unable}"),
    }
    context.failures.note(&job.at(&job.device), None, refusal);
    job.tally(context).lock_failed();
    job.tally(context).count(|stats| {
        stats.handoffs_remaining += 1;
        if !matches!(refusal.reason, Reason::PartitionLocked) {
            stats.failure += 1;
        }
    });
    JobEnd::Done
}

async fn bring_home(job: &Job, context: &Context, release: Release, seen: &[Visit]) -> Outcome {
    let Release { items, results } = release;
    let work = async {
        let outcome = offer_all(job, context, &items, seen).await;
        seen.iter().for_each(|visit| visit.spend(Spender::Releasing));
        // The orderly end: what was handed over is carried out, then the results and the lock end.
        drop(items);
        outcome
    };
    let (mut outcome, released) = tokio::join!(work, count_released(job, context, results));
    outcome.released = released;
    if released > 0 {
        tracing::info!(partition = %job.at(&job.device), "Removing {released} objects");
    }
    outcome
}

/// Offers the partition slice by slice to all primaries.
async fn offer_all(
    job: &Job,
    context: &Context,
    items: &mpsc::Sender<Vec<ReleaseItem>>,
    seen: &[Visit],
) -> Outcome {
    let mut outcome = Outcome::default();
    let suffixes = match job.source().suffixes().await {
        Ok(suffixes) => suffixes,
        Err(refusal) => {
            tracing::error!("Error syncing handoff partition {}: {refusal}", job.at(&job.device));
            job.targets.iter().for_each(|target| outcome.nodes.failed(target));
            context.failures.note(&job.at(&job.device), None, &refusal);
            return outcome;
        }
    };
    let mut listing = Listing::new(job.source(), suffixes, context.drain.clone());
    while !listing.is_done() && !context.drain.is_cancelled() && outcome.busy.is_none() {
        let sessions = open_sessions(job, context, &mut outcome, seen).await;
        if sessions.is_empty()
            || !offer_slice(job, context, &mut listing, sessions, items, &mut outcome).await
        {
            return outcome;
        }
    }
    outcome.listed_all = listing.is_done() && listing.failure().is_none();
    outcome
}

/// A primary that has admitted a session.
struct Admitted<'a> {
    /// Its place among the job's targets.
    place: usize,
    target: &'a Target,
    peer: PeerIndex,
    session: Box<dyn PushSession>,
    /// Another node of its remote region gets the copy; this one is only asked.
    only_asked: bool,
}

/// Opens a session with each primary; one copy goes to a remote region, and its other primaries are asked.
async fn open_sessions<'a>(
    job: &'a Job,
    context: &Context,
    outcome: &mut Outcome,
    seen: &[Visit],
) -> Vec<Admitted<'a>> {
    let (mut visits, mut regions) = (Vec::new(), BTreeSet::new());
    for (place, (target, seen)) in job.targets.iter().zip(seen).enumerate() {
        outcome.nodes.tried(target);
        let Some(peer) = PeerIndex::new(place).filter(|_| !outcome.given_up.contains(&place)) else {
            continue;
        };
        seen.spend(Spender::Admission);
        match open_session(job, context, target, seen, visits.is_empty()).await {
            Ok(session) => {
                seen.spend(Spender::Reading);
                let only_asked = target.region != job.region && !regions.insert(target.region);
                visits.push(Admitted { place, target, peer, session, only_asked });
            }
            Err(refusal) => outcome.note(target, &refusal),
        }
    }
    visits
}

async fn open_session(
    job: &Job,
    context: &Context,
    target: &Target,
    seen: &Visit,
    patient: bool,
) -> Result<Box<dyn PushSession>, Refusal> {
    let peer = context.peers.find(target).await?;
    peer.open(Errand { patient, ..job.errand(target, context, seen.clone(), Purpose::Revert) }).await
}

impl Outcome {
    /// Tells what is pending at each primary. In sync is only what was offered to the end and answered for (rule S4); what was
    /// not is counted where the primary can be asked.
    async fn tell(&self, job: &Job, context: &Context, seen: &[Visit]) {
        let mut hashes = None;
        for (place, (target, visit)) in job.targets.iter().zip(seen).enumerate() {
            let has_failed =
                self.nodes.has_failed(target) || self.causes.iter().any(|(failed, _)| failed == target);
            if self.listed_all && !has_failed && !self.not_read && !self.given_up.contains(&place) {
                visit.end(Found::InSync);
                continue;
            }
            // Who does not answer is not asked, and nothing is hashed for it.
            if context.gates.why(&(target.address(), target.device.clone())).is_some() {
                visit.end(Found::Unknown);
                continue;
            }
            if hashes.is_none() {
                let hashing = context.local.suffix_hashes(job.at(&job.device), Rehash::default());
                hashes = Some(job.local.hashing(hashing).await);
            }
            visit.end(match &hashes {
                Some(Ok(hashes)) => count_pending(job, context, target, hashes).await,
                _ => Found::Unknown,
            });
        }
    }

    /// Tells operators who did not do their part, and why.
    fn tell_failures(&self, job: &Job, context: &Context) {
        let at = job.at(&job.device);
        self.causes.iter().for_each(|(target, cause)| context.failures.note(&at, Some(target), cause));
        let has_failed = |target: &&Target| self.causes.iter().any(|(failed, _)| failed == *target);
        if self.listed_all {
            let well = job.targets.iter().filter(|target| !has_failed(target));
            well.for_each(|target| context.failures.went_well(&at, target));
        }
    }

    fn note(&mut self, target: &Target, refusal: &Refusal) {
        let remedy = Remedy::of(refusal);
        if !matches!(remedy, Remedy::ComeBack(_)) {
            self.causes.push((target.clone(), refusal.clone()));
        }
        match remedy {
            Remedy::ComeBack(asked) => {
                tracing::debug!(peer = %target, %refusal, "a busy peer");
                self.busy = Some(self.busy.map_or(asked, |least| least.min(asked)));
                self.busy_for = Some((target.clone(), Spender::of(refusal.reason)));
                self.busy_targets.push(target.clone());
            }
            Remedy::NextDevice => {
                tracing::error!(%refusal, "{target} responded as unmounted");
                self.nodes.failed(target);
            }
            Remedy::Failure => {
                // That a peer was given up is told once, by its gate.
                match refusal.retry_after {
                    Some(_) => tracing::debug!("Error syncing handoff partition: {target}: {refusal}"),
                    None => tracing::error!("Error syncing handoff partition: {target}: {refusal}"),
                }
                self.nodes.failed(target);
            }
        }
    }
}

/// Offers one slice; false when the receiver of this node does not let go of anything any more.
async fn offer_slice(
    job: &Job,
    context: &Context,
    listing: &mut Listing,
    visits: Vec<Admitted<'_>>,
    items: &mpsc::Sender<Vec<ReleaseItem>>,
    outcome: &mut Outcome,
) -> bool {
    // Jobs without targets are never made; without a quorum nothing is released.
    let Some(quorum) = Quorum::of(job.targets.len(), context.handoff_delete) else { return false };
    let confirming = visits.len() >= quorum.needed();
    let ledger = Mutex::new(Ledger::new(quorum));
    let (verdicts, answers) = mpsc::channel(VERDICT_QUEUE_MAX);
    let objects_max = match confirming {
        true => visits.iter().map(|visit| visit.session.confirmable_max()).min().unwrap_or(SLICE_OBJECTS_MAX),
        false => SLICE_OBJECTS_MAX,
    };
    let places: Vec<usize> = visits.iter().map(|visit| visit.place).collect();
    let (mut sessions, mut pushes) = (Vec::new(), Vec::new());
    for visit in visits {
        let mode = match (visit.only_asked, confirming) {
            (false, true) => PushMode::UpdateAndConfirm,
            // Too few primaries are there: whatever they answer, nothing can go.
            (false, false) => PushMode::Update,
            (true, _) => PushMode::ConfirmOnly,
        };
        let (offers, offered) = mpsc::channel(OFFER_QUEUE_MAX);
        sessions.push(offers);
        let verdicts = Verdicts { peer: visit.peer, to: verdicts.clone() };
        let span = tracing::info_span!("revert", peer = %visit.target);
        let push = visit.session.push(mode, offered, verdicts).instrument(span);
        pushes.push(async move { (visit.target, push.await) });
    }
    drop(verdicts);
    job.tally(context).count(|stats| stats.rsync += pushes.len() as u64);
    let note_offered = |batch: &[_]| {
        if confirming {
            ledger.lock().unwrap_or_else(PoisonError::into_inner).offered(batch);
        }
    };
    let (offered, pushed, released) = tokio::join!(
        listing.offer_slice(objects_max, sessions, note_offered),
        join_all(pushes),
        hand_over(&ledger, answers, items)
    );
    outcome.offered += offered.objects;
    for place in offered.too_slow.into_iter().filter_map(|session| places.get(session).copied()) {
        outcome.give_up(place, &job.targets);
    }
    for (target, pushed) in pushed {
        outcome.note_pushed(target, &pushed);
        if let Err(PushError::Here(refusal)) = &pushed {
            tracing::error!("{target} did not get all: device {} could not be read: {refusal}", job.device);
            job.tally(context).count(|stats| stats.device_failed(&job.device));
        }
        if let Ok(pushed) = pushed {
            job.tally(context).pushed(&pushed);
        }
    }
    released
}

impl Outcome {
    /// What this primary was not offered has no answer from it, so it stays (rule S4).
    fn give_up(&mut self, place: usize, targets: &[Target]) {
        if let Some(target) = targets.get(place) {
            tracing::error!(
                "Error syncing handoff partition: {target}: it took no offers for too long, and is left out"
            );
            self.nodes.failed(target);
            self.given_up.insert(place);
            let slow = Refusal::new(Reason::IdleTimeout, "it took no offers for too long");
            self.causes.push((target.clone(), slow));
        }
    }

    fn note_pushed(&mut self, target: &Target, pushed: &Result<Pushed, PushError>) {
        match pushed {
            Ok(pushed) if pushed.complete() => {}
            // It was told to stop, which is nobody's failure.
            Ok(Pushed { failed: 0, skipped: 0, .. }) => self.nodes.forget(target),
            Ok(pushed) => {
                tracing::warn!(
                    "Error syncing handoff partition: {target}: {} objects failed, {} were skipped",
                    pushed.failed,
                    pushed.skipped
                );
                self.causes.push((target.clone(), pushed.shortfall()));
                self.nodes.failed(target);
            }
            Err(PushError::Peer(refusal)) => self.note(target, refusal),
            Err(PushError::Here(refusal)) => {
                self.causes.push((target.clone(), refusal.clone()));
                self.nodes.forget(target);
            }
        }
    }
}

/// Turns answers into removals as they come; false when nobody takes the removals.
async fn hand_over(
    ledger: &Mutex<Ledger>,
    mut answers: mpsc::Receiver<(PeerIndex, Vec<Verdict>)>,
    items: &mpsc::Sender<Vec<ReleaseItem>>,
) -> bool {
    let mut taken = true;
    while let Some((peer, verdicts)) = answers.recv().await {
        let mut releasable = ledger.lock().unwrap_or_else(PoisonError::into_inner).answered(peer, &verdicts);
        while !releasable.is_empty() && taken {
            let rest = releasable.split_off(ReleaseItem::BATCH_MAX.min(releasable.len()));
            taken = items.send(std::mem::replace(&mut releasable, rest)).await.is_ok();
        }
    }
    taken
}

/// Reads what became of the removals until the lock is released.
async fn count_released(
    job: &Job,
    context: &Context,
    mut results: mpsc::Receiver<StoreResult<Vec<ReleaseResult>>>,
) -> u64 {
    let mut released = 0;
    while let Some(results) = results.recv().await {
        job.local.pulse().beat();
        match results {
            Ok(results) => {
                let gone = results.iter().filter(|result| End::from(&result.outcome) == End::Unlinked).count()
                    as u64;
                for kept in results.iter().filter(|result| End::from(&result.outcome) == End::Kept) {
                    tracing::info!(object = %kept.hash, outcome = ?kept.outcome, "an object was not let go");
                }
                released += gone;
                job.tally(context).count(|stats| stats.released += gone);
            }
            Err(refusal) => {
                tracing::error!("Error syncing handoff partition: {refusal}");
                break;
            }
        }
    }
    released
}

/// Removes the emptied partition, under its lock; says whether it is gone.
async fn remove_partition(job: &Job) -> bool {
    let (policy, partition) = (job.policy, job.partition);
    let removed = job
        .local
        .run(move |device| {
            let lock = device.lock_partition(policy, partition, LOCK_WAIT)?;
            device.remove_empty_partition(lock)
        })
        .await;
    match removed {
        Ok(gone) => {
            if gone {
                let path = job.local.partition_path(policy, partition);
                tracing::info!("Removing partition: {}", path.display());
            }
            gone
        }
        Err(refusal) => {
            tracing::warn!(%refusal, "an emptied partition was not removed");
            false
        }
    }
}
