//! The sending half of one session.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use ssync_diskfile::OpenObject;
use ssync_types::{
    Accepted, BodyEnd, InlineBody, Metadata, Offer, Reason, Refusal, Update, UpdateMessage, UpdateOp,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    peer::{drains, ended_early},
    prepare::{Listed, Prepared, Unsent, etag, short},
    push::{Push, Ready},
};
use crate::{peer::PushError, spent::Spender};

/// Bytes of a body in one message.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a body read at a time.
const READ_BYTES: usize = 4 * CHUNK_BYTES;
/// Reads of a body ahead of what is being sent.
const READS_AHEAD_MAX: usize = 2;
/// A session in which nothing is sent for this long gets a heartbeat: well under what meshes and receivers allow.
pub(super) const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// Most updates that one object takes: body, metadata, a question.
const OBJECT_UPDATES_MAX: u64 = 3;
/// Most updates of small objects that are given to the connection at once: who waits for it is woken once for all of them,
/// and so is the peer.
const RUN_UPDATES_MAX: usize = 32;
/// A run waits until it has room as a whole; this part of what the peer allows keeps it busy meanwhile.
const RUN_PART: usize = 4;

/// How the sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Everything is sent.
    All,
    /// The session has had all updates that the peer allows in one.
    SessionFull,
    /// The peer asked to finish.
    PeerDrains,
}

/// The way into one session.
pub(super) struct Outgoing<'a> {
    push: &'a Push,
    messages: mpsc::Sender<UpdateMessage>,
    accepted: Accepted,
    room: &'a Semaphore,
    draining: &'a CancellationToken,
    last_id: u64,
    began: Instant,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(
        push: &'a Push,
        messages: mpsc::Sender<UpdateMessage>,
        accepted: Accepted,
        room: &'a Semaphore,
        draining: &'a CancellationToken,
    ) -> Self {
        Self { push, messages, accepted, room, draining, last_id: 0, began: Instant::now() }
    }

    /// Sends what becomes ready, `left` of the session before first, and puts there what this one could not take. The
    /// session's messages end when this returns.
    pub(super) async fn send_all(
        mut self,
        ready: &mut Pin<&mut impl Stream<Item = Result<Ready, PushError>>>,
        left: &mut Option<Ready>,
    ) -> Result<Sent, PushError> {
        loop {
            let next = match left.take() {
                Some(ready) => Some(ready),
                None => tokio::select! {
                    biased;
                    next = self.next(ready) => next?,
                    () = self.draining.cancelled() => return Ok(self.drained()),
                },
            };
            let Some(next) = next else { return Ok(Sent::All) };
            *left = match next {
                Ready::Objects(objects) => self.send_objects(objects).await?,
                Ready::Confirm(listed) => self.ask(listed).await?,
            };
            if self.draining.is_cancelled() {
                return Ok(self.drained());
            }
            if left.is_some() {
                return Ok(Sent::SessionFull);
            }
        }
    }

    async fn next(
        &self,
        ready: &mut Pin<&mut impl Stream<Item = Result<Ready, PushError>>>,
    ) -> Result<Option<Ready>, PushError> {
        if let Some(next) = ready.next().now_or_never() {
            return next.transpose();
        }
        self.push.visit().spend(self.push.waits_for());
        loop {
            match timeout(HEARTBEAT_EVERY, ready.next()).await {
                Ok(next) => return next.transpose(),
                Err(_) => self.message(UpdateMessage::Heartbeat).await?,
            }
        }
    }

    /// Whether the session may not have `updates` more. The peer ends it when it has had all that it may have, so it is left
    /// before that.
    fn is_full(&self, updates: u64) -> bool {
        self.last_id > 0 && (self.fills(updates) || self.is_old())
    }

    /// Whether it has lasted as long as it may, or will have soon.
    fn is_old(&self) -> bool {
        let limit = self.accepted.session_time_max;
        !limit.is_zero() && self.began.elapsed() >= limit - limit / 10
    }

    fn fills(&self, updates: u64) -> bool {
        let max = self.accepted.session_updates_max;
        max != 0 && self.last_id + updates >= max
    }

    /// A peer says the same of a session that has had enough as of itself when it shuts down.
    fn drained(&self) -> Sent {
        if self.is_full(OBJECT_UPDATES_MAX) || self.is_old() { Sent::SessionFull } else { Sent::PeerDrains }
    }

    /// Why nothing more is taken.
    fn ended(&self) -> Refusal {
        if self.draining.is_cancelled() { drains() } else { ended_early() }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    async fn send_objects(
        &mut self,
        mut objects: VecDeque<Result<Prepared, Unsent>>,
    ) -> Result<Option<Ready>, PushError> {
        loop {
            let run = self.next_run(&mut objects);
            if !run.is_empty() {
                self.send_run(run).await?;
                continue;
            }
            let Some(object) = objects.pop_front() else { return Ok(None) };
            match object {
                Err((listed, refusal)) => self.push.skip(&listed, refusal).await,
                Ok(prepared) if prepared.ops.is_empty() => {
                    let gone = Refusal::new(
                        Reason::StateChanged,
                        "it is not there any more, or has become something else",
                    );
                    self.push.skip(&prepared.listed, gone).await;
                }
                Ok(prepared)
                    if self.is_full(prepared.ops.len() as u64 + 1) || self.draining.is_cancelled() =>
                {
                    objects.push_front(Ok(prepared));
                    return Ok(Some(Ready::Objects(objects)));
                }
                Ok(prepared) => self.send_object(prepared).await?,
            }
        }
    }

    /// The objects that come next and are sent with one message for each update, as many as are sent at once.
    fn next_run(&self, objects: &mut VecDeque<Result<Prepared, Unsent>>) -> Vec<Prepared> {
        let allowed = self.accepted.outstanding_updates_max as usize / RUN_PART;
        let queue = self.messages.max_capacity() / 2;
        let updates_max = RUN_UPDATES_MAX.min(allowed).min(queue);
        let (mut run, mut updates) = (Vec::new(), 0);
        while let Some(Ok(prepared)) = objects.front() {
            updates += prepared.ops.len() + usize::from(self.asks(prepared));
            // Of the first objects of a session one goes in any case, and alone if no other has room.
            let first = self.last_id == 0 && run.is_empty();
            let is_full = !first && (self.fills(updates as u64 + 1) || self.is_old());
            let ends = updates > updates_max || is_full || self.draining.is_cancelled();
            if ends || prepared.ops.is_empty() || !prepared.is_inline(self.accepted.inline_bytes_max) {
                break;
            }
            run.extend(objects.pop_front().and_then(Result::ok));
        }
        run
    }

    async fn send_run(&mut self, run: Vec<Prepared>) -> Result<(), PushError> {
        let mut messages = Vec::new();
        let mut begun = Vec::new();
        for mut prepared in run {
            let updates = self.updates(&mut prepared);
            begun.push((prepared, updates.iter().map(|update| update.id).collect()));
            messages.extend(updates.into_iter().map(UpdateMessage::Update));
        }
        self.make_room(messages.len()).await?;
        self.push.begin(begun);
        if self.messages.capacity() < messages.len() {
            self.push.visit().spend(Spender::Window);
        }
        let places = self.messages.reserve_many(messages.len()).await.map_err(|_| self.ended())?;
        places.zip(messages).for_each(|(place, message)| place.send(message));
        self.push.gets_on();
        Ok(())
    }

    /// Whether the peer's answers to what is sent do not speak for the whole object, so that it is asked for.
    fn asks(&self, prepared: &Prepared) -> bool {
        self.push.confirms() && prepared.plan.as_offered && !prepared.plan.covers(&prepared.listed)
    }

    /// What is sent for an object, in order.
    fn updates(&mut self, prepared: &mut Prepared) -> Vec<Update> {
        let mut ops = std::mem::take(&mut prepared.ops);
        if self.asks(prepared) {
            ops.push(UpdateOp::Confirm(vec![prepared.listed.offer.clone()]));
        }
        ops.into_iter().map(|op| Update { id: self.next_id(), op }).collect()
    }

    async fn send_object(&mut self, mut prepared: Prepared) -> Result<(), PushError> {
        let updates = self.updates(&mut prepared);
        let mut body = prepared.body.take();
        self.push.begin(vec![(prepared, updates.iter().map(|update| update.id).collect())]);
        for update in updates {
            self.make_room(1).await?;
            self.send_update(update, &mut body).await?;
        }
        Ok(())
    }

    async fn send_update(
        &self,
        mut update: Update,
        body: &mut Option<Arc<OpenObject>>,
    ) -> Result<(), PushError> {
        let mut in_memory = None;
        let is_put = if let UpdateOp::Put(put) = &mut update.op {
            // A later session may allow less than the first, for which the body was read.
            let too_large = put
                .inline_body
                .as_ref()
                .is_some_and(|b| b.data.len() as u64 > u64::from(self.accepted.inline_bytes_max));
            if too_large {
                in_memory = put.inline_body.take();
            }
            true
        } else {
            false
        };
        self.message(UpdateMessage::Update(update)).await?;
        match (in_memory, body.take_if(|_| is_put)) {
            (Some(body), _) => Ok(self.send_bytes(body).await?),
            (None, Some(object)) => self.send_body(object).await,
            (None, None) => Ok(()),
        }
    }

    async fn send_bytes(&self, body: InlineBody) -> Result<(), Refusal> {
        let mut data = body.data;
        while !data.is_empty() {
            let chunk = data.split_to(CHUNK_BYTES.min(data.len()));
            self.message(UpdateMessage::Chunk(chunk)).await?;
        }
        self.end(BodyEnd::Complete { etag: body.etag, footers: Metadata::new() }).await
    }

    /// A body in pieces; one that cannot be read to its end costs this object alone.
    async fn send_body(&self, object: Arc<OpenObject>) -> Result<(), PushError> {
        let (pieces, mut read) = mpsc::channel(READS_AHEAD_MAX);
        let stored = etag(&object);
        // Piece by piece: a peer that takes them slowly holds no thread of the device.
        let reading = async move {
            let (mut offset, length) = (0, object.info.content_length);
            while offset < length {
                let read = Arc::clone(&object);
                let piece = self.push.source().run(move |_| Ok(read_piece(&read, offset)));
                let piece = piece.await.map_err(PushError::Here)?;
                offset += piece.as_ref().map_or(length, |piece| piece.len() as u64);
                if pieces.send(piece).await.is_err() {
                    break;
                }
            }
            Ok::<(), PushError>(())
        };
        let sending = async {
            let mut failure = None;
            while let Some(piece) = self.next_piece(&mut read).await {
                match piece {
                    Ok(mut piece) => {
                        while !piece.is_empty() {
                            let chunk: Bytes = piece.split_to(CHUNK_BYTES.min(piece.len()));
                            self.message(UpdateMessage::Chunk(chunk)).await?;
                        }
                    }
                    Err(refusal) => failure = Some(refusal),
                }
            }
            Ok(failure)
        };
        let ((), failure) = tokio::try_join!(reading, sending)?;
        let end = match failure {
            None => BodyEnd::Complete { etag: stored, footers: Metadata::new() },
            Some(refusal) => {
                tracing::error!(%refusal, "a body could not be read to its end");
                BodyEnd::Abort(refusal.to_string())
            }
        };
        Ok(self.end(end).await?)
    }

    async fn next_piece<T>(&self, read: &mut mpsc::Receiver<T>) -> Option<T> {
        if read.is_empty() {
            self.push.visit().spend(Spender::Reading);
        }
        read.recv().await
    }

    async fn end(&self, end: BodyEnd) -> Result<(), Refusal> {
        self.message(UpdateMessage::End(end)).await
    }

    /// Asks for a verdict on each, in batches that the peer's limit on what is outstanding allows.
    async fn ask(&mut self, mut listed: Vec<Listed>) -> Result<Option<Ready>, Refusal> {
        let batch_max = (self.accepted.outstanding_updates_max as usize).clamp(1, Offer::BATCH_MAX);
        while !listed.is_empty() {
            if self.is_full(1) || self.draining.is_cancelled() {
                return Ok(Some(Ready::Confirm(listed)));
            }
            let batch: Vec<Listed> = listed.drain(..batch_max.min(listed.len())).collect();
            self.make_room(batch.len()).await?;
            let id = self.next_id();
            for object in &batch {
                self.push.begin_confirm(object, id);
            }
            let offers: Vec<Offer> = batch.iter().map(|object| object.offer.clone()).collect();
            self.message(UpdateMessage::Update(Update { id, op: UpdateOp::Confirm(offers) })).await?;
        }
        Ok(None)
    }

    async fn make_room(&self, results: usize) -> Result<(), Refusal> {
        let results = u32::try_from(results).unwrap_or(u32::MAX);
        if self.room.available_permits() < results as usize {
            self.push.visit().spend(Spender::Storing);
        }
        self.room.acquire_many(results).await.map_err(|_| self.ended())?.forget();
        Ok(())
    }

    async fn message(&self, message: UpdateMessage) -> Result<(), Refusal> {
        let gets_on = !matches!(message, UpdateMessage::Heartbeat);
        if self.messages.capacity() == 0 {
            self.push.visit().spend(Spender::Window);
        }
        self.messages.send(message).await.map_err(|_| self.ended())?;
        if gets_on {
            self.push.gets_on();
        }
        Ok(())
    }
}

/// The next piece of a body. Blocks.
fn read_piece(object: &OpenObject, offset: u64) -> Result<Bytes, Refusal> {
    let left = object.info.content_length.saturating_sub(offset);
    let piece = object.read_at(offset, usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES))?;
    if piece.is_empty() { Err(short(object, offset)) } else { Ok(piece) }
}

#[cfg(test)]
mod tests;
