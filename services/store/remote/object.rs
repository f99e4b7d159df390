//! Bodies to and from a remote store.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use ssync_api::{
    convert,
    v1::{self, get_object_response::Message, put_object_response},
};
use ssync_types::{BodyEvent, ByteRange, Invalid, ObjectInfo, ObjectPut, ObjectRef, PutStep, ReadOptions};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Inner, Place,
    incoming::Incoming,
    ledger::Ledger,
    outgoing::{Source, outgoing},
    request,
    session::pieces,
};
use crate::{Body, StoreResult, UPLOAD_QUEUE_MAX, Upload};

/// Most pieces of a body that wait for a reader.
const BODY_QUEUE_MAX: usize = 4;
/// `Prepared` and the last.
const PUT_STEPS_MAX: usize = 2;

pub(super) async fn put(inner: &Arc<Inner>, put: ObjectPut) -> StoreResult<Upload> {
    let settings = &inner.settings;
    let place = inner.place().await?;
    let ledger = Arc::new(Ledger::new(settings.progress_timeout));
    let (body, queue) = mpsc::channel(UPLOAD_QUEUE_MAX);
    let source = Events { queue, pieces: VecDeque::new() };
    let (stream, interest) = outgoing(put.into(), source, Arc::clone(&ledger), settings.heartbeat_interval);
    let mut client = place.objects();
    // A peer may take fewer streams than there are places: it owes the beginning as well.
    ledger.gave(1);
    let let_in = async {
        let responses = inner.unary(settings.unary_timeout, client.put_object(request(stream))).await?;
        let mut incoming = Incoming::new(inner, place, responses, Arc::clone(&ledger)).without_heartbeats();
        accepted(&mut incoming, inner).await.map(|()| incoming)
    };
    let incoming = tokio::select! {
        incoming = timeout(settings.unary_timeout, let_in) => {
            incoming.unwrap_or_else(|_| Err(inner.faults.no_answer(settings.unary_timeout)))?
        }
        () = ledger.overdue() => return Err(inner.faults.stuck(settings.progress_timeout)),
    };
    ledger.answered(1);
    let (taker, steps) = mpsc::channel(PUT_STEPS_MAX);
    tokio::spawn(incoming.forward(taker, move |response| step(response, &ledger), interest));
    Ok(Upload { body, steps })
}

async fn accepted(incoming: &mut Incoming<v1::PutObjectResponse, Place>, inner: &Inner) -> StoreResult<()> {
    match incoming.next().await?.and_then(|response| response.message) {
        Some(put_object_response::Message::Accepted(_)) => Ok(()),
        Some(_) | None => Err(inner.faults.ended_early("`accepted`")),
    }
}

fn step(response: v1::PutObjectResponse, ledger: &Ledger) -> Result<Option<PutStep>, Invalid> {
    ledger.answered(1);
    PutStep::try_from(response).map(Some)
}

struct Events {
    queue: mpsc::Receiver<BodyEvent>,
    /// What is left of a chunk that fits into no message.
    pieces: VecDeque<Bytes>,
}

impl Source for Events {
    type Wire = v1::PutObjectRequest;

    async fn next(&mut self) -> Option<(Self::Wire, u64)> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some((BodyEvent::Chunk(piece).into(), 0));
            }
            match self.queue.recv().await? {
                BodyEvent::Chunk(data) => self.pieces = pieces(data),
                // Each is answered by a step.
                event @ (BodyEvent::End(_) | BodyEvent::Commit) => return Some((event.into(), 1)),
            }
        }
    }

    fn heartbeat(&self) -> Option<Self::Wire> {
        None
    }
}

pub(super) async fn get(
    inner: &Arc<Inner>,
    object: ObjectRef,
    ranges: Vec<ByteRange>,
    options: ReadOptions,
) -> StoreResult<(ObjectInfo, Body)> {
    let place = inner.place().await?;
    let message = v1::GetObjectRequest {
        object: Some(object.into()),
        ranges: ranges.into_iter().map(Into::into).collect(),
        options: Some(options.into()),
    };
    let mut client = place.objects();
    let limit = inner.settings.unary_timeout;
    let responses = inner.unary(limit, client.get_object(request(message))).await?;
    let ledger = Arc::new(Ledger::new(inner.settings.progress_timeout));
    let mut incoming = Incoming::new(inner, place, responses, ledger);
    let info = head(&mut incoming, inner).await?;
    let (taker, body) = mpsc::channel(BODY_QUEUE_MAX);
    tokio::spawn(incoming.forward(taker, piece, ()));
    Ok((info, body))
}

async fn head(
    incoming: &mut Incoming<v1::GetObjectResponse, Place>,
    inner: &Inner,
) -> StoreResult<ObjectInfo> {
    match incoming.next().await?.and_then(|response| response.message) {
        Some(Message::Head(head)) => head.try_into().map_err(|invalid| inner.faults.nonsense(&invalid)),
        Some(Message::Chunk(_)) | None => Err(inner.faults.ended_early("`head`")),
    }
}

fn piece(response: v1::GetObjectResponse) -> Result<Option<Bytes>, Invalid> {
    match response.message {
        Some(Message::Chunk(chunk)) => convert::chunk(chunk).map(Some),
        Some(Message::Head(_)) => Err(Invalid::new("head", "stands there twice")),
        None => Err(Invalid::new("message", "is required")),
    }
}
