//! Single requests that change what is stored: POST and DELETE, as Swift's object server decides them (server.py).

use std::sync::Arc;

use ssync_diskfile::{Device, DiskError, Found, Location, OpenOptions};
use ssync_store::StoreResult;
use ssync_types::{Deleted, ObjectDelete, ObjectPost, Posted, Reason, Refusal, Timestamp};

use crate::{
    before::{Before, conflict, delete_at},
    core::Core,
    devices::DeviceHandle,
    post::{Merged, merge_post},
};

pub(crate) async fn post(core: &Arc<Core>, post: ObjectPost) -> StoreResult<Posted> {
    let checked = core.locate(&post.object).and_then(|at| delete_at(&post.metadata).map(|_| at));
    let name = post.object.partition.device.clone();
    let work = move |handle: &DeviceHandle| post_on_disk(&handle.device, &checked?, &post);
    let posted = core.devices.run(&name, 0, work).await?;
    core.counters.requests.add(1);
    Ok(posted)
}

fn post_on_disk(device: &Arc<Device>, at: &Location, post: &ObjectPost) -> Result<Posted, Refusal> {
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
        Merged::Older(here) => return Err(conflict(&post.object, here)),
        Merged::Newer(meta) => meta,
    };
    meta.next_part_power = post.next_part_power;
    match device.write_meta(at, &post.object.path, &meta) {
        Ok(()) => {}
        Err(DiskError::NotFound { .. }) => return Err(not_found()),
        Err(error) => return Err(error.into()),
    }
    match device.open_object(at, &OpenOptions { open_expired: true, ..options })? {
        Found::Object(now) | Found::Expired(now) => {
            let body_type = now.data_metadata.get("Content-Type").cloned().unwrap_or_default();
            Ok(Posted { info: now.info, previous: object.info.metadata, body_type })
        }
        Found::Tombstone(_) | Found::Nothing => Err(Refusal::new(
            Reason::StateChanged,
            format!("{}: deleted meanwhile; ask again", post.object.path),
        )),
    }
}

pub(crate) async fn delete(core: &Arc<Core>, delete: ObjectDelete) -> StoreResult<Deleted> {
    let at = core.locate(&delete.object);
    let name = delete.object.partition.device.clone();
    let work = move |handle: &DeviceHandle| delete_on_disk(&handle.device, &at?, &delete);
    let deleted = core.devices.run(&name, 0, work).await?;
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
    let written = before.timestamp < delete.timestamp;
    if written {
        device.write_tombstone(at, &delete.object.path, delete.timestamp, delete.next_part_power)?;
    }
    Ok(Deleted { existed, written, timestamp: newest, previous: before.into_metadata() })
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
    let expires = before.metadata().map(delete_at).transpose()?.flatten().unwrap_or(0);
    if u64::try_from(expires) == Ok(due) {
        return Ok(());
    }
    let message = format!("{path}: X-Delete-At is {expires}, not {due}");
    Err(Refusal::new(Reason::PreconditionFailed, message))
}
