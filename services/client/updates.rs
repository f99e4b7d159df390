//! The sending half of a session.

use std::sync::Arc;

use bytes::Bytes;
use ssync_types::{
    Accepted, BodyEnd, InlineBody, Metadata, ObjectPath, Offer, PutUpdate, Reason, Refusal, Timestamp,
    Update, UpdateMessage, UpdateOp,
};
use tokio::sync::{Semaphore, mpsc};

/// Bytes of a body in one message.
const CHUNK_BYTES: usize = 64 * 1024;

/// An object to store.
#[derive(Debug, Clone)]
pub struct Put {
    /// Its name.
    pub path: ObjectPath,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Bytes of its body. A body of another length is not stored.
    pub content_length: u64,
    /// All metadata but name, ETag, Content-Length and X-Timestamp.
    pub metadata: Metadata,
}

/// Takes updates, each of which has one result in [`Verdicts`](crate::Verdicts), by the number that is returned. Waits while as
/// many results are due as the node allows. Dropping it is the orderly end of the session.
#[derive(Debug)]
pub struct Updates {
    messages: mpsc::Sender<UpdateMessage>,
    terms: Accepted,
    room: Arc<Semaphore>,
    last_id: u64,
    /// A body was begun, and neither completed nor broken off.
    within_body: bool,
}

impl Updates {
    pub(crate) fn new(messages: mpsc::Sender<UpdateMessage>, terms: Accepted, room: Arc<Semaphore>) -> Self {
        Self { messages, terms, room, last_id: 0, within_body: false }
    }

    /// What the node has agreed to: limits, and what a result means.
    #[must_use]
    pub fn terms(&self) -> &Accepted {
        &self.terms
    }

    /// Whether the node takes no further update in this session: finish it, and open the next.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let limit = self.terms.session_updates_max;
        limit != 0 && self.last_id >= limit
    }

    /// Stores a body that is at hand, in one message where it is small. `etag` is the MD5 that it was stored with (not one of the
    /// bytes just read, where there is another).
    pub async fn put(&mut self, put: Put, body: Bytes, etag: &str) -> Result<u64, Refusal> {
        if body.len() <= (self.terms.inline_bytes_max as usize).min(CHUNK_BYTES) {
            let whole = InlineBody { data: body, etag: Some(etag.to_owned()) };
            return self.update(op(put, Some(whole))).await;
        }
        let mut rest = body;
        let mut body = self.begin(put).await?;
        while !rest.is_empty() {
            body.chunk(rest.split_to(CHUNK_BYTES.min(rest.len()))).await?;
        }
        body.complete(etag).await
    }

    /// Begins to store a body that comes in pieces. One that is dropped before its end is broken off: nothing is stored then.
    pub async fn begin(&mut self, put: Put) -> Result<Body<'_>, Refusal> {
        let id = self.update(op(put, None)).await?;
        self.within_body = true;
        Ok(Body { updates: self, id })
    }

    /// Replaces an object's metadata, and its content type where `metadata` has one, which is as new as `content_type` says.
    pub async fn post(
        &mut self,
        path: ObjectPath,
        timestamp: Timestamp,
        metadata: Metadata,
        content_type: Option<Timestamp>,
    ) -> Result<u64, Refusal> {
        self.update(UpdateOp::Post { path, timestamp, metadata, content_type }).await
    }

    /// Leaves a tombstone.
    pub async fn delete(&mut self, path: ObjectPath, timestamp: Timestamp) -> Result<u64, Refusal> {
        self.update(UpdateOp::Delete { path, timestamp }).await
    }

    /// Are these on disk, in this version or a newer one? Each has a result of its own, of the same number. At most 1,000, and
    /// no more than the node allows without a result.
    pub async fn confirm(&mut self, offers: Vec<Offer>) -> Result<u64, Refusal> {
        let limit = Offer::BATCH_MAX.min(self.terms.outstanding_updates_max as usize);
        if offers.is_empty() || offers.len() > limit {
            let message = format!("{} offers to confirm; give 1 to {limit}", offers.len());
            return Err(Refusal::new(Reason::InvalidArgument, message));
        }
        self.update(UpdateOp::Confirm(offers)).await
    }

    /// The orderly end: what was sent is finished, its results and a summary follow.
    pub fn finish(self) {}

    async fn update(&mut self, op: UpdateOp) -> Result<u64, Refusal> {
        if self.within_body {
            self.end(BodyEnd::Abort("given up by its sender".to_owned())).await?;
        }
        let results = match &op {
            UpdateOp::Confirm(offers) => u32::try_from(offers.len()).unwrap_or(u32::MAX),
            _ => 1,
        };
        // Given back with the results.
        self.room.acquire_many(results).await.map_err(|_| ended())?.forget();
        self.last_id += 1;
        self.message(UpdateMessage::Update(Update { id: self.last_id, op })).await?;
        Ok(self.last_id)
    }

    async fn end(&mut self, end: BodyEnd) -> Result<(), Refusal> {
        self.within_body = false;
        self.message(UpdateMessage::End(end)).await
    }

    async fn message(&self, message: UpdateMessage) -> Result<(), Refusal> {
        self.messages.send(message).await.map_err(|_| ended())
    }
}

fn op(put: Put, inline_body: Option<InlineBody>) -> UpdateOp {
    let Put { path, timestamp, content_length, metadata } = put;
    UpdateOp::Put(PutUpdate { path, timestamp, content_length, metadata, durable: true, inline_body })
}

/// Why there is no more to send; the cause is the last that the other half has.
fn ended() -> Refusal {
    Refusal::new(Reason::Unreachable, "the session has ended; its verdicts say why")
}

/// A body in pieces.
#[derive(Debug)]
#[must_use = "a body that is not completed is not stored"]
pub struct Body<'a> {
    updates: &'a mut Updates,
    id: u64,
}

impl Body<'_> {
    /// The update that it belongs to.
    #[must_use]
    pub fn update_id(&self) -> u64 {
        self.id
    }

    /// Sends a piece; 64 KiB is best.
    pub async fn chunk(&mut self, data: Bytes) -> Result<(), Refusal> {
        self.updates.message(UpdateMessage::Chunk(data)).await
    }

    /// That was all of it, and this is its MD5.
    pub async fn complete(self, etag: &str) -> Result<u64, Refusal> {
        let end = BodyEnd::Complete { etag: Some(etag.to_owned()), footers: Metadata::new() };
        self.updates.end(end).await?;
        Ok(self.id)
    }

    /// The rest cannot be had: drop this object, and go on with the next.
    pub async fn abort(self, reason: &str) -> Result<u64, Refusal> {
        self.updates.end(BodyEnd::Abort(reason.to_owned())).await?;
        Ok(self.id)
    }
}
