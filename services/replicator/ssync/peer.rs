//! A device of a Swift node: REPLICATE for its hashes, SSYNC conversations for pushes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use ssync_pickle::PICKLE_BYTES_MAX;
use ssync_protocol::suffix_hashes_from_pickle;
use ssync_types::{
    ObjectHash, ObjectKind, Offer, Outcome, PartitionRef, Reason, Refusal, SuffixHashes, Want,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    answer,
    connection::Connection,
    conversation::{Conversation, wanted},
};
use crate::{
    peer::{Errand, OfferBatch, Peer, PushError, PushMode, PushSession, Pushed, Target, Verdict, Verdicts},
    samples::Amount,
    source::Pulse,
    spent::Spender,
};

/// When to come back to a device with which another job is talking.
const TAKEN_RETRY: Duration = Duration::from_millis(100);
/// Objects of a handoff in one visit: nothing is confirmed, and no space freed, before its second conversation has ended.
const CONFIRMABLE_MAX: u64 = 1_000;
/// Verdicts handed over at a time.
const VERDICTS_MAX: usize = 1_000;

/// Swift's limits of a sender: three time-outs and a length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// To connect and send a request's head.
    pub(crate) connect: Duration,
    /// For the whole of a response's head, and for each piece to be sent.
    pub(crate) node: Duration,
    /// For the whole of each line, or of the hashes, to be read, however little comes at a time.
    pub(crate) http: Duration,
    /// Bytes of a line, its end included.
    pub(crate) line_bytes_max: usize,
}

/// A device of a Swift node.
#[derive(Debug)]
pub(crate) struct SsyncPeer {
    target: Target,
    limits: Limits,
    agent: String,
    /// Swift admits one session a device, and makes others wait for it until they fail.
    slot: Arc<Semaphore>,
}

impl SsyncPeer {
    pub(crate) fn new(target: Target, limits: Limits, agent: String, slot: Arc<Semaphore>) -> Self {
        Self { target, limits, agent, slot }
    }

    fn take_slot(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.slot).try_acquire_owned().map_err(|_| {
            Refusal::new(Reason::DeviceLocked, format!("another job is talking to {}", self.target))
                .retry_after(TAKEN_RETRY)
        })
    }
}

#[async_trait]
impl Peer for SsyncPeer {
    async fn suffix_hashes(&self, partition: &PartitionRef) -> Result<SuffixHashes, Refusal> {
        let address = self.target.address();
        let head = format!(
            "REPLICATE /{}/{} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: identity\r\nContent-Length: 0\r\n\
             User-Agent: {}\r\nX-Backend-Storage-Policy-Index: {}\r\nConnection: close\r\n\r\n",
            partition.device, partition.partition, self.agent, partition.policy
        );
        let mut connection = Connection::open(&address, head.as_bytes(), self.limits).await?;
        // The peer may have to hash the whole partition before it answers.
        let head = connection.head(self.limits.http).await?;
        if head.status != 200 {
            let body = connection.error_body().await;
            return Err(answer::of_status(head.status, &body));
        }
        let body = connection.whole_body(PICKLE_BYTES_MAX).await?;
        suffix_hashes_from_pickle(&body).map_err(Refusal::from)
    }

    async fn lacking(&self, partition: &PartitionRef, objects: OfferBatch) -> Result<Vec<Want>, Refusal> {
        let _slot = self.take_slot()?;
        // No pass waits for this one.
        ask(&self.target.address(), partition, self.limits, Pulse::new(), &[objects]).await
    }

    async fn open(&self, errand: Errand) -> Result<Box<dyn PushSession>, Refusal> {
        let slot = self.take_slot()?;
        let pulse = errand.source.pulse().clone();
        let conversation =
            Conversation::open(&self.target.address(), &errand.partition, self.limits, pulse).await?;
        let (address, limits) = (self.target.address(), self.limits);
        Ok(Box::new(SsyncSession { address, limits, errand, conversation, _slot: slot }))
    }
}

/// A push of one slice: an updating conversation, and a second one that only asks.
#[derive(Debug)]
struct SsyncSession {
    address: String,
    limits: Limits,
    errand: Errand,
    conversation: Conversation,
    _slot: OwnedSemaphorePermit,
}

#[async_trait]
impl PushSession for SsyncSession {
    fn confirmable_max(&self) -> u64 {
        CONFIRMABLE_MAX
    }

    async fn push(
        self: Box<Self>,
        mode: PushMode,
        mut offers: mpsc::Receiver<OfferBatch>,
        verdicts: Verdicts,
    ) -> Result<Pushed, PushError> {
        let Self { address, limits, errand, mut conversation, _slot } = *self;
        let mut offered: Vec<OfferBatch> = Vec::new();
        conversation.begin_offers().await?;
        while let Some(batch) = offers.recv().await {
            conversation.offer(&batch).await?;
            offered.push(batch);
        }
        let count = offered.iter().map(|batch| batch.len() as u64).sum();
        errand.visit.spend(Spender::Comparing);
        let mut wants = conversation.wants(count).await?;
        let all = || offered.iter().flat_map(|batch| batch.iter()).map(|object| &object.offer);
        all()
            .filter(|offer| !wants.contains_key(&offer.hash))
            .for_each(|offer| errand.parked.is_there(offer.hash));
        if !mode.updates() {
            let lacking = wants.keys().copied().collect();
            conversation.no_updates().await?;
            conversation.close().await;
            return Ok(
                judge(&offered, &lacking, &verdicts, Pushed { offered: count, ..Pushed::default() }).await
            );
        }
        let is_live = |offer: &&Offer| {
            wants.get(&offer.hash).is_some_and(|want| want.data) && offer.kind != Some(ObjectKind::Tombstone)
        };
        errand.visit.wants(all().filter(is_live).count() as u64);
        let parked = leave_parked(&errand, all(), &mut wants);
        let wanted = wanted(&offered, wants)?;
        let tried: Vec<ObjectHash> = wanted.iter().map(|(object, _)| object.offer.hash).collect();
        let mut sent = conversation.updates(&errand.source, &errand.visit, wanted, &errand.stop).await?;
        conversation.close().await;
        // The peer has said that all went well, so what was not skipped has been stored.
        let skipped: HashSet<ObjectHash> = sent.skipped.iter().map(|(offer, _)| offer.hash).collect();
        let untried = |hash: &&ObjectHash| skipped.contains(*hash) || sent.left.contains(*hash);
        tried.iter().filter(|hash| !untried(hash)).for_each(|hash| errand.parked.arrived(*hash));
        let unread = sent.skipped.iter().filter_map(|(offer, cause)| Some((offer, cause.as_ref()?)));
        unread.for_each(|(offer, cause)| errand.parked.not_read(offer, cause));
        let left = parked.len() as u64;
        sent.pushed.wanted += left;
        sent.pushed.skipped += left;
        let pushed = Pushed { offered: count, parked: left, ..sent.pushed };
        sent.doubtful.extend(parked);
        // A stock peer has no results: what it has is known at the end.
        errand.source.moved(pushed.objects, pushed.bytes);
        errand.visit.stored(Amount::of(pushed.objects, pushed.bytes));
        if !mode.confirms() {
            return Ok(pushed);
        }
        // What a conversation that only asks does not want, after the updating one ended well, the peer has (rule S2).
        let pulse = errand.source.pulse().clone();
        let wants = ask(&address, &errand.partition, limits, pulse, &offered).await?;
        let mut lacking: HashSet<ObjectHash> = wants.into_iter().map(|want| want.hash).collect();
        lacking.extend(sent.doubtful);
        Ok(judge(&offered, &lacking, &verdicts, pushed).await)
    }
}

/// A conversation that only asks: what the peer wants of these objects.
async fn ask(
    address: &str,
    partition: &PartitionRef,
    limits: Limits,
    pulse: Pulse,
    offered: &[OfferBatch],
) -> Result<Vec<Want>, Refusal> {
    let mut conversation = Conversation::open(address, partition, limits, pulse).await?;
    conversation.begin_offers().await?;
    for batch in offered {
        conversation.offer(batch).await?;
    }
    let wants = conversation.wants(offered.iter().map(|batch| batch.len() as u64).sum()).await?;
    conversation.no_updates().await?;
    conversation.close().await;
    Ok(wants.into_values().collect())
}

/// Takes out what has failed before; it is not in sync.
fn leave_parked<'a>(
    errand: &Errand,
    offered: impl Iterator<Item = &'a Offer>,
    wants: &mut HashMap<ObjectHash, Want>,
) -> HashSet<ObjectHash> {
    let wanted = offered.filter(|offer| wants.contains_key(&offer.hash));
    let parked: HashSet<ObjectHash> =
        wanted.filter(|offer| errand.parked.holds(offer).is_some()).map(|offer| offer.hash).collect();
    wants.retain(|hash, _| !parked.contains(hash));
    parked
}

/// What is not lacking is confirmed.
async fn judge(
    offered: &[OfferBatch],
    lacking: &HashSet<ObjectHash>,
    verdicts: &Verdicts,
    mut pushed: Pushed,
) -> Pushed {
    for batch in offered {
        for part in batch.chunks(VERDICTS_MAX) {
            let verdict = |object: &ssync_diskfile::LocalObject| {
                let outcome = match lacking.contains(&object.offer.hash) {
                    true => Outcome::NotFound,
                    false => Outcome::Confirmed,
                };
                Verdict { offer: object.offer.clone(), outcome }
            };
            let part: Vec<Verdict> = part.iter().map(verdict).collect();
            pushed.skipped += part.iter().filter(|verdict| !verdict.outcome.is_safe()).count() as u64;
            verdicts.send(part).await;
        }
    }
    pushed
}
