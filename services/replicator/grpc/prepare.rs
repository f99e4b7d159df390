//! Wanted objects, opened and read: what goes into the stream.

use std::{ops::Deref, sync::Arc};

use bytes::Bytes;
use ssync_diskfile::{LocalObject, MetaView, OpenObject, ToSend};
use ssync_types::{InlineBody, Metadata, ObjectPath, PutUpdate, Refusal, Timestamp, UpdateOp, Want};

use crate::{
    ahead::Room,
    peer::OfferBatch,
    source::{OpenSource, Plan},
};

/// A body of this many bytes goes after the small ones.
pub(super) const LARGE_BYTES_MIN: u64 = 4 << 20;

/// An offered object, without a copy of it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) batch: OfferBatch,
    pub(super) place: usize,
}

impl Deref for Listed {
    type Target = LocalObject;

    fn deref(&self) -> &LocalObject {
        &self.batch[self.place]
    }
}

/// An object that is not sent, and why.
pub(super) type Unsent = (Listed, Refusal);

/// A wanted object, ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) listed: Listed,
    pub(super) want: Want,
    pub(super) plan: Plan,
    /// Complete operations, in order.
    pub(super) ops: Vec<UpdateOp>,
    /// The body of the first operation, when it did not fit into it.
    pub(super) body: Option<Arc<OpenObject>>,
    /// Bytes of the body, wherever it is.
    pub(super) bytes: u64,
}

/// Opens and reads wanted objects, bodies into the room for them; an error stands for an object that could not be read.
/// Blocks.
pub(super) fn prepare(
    source: &OpenSource,
    wanted: Vec<(Listed, Want)>,
    inline_bytes_max: u64,
    mut room: Option<Room>,
) -> Vec<Result<Prepared, Unsent>> {
    wanted
        .into_iter()
        .map(|(listed, want)| {
            one(source, &listed, want, inline_bytes_max, &mut room).map_err(|refusal| (listed, refusal))
        })
        .collect()
}

fn one(
    source: &OpenSource,
    listed: &Listed,
    want: Want,
    inline_bytes_max: u64,
    room: &mut Option<Room>,
) -> Result<Prepared, Refusal> {
    let opened = source.open(listed.offer.hash)?;
    let plan = Plan::of(&opened, want, listed);
    let mut prepared = Prepared { listed: listed.clone(), want, plan, ops: Vec::new(), body: None, bytes: 0 };
    match opened {
        ToSend::Object(object) => prepared.add_object(*object, inline_bytes_max, room)?,
        ToSend::Deletion(path, timestamp) if plan.delete => {
            prepared.ops.push(UpdateOp::Delete { path, timestamp });
        }
        ToSend::Deletion(..) | ToSend::Nothing => {}
    }
    Ok(prepared)
}

impl Prepared {
    /// Whether it keeps others waiting for long.
    pub(super) fn is_large(&self) -> bool {
        self.body.is_some() && self.bytes >= LARGE_BYTES_MIN
    }

    /// Whether each of its operations is one message to a peer that takes bodies of so many bytes in one.
    pub(super) fn is_inline(&self, inline_bytes_max: u32) -> bool {
        self.body.is_none() && self.bytes <= u64::from(inline_bytes_max)
    }

    fn add_object(
        &mut self,
        object: OpenObject,
        inline_bytes_max: u64,
        room: &mut Option<Room>,
    ) -> Result<(), Refusal> {
        let post =
            object.meta.as_ref().filter(|_| self.plan.post).map(|meta| post(object.name.clone(), meta));
        if self.plan.put {
            self.bytes = object.info.content_length;
            let inline = self.bytes <= inline_bytes_max;
            let inline_body = match inline {
                true => {
                    let body = read_whole(&object)?;
                    let data = match room {
                        Some(room) => room.place(body),
                        None => body,
                    };
                    Some(InlineBody { data, etag: etag(&object) })
                }
                false => None,
            };
            self.ops.push(UpdateOp::Put(put(&object, inline_body)));
            self.body = (!inline).then(|| Arc::new(object));
        }
        self.ops.extend(post);
        Ok(())
    }
}

/// The stored MD5 (never one of the bytes just read).
pub(super) fn etag(object: &OpenObject) -> Option<String> {
    object.data_metadata.get_str("ETag").map(str::to_owned)
}

fn put(object: &OpenObject, inline_body: Option<InlineBody>) -> PutUpdate {
    PutUpdate {
        path: object.name.clone(),
        timestamp: object.info.data,
        content_length: object.info.content_length,
        metadata: without(&object.data_metadata, &["name", "ETag", "Content-Length", "X-Timestamp"]),
        durable: true,
        inline_body,
    }
}

fn post(path: ObjectPath, meta: &MetaView) -> UpdateOp {
    let content_type: Option<Timestamp> =
        meta.content_type.filter(|_| meta.metadata.get("Content-Type").is_some());
    UpdateOp::Post {
        path,
        timestamp: meta.timestamp,
        metadata: without(&meta.metadata, &["name", "X-Timestamp", "Content-Type-Timestamp"]),
        content_type,
    }
}

fn without(metadata: &Metadata, names: &[&str]) -> Metadata {
    let mut metadata = metadata.clone();
    metadata.retain(|name| !names.iter().any(|not| name.is(not)));
    metadata
}

fn read_whole(object: &OpenObject) -> Result<Bytes, Refusal> {
    let length = usize::try_from(object.info.content_length).unwrap_or(usize::MAX);
    let first = object.read_at(0, length)?;
    if first.len() == length {
        return Ok(first);
    }
    let mut whole = Vec::from(first);
    while whole.len() < length {
        let piece = object.read_at(whole.len() as u64, length - whole.len())?;
        if piece.is_empty() {
            return Err(short(object, whole.len() as u64));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// The file is shorter than its metadata says.
pub(super) fn short(object: &OpenObject, read: u64) -> Refusal {
    Refusal::new(
        ssync_types::Reason::ObjectDamaged,
        format!(
            "{} has {read} bytes on disk, not {}; its audit will move it to quarantine",
            object.name, object.info.content_length
        ),
    )
}
