//! A store that does as it should, but for what a test tells it to do wrong; and it remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use ssync_store::{Body, CheckAnswers, Release, SESSION_QUEUE_MAX, Session, Store, StoreResult, Upload};
use ssync_types::{
    ByteRange, Deleted, DeviceSurvey, ObjectDelete, ObjectHash, ObjectInfo, ObjectPost, ObjectPut, ObjectRef,
    Offer, Outcome, Partition, PartitionRef, PendingUpdate, Posted, ReadOptions, Refusal, Rehash,
    ReleaseOpen, SessionEvent, SessionOpen, Suffix, SuffixHashes, UpdateMessage, UpdateOp,
};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep},
};

/// What goes wrong.
#[derive(Default)]
pub(crate) struct Fault {
    /// Refusals of the next sessions, in order.
    pub(crate) sessions: VecDeque<Refusal>,
    /// Every session is refused.
    pub(crate) all_sessions: Option<Refusal>,
    /// No session is ever opened or refused.
    pub(crate) sessions_hang: bool,
    /// Checks are refused.
    pub(crate) checks: Option<Refusal>,
    /// Hashes are refused.
    pub(crate) hashes: Option<Refusal>,
    /// Hashes of this partition never come.
    pub(crate) hashes_hang: Option<Partition>,
    /// No hashes ever come.
    pub(crate) all_hashes_hang: bool,
    /// Hashes take so long.
    pub(crate) hashes_take: Duration,
    /// Every verdict becomes this one.
    pub(crate) verdict: Option<Outcome>,
    /// Every verdict on this object becomes this one.
    pub(crate) verdict_of: Option<(ObjectHash, Outcome)>,
    /// Runs once, when so many more requests for hashes have come.
    pub(crate) at_hashes: Option<(usize, Box<dyn FnOnce() + Send>)>,
    /// Runs once, when the first offers arrive.
    pub(crate) at_offers: Option<Box<dyn FnOnce() + Send>>,
    /// The terms of sessions get this limit.
    pub(crate) session_updates_max: Option<u64>,
    pub(crate) session_time_max: Option<Duration>,
    /// The next session is told that the peer drains, as soon as it is accepted.
    pub(crate) drains_once: bool,
    /// What the session after that one is refused with.
    pub(crate) refuse_after_drain: Option<Refusal>,
    /// The session ends without a word after so many events.
    pub(crate) cut_after_events: Option<usize>,
}

/// What it was asked.
#[derive(Debug, Default, Clone)]
pub(crate) struct Asked {
    pub(crate) sessions: usize,
    /// When each of them was admitted or refused by the store itself.
    pub(crate) sessions_at: Vec<Instant>,
    /// Requests for hashes.
    pub(crate) hashes: usize,
    pub(crate) offers: Vec<Offer>,
    /// `put`, `post`, `delete`, `confirm`, `chunk`, `abort`, in order.
    pub(crate) operations: Vec<&'static str>,
}

/// The store.
pub(crate) struct Faulty {
    inner: Arc<dyn Store>,
    pub(crate) fault: Mutex<Fault>,
    asked: Arc<Mutex<Asked>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, fault: Mutex::default(), asked: Arc::default() })
    }

    /// What it was asked since the last time.
    pub(crate) fn take_asked(&self) -> Asked {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn operation(message: &UpdateMessage) -> Option<&'static str> {
    match message {
        UpdateMessage::Update(update) => Some(match update.op {
            UpdateOp::Put(_) => "put",
            UpdateOp::Post { .. } => "post",
            UpdateOp::Delete { .. } => "delete",
            UpdateOp::Commit { .. } => "commit",
            UpdateOp::Confirm(_) => "confirm",
        }),
        UpdateMessage::Chunk(_) => Some("chunk"),
        UpdateMessage::End(ssync_types::BodyEnd::Abort(_)) => Some("abort"),
        UpdateMessage::End(_) | UpdateMessage::Heartbeat => None,
    }
}

#[async_trait]
impl Store for Faulty {
    async fn survey_devices(&self) -> StoreResult<DeviceSurvey> {
        self.inner.survey_devices().await
    }

    async fn missing_check(
        &self,
        partition: PartitionRef,
        mut offers: mpsc::Receiver<Vec<Offer>>,
    ) -> StoreResult<CheckAnswers> {
        if let Some(refusal) = self.fault.lock().unwrap().checks.clone() {
            return Err(refusal);
        }
        let (to, passed_on) = mpsc::channel(1);
        let asked = Arc::clone(&self.asked);
        let mut at_offers = self.fault.lock().unwrap().at_offers.take();
        tokio::spawn(async move {
            while let Some(batch) = offers.recv().await {
                asked.lock().unwrap().offers.extend(batch.iter().cloned());
                if let Some(run) = at_offers.take() {
                    run();
                }
                if to.send(batch).await.is_err() {
                    break;
                }
            }
        });
        self.inner.missing_check(partition, passed_on).await
    }

    async fn updates(&self, open: SessionOpen) -> StoreResult<Session> {
        if self.fault.lock().unwrap().sessions_hang {
            std::future::pending::<()>().await;
        }
        let (verdict, verdict_of, limit, age, cut, drains) = {
            let mut fault = self.fault.lock().unwrap();
            if let Some(refusal) = fault.sessions.pop_front().or_else(|| fault.all_sessions.clone()) {
                return Err(refusal);
            }
            if fault.drains_once {
                let next = fault.refuse_after_drain.take();
                fault.sessions.extend(next);
            }
            (
                fault.verdict.clone(),
                fault.verdict_of.clone(),
                fault.session_updates_max,
                fault.session_time_max,
                fault.cut_after_events,
                std::mem::take(&mut fault.drains_once),
            )
        };
        {
            let mut asked = self.asked.lock().unwrap();
            asked.sessions += 1;
            asked.sessions_at.push(Instant::now());
        }
        let mut session = self.inner.updates(open).await?;
        let (messages, mut sent) = mpsc::channel(SESSION_QUEUE_MAX);
        let (results, events) = mpsc::channel(1);
        let asked = Arc::clone(&self.asked);
        tokio::spawn(async move {
            while let Some(message) = sent.recv().await {
                asked.lock().unwrap().operations.extend(operation(&message));
                if session.messages.send(message).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            let mut count = 0;
            while let Some(mut event) = session.events.recv().await {
                if let (Ok(SessionEvent::Accepted(accepted)), Some(limit)) = (&mut event, limit) {
                    accepted.session_updates_max = limit;
                }
                if let (Ok(SessionEvent::Accepted(accepted)), Some(age)) = (&mut event, age) {
                    accepted.session_time_max = age;
                }
                if let (Ok(SessionEvent::Results(results)), Some(verdict)) = (&mut event, &verdict) {
                    results.iter_mut().for_each(|result| result.outcome = verdict.clone());
                }
                if let (Ok(SessionEvent::Results(results)), Some((hash, verdict))) = (&mut event, &verdict_of)
                {
                    let of_it = results.iter_mut().filter(|result| result.hash == *hash);
                    of_it.for_each(|result| result.outcome = verdict.clone());
                }
                count += 1;
                let accepted = matches!(event, Ok(SessionEvent::Accepted(_)));
                if cut.is_some_and(|cut| count > cut) || results.send(event).await.is_err() {
                    break;
                }
                if accepted && drains {
                    drop(results.send(Ok(SessionEvent::Draining("SIGTERM".into()))).await);
                }
            }
        });
        Ok(Session { messages, events })
    }

    async fn release(&self, open: ReleaseOpen) -> StoreResult<Release> {
        self.inner.release(open).await
    }

    async fn suffix_hashes(&self, partition: PartitionRef, rehash: Rehash) -> StoreResult<SuffixHashes> {
        self.asked.lock().unwrap().hashes += 1;
        let takes = self.fault.lock().unwrap().hashes_take;
        sleep(takes).await;
        let hangs = {
            let mut fault = self.fault.lock().unwrap();
            if let Some((left, run)) = fault.at_hashes.take() {
                match left {
                    0 => run(),
                    left => fault.at_hashes = Some((left - 1, run)),
                }
            }
            fault.all_hashes_hang || fault.hashes_hang == Some(partition.partition)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if let Some(refusal) = self.fault.lock().unwrap().hashes.clone() {
            return Err(refusal);
        }
        self.inner.suffix_hashes(partition, rehash).await
    }

    async fn invalidate_suffixes(&self, partition: PartitionRef, suffixes: Vec<Suffix>) -> StoreResult<()> {
        self.inner.invalidate_suffixes(partition, suffixes).await
    }

    async fn put_object(&self, put: ObjectPut) -> StoreResult<Upload> {
        self.inner.put_object(put).await
    }

    async fn get_object(
        &self,
        object: ObjectRef,
        ranges: Vec<ByteRange>,
        options: ReadOptions,
    ) -> StoreResult<(ObjectInfo, Body)> {
        self.inner.get_object(object, ranges, options).await
    }

    async fn head_object(&self, object: ObjectRef, options: ReadOptions) -> StoreResult<ObjectInfo> {
        self.inner.head_object(object, options).await
    }

    async fn post_object(&self, post: ObjectPost) -> StoreResult<Posted> {
        self.inner.post_object(post).await
    }

    async fn delete_object(&self, delete: ObjectDelete) -> StoreResult<Deleted> {
        self.inner.delete_object(delete).await
    }

    async fn queue_update(&self, update: PendingUpdate) -> StoreResult<()> {
        self.inner.queue_update(update).await
    }
}
