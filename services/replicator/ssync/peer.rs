//! A device of a Swift node: REPLICATE for its hashes, SSYNC conversations for pushes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use ssync_pickle::PICKLE_BYTES_MAX;
use ssync_protocol::suffix_hashes_from_pickle;
use ssync_types::{ObjectHash, Outcome, PartitionRef, Reason, Refusal, SuffixHashes, Want};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    answer,
    connection::Connection,
    conversation::{Conversation, wanted},
};
use crate::peer::{
    Errand, OfferBatch, Peer, PushError, PushMode, PushSession, Pushed, Target, Verdict, Verdicts,
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
    /// For a response's head, and for each piece to be sent.
    pub(crate) node: Duration,
    /// For each line, or piece of a body, to be read.
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
        ask(&self.target.address(), partition, self.limits, &[objects]).await
    }

    async fn open(&self, errand: Errand) -> Result<Box<dyn PushSession>, Refusal> {
        let slot = self.take_slot()?;
        let conversation = Conversation::open(&self.target.address(), &errand.partition, self.limits).await?;
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
        let mut wants = conversation.wants(count).await?;
        if !mode.updates() {
            let lacking = wants.keys().copied().collect();
            conversation.no_updates().await?;
            conversation.close().await;
            return Ok(
                judge(&offered, &lacking, &verdicts, Pushed { offered: count, ..Pushed::default() }).await
            );
        }
        let parked = leave_parked(&errand, &mut wants);
        let mut sent = conversation.updates(&errand.source, wanted(&offered, wants)?).await?;
        conversation.close().await;
        sent.unread.iter().for_each(|(hash, cause)| errand.parked.not_read(*hash, cause));
        let left = parked.len() as u64;
        sent.pushed.wanted += left;
        sent.pushed.skipped += left;
        let pushed = Pushed { offered: count, parked: left, ..sent.pushed };
        sent.doubtful.extend(parked);
        // A stock peer has no results: what it has is known at the end.
        errand.source.moved(pushed.objects, pushed.bytes);
        if !mode.confirms() {
            return Ok(pushed);
        }
        // What a conversation that only asks does not want, after the updating one ended well, the peer has (rule S2).
        let wants = ask(&address, &errand.partition, limits, &offered).await?;
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
    offered: &[OfferBatch],
) -> Result<Vec<Want>, Refusal> {
    let mut conversation = Conversation::open(address, partition, limits).await?;
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
fn leave_parked(errand: &Errand, wants: &mut HashMap<ObjectHash, Want>) -> Vec<ObjectHash> {
    let mut parked = Vec::new();
    wants.retain(|hash, _| {
        let is_parked = errand.parked.holds(*hash).is_some();
        parked.extend(is_parked.then_some(*hash));
        !is_parked
    });
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
