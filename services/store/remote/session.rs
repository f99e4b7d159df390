//! A session at a remote store.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use ssync_api::{convert::CHUNK_BYTES_MAX, v1};
use ssync_types::{Invalid, SessionEvent, SessionOpen, UpdateMessage, UpdateOp};
use tokio::sync::mpsc;

use super::{
    Inner,
    incoming::Incoming,
    ledger::Ledger,
    outgoing::{Source, outgoing},
    request,
};
use crate::{SESSION_QUEUE_MAX, Session, StoreResult};

pub(super) async fn updates(inner: &Arc<Inner>, open: SessionOpen) -> StoreResult<Session> {
    let settings = &inner.settings;
    let lease = inner.sessions.lease();
    let ledger = Arc::new(Ledger::new(settings.progress_timeout));
    let (messages, queue) = mpsc::channel(SESSION_QUEUE_MAX);
    let source = Messages { queue, pieces: VecDeque::new() };
    let (stream, interest) = outgoing(open.into(), source, Arc::clone(&ledger), settings.heartbeat_interval);

    let mut client = lease.replication();
    let responses = inner.unary(settings.silence_timeout, client.updates(request(stream))).await?;
    let (events, received) = mpsc::channel(SESSION_QUEUE_MAX);
    let incoming = Incoming::new(inner, lease, responses, Arc::clone(&ledger));
    tokio::spawn(incoming.forward(events, move |response| event(response, &ledger), interest));
    Ok(Session { messages, events: received })
}

struct Messages {
    queue: mpsc::Receiver<UpdateMessage>,
    /// What is left of a chunk that fits into no message.
    pieces: VecDeque<Bytes>,
}

impl Source for Messages {
    type Wire = v1::UpdatesRequest;

    async fn next(&mut self) -> Option<(Self::Wire, u64)> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some((UpdateMessage::Chunk(piece).into(), 0));
            }
            match self.queue.recv().await? {
                UpdateMessage::Chunk(data) => self.pieces = pieces(data),
                message => {
                    let answers = answers(&message);
                    return Some((message.into(), answers));
                }
            }
        }
    }

    fn heartbeat(&self) -> Option<Self::Wire> {
        Some(UpdateMessage::Heartbeat.into())
    }
}

/// A chunk in pieces that the contract takes; an empty one in none.
pub(super) fn pieces(mut data: Bytes) -> VecDeque<Bytes> {
    let mut pieces = VecDeque::new();
    while !data.is_empty() {
        pieces.push_back(data.split_to(data.len().min(CHUNK_BYTES_MAX)));
    }
    pieces
}

/// How many results a message asks for.
fn answers(message: &UpdateMessage) -> u64 {
    match message {
        UpdateMessage::Update(update) => match &update.op {
            UpdateOp::Confirm(offers) => offers.len() as u64,
            // Answered after its end, which may be long in coming: nothing is owed until then.
            UpdateOp::Put(put) if put.inline_body.is_none() => 0,
            _ => 1,
        },
        UpdateMessage::End(_) => 1,
        UpdateMessage::Chunk(_) | UpdateMessage::Heartbeat => 0,
    }
}

fn event(response: v1::UpdatesResponse, ledger: &Ledger) -> Result<Option<SessionEvent>, Invalid> {
    let event = SessionEvent::try_from(response)?;
    if let SessionEvent::Results(results) = &event {
        ledger.answered(results.len() as u64);
    }
    Ok(Some(event))
}
