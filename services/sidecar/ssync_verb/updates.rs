//! The second phase: sub-requests, each of which becomes an update of the session (Swift: ssync_receiver.py updates).

use bytes::{Bytes, BytesMut};
use ssync_protocol::{Marker, SubHead, SubMethod};
use ssync_types::{Accepted, BodyEnd, InlineBody, Metadata, Update, UpdateMessage, UpdateOp};
use tokio::sync::mpsc;

use super::{
    change::{Change, change},
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
        let request = head(input, &line).await?;
        let context = request.context();
        let (method, length) = request.method().map_err(Fault::invalid)?;
        match change(&request, (method, length), &shared.config.constraints) {
            Ok(change) => outbox.update(input, change, length, method, context).await?,
            Err(refused) => {
                tally.failed_here(&context, &refused).await?;
                skip(input, length, &context).await?;
            }
        }
    }
    Ok(())
}

async fn head(input: &mut Input<'_, '_>, line: &[u8]) -> Result<SubHead, Fault> {
    let mut request = SubHead::from_request_line(line).map_err(Fault::invalid)?;
    loop {
        let Some(line) = input.line("updates line").await? else {
            return Err(Fault::text(0, format!("Got no headers for {}", request.context())));
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
        change: Change,
        length: u64,
        method: SubMethod,
        context: String,
    ) -> Result<(), Fault> {
        let Change { mut op, etag } = change;
        let mut streams = false;
        if let UpdateOp::Put(put) = &mut op {
            if length <= self.inline_bytes_max {
                let data = whole(input, length, &context).await?;
                put.inline_body = Some(InlineBody { data, etag: etag.clone() });
            } else {
                streams = true;
            }
        }
        let id = self.tally.begin(method, context.clone()).await;
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
