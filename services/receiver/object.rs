//! Single requests that change an object: PUT, POST, DELETE, as Swift's object server decides them (server.py).

use std::sync::Arc;

use ssync_diskfile::{
    DataFile, Device, DiskError, Found, Location, OpenObject, OpenOptions, PolicyKind, Writer,
};
use ssync_store::StoreResult;
use ssync_types::{
    BodyEvent, Deleted, Invalid, Metadata, ObjectDelete, ObjectInfo, ObjectPost, ObjectPut, ObjectRef,
    Reason, Refusal, Stored, Timestamp,
};
use tokio::sync::mpsc;

use crate::{
    body::{Complete, WriteBody, fragment_of, publish},
    core::Core,
    pool::Lane,
    post::{Posted, merge_post},
};

/// What stood in the object's place.
#[derive(Debug)]
struct Before {
    /// The time of the body or tombstone.
    timestamp: Timestamp,
    object: Option<Box<OpenObject>>,
    expired: bool,
}

impl Before {
    fn nothing() -> Self {
        Self { timestamp: Timestamp::ZERO, object: None, expired: false }
    }

    /// What counts now for a request of this time.
    fn look(
        device: &Arc<Device>,
        at: &Location,
        object: &ObjectRef,
        now: Timestamp,
    ) -> Result<Self, DiskError> {
        let options = OpenOptions {
            fragment: object.partition.fragment,
            now: Some(now),
            expected: Some(object.path.clone()),
            ..OpenOptions::default()
        };
        Ok(match device.open_object(at, &options) {
            Ok(Found::Object(object)) => {
                Self { timestamp: object.info.data, object: Some(object), expired: false }
            }
            Ok(Found::Expired(object)) => {
                Self { timestamp: object.info.timestamp, object: Some(object), expired: true }
            }
            Ok(Found::Tombstone(timestamp)) => Self { timestamp, ..Self::nothing() },
            Ok(Found::Nothing) | Err(DiskError::NotFound { .. } | DiskError::Damaged { .. }) => {
                Self::nothing()
            }
            Err(error) => return Err(error),
        })
    }

    fn live(&self) -> Option<&ObjectInfo> {
        self.object.as_ref().filter(|_| !self.expired).map(|object| &object.info)
    }

    fn into_metadata(self) -> Option<Metadata> {
        self.object.map(|object| object.info.metadata)
    }
}

fn location(core: &Core, object: &ObjectRef) -> Result<Location, Refusal> {
    let hash = core.check_object(object)?;
    Ok(Location { policy: object.partition.policy, partition: object.partition.partition, hash })
}

pub(crate) async fn put(
    core: &Arc<Core>,
    put: ObjectPut,
    mut events: mpsc::Receiver<BodyEvent>,
) -> StoreResult<Stored> {
    let at = location(core, &put.object)?;
    core.check_length(put.content_length.unwrap_or(0))?;
    if let Some(time) =
        delete_at(&put.metadata)?.filter(|&time| Timestamp::from_seconds(time) <= put.timestamp)
    {
        return Err(in_the_past(time));
    }
    let handle = core.devices.open(&put.object.partition.device).await?;
    let put = Arc::new(put);
    let (writer, previous) = {
        let (put, holder) = (Arc::clone(&put), handle.clone());
        let begin = move |device: &Arc<Device>| {
            Ok(begin_put(device, &at, &put).map(|(writer, previous)| (holder.hold(writer), previous)))
        };
        handle.run(Lane::Request, begin).await??
    };
    let body = WriteBody {
        handle: &handle,
        lane: Lane::Request,
        events: &mut events,
        announced: put.content_length,
        bytes_max: core.config.max_file_size,
        silence_max: Some(core.config.client_timeout),
    };
    let (writer, end) = body.write(writer).await?;
    let coded = matches!(core.devices.policy(at.policy)?, PolicyKind::ErasureCoding { .. });
    let bytes = end.bytes;
    let finish = move |writer| Ok(finish_put(writer, &put, end, coded));
    let stored = handle.run_flushing(Lane::Request, bytes, writer, finish).await??;
    core.counters.requests.add(1);
    Ok(Stored { previous, ..stored })
}

fn begin_put(
    device: &Arc<Device>,
    at: &Location,
    put: &ObjectPut,
) -> Result<(Writer, Option<Metadata>), Refusal> {
    let before = match Before::look(device, at, &put.object, put.timestamp) {
        // Swift: a PUT does not mind that what it replaces is being replaced.
        Err(DiskError::StateChanged { .. }) => Before::nothing(),
        before => before?,
    };
    if let Some(info) = before.live() {
        let etag = info.metadata.get_str("etag");
        let matches = |wanted: &String| wanted == "*" || Some(wanted.trim_matches('"')) == etag;
        if put.if_none_match.iter().any(matches) {
            let message = format!("{}: there is an object, and if_none_match excludes it", put.object.path);
            return Err(Refusal::new(Reason::PreconditionFailed, message));
        }
    }
    if before.timestamp >= put.timestamp {
        return Err(conflict(&put.object, before.timestamp));
    }
    let writer = device.create(at, &put.object.path, put.content_length)?;
    let previous = before.live().map(|info| info.metadata.clone());
    Ok((writer, previous))
}

fn finish_put(writer: Writer, put: &ObjectPut, end: Complete, coded: bool) -> Result<Stored, Refusal> {
    let mut metadata = put.metadata.clone();
    let mut footers = end.footers;
    let footer_etag = footers.remove("etag").and_then(|value| String::from_utf8(value.to_vec()).ok());
    metadata.extend(footers);
    let fragment = match put.object.partition.fragment {
        _ if !coded => None,
        Some(index) => Some((index, put.durable)),
        None => Some((fragment_of(&metadata)?, put.durable)),
    };
    let file =
        DataFile { timestamp: put.timestamp, metadata, fragment, next_part_power: put.next_part_power };
    let etag = end.etag.or(footer_etag);
    let committed = publish(writer, put.content_length, etag.as_deref(), file)?;
    Ok(Stored { etag: committed.etag, content_length: committed.content_length, previous: None })
}

pub(crate) async fn post(core: &Arc<Core>, post: ObjectPost) -> StoreResult<ObjectInfo> {
    let at = location(core, &post.object)?;
    if let Some(time) =
        delete_at(&post.metadata)?.filter(|&time| time > 0 && Timestamp::from_seconds(time) < post.timestamp)
    {
        return Err(in_the_past(time));
    }
    let handle = core.devices.open(&post.object.partition.device).await?;
    let info = handle.run(Lane::Request, move |device| Ok(post_on_disk(device, &at, &post))).await??;
    core.counters.requests.add(1);
    Ok(info)
}

fn post_on_disk(device: &Arc<Device>, at: &Location, post: &ObjectPost) -> Result<ObjectInfo, Refusal> {
    let options = OpenOptions {
        fragment: post.object.partition.fragment,
        open_expired: post.open_expired,
        now: Some(post.timestamp),
        expected: Some(post.object.path.clone()),
        ..OpenOptions::default()
    };
    let not_found =
        || Refusal::new(Reason::NotFound, format!("{}: there is no object to change", post.object.path));
    let object = match device.open_object(at, &options) {
        Ok(Found::Object(object)) => object,
        Ok(Found::Expired(object)) if post.open_expired => object,
        Ok(_) | Err(DiskError::NotFound { .. } | DiskError::Damaged { .. }) => return Err(not_found()),
        Err(error) => return Err(error.into()),
    };
    let mut meta = match merge_post(&object, post.timestamp, &post.metadata, post.content_type) {
        Posted::Older(here) => return Err(conflict(&post.object, here)),
        Posted::Newer(meta) => meta,
    };
    meta.next_part_power = post.next_part_power;
    match device.write_meta(at, &post.object.path, &meta) {
        Ok(()) => {}
        Err(DiskError::NotFound { .. }) => return Err(not_found()),
        Err(error) => return Err(error.into()),
    }
    match device.open_object(at, &OpenOptions { open_expired: true, ..options })? {
        Found::Object(object) | Found::Expired(object) => Ok(object.info),
        Found::Tombstone(_) | Found::Nothing => Err(Refusal::new(
            Reason::StateChanged,
            format!("{}: deleted meanwhile; ask again", post.object.path),
        )),
    }
}

pub(crate) async fn delete(core: &Arc<Core>, delete: ObjectDelete) -> StoreResult<Deleted> {
    let at = location(core, &delete.object)?;
    let handle = core.devices.open(&delete.object.partition.device).await?;
    let deleted = handle.run(Lane::Request, move |device| Ok(delete_on_disk(device, &at, &delete))).await??;
    core.counters.requests.add(1);
    Ok(deleted)
}

fn delete_on_disk(device: &Arc<Device>, at: &Location, delete: &ObjectDelete) -> Result<Deleted, Refusal> {
    let before = Before::look(device, at, &delete.object, delete.timestamp)?;
    let newest = before.timestamp.max(delete.timestamp);
    let existed = before.live().is_some();
    if let Some(due) = delete.if_delete_at {
        check_due(&before, delete, due)?;
    }
    if existed && before.timestamp >= delete.timestamp {
        return Err(conflict(&delete.object, newest));
    }
    if before.timestamp < delete.timestamp {
        device.write_tombstone(at, &delete.object.path, delete.timestamp, delete.next_part_power)?;
    }
    Ok(Deleted { existed, timestamp: newest, previous: before.into_metadata() })
}

/// The expirer deletes only what expires when it thinks.
fn check_due(before: &Before, delete: &ObjectDelete, due: u64) -> Result<(), Refusal> {
    let path = &delete.object.path;
    if before.timestamp == Timestamp::ZERO {
        return Err(Refusal::new(Reason::NotFound, format!("{path}: there is no object that could expire")));
    }
    if before.timestamp >= delete.timestamp {
        return Err(conflict(&delete.object, before.timestamp));
    }
    let metadata = before.object.as_ref().map(|object| &object.info.metadata);
    let expires = metadata.map(delete_at).transpose()?.flatten().unwrap_or(0);
    if expires == due {
        return Ok(());
    }
    let message = format!("{path}: X-Delete-At is {expires}, not {due}");
    Err(Refusal::new(Reason::PreconditionFailed, message))
}

fn delete_at(metadata: &Metadata) -> Result<Option<u64>, Refusal> {
    let Some(value) = metadata.get("x-delete-at").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value);
    let time = text.trim().parse().map(Some);
    time.map_err(|_| Invalid::new("metadata.x-delete-at", format!("{text:?} is no unix time")).into())
}

fn in_the_past(time: u64) -> Refusal {
    Invalid::new("metadata.x-delete-at", format!("{time} is in the past of the request's time")).into()
}

fn conflict(object: &ObjectRef, here: Timestamp) -> Refusal {
    Refusal::new(Reason::Conflict, format!("{}: {here} is stored, which is as new or newer", object.path))
        .at(here)
}
