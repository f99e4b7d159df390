//! The way from one node, or from a client, to another node: the other's receiver behind a network that delays, loses and cuts.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use ssync_api::v1;
use ssync_receiver::Receiver;
use ssync_store::{
    Body, CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers, Release, SESSION_QUEUE_MAX, Session, Store,
    StoreResult, UPLOAD_QUEUE_MAX, Upload,
};
use ssync_types::{
    BodyEvent, ByteRange, Deleted, DeviceSurvey, ObjectDelete, ObjectInfo, ObjectPost, ObjectPut, ObjectRef,
    Offer, PartitionRef, PendingUpdate, Posted, PutStep, ReadOptions, Reason, Refusal, Rehash, ReleaseOpen,
    SessionEvent, SessionOpen, Suffix, SuffixHashes, UpdateMessage,
};
use tokio::{
    sync::mpsc,
    time::{Duration, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cast::{Moment, Stage},
    cluster::Cluster,
    network::CLIENTS,
    wire,
};

/// How long a stream that nothing comes through is kept before it counts as broken, in looks, and between two looks.
const LOOKS_MAX: u32 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One end: a node in one of its lives, or the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) node: usize,
    pub(crate) life: u64,
}

impl End {
    pub(crate) const CLIENT: Self = Self { node: CLIENTS, life: 0 };
}

/// The way.
pub(crate) struct Link {
    cluster: Arc<Cluster>,
    from: End,
    to: usize,
}

/// A direction of a stream.
#[derive(Clone)]
struct Line {
    cluster: Arc<Cluster>,
    from: End,
    to: End,
    broken: CancellationToken,
}

fn unreachable(what: &str) -> Refusal {
    Refusal::new(Reason::Unreachable, what)
}

impl Link {
    pub(crate) fn new(cluster: Arc<Cluster>, from: End, to: usize) -> Self {
        Self { cluster, from, to }
    }

    /// Tells the cluster how far pushes to a partition come.
    fn tell(&self, at: &PartitionRef) -> impl Fn(Stage) + Send + 'static {
        let (cluster, from) = (Arc::clone(&self.cluster), self.from.node);
        let (to, partition) = (at.device.clone(), at.partition);
        move |stage| cluster.moment(Moment { stage, from, to: to.clone(), partition })
    }

    /// The receiver there, if a request reaches it.
    async fn reach(&self) -> StoreResult<(Arc<Receiver>, End)> {
        let network = &self.cluster.network;
        sleep(network.delay()).await;
        if network.loses_request() || !network.hears(self.from.node, self.to) {
            sleep(network.patience()).await;
            return Err(unreachable("the request was lost"));
        }
        match self.cluster.receiver(self.to) {
            Some((receiver, life)) if self.cluster.lives(self.from) => {
                Ok((receiver, End { node: self.to, life }))
            }
            _ => Err(unreachable("connection refused")),
        }
    }

    /// Whether an answer comes back.
    async fn comes_back(&self, to: End) -> StoreResult<()> {
        let network = &self.cluster.network;
        sleep(network.delay()).await;
        let lost = network.loses_answer() || !network.hears(to.node, self.from.node);
        if lost || !self.cluster.lives(to) || !self.cluster.lives(self.from) {
            sleep(network.patience()).await;
            return Err(unreachable("the answer was lost"));
        }
        Ok(())
    }

    async fn ask<T, F>(&self, ask: impl FnOnce(Arc<Receiver>) -> F) -> StoreResult<T>
    where
        F: Future<Output = StoreResult<T>>,
    {
        let (receiver, to) = self.reach().await?;
        let answer = ask(receiver).await;
        self.comes_back(to).await?;
        answer.map_err(|refusal| wire::refusal(&refusal))
    }

    /// Both directions of a stream that was opened.
    fn lines(&self, to: End) -> (Line, Line) {
        let there = Line {
            cluster: Arc::clone(&self.cluster),
            from: self.from,
            to,
            broken: CancellationToken::new(),
        };
        let back = Line { from: to, to: self.from, ..there.clone() };
        (there, back)
    }
}

impl Line {
    /// Takes a message across; false when the stream is broken.
    async fn carry(&self) -> bool {
        let network = &self.cluster.network;
        let delay = network.delay();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let mut looks = 0;
        while !network.hears(self.from.node, self.to.node) && looks < LOOKS_MAX {
            sleep(LOOK_EVERY).await;
            looks += 1;
        }
        let whole = looks < LOOKS_MAX
            && !network.breaks_stream()
            && self.cluster.lives(self.from)
            && self.cluster.lives(self.to);
        if !whole {
            self.broken.cancel();
        }
        whole
    }

    /// Carries what a caller says. Its end is the orderly one.
    fn there<T: Send + 'static>(
        self,
        mut source: mpsc::Receiver<T>,
        sink: mpsc::Sender<T>,
        convert: impl Fn(T) -> Result<T, Refusal> + Send + 'static,
    ) {
        tokio::spawn(async move {
            loop {
                let item = tokio::select! {
                    biased;
                    () = self.broken.cancelled() => return,
                    () = sink.closed() => return,
                    item = source.recv() => item,
                };
                if !self.carry().await {
                    return;
                }
                let Some(item) = item else { return };
                let item = convert(item).expect("what is said is valid");
                tokio::select! {
                    biased;
                    () = self.broken.cancelled() => return,
                    sent = sink.send(item) => if sent.is_err() { return },
                }
            }
        });
    }

    /// Carries the answers. Who is not waited for any more is told so by the end of its own stream.
    fn back<T: Send + 'static>(
        self,
        mut source: mpsc::Receiver<StoreResult<T>>,
        sink: mpsc::Sender<StoreResult<T>>,
        convert: impl Fn(T) -> Result<T, Refusal> + Send + 'static,
    ) {
        tokio::spawn(async move {
            loop {
                let item = tokio::select! {
                    biased;
                    () = self.broken.cancelled() => break,
                    () = sink.closed() => return self.broken.cancel(),
                    item = source.recv() => item,
                };
                if !self.carry().await {
                    break;
                }
                let item = match item {
                    None => return,
                    Some(Ok(item)) => Ok(convert(item).expect("what is answered is valid")),
                    Some(Err(refusal)) => Err(wire::refusal(&refusal)),
                };
                tokio::select! {
                    biased;
                    () = self.broken.cancelled() => break,
                    sent = sink.send(item) => if sent.is_err() { return self.broken.cancel() },
                }
            }
            drop(source);
            let _ = sink.send(Err(unreachable("the stream broke"))).await;
        });
    }
}

#[async_trait]
impl Store for Link {
    async fn missing_check(
        &self,
        partition: PartitionRef,
        offers: mpsc::Receiver<Vec<Offer>>,
    ) -> StoreResult<CheckAnswers> {
        let tell = self.tell(&partition);
        let (receiver, to) = self.reach().await?;
        let (there, back) = self.lines(to);
        let (taker, taken) = mpsc::channel(CHECK_QUEUE_MAX);
        let opened = receiver.missing_check(wire::partition(partition)?, taken).await;
        self.comes_back(to).await?;
        let answers = opened.map_err(|refusal| wire::refusal(&refusal))?;
        there.there(offers, taker, wire::offers);
        let (sink, given) = mpsc::channel(CHECK_QUEUE_MAX);
        back.back(answers, sink, move |answer| {
            tell(Stage::Checked);
            Ok(CheckAnswer { wants: wire::wants(answer.wants)?, answered_offers: answer.answered_offers })
        });
        Ok(given)
    }

    async fn updates(&self, open: SessionOpen) -> StoreResult<Session> {
        let tell = self.tell(&open.partition);
        let (receiver, to) = self.reach().await?;
        let (there, back) = self.lines(to);
        let opened = receiver.updates(wire::through::<v1::UpdatesRequest, _>(open)?).await;
        self.comes_back(to).await?;
        let session = opened.map_err(|refusal| wire::refusal(&refusal))?;
        let (messages, said) = mpsc::channel(SESSION_QUEUE_MAX);
        let (sink, events) = mpsc::channel(SESSION_QUEUE_MAX);
        let cluster = Arc::clone(&self.cluster);
        there.there(said, session.messages, move |message| {
            cluster.has_asked();
            wire::through::<v1::UpdatesRequest, UpdateMessage>(message)
        });
        back.back(session.events, sink, move |event| {
            if matches!(event, SessionEvent::Results(_)) {
                tell(Stage::Answered);
            }
            wire::through::<v1::UpdatesResponse, SessionEvent>(event)
        });
        Ok(Session { messages, events })
    }

    async fn release(&self, _: ReleaseOpen) -> StoreResult<Release> {
        Err(unreachable("only a node's own replicator may release its objects"))
    }

    async fn suffix_hashes(&self, partition: PartitionRef, rehash: Rehash) -> StoreResult<SuffixHashes> {
        let partition = wire::partition(partition)?;
        let hashes =
            self.ask(|receiver| async move { receiver.suffix_hashes(partition, rehash).await }).await?;
        Ok(wire::hashes(hashes)?)
    }

    async fn invalidate_suffixes(&self, partition: PartitionRef, suffixes: Vec<Suffix>) -> StoreResult<()> {
        self.ask(|receiver| async move { receiver.invalidate_suffixes(partition, suffixes).await }).await
    }

    async fn survey_devices(&self) -> StoreResult<DeviceSurvey> {
        self.ask(|receiver| async move { receiver.survey_devices().await }).await
    }

    async fn put_object(&self, put: ObjectPut) -> StoreResult<Upload> {
        let (receiver, to) = self.reach().await?;
        let (there, back) = self.lines(to);
        let opened = receiver.put_object(wire::through::<v1::PutObjectRequest, _>(put)?).await;
        self.comes_back(to).await?;
        let upload = opened.map_err(|refusal| wire::refusal(&refusal))?;
        let (body, said) = mpsc::channel(UPLOAD_QUEUE_MAX);
        let (sink, steps) = mpsc::channel(UPLOAD_QUEUE_MAX);
        there.there(said, upload.body, wire::through::<v1::PutObjectRequest, BodyEvent>);
        back.back(upload.steps, sink, wire::through::<v1::PutObjectResponse, PutStep>);
        Ok(Upload { body, steps })
    }

    async fn get_object(
        &self,
        object: ObjectRef,
        ranges: Vec<ByteRange>,
        options: ReadOptions,
    ) -> StoreResult<(ObjectInfo, Body)> {
        self.ask(|receiver| async move { receiver.get_object(object, ranges, options).await }).await
    }

    async fn head_object(&self, object: ObjectRef, options: ReadOptions) -> StoreResult<ObjectInfo> {
        self.ask(|receiver| async move { receiver.head_object(object, options).await }).await
    }

    async fn post_object(&self, post: ObjectPost) -> StoreResult<Posted> {
        let post = wire::through::<v1::PostObjectRequest, _>(post)?;
        let posted = self.ask(|receiver| async move { receiver.post_object(post).await }).await?;
        wire::through::<v1::PostObjectResponse, _>(posted)
    }

    async fn delete_object(&self, delete: ObjectDelete) -> StoreResult<Deleted> {
        let delete = wire::through::<v1::DeleteObjectRequest, _>(delete)?;
        let deleted = self.ask(|receiver| async move { receiver.delete_object(delete).await }).await?;
        wire::through::<v1::DeleteObjectResponse, _>(deleted)
    }

    async fn queue_update(&self, update: PendingUpdate) -> StoreResult<()> {
        self.ask(|receiver| async move { receiver.queue_update(update).await }).await
    }
}
