//! A store in memory: newest wins, and no more than the tests need.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use ssync_protocol::{LocalState, LocalVersion, want};
use ssync_store::{
    Body, CheckAnswer, CheckAnswers, Release, SESSION_QUEUE_MAX, Session, Store, StoreResult,
    UPLOAD_QUEUE_MAX, Upload,
};
use ssync_types::{
    Accepted, BodyEnd, BodyEvent, ByteRange, CommitMode, Deleted, DeviceSurvey, Durability, FragmentSet,
    HashPathConfig, InlineBody, Metadata, ObjectDelete, ObjectHash, ObjectInfo, ObjectKind, ObjectPath,
    ObjectPost, ObjectPut, ObjectRef, Offer, Outcome, PartitionRef, PendingUpdate, Posted, PutStep,
    ReadOptions, Reason, Refusal, Rehash, ReleaseOpen, SessionEvent, SessionOpen, Stored, Suffix, SuffixHash,
    SuffixHashes, Summary, Timestamp, UpdateMessage, UpdateOp, UpdateResult,
};
use tokio::sync::mpsc;

/// What a session lets wait for results.
const OUTSTANDING_MAX: u32 = 2;

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) version: LocalVersion,
    pub(super) metadata: Metadata,
    pub(super) body: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) objects: BTreeMap<ObjectHash, Kept>,
    /// Sessions asked for.
    pub(super) opened: Vec<SessionOpen>,
    pub(super) invalidated: Vec<Suffix>,
    /// Refuses a session at once.
    pub(super) refuse: Option<Refusal>,
    /// Refuses a session after it was opened.
    pub(super) refuse_later: Option<Refusal>,
    /// Cuts a body on its way out.
    pub(super) cut_body: bool,
    /// Ends a body on its way out too early, and says nothing.
    pub(super) shorten_body: bool,
    /// What an object is replaced by, each time that its metadata was read; the last one first.
    pub(super) replace_after_head: Vec<(Timestamp, Bytes)>,
    /// Which fragments are here of any object.
    pub(super) fragments: Vec<FragmentSet>,
    /// How objects were read.
    pub(super) reads: Vec<ReadOptions>,
    /// What was to be deleted.
    pub(super) deletes: Vec<ObjectDelete>,
    /// The answer to each of these, whatever is here.
    pub(super) deleted_as: Option<StoreResult<Deleted>>,
    /// The content type that every body came with, where it is not the one that is here.
    pub(super) body_type: Option<Bytes>,
    /// How long a check, and the end of a session, take.
    pub(super) slowness: Duration,
    /// Heartbeats that sessions have got.
    pub(super) heartbeats: usize,
    /// Leaves offers unanswered.
    pub(super) forget_offers: bool,
    /// Says no to each PUT at once.
    pub(super) refuse_put: Option<Refusal>,
    /// Says no to each PUT after the first piece of its body.
    pub(super) refuse_body: Option<Refusal>,
    /// Goes away after the first piece of a body, and says nothing.
    pub(super) leave_upload: bool,
    /// Goes away when it has got a whole body, and does not say whether it has kept it: it has where this is true.
    pub(super) leave_at_end: Option<bool>,
    /// Takes no pieces of bodies.
    pub(super) hold_uploads: bool,
    /// All PUTs that were let in.
    pub(super) puts: Vec<ObjectPut>,
    /// Uploads under way.
    pub(super) uploads: usize,
    /// Bodies that came whole.
    pub(super) wholes: usize,
    /// Second phases that came.
    pub(super) commits: usize,
    /// Updates of listings that it keeps.
    pub(crate) pending: Vec<PendingUpdate>,
    /// Keeps no such updates.
    pub(crate) refuse_pending: Option<Refusal>,
    /// What sessions were asked to confirm.
    pub(super) confirmed: Vec<Offer>,
    /// The answer to each offer to confirm, whatever is here.
    pub(super) confirm_as: Option<Outcome>,
    /// Answers nothing that is to be confirmed for as long as it is set.
    pub(super) hold_confirms: bool,
    /// Ends the session when something is to be confirmed.
    pub(super) refuse_confirm: Option<Refusal>,
    /// What it says of its devices.
    pub(super) survey: DeviceSurvey,
}

/// The store.
#[derive(Debug, Default)]
pub(crate) struct FakeStore(std::sync::Arc<Mutex<State>>);

impl FakeStore {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn kept(&self, path: &str) -> Option<Kept> {
        let path = ObjectPath::parse(path.to_owned()).unwrap();
        self.state().objects.get(&hash(&path)).cloned()
    }
}

pub(super) fn hash(path: &ObjectPath) -> ObjectHash {
    HashPathConfig::new("changeme", "changeme").unwrap().hash(path)
}

fn md5(body: &[u8]) -> String {
    Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refuse<T>(reason: Reason) -> StoreResult<T> {
    Err(Refusal::new(reason, format!("the fake store says {}", reason.name())))
}

impl State {
    fn time(&self, path: &ObjectPath) -> Timestamp {
        self.objects.get(&hash(path)).map_or(Timestamp::ZERO, |kept| kept.version.time())
    }

    fn put(
        &mut self,
        path: &ObjectPath,
        at: Timestamp,
        mut metadata: Metadata,
        body: Bytes,
        etag: Option<String>,
    ) -> StoreResult<String> {
        if self.time(path) >= at {
            return Err(Refusal::new(Reason::Conflict, "newer").at(self.time(path)));
        }
        let md5 = md5(&body);
        if etag.is_some_and(|etag| etag != md5) {
            return refuse(Reason::EtagMismatch);
        }
        metadata.set("ETag", md5.clone());
        let version = LocalVersion::Data { data: at, metadata: at, content_type: at };
        self.objects.insert(hash(path), Kept { version, metadata, body });
        Ok(md5)
    }

    fn post(
        &mut self,
        path: &ObjectPath,
        at: Timestamp,
        new: Metadata,
        type_at: Option<Timestamp>,
    ) -> StoreResult<Kept> {
        let Some(kept) = self.objects.get_mut(&hash(path)) else { return refuse(Reason::NotFound) };
        let LocalVersion::Data { data, metadata, content_type } = kept.version else {
            return refuse(Reason::NotFound);
        };
        if metadata >= at {
            return Err(Refusal::new(Reason::Conflict, "newer").at(metadata));
        }
        let stays = |name: &str| kept.metadata.get(name).cloned().unwrap_or_default();
        let (etag, old_type) = (stays("ETag"), stays("Content-Type"));
        kept.metadata = new;
        kept.metadata.set("ETag", etag);
        if type_at.is_none() {
            kept.metadata.set("Content-Type", old_type);
        }
        kept.version =
            LocalVersion::Data { data, metadata: at, content_type: type_at.unwrap_or(content_type) };
        Ok(kept.clone())
    }

    fn delete(&mut self, path: &ObjectPath, at: Timestamp) -> StoreResult<Option<Kept>> {
        if self.time(path) >= at {
            return Err(Refusal::new(Reason::Conflict, "newer").at(self.time(path)));
        }
        let (version, metadata, body) = (LocalVersion::Tombstone(at), Metadata::new(), Bytes::new());
        let before = self.objects.insert(hash(path), Kept { version, metadata, body });
        Ok(before.filter(|kept| matches!(kept.version, LocalVersion::Data { .. })))
    }

    /// As the receiver: what does not say that it is a body may be a tombstone, which a body of its time would outlive.
    fn confirm(&self, offer: &Offer) -> Outcome {
        let (body, here) = match self.objects.get(&offer.hash).map(|kept| kept.version) {
            None => return Outcome::NotFound,
            Some(LocalVersion::Tombstone(at)) => (false, (at, at)),
            Some(LocalVersion::Data { data, metadata, .. }) => (true, (data, metadata)),
        };
        let unclear = body && here.0 == offer.data && offer.kind != Some(ObjectKind::Data);
        if unclear || here.0 < offer.data || here.1 < offer.metadata {
            Outcome::NotFound
        } else if here == (offer.data, offer.metadata) {
            Outcome::Confirmed
        } else {
            Outcome::Superseded(here.1)
        }
    }

    fn info(&self, path: &ObjectPath) -> StoreResult<(ObjectInfo, Bytes)> {
        match self.objects.get(&hash(path)) {
            Some(kept) => match info_of(kept) {
                Ok(info) => Ok((info, kept.body.clone())),
                Err(at) => Err(Refusal::new(Reason::NotFound, "deleted").at(at)),
            },
            None => refuse(Reason::NotFound),
        }
    }
}

fn info_of(kept: &Kept) -> Result<ObjectInfo, Timestamp> {
    match kept.version {
        LocalVersion::Tombstone(at) => Err(at),
        LocalVersion::Data { data, metadata, content_type } => Ok(ObjectInfo {
            metadata: kept.metadata.clone(),
            timestamp: metadata,
            data,
            content_type,
            durable: Some(data),
            content_length: kept.body.len() as u64,
            fragments: Vec::new(),
        }),
    }
}

/// Answers what is to be confirmed.
async fn confirm(state: &Mutex<State>, update_id: u64, offers: Vec<Offer>) -> Result<SessionEvent, Refusal> {
    assert!((1..=OUTSTANDING_MAX as usize).contains(&offers.len()));
    while state.lock().unwrap().hold_confirms {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut state = state.lock().unwrap();
    if let Some(refusal) = state.refuse_confirm.clone() {
        return Err(refusal);
    }
    let outcome = |offer: &Offer| state.confirm_as.clone().unwrap_or_else(|| state.confirm(offer));
    let result = |offer: &Offer| UpdateResult { update_id, hash: offer.hash, outcome: outcome(offer) };
    let results = offers.iter().map(result).collect();
    state.confirmed.extend(offers);
    Ok(SessionEvent::Results(results))
}

/// Carries a session out.
async fn session(
    state: std::sync::Arc<Mutex<State>>,
    mut messages: mpsc::Receiver<UpdateMessage>,
    events: mpsc::Sender<Result<SessionEvent, Refusal>>,
) -> Option<()> {
    events.send(Ok(SessionEvent::Opened { ring_differs: false })).await.ok()?;
    let refusal = state.lock().unwrap().refuse_later.clone();
    if let Some(refusal) = refusal {
        return events.send(Err(refusal)).await.ok();
    }
    let accepted = Accepted {
        non_durable: true,
        inline_bytes_max: 1024,
        outstanding_updates_max: OUTSTANDING_MAX,
        durability: Durability::Object,
        session_updates_max: 0,
        session_time_max: std::time::Duration::ZERO,
    };
    events.send(Ok(SessionEvent::Accepted(accepted))).await.ok()?;
    while let Some(message) = messages.recv().await {
        let update = match message {
            UpdateMessage::Update(update) => update,
            UpdateMessage::Heartbeat => {
                state.lock().unwrap().heartbeats += 1;
                continue;
            }
            other => panic!("{other:?}"),
        };
        let (path, done) = match update.op {
            UpdateOp::Put(mut put) => {
                let body = match put.inline_body.take() {
                    Some(inline) => Some((inline.data, inline.etag)),
                    None => body(&mut messages).await,
                };
                let put_it = |(data, etag): (Bytes, _)| {
                    assert_eq!(data.len() as u64, put.content_length);
                    state.lock().unwrap().put(&put.path, put.timestamp, put.metadata.clone(), data, etag)
                };
                let done = body.map_or(refuse(Reason::BodyLength), put_it);
                (put.path, done.map(|_| ()))
            }
            UpdateOp::Post { path, timestamp, metadata, content_type } => {
                let done = state.lock().unwrap().post(&path, timestamp, metadata, content_type);
                (path, done.map(|_| ()))
            }
            UpdateOp::Delete { path, timestamp } => {
                let done = state.lock().unwrap().delete(&path, timestamp);
                (path, done.map(|_| ()))
            }
            UpdateOp::Confirm(offers) => {
                let event = confirm(&state, update.id, offers).await;
                let ends = event.is_err();
                events.send(event).await.ok()?;
                if ends {
                    return None;
                }
                continue;
            }
            other => panic!("{other:?}"),
        };
        let outcome = match done {
            Ok(()) => Outcome::Applied,
            Err(Refusal { reason: Reason::Conflict, timestamp: Some(at), .. }) => Outcome::Superseded(at),
            Err(Refusal { reason: Reason::NotFound, .. }) => Outcome::NotFound,
            Err(refusal) => Outcome::Failed(refusal),
        };
        let result = UpdateResult { update_id: update.id, hash: hash(&path), outcome };
        events.send(Ok(SessionEvent::Results(vec![result]))).await.ok()?;
    }
    let slowness = state.lock().unwrap().slowness;
    tokio::time::sleep(slowness).await;
    events.send(Ok(SessionEvent::Summary(Summary::default()))).await.ok()
}

async fn body(messages: &mut mpsc::Receiver<UpdateMessage>) -> Option<(Bytes, Option<String>)> {
    let mut data = BytesMut::new();
    loop {
        match messages.recv().await? {
            UpdateMessage::Chunk(chunk) => data.extend_from_slice(&chunk),
            UpdateMessage::End(BodyEnd::Complete { etag, .. }) => return Some((data.freeze(), etag)),
            UpdateMessage::End(BodyEnd::Abort(_)) => return None,
            other => panic!("{other:?}"),
        }
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn survey_devices(&self) -> StoreResult<DeviceSurvey> {
        Ok(self.state().survey.clone())
    }

    async fn missing_check(
        &self,
        _: PartitionRef,
        mut offers: mpsc::Receiver<Vec<Offer>>,
    ) -> StoreResult<CheckAnswers> {
        let (answers, receiver) = mpsc::channel(1);
        let state = self.0.clone();
        tokio::spawn(async move {
            let mut answered_offers = 0;
            let slowness = state.lock().unwrap().slowness;
            tokio::time::sleep(slowness).await;
            while let Some(batch) = offers.recv().await {
                let wants = {
                    let state = state.lock().unwrap();
                    if !state.forget_offers {
                        answered_offers += batch.len() as u64;
                    }
                    let local = |offer: &Offer| {
                        let version = state.objects.get(&offer.hash).map(|kept| kept.version);
                        version.map_or_else(LocalState::nothing, LocalState::of)
                    };
                    batch.iter().filter_map(|offer| want(&local(offer), offer)).collect()
                };
                if answers.send(Ok(CheckAnswer { wants, answered_offers })).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn updates(&self, open: SessionOpen) -> StoreResult<Session> {
        if let Some(refusal) = self.state().refuse.clone() {
            return Err(refusal);
        }
        self.state().opened.push(open);
        let (messages, received) = mpsc::channel(SESSION_QUEUE_MAX);
        let (said, events) = mpsc::channel(SESSION_QUEUE_MAX);
        tokio::spawn(session(self.0.clone(), received, said));
        Ok(Session { messages, events })
    }

    async fn release(&self, _: ReleaseOpen) -> StoreResult<Release> {
        refuse(Reason::NotLocal)
    }

    async fn suffix_hashes(&self, partition: PartitionRef, _: Rehash) -> StoreResult<SuffixHashes> {
        match partition.device.as_str() {
            "sdb1" => Ok([(
                "11d".parse().unwrap(),
                SuffixHash::Replicated("801c19033e79de694c4a24c293d6f5be".into()),
            )]
            .into_iter()
            .collect()),
            _ => refuse(Reason::DeviceUnmounted),
        }
    }

    async fn invalidate_suffixes(&self, _: PartitionRef, suffixes: Vec<Suffix>) -> StoreResult<()> {
        self.state().invalidated.extend(suffixes);
        Ok(())
    }

    async fn put_object(&self, put: ObjectPut) -> StoreResult<Upload> {
        if let Some(refusal) = self.state().refuse_put.clone() {
            return Err(refusal);
        }
        let previous = self.state().info(&put.object.path).ok().map(|(info, _)| info.metadata);
        let etag =
            previous.as_ref().and_then(|metadata| metadata.get_str("ETag")).unwrap_or_default().to_owned();
        let matches = |wanted: &String| wanted == "*" || *wanted == etag;
        if previous.is_some() && put.if_none_match.iter().any(matches) {
            return refuse(Reason::PreconditionFailed);
        }
        let here = self.state().time(&put.object.path);
        if here >= put.timestamp {
            return Err(Refusal::new(Reason::Conflict, "newer").at(here));
        }
        let (body, mut events) = mpsc::channel(UPLOAD_QUEUE_MAX);
        let (steps, received) = mpsc::channel(2);
        let state = std::sync::Arc::clone(&self.0);
        {
            let mut state = self.state();
            state.puts.push(put.clone());
            state.uploads += 1;
        }
        tokio::spawn(async move {
            if let Some(last) = upload(&state, put, &mut events, &steps).await {
                let last = last.map(|stored| PutStep::Stored(Stored { previous, ..stored }));
                let _ = steps.send(last).await;
            }
            state.lock().unwrap().uploads -= 1;
        });
        Ok(Upload { body, steps: received })
    }

    async fn put_whole_object(&self, put: ObjectPut, body: InlineBody) -> StoreResult<Stored> {
        self.state().wholes += 1;
        self.put_object(put).await?.take_whole(body).await
    }

    async fn get_object(
        &self,
        object: ObjectRef,
        ranges: Vec<ByteRange>,
        _: ReadOptions,
    ) -> StoreResult<(ObjectInfo, Body)> {
        let (info, data) = self.state().info(&object.path)?;
        if ranges.iter().any(|range| range.first >= info.content_length) {
            return refuse(Reason::RangeNotSatisfiable);
        }
        let part = |range: &ByteRange| {
            &data[range.first as usize..data.len().min((range.last as usize).saturating_add(1))]
        };
        let data = match ranges.as_slice() {
            [] => data.clone(),
            ranges => Bytes::from(ranges.iter().map(part).collect::<Vec<_>>().concat()),
        };
        let (pieces, body) = mpsc::channel(4);
        let cut = self.state().cut_body;
        let data = if self.state().shorten_body { data.slice(1..) } else { data };
        tokio::spawn(async move {
            for piece in data.chunks(3) {
                if cut {
                    let _ = pieces.send(refuse(Reason::ObjectIo)).await;
                    return;
                }
                if pieces.send(Ok(Bytes::copy_from_slice(piece))).await.is_err() {
                    return;
                }
            }
        });
        Ok((info, body))
    }

    async fn head_object(&self, object: ObjectRef, options: ReadOptions) -> StoreResult<ObjectInfo> {
        self.state().reads.push(options);
        let (mut info, _) = self.state().info(&object.path)?;
        info.fragments = self.state().fragments.clone();
        let replacement = self.state().replace_after_head.pop();
        if let Some((at, body)) = replacement {
            self.state().put(&object.path, at, info.metadata.clone(), body, None)?;
        }
        Ok(info)
    }

    async fn post_object(&self, post: ObjectPost) -> StoreResult<Posted> {
        let (before, _) = self.state().info(&post.object.path)?;
        let kept = self.state().post(&post.object.path, post.timestamp, post.metadata, post.content_type)?;
        let info = info_of(&kept).map_err(|_| Refusal::new(Reason::NotFound, "deleted"))?;
        let own = before.metadata.get("Content-Type").cloned().unwrap_or_default();
        let body_type = self.state().body_type.clone().unwrap_or(own);
        Ok(Posted { info, previous: before.metadata, body_type })
    }

    async fn delete_object(&self, delete: ObjectDelete) -> StoreResult<Deleted> {
        self.state().deletes.push(delete.clone());
        if let Some(answer) = self.state().deleted_as.clone() {
            return answer;
        }
        let before = self.state().delete(&delete.object.path, delete.timestamp)?;
        let previous = before.map(|kept| kept.metadata);
        Ok(Deleted { existed: previous.is_some(), written: true, timestamp: delete.timestamp, previous })
    }

    async fn queue_update(&self, update: PendingUpdate) -> StoreResult<()> {
        if let Some(refusal) = self.state().refuse_pending.clone() {
            return Err(refusal);
        }
        self.state().pending.push(update);
        Ok(())
    }
}

/// Keeps a body with its metadata and footers.
/// What an upload ends with; nothing where the store goes away.
async fn upload(
    state: &Mutex<State>,
    put: ObjectPut,
    events: &mut mpsc::Receiver<BodyEvent>,
    steps: &mpsc::Sender<StoreResult<PutStep>>,
) -> Option<StoreResult<Stored>> {
    let (hold, leave, no) = {
        let state = state.lock().unwrap();
        (state.hold_uploads, state.leave_upload, state.refuse_body.clone())
    };
    if hold {
        steps.closed().await;
        return None;
    }
    if leave || no.is_some() {
        events.recv().await;
        return no.map(Err);
    }
    let second_phase = put.commit == CommitMode::SecondPhase;
    let leave_at_end = state.lock().unwrap().leave_at_end;
    if leave_at_end == Some(false) {
        while !matches!(events.recv().await, None | Some(BodyEvent::End(_))) {}
        return None;
    }
    let stored = store(state, put, events).await;
    if leave_at_end.is_some() {
        return None;
    }
    if stored.is_ok() && second_phase {
        let _ = steps.send(Ok(PutStep::Prepared)).await;
        if events.recv().await != Some(BodyEvent::Commit) {
            return Some(refuse(Reason::BodyLength));
        }
        state.lock().unwrap().commits += 1;
    }
    Some(stored)
}

async fn store(
    state: &Mutex<State>,
    put: ObjectPut,
    events: &mut mpsc::Receiver<BodyEvent>,
) -> StoreResult<Stored> {
    let mut data = BytesMut::new();
    loop {
        match events.recv().await {
            Some(BodyEvent::Chunk(chunk)) => data.extend_from_slice(&chunk),
            Some(BodyEvent::End(BodyEnd::Complete { etag, footers })) => {
                let content_length = data.len() as u64;
                let mut metadata = put.metadata;
                metadata.extend(footers);
                let mut state = state.lock().unwrap();
                let etag = state.put(&put.object.path, put.timestamp, metadata, data.freeze(), etag)?;
                return Ok(Stored { etag, content_length, previous: None });
            }
            Some(BodyEvent::Commit) => return refuse(Reason::ProtocolOrder),
            Some(BodyEvent::End(BodyEnd::Abort(_))) | None => return refuse(Reason::BodyLength),
        }
    }
}
