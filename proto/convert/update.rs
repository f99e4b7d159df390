//! Updates: what a sender says in a session.

use ssync_types::{
    BodyEnd, Invalid, ObjectPath, PutUpdate, Reason, Refusal, Update, UpdateMessage, UpdateOp,
};

use super::{
    body::chunk,
    metadata::{RESERVED_IN_BODY, RESERVED_IN_POST, from_metadata, metadata},
    named, offers, required,
    timestamp::{optional_time, required_time},
};
use crate::v1::{self, update::Operation, updates_request::Message};

impl From<UpdateMessage> for v1::UpdatesRequest {
    fn from(message: UpdateMessage) -> Self {
        let message = match message {
            UpdateMessage::Update(update) => Message::Update(update.into()),
            UpdateMessage::Chunk(data) => Message::Chunk(v1::BodyChunk { data }),
            UpdateMessage::End(end) => Message::End(end.into()),
            UpdateMessage::Heartbeat => Message::Heartbeat(v1::Heartbeat::default()),
        };
        Self { message: Some(message) }
    }
}

/// A message after the first of a session.
impl TryFrom<v1::UpdatesRequest> for UpdateMessage {
    type Error = Refusal;

    fn try_from(request: v1::UpdatesRequest) -> Result<Self, Refusal> {
        match required(request.message, "message")? {
            Message::Update(update) => {
                Ok(Self::Update(Update::try_from(update).map_err(|i| i.within("update"))?))
            }
            Message::Chunk(piece) => Ok(Self::Chunk(chunk(piece)?)),
            Message::End(end) => Ok(Self::End(BodyEnd::try_from(end).map_err(|i| i.within("end"))?)),
            Message::Heartbeat(_) => Ok(Self::Heartbeat),
            Message::Open(_) => {
                Err(Refusal::new(Reason::ProtocolOrder, "`open` must be the first message, and only that"))
            }
        }
    }
}

impl From<Update> for v1::Update {
    fn from(update: Update) -> Self {
        let (path, operation) = match update.op {
            UpdateOp::Put(put) => (Some(put.path.to_bytes()), Operation::Put(put.into())),
            UpdateOp::Post { path, timestamp, metadata, content_type } => {
                let post = v1::PostUpdate {
                    timestamp: Some(timestamp.into()),
                    metadata: from_metadata(metadata),
                    content_type_timestamp: content_type.map(Into::into),
                };
                (Some(path.to_bytes()), Operation::Post(post))
            }
            UpdateOp::Delete { path, timestamp } => (
                Some(path.to_bytes()),
                Operation::Delete(v1::DeleteUpdate { timestamp: Some(timestamp.into()) }),
            ),
            UpdateOp::Commit { hash, timestamp } => {
                let commit =
                    v1::CommitUpdate { object_hash: hash.to_string(), timestamp: Some(timestamp.into()) };
                (None, Operation::Commit(commit))
            }
            UpdateOp::Confirm(offers) => {
                let offers = offers.into_iter().map(Into::into).collect();
                (None, Operation::Confirm(v1::ConfirmUpdate { offers }))
            }
        };
        Self { update_id: update.id, path: path.unwrap_or_default(), operation: Some(operation) }
    }
}

impl TryFrom<v1::Update> for Update {
    type Error = Invalid;

    fn try_from(update: v1::Update) -> Result<Self, Invalid> {
        let path = update.path;
        let op = match required(update.operation, "operation")? {
            Operation::Put(put) => put_op(ObjectPath::parse(path)?, put).map_err(|i| i.within("put"))?,
            Operation::Post(post) => post_op(ObjectPath::parse(path)?, post).map_err(|i| i.within("post"))?,
            Operation::Delete(delete) => UpdateOp::Delete {
                path: ObjectPath::parse(path)?,
                timestamp: required_time(delete.timestamp, "delete.timestamp")?,
            },
            Operation::Commit(_) | Operation::Confirm(_) if !path.is_empty() => {
                return Err(Invalid::new("path", "must be absent in a commit and in a confirm"));
            }
            Operation::Commit(commit) => UpdateOp::Commit {
                hash: commit.object_hash.parse().map_err(named("commit.object_hash"))?,
                timestamp: required_time(commit.timestamp, "commit.timestamp")?,
            },
            Operation::Confirm(confirm) => {
                UpdateOp::Confirm(offers(confirm.offers).map_err(|i| i.within("confirm"))?)
            }
        };
        Ok(Self { id: update.update_id, op })
    }
}

impl From<PutUpdate> for v1::PutUpdate {
    fn from(put: PutUpdate) -> Self {
        Self {
            timestamp: Some(put.timestamp.into()),
            content_length: put.content_length,
            metadata: from_metadata(put.metadata),
            non_durable: !put.durable,
            inline_body: put.inline_body.map(Into::into),
        }
    }
}

fn put_op(path: ObjectPath, put: v1::PutUpdate) -> Result<UpdateOp, Invalid> {
    let inline_body = put.inline_body.map(TryInto::try_into).transpose();
    Ok(UpdateOp::Put(PutUpdate {
        path,
        timestamp: required_time(put.timestamp, "timestamp")?,
        content_length: content_length(put.content_length)?,
        metadata: metadata(put.metadata, RESERVED_IN_BODY)?,
        durable: !put.non_durable,
        inline_body: inline_body.map_err(|invalid: Invalid| invalid.within("inline_body"))?,
    }))
}

fn post_op(path: ObjectPath, post: v1::PostUpdate) -> Result<UpdateOp, Invalid> {
    Ok(UpdateOp::Post {
        path,
        timestamp: required_time(post.timestamp, "timestamp")?,
        metadata: metadata(post.metadata, RESERVED_IN_POST)?,
        content_type: optional_time(post.content_type_timestamp, "content_type_timestamp")?,
    })
}

/// File sizes are signed in the kernel's interface.
pub(super) fn content_length(length: u64) -> Result<u64, Invalid> {
    if i64::try_from(length).is_err() {
        return Err(Invalid::new("content_length", format!("{length} bytes fit into no file")));
    }
    Ok(length)
}
