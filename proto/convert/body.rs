//! Bodies: inline, in pieces, and their ends.

use bytes::Bytes;
use ssync_types::{BodyEnd, BodyEvent, InlineBody, Invalid, ObjectPut, Reason, Refusal};

use super::{
    CHUNK_BYTES_MAX, ETAG_BYTES_MAX, INLINE_BYTES_MAX, at_most,
    metadata::{RESERVED_IN_BODY, from_metadata, metadata},
    required, text,
};
use crate::v1;

/// A piece of a body.
pub fn chunk(chunk: v1::BodyChunk) -> Result<Bytes, Invalid> {
    if chunk.data.is_empty() {
        return Err(Invalid::new("chunk.data", "is empty"));
    }
    at_most(chunk.data.len(), CHUNK_BYTES_MAX, "chunk.data")?;
    Ok(chunk.data)
}

pub(super) fn etag(etag: Option<String>, field: &str) -> Result<Option<String>, Invalid> {
    let Some(etag) = etag else { return Ok(None) };
    at_most(etag.len(), ETAG_BYTES_MAX, field)?;
    text(etag, field).map(Some)
}

impl From<InlineBody> for v1::InlineBody {
    fn from(body: InlineBody) -> Self {
        Self { data: body.data, etag: body.etag }
    }
}

impl TryFrom<v1::InlineBody> for InlineBody {
    type Error = Invalid;

    fn try_from(body: v1::InlineBody) -> Result<Self, Invalid> {
        at_most(body.data.len(), INLINE_BYTES_MAX, "data")?;
        Ok(Self { data: body.data, etag: etag(body.etag, "etag")? })
    }
}

impl From<BodyEnd> for v1::BodyEnd {
    fn from(end: BodyEnd) -> Self {
        use v1::body_end::Outcome;
        let outcome = match end {
            BodyEnd::Complete { etag, footers } => {
                Outcome::Complete(v1::BodyComplete { etag, metadata: from_metadata(footers) })
            }
            BodyEnd::Abort(reason) => Outcome::AbortReason(reason),
        };
        Self { outcome: Some(outcome) }
    }
}

impl TryFrom<v1::BodyEnd> for BodyEnd {
    type Error = Invalid;

    fn try_from(end: v1::BodyEnd) -> Result<Self, Invalid> {
        use v1::body_end::Outcome;
        match required(end.outcome, "outcome")? {
            Outcome::Complete(complete) => Ok(Self::Complete {
                etag: etag(complete.etag, "complete.etag")?,
                footers: metadata(complete.metadata, RESERVED_IN_BODY)
                    .map_err(|invalid| invalid.within("complete"))?,
            }),
            Outcome::AbortReason(reason) => Ok(Self::Abort(text(reason, "abort_reason")?)),
        }
    }
}

impl From<BodyEvent> for v1::PutObjectRequest {
    fn from(event: BodyEvent) -> Self {
        use v1::put_object_request::Message;
        let message = match event {
            BodyEvent::Chunk(data) => Message::Chunk(v1::BodyChunk { data }),
            BodyEvent::End(end) => Message::End(end.into()),
            BodyEvent::Commit => Message::Commit(v1::PutCommit {}),
        };
        Self { message: Some(message) }
    }
}

/// A message after the first of a PUT.
impl TryFrom<v1::PutObjectRequest> for BodyEvent {
    type Error = Refusal;

    fn try_from(request: v1::PutObjectRequest) -> Result<Self, Refusal> {
        use v1::put_object_request::Message;
        match required(request.message, "message")? {
            Message::Chunk(piece) => Ok(Self::Chunk(chunk(piece)?)),
            Message::End(end) => {
                Ok(Self::End(end.try_into().map_err(|invalid: Invalid| invalid.within("end"))?))
            }
            Message::Commit(_) => Ok(Self::Commit),
            Message::Head(_) => {
                Err(Refusal::new(Reason::ProtocolOrder, "`head` must be the first message, and only that"))
            }
        }
    }
}

/// The first message of a PUT.
impl TryFrom<v1::PutObjectRequest> for ObjectPut {
    type Error = Refusal;

    fn try_from(request: v1::PutObjectRequest) -> Result<Self, Refusal> {
        match required(request.message, "message")? {
            v1::put_object_request::Message::Head(head) => {
                Ok(head.try_into().map_err(|invalid: Invalid| invalid.within("head"))?)
            }
            _ => Err(Refusal::new(Reason::ProtocolOrder, "the first message must be `head`")),
        }
    }
}
