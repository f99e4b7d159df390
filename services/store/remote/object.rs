//! Bodies to and from a remote store.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use ssync_api::{
    convert,
    v1::{self, get_object_response::Message},
};
use ssync_types::{BodyEvent, ByteRange, Invalid, ObjectInfo, ObjectPut, ObjectRef, ReadOptions, Stored};
use tokio::sync::mpsc;

use super::{
    Inner, Place,
    incoming::Incoming,
    ledger::Ledger,
    outgoing::{Source, outgoing},
    request,
    session::pieces,
};
use crate::{Body, StoreResult};

/// Most pieces of a body that wait for a reader.
const BODY_QUEUE_MAX: usize = 4;

pub(super) async fn put(
    inner: &Arc<Inner>,
    put: ObjectPut,
    body: mpsc::Receiver<BodyEvent>,
) -> StoreResult<Stored> {
    let settings = &inner.settings;
    let place = inner.place().await?;
    let ledger = Arc::new(Ledger::new(settings.progress_timeout));
    // A peer may take fewer streams than there are places: it owes the beginning as well.
    ledger.gave(0);
    let source = Events { body, pieces: VecDeque::new(), ended: false };
    let (stream, _interest) = outgoing(put.into(), source, Arc::clone(&ledger), settings.heartbeat_interval);
    let mut client = place.objects();
    let answer = tokio::select! {
        answer = client.put_object(request(stream)) => answer,
        () = ledger.overdue() => return Err(inner.faults.stuck(settings.progress_timeout)),
    };
    let response = answer.map_err(|status| inner.faults.status(&status))?.into_inner();
    response.try_into().map_err(|invalid| inner.faults.nonsense(&invalid))
}

struct Events {
    body: mpsc::Receiver<BodyEvent>,
    /// What is left of a chunk that fits into no message.
    pieces: VecDeque<Bytes>,
    ended: bool,
}

impl Source for Events {
    type Wire = v1::PutObjectRequest;

    async fn next(&mut self) -> Option<(Self::Wire, u64)> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some((BodyEvent::Chunk(piece).into(), 0));
            }
            if self.ended {
                return None;
            }
            match self.body.recv().await? {
                BodyEvent::Chunk(data) => self.pieces = pieces(data),
                BodyEvent::End(end) => {
                    self.ended = true;
                    return Some((BodyEvent::End(end).into(), 1));
                }
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
    range: Option<ByteRange>,
    options: ReadOptions,
) -> StoreResult<(ObjectInfo, Body)> {
    let place = inner.place().await?;
    let message = v1::GetObjectRequest {
        object: Some(object.into()),
        range: range.map(Into::into),
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
