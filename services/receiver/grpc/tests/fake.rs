//! A store in memory that does as it is told, and counts.

use ssync_types::Rehash;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use ssync_store::{
    Body, CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers, Release, SESSION_QUEUE_MAX, Session, Store,
    StoreResult, UPLOAD_QUEUE_MAX, Upload,
};
use ssync_types::*;
use tokio::sync::mpsc;

use super::{hash, metadata, time};

/// What the fake does out of the ordinary.
#[derive(Debug, Default, Clone)]
pub(super) struct Script {
    /// Refuses every call.
    pub(super) refuse: Option<Refusal>,
    /// Ends every session with this after it was accepted.
    pub(super) refuse_session: Option<Refusal>,
    /// Sessions of this device are accepted and then never read.
    pub(super) stalled_device: Option<&'static str>,
    /// Checks and releases read everything and answer nothing.
    pub(super) mute: bool,
    /// Reading an object breaks off after so many bytes.
    pub(super) damaged_after: Option<usize>,
    /// Sessions say that the daemon is draining.
    pub(super) draining: bool,
}

#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) script: Mutex<Script>,
    pub(super) objects: Arc<Mutex<BTreeMap<ObjectPath, (Metadata, Bytes)>>>,
    /// Batches that checks were given.
    pub(super) batches: Arc<Mutex<Vec<usize>>>,
    /// What sessions were opened with.
    pub(super) opens: Mutex<Vec<SessionOpen>>,
    pub(super) sessions: Arc<AtomicUsize>,
    pub(super) releases: Arc<AtomicUsize>,
    /// Bytes of bodies handed out.
    pub(super) read: Arc<AtomicU64>,
    pub(super) stale: Mutex<Vec<Suffix>>,
    /// Updates of listings that it keeps.
    pub(super) pending: Mutex<Vec<PendingUpdate>>,
    /// What the last sessions did, in order.
    pub(super) log: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(super) fn told(script: Script) -> Self {
        Self { script: Mutex::new(script), ..Self::default() }
    }

    pub(super) fn script(&self) -> Script {
        self.script.lock().unwrap().clone()
    }

    fn check(&self) -> StoreResult<()> {
        self.script().refuse.map_or(Ok(()), Err)
    }

    fn find(&self, path: &ObjectPath) -> StoreResult<(Metadata, Bytes)> {
        let found = self.objects.lock().unwrap().get(path).cloned();
        found.ok_or_else(|| Refusal::new(Reason::NotFound, format!("{path}: no such object")).at(time(5)))
    }

    fn info(metadata: Metadata, body: &Bytes) -> ObjectInfo {
        ObjectInfo {
            metadata,
            timestamp: time(3),
            data: time(1),
            content_type: time(2),
            durable: Some(time(1)),
            content_length: body.len() as u64,
            fragments: vec![FragmentSet {
                timestamp: time(1),
                indexes: vec![FragmentIndex::new(4)],
                durable: true,
            }],
        }
    }
}

/// Counts itself for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// What it says of its devices.
pub(super) fn survey() -> DeviceSurvey {
    let entry = SurveyedEntry {
        name: "sdb1".to_owned(),
        state: EntryState::Unmounted,
        quarantined: vec![Quarantined { kind: "objects".to_owned(), count: 2 }],
    };
    DeviceSurvey { entries: vec![entry], mounts: Vec::new() }
}

#[async_trait]
impl Store for Fake {
    async fn survey_devices(&self) -> StoreResult<DeviceSurvey> {
        Ok(survey())
    }

    /// Wants the data of odd hashes.
    async fn missing_check(
        &self,
        _partition: PartitionRef,
        mut offers: mpsc::Receiver<Vec<Offer>>,
    ) -> StoreResult<CheckAnswers> {
        self.check()?;
        let mute = self.script().mute;
        let batches = Arc::clone(&self.batches);
        let counted = Counted::new(&self.sessions);
        let (answers, receiver) = mpsc::channel(CHECK_QUEUE_MAX);
        tokio::spawn(async move {
            let _counted = counted;
            let mut answered_offers = 0;
            loop {
                let batch = tokio::select! {
                    batch = offers.recv() => batch,
                    () = answers.closed() => return,
                };
                let Some(batch) = batch else { return };
                batches.lock().unwrap().push(batch.len());
                answered_offers += batch.len() as u64;
                let odd = batch.iter().filter(|offer| offer.hash.as_bytes()[15] % 2 == 1);
                let want = |offer: &Offer| Want {
                    hash: offer.hash,
                    data: true,
                    metadata: false,
                    durable_mark: false,
                };
                let answer = CheckAnswer { wants: odd.map(want).collect(), answered_offers };
                if !mute && answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn updates(&self, open: SessionOpen) -> StoreResult<Session> {
        self.check()?;
        self.opens.lock().unwrap().push(open.clone());
        let (messages, queue) = mpsc::channel(SESSION_QUEUE_MAX);
        let (events, received) = mpsc::channel(1024);
        let session = FakeSession {
            queue,
            events,
            objects: Arc::clone(&self.objects),
            log: Arc::clone(&self.log),
            summary: Summary::default(),
            body: None,
            _counted: Counted::new(&self.sessions),
        };
        tokio::spawn(session.run(open, self.script()));
        Ok(Session { messages, events: received })
    }

    async fn release(&self, _open: ReleaseOpen) -> StoreResult<Release> {
        self.check()?;
        let mute = self.script().mute;
        let counted = Counted::new(&self.releases);
        let (items, mut queue) = mpsc::channel::<Vec<ReleaseItem>>(CHECK_QUEUE_MAX);
        let (results, received) = mpsc::channel(CHECK_QUEUE_MAX);
        tokio::spawn(async move {
            let _counted = counted;
            loop {
                let batch = tokio::select! {
                    batch = queue.recv() => batch,
                    () = results.closed() => return,
                };
                let Some(batch) = batch else { return };
                let outcome = |item: &ReleaseItem| match item.files.first().map(|file| file.inode) {
                    Some(0) => ReleaseOutcome::Changed,
                    Some(1) => ReleaseOutcome::Failed(Refusal::new(Reason::NotHandoff, "not here")),
                    _ => ReleaseOutcome::Released,
                };
                let done =
                    batch.iter().map(|item| ReleaseResult { hash: item.offer.hash, outcome: outcome(item) });
                if !mute && results.send(Ok(done.collect())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Release { items, results: received })
    }

    async fn suffix_hashes(&self, _partition: PartitionRef, rehash: Rehash) -> StoreResult<SuffixHashes> {
        self.check()?;
        let hash = |suffix| (suffix, SuffixHash::Replicated(hash(9).to_string()));
        // A listing finds one more.
        let found = rehash.list.then(|| Suffix::from_low_bits(0xfff));
        Ok(rehash.suffixes.into_iter().chain(found).map(hash).collect())
    }

    async fn invalidate_suffixes(&self, _partition: PartitionRef, suffixes: Vec<Suffix>) -> StoreResult<()> {
        self.check()?;
        self.stale.lock().unwrap().extend(suffixes);
        Ok(())
    }

    async fn put_object(&self, put: ObjectPut) -> StoreResult<Upload> {
        self.check()?;
        let (body, mut events) = mpsc::channel(UPLOAD_QUEUE_MAX);
        let (steps, received) = mpsc::channel(2);
        let counted = Counted::new(&self.sessions);
        let objects = Arc::clone(&self.objects);
        tokio::spawn(async move {
            let _counted = counted;
            let second_phase = put.commit == CommitMode::SecondPhase;
            let stored = store(put, &mut events, &objects).await;
            if stored.is_ok() && second_phase {
                let _ = steps.send(Ok(PutStep::Prepared)).await;
                assert_eq!(events.recv().await, Some(BodyEvent::Commit));
            }
            let _ = steps.send(stored.map(PutStep::Stored)).await;
        });
        Ok(Upload { body, steps: received })
    }

    async fn get_object(
        &self,
        object: ObjectRef,
        ranges: Vec<ByteRange>,
        _options: ReadOptions,
    ) -> StoreResult<(ObjectInfo, Body)> {
        self.check()?;
        let (metadata, bytes) = self.find(&object.path)?;
        let info = Self::info(metadata, &bytes);
        let part = |range: &ByteRange| &bytes[range.first as usize..bytes.len().min(range.last as usize + 1)];
        let wanted = match ranges.as_slice() {
            [] => bytes.clone(),
            ranges => Bytes::from(ranges.iter().map(part).collect::<Vec<_>>().concat()),
        };
        let damaged_after = self.script().damaged_after;
        let (pieces, body) = mpsc::channel(1);
        let read = Arc::clone(&self.read);
        let counted = Counted::new(&self.sessions);
        tokio::spawn(async move {
            let _counted = counted;
            let mut sent = 0;
            for piece in wanted.chunks(64 * 1024) {
                if damaged_after.is_some_and(|limit| sent >= limit) {
                    let _ =
                        pieces.send(Err(Refusal::new(Reason::ObjectDamaged, "moved to quarantine"))).await;
                    return;
                }
                sent += piece.len();
                if pieces.send(Ok(Bytes::copy_from_slice(piece))).await.is_err() {
                    return;
                }
                read.fetch_add(piece.len() as u64, SeqCst);
            }
        });
        Ok((info, body))
    }

    async fn head_object(&self, object: ObjectRef, _options: ReadOptions) -> StoreResult<ObjectInfo> {
        self.check()?;
        let (metadata, bytes) = self.find(&object.path)?;
        Ok(Self::info(metadata, &bytes))
    }

    async fn post_object(&self, post: ObjectPost) -> StoreResult<Posted> {
        self.check()?;
        let (previous, bytes) = self.find(&post.object.path)?;
        let body_type = previous.get("Content-Type").cloned().unwrap_or_default();
        Ok(Posted { info: Self::info(post.metadata, &bytes), previous, body_type })
    }

    async fn delete_object(&self, delete: ObjectDelete) -> StoreResult<Deleted> {
        self.check()?;
        let previous = self.objects.lock().unwrap().remove(&delete.object.path).map(|object| object.0);
        Ok(Deleted { existed: previous.is_some(), written: true, timestamp: delete.timestamp, previous })
    }

    async fn queue_update(&self, update: PendingUpdate) -> StoreResult<()> {
        self.check()?;
        self.pending.lock().unwrap().push(update);
        Ok(())
    }
}

async fn store(
    put: ObjectPut,
    events: &mut mpsc::Receiver<BodyEvent>,
    objects: &Mutex<BTreeMap<ObjectPath, (Metadata, Bytes)>>,
) -> StoreResult<Stored> {
    let mut data = Vec::new();
    let end = loop {
        match events.recv().await {
            Some(BodyEvent::Chunk(chunk)) => data.extend_from_slice(&chunk),
            Some(BodyEvent::End(end)) => break end,
            Some(BodyEvent::Commit) => panic!("a commit before the end"),
            None => return Err(Refusal::new(Reason::BodyLength, "the body was broken off")),
        }
    };
    let BodyEnd::Complete { footers, .. } = end else {
        return Err(Refusal::new(Reason::BodyLength, "aborted"));
    };
    let mut metadata = put.metadata;
    metadata.extend(footers);
    let stored = (metadata, Bytes::from(data));
    let content_length = stored.1.len() as u64;
    let previous = objects.lock().unwrap().insert(put.object.path, stored).map(|object| object.0);
    Ok(Stored { etag: hash(content_length).to_string(), content_length, previous })
}

struct FakeSession {
    queue: mpsc::Receiver<UpdateMessage>,
    events: mpsc::Sender<Result<SessionEvent, Refusal>>,
    objects: Arc<Mutex<BTreeMap<ObjectPath, (Metadata, Bytes)>>>,
    log: Arc<Mutex<Vec<String>>>,
    summary: Summary,
    body: Option<(u64, PutUpdate, Vec<u8>)>,
    _counted: Counted,
}

impl FakeSession {
    async fn run(mut self, open: SessionOpen, script: Script) {
        let accepted = Accepted {
            non_durable: open.non_durable,
            inline_bytes_max: 65_536,
            outstanding_updates_max: 1000,
            durability: Durability::Batch,
            session_updates_max: 0,
            session_time_max: std::time::Duration::ZERO,
        };
        self.say(SessionEvent::Opened { ring_differs: open.ring_digest.is_some() }).await;
        self.say(SessionEvent::Accepted(accepted)).await;
        if let Some(refusal) = script.refuse_session {
            let _ = self.events.send(Err(refusal)).await;
            return;
        }
        if script.draining {
            self.say(SessionEvent::Draining("SIGTERM".into())).await;
        }
        if script.stalled_device == Some(open.partition.device.as_str()) {
            self.events.closed().await;
            return;
        }
        loop {
            let message = tokio::select! {
                message = self.queue.recv() => message,
                () = self.events.closed() => break,
            };
            match message {
                Some(message) => self.take(message).await,
                None => {
                    self.say(SessionEvent::Summary(self.summary)).await;
                    break;
                }
            }
        }
        let how = if self.body.is_some() { "ended within a body" } else { "ended between updates" };
        self.log.lock().unwrap().push(how.into());
    }

    async fn say(&self, event: SessionEvent) {
        let _ = self.events.send(Ok(event)).await;
    }

    async fn result(&mut self, update_id: u64, hash: ObjectHash, outcome: Outcome) {
        self.say(SessionEvent::Results(vec![UpdateResult { update_id, hash, outcome }])).await;
    }

    async fn take(&mut self, message: UpdateMessage) {
        match message {
            UpdateMessage::Update(update) => self.update(update).await,
            UpdateMessage::Chunk(chunk) => {
                self.body.as_mut().expect("a body").2.extend_from_slice(&chunk);
            }
            UpdateMessage::End(end) => {
                let (id, put, data) = self.body.take().expect("a body");
                let outcome = match end {
                    BodyEnd::Complete { .. } => self.store(put, data.into()),
                    BodyEnd::Abort(reason) => Outcome::Failed(Refusal::new(Reason::ObjectIo, reason)),
                };
                self.result(id, hash(id), outcome).await;
            }
            UpdateMessage::Heartbeat => self.log.lock().unwrap().push("heartbeat".into()),
        }
    }

    async fn update(&mut self, update: Update) {
        let id = update.id;
        match update.op {
            UpdateOp::Put(PutUpdate { inline_body: Some(body), .. }) if body.data.is_empty() => {
                self.result(id, hash(id), Outcome::AppliedUnflushed).await;
            }
            UpdateOp::Put(mut put) => match put.inline_body.take() {
                Some(body) => {
                    let outcome = self.store(put, body.data);
                    self.result(id, hash(id), outcome).await;
                }
                None => self.body = Some((id, put, Vec::new())),
            },
            UpdateOp::Post { .. } => self.result(id, hash(id), Outcome::NotFound).await,
            UpdateOp::Delete { timestamp, .. } => {
                self.result(id, hash(id), Outcome::Superseded(timestamp)).await;
            }
            UpdateOp::Commit { hash, .. } => self.result(id, hash, Outcome::NotPrimary).await,
            UpdateOp::Confirm(offers) => {
                for offer in offers {
                    self.summary.confirmed += 1;
                    self.result(id, offer.hash, Outcome::Confirmed).await;
                }
            }
        }
    }

    fn store(&mut self, put: PutUpdate, data: Bytes) -> Outcome {
        if data.len() as u64 != put.content_length {
            self.summary.failed += 1;
            let problem = format!("{} bytes instead of {}", data.len(), put.content_length);
            return Outcome::Failed(Refusal::new(Reason::BodyLength, problem).at(put.timestamp));
        }
        assert_eq!(put.metadata, metadata());
        self.summary.applied += 1;
        self.objects.lock().unwrap().insert(put.path, (put.metadata, data));
        Outcome::Applied
    }
}
