//! The second phase: sub-requests, each of which becomes an update of the session (Swift: ssync_receiver.py updates).

use bytes::{Bytes, BytesMut};
use ssync_protocol::{Marker, SubRequest};
use ssync_types::{Accepted, BodyEnd, InlineBody, Metadata, Update, UpdateMessage, UpdateOp};
use tokio::sync::mpsc;

use super::{
    change::{self, change},
    fault::Fault,
    hand_on,
    input::Input,
    tally::Tally,
};
use crate::sidecar::Shared;

/// Most bytes of a body that is sent with its head.
const INLINE_BYTES_MAX: u64 = 65_536;

/// Reads the sub-requests and hands them on. Dropping `messages` at the end is the session's orderly end.
pub(super) async fn updates(
    shared: &Shared,
    input: &mut Input<'_, '_>,
    accepted: &Accepted,
    tally: &Tally,
    messages: mpsc::Sender<UpdateMessage>,
) -> Result<(), Fault> {
    input.expect(Marker::UpdatesStart, "updates start").await?;
    let inline_bytes_max = INLINE_BYTES_MAX.min(accepted.inline_bytes_max.into());
    let piece_bytes_max = shared.config.network_chunk_size as u64;
    let mut outbox = Outbox { tally, messages, inline_bytes_max, piece_bytes_max };
    // The end of the request is the end of the list, as in Swift.
    while let Some(line) = input.line("updates line").await? {
        if Marker::of(&line) == Some(Marker::UpdatesEnd) {
            break;
        }
        tally.check_draining()?;
        let context = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        let request = head(input, &line, &context).await?;
        let length = request.content_length().map_err(Fault::invalid)?;
        match change(&request, length, &shared.config.constraints) {
            Ok(change) => outbox.update(input, change, length, context).await?,
            Err(refused) => {
                skip(input, length, &context).await?;
                tally.failed_here(&context, &change::problem(&refused))?;
            }
        }
    }
    Ok(())
}

async fn head(input: &mut Input<'_, '_>, line: &[u8], context: &str) -> Result<SubRequest, Fault> {
    let mut request = SubRequest::from_request_line(line).map_err(Fault::invalid)?;
    loop {
        let Some(line) = input.line("updates line").await? else {
            return Err(Fault::text(0, format!("Got no headers for {context}")));
        };
        if !request.push_header_line(&line).map_err(Fault::invalid)? {
            return Ok(request);
        }
    }
}

/// Reads a body that nobody wants, so that the next sub-request is found.
async fn skip(input: &mut Input<'_, '_>, length: u64, context: &str) -> Result<(), Fault> {
    let mut left = length;
    while left > 0 {
        left -= input.piece(left, context).await?.len() as u64;
    }
    Ok(())
}

/// The session, as updates are put into it.
struct Outbox<'t> {
    tally: &'t Tally,
    messages: mpsc::Sender<UpdateMessage>,
    inline_bytes_max: u64,
    piece_bytes_max: u64,
}

impl Outbox<'_> {
    async fn update(
        &mut self,
        input: &mut Input<'_, '_>,
        change: change::Change,
        length: u64,
        context: String,
    ) -> Result<(), Fault> {
        let change::Change { mut op, etag } = change;
        let mut streams = false;
        if let UpdateOp::Put(put) = &mut op {
            if length <= self.inline_bytes_max {
                let data = whole(input, length, &context).await?;
                put.inline_body = Some(InlineBody { data, etag: etag.clone() });
            } else {
                streams = true;
            }
        }
        let id = self.tally.begin(context.clone()).await;
        self.tally.set_in_body(streams);
        hand_on(&self.messages, UpdateMessage::Update(Update { id, op })).await?;
        if streams {
            self.body(input, length, etag, &context).await?;
            self.tally.set_in_body(false);
        }
        Ok(())
    }

    async fn body(
        &self,
        input: &mut Input<'_, '_>,
        length: u64,
        etag: Option<String>,
        context: &str,
    ) -> Result<(), Fault> {
        let mut left = length;
        while left > 0 {
            let piece = match input.piece(left.min(self.piece_bytes_max), context).await {
                Ok(piece) => piece,
                Err(fault) => {
                    // Without this the store would wait for the rest until it hears that the session is gone.
                    let _ =
                        hand_on(&self.messages, UpdateMessage::End(BodyEnd::Abort(fault.to_string()))).await;
                    return Err(fault);
                }
            };
            left -= piece.len() as u64;
            hand_on(&self.messages, UpdateMessage::Chunk(piece)).await?;
        }
        hand_on(&self.messages, UpdateMessage::End(BodyEnd::Complete { etag, footers: Metadata::new() }))
            .await
    }
}

/// A whole body; not copied when it came in one piece.
async fn whole(input: &mut Input<'_, '_>, length: u64, context: &str) -> Result<Bytes, Fault> {
    if length == 0 {
        return Ok(Bytes::new());
    }
    let first = input.piece(length, context).await?;
    if first.len() as u64 == length {
        return Ok(first);
    }
    let mut body = BytesMut::from(first.as_ref());
    while (body.len() as u64) < length {
        body.extend_from_slice(&input.piece(length - body.len() as u64, context).await?);
    }
    Ok(body.freeze())
}
