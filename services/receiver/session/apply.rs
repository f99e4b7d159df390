//! One update on the disk. Synchronous: it runs on a thread of the device.

use std::sync::Arc;

use ssync_diskfile::{
    Committed, Confirmation, DataFile, Device, DiskError, Found, Location, OpenOptions, Writer,
};
use ssync_types::{
    Durability, FragmentIndex, Invalid, Metadata, ObjectHash, ObjectInfo, ObjectKind, ObjectPath, Offer,
    Outcome, PutUpdate, Reason, Refusal, SessionProtocol, Timestamp,
};

use super::context::Context;
use crate::{
    body::{Complete, finish, fragment_of},
    post::{Merged, merge_post},
};

/// An update without a body.
#[derive(Debug)]
pub(super) enum Whole {
    Post { path: ObjectPath, timestamp: Timestamp, metadata: Metadata, content_type: Option<Timestamp> },
    Delete { path: ObjectPath, timestamp: Timestamp },
    Commit { timestamp: Timestamp },
    Confirm(Offer),
}

/// Applies an update to an object of the session's partition.
pub(super) fn apply(context: &Context, hash: ObjectHash, update: Whole) -> Outcome {
    let device = &context.handle.device;
    let at = context.location(hash);
    let confirms = matches!(update, Whole::Confirm(_));
    if confirms && !context.may_license() {
        return Outcome::NotPrimary;
    }
    let done = device.check_mounted().map_err(Refusal::from).and_then(|()| match update {
        Whole::Post { path, timestamp, metadata, content_type } => {
            post(context, &at, &path, timestamp, &metadata, content_type)
        }
        Whole::Delete { path, timestamp } => delete(context, &at, &path, timestamp),
        Whole::Commit { timestamp } => commit(context, &at, timestamp),
        Whole::Confirm(offer) => {
            let found = confirm(context, &at, &offer, context.fragment());
            found.map(|found| found.unwrap_or(Outcome::NotFound))
        }
    });
    context.license(done.unwrap_or_else(Outcome::Failed))
}

/// The answer for what was stored.
pub(super) fn stored(context: &Context) -> Outcome {
    match context.core.devices.disk().config().durability {
        Durability::None => Outcome::AppliedUnflushed,
        Durability::Object | Durability::Batch => Outcome::Applied,
    }
}

/// The answer for a body of so many bytes that was stored; they are counted.
pub(super) fn stored_body(context: &Context, bytes: u64) -> Outcome {
    context.core.counters.replicated_bytes.add(bytes);
    stored(context)
}

/// How a PUT begins.
#[derive(Debug)]
pub(super) enum Begun {
    /// It need not be stored.
    Settled(Outcome),
    /// Write the body here.
    Writer(Box<Writer>),
}

/// Looks whether the offered body is newer than what is here (Swift: server.py `_pre_create_checks`), unless it is known that
/// nothing is, and has it begun with its size.
pub(super) fn begin_put(
    context: &Context,
    at: &Location,
    put: &PutUpdate,
    is_vacant: bool,
    create: impl FnOnce(Option<u64>) -> Result<Writer, DiskError>,
) -> Result<Begun, Refusal> {
    context.core.check_length(put.content_length)?;
    let device = &context.handle.device;
    // As in Swift what stands against a fragment is the session's, and any durable one where the session names none.
    let here = if is_vacant { None } else { version(device, at, &put.path, context.fragment())? };
    if here.is_some_and(|(time, _)| time >= put.timestamp) {
        let offer = Offer::of_one_time(at.hash, put.timestamp, Some(ObjectKind::Data));
        if let Some(outcome) = confirm(context, at, &offer, context.fragment())? {
            return Ok(Begun::Settled(outcome));
        }
    }
    Ok(Begun::Writer(Box::new(create(Some(put.content_length))?)))
}

/// Has a body committed if it is what was announced; gives its bytes.
pub(super) fn finish_put(
    context: &Context,
    writer: Writer,
    put: &PutUpdate,
    end: Complete,
    commit: impl FnOnce(Writer, DataFile) -> Result<Committed, DiskError>,
) -> Result<u64, Refusal> {
    check_etag(context, end.etag.as_deref(), "end.complete.etag")?;
    let mut metadata = put.metadata.clone();
    metadata.extend(end.footers);
    let file = DataFile {
        timestamp: put.timestamp,
        fragment: fragment(context, &metadata)?.map(|index| (index, put.durable)),
        metadata,
        next_part_power: None,
    };
    let committed = finish(writer, Some(put.content_length), end.etag.as_deref(), file, commit)?;
    Ok(committed.content_length)
}

/// Refuses a whole copy without the MD5 that it was stored with: whatever came would be its truth from now on. Only a
/// fragment that was just rebuilt has none, and what a sender by Swift's rules has stored without one.
pub(super) fn check_etag(context: &Context, etag: Option<&str>, field: &'static str) -> Result<(), Refusal> {
    if etag.is_some() || context.is_erasure_coded() || context.open.protocol == SessionProtocol::Ssync {
        return Ok(());
    }
    Err(Invalid::new(field, "a whole copy needs the MD5 that it was stored with").into())
}

/// The fragment of a body: that of the session, or else of the body's own metadata. `None` in a replication policy.
fn fragment(context: &Context, metadata: &Metadata) -> Result<Option<FragmentIndex>, Refusal> {
    match context.fragment() {
        Some(index) => Ok(Some(index)),
        None if context.is_erasure_coded() => fragment_of(metadata).map(Some),
        None => Ok(None),
    }
}

/// What is here, if anything counts: its time and kind.
fn version(
    device: &Arc<Device>,
    at: &Location,
    path: &ObjectPath,
    fragment: Option<FragmentIndex>,
) -> Result<Option<(Timestamp, ObjectKind)>, Refusal> {
    let options =
        OpenOptions { fragment, open_expired: true, expected: Some(path.clone()), ..OpenOptions::default() };
    match device.open_object(at, &options) {
        Ok(Found::Object(object) | Found::Expired(object)) => Ok(Some((object.info.data, ObjectKind::Data))),
        Ok(Found::Tombstone(time)) => Ok(Some((time, ObjectKind::Tombstone))),
        Ok(Found::Nothing) => Ok(None),
        // Swift: what cannot be opened, or goes away under it, does not stand against a PUT or DELETE.
        Err(DiskError::NotFound { .. } | DiskError::Damaged { .. } | DiskError::StateChanged { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Something as new is here: the verdict on it, once it is flushed. `None` if it is not here after all.
fn confirm(
    context: &Context,
    at: &Location,
    offer: &Offer,
    fragment: Option<FragmentIndex>,
) -> Result<Option<Outcome>, Refusal> {
    Ok(match context.handle.device.confirm(at, offer, fragment)? {
        Confirmation::Confirmed => Some(Outcome::Confirmed),
        Confirmation::Superseded(time) => Some(Outcome::Superseded(time)),
        Confirmation::Lacking => None,
    })
}

fn delete(
    context: &Context,
    at: &Location,
    path: &ObjectPath,
    timestamp: Timestamp,
) -> Result<Outcome, Refusal> {
    let device = &context.handle.device;
    // A deletion and a POST are of the object: whichever durable fragment is here stands for it (Swift: server.py DELETE).
    let here = version(device, at, path, None)?;
    let is_deleted = here.is_some_and(|(_, kind)| kind == ObjectKind::Tombstone);
    // A tombstone beats a body of its time (rule S5).
    let stands = here.is_some_and(|(time, _)| time > timestamp || (is_deleted && time == timestamp));
    if stands {
        let offer = Offer::of_one_time(at.hash, timestamp, Some(ObjectKind::Tombstone));
        match confirm(context, at, &offer, None)? {
            // By Swift's rules there is nothing to delete, and that is a success: 404. A newer body is none: 409.
            Some(Outcome::Superseded(_)) if is_deleted && context.open.protocol == SessionProtocol::Ssync => {
                return Ok(Outcome::Confirmed);
            }
            Some(outcome) => return Ok(outcome),
            None => {}
        }
    }
    device.write_tombstone(at, path, timestamp, None)?;
    Ok(stored(context))
}

fn post(
    context: &Context,
    at: &Location,
    path: &ObjectPath,
    timestamp: Timestamp,
    metadata: &Metadata,
    content_type: Option<Timestamp>,
) -> Result<Outcome, Refusal> {
    let device = &context.handle.device;
    let options = OpenOptions { open_expired: true, expected: Some(path.clone()), ..OpenOptions::default() };
    let object = match device.open_object(at, &options) {
        Ok(Found::Object(object) | Found::Expired(object)) => object,
        Ok(Found::Tombstone(_) | Found::Nothing)
        | Err(DiskError::NotFound { .. } | DiskError::Damaged { .. }) => return Ok(Outcome::NotFound),
        Err(error) => return Err(error.into()),
    };
    let meta = match merge_post(&object, timestamp, metadata, content_type) {
        Merged::Older(time) => {
            let asked = content_type.unwrap_or(object.info.data);
            return settle_post(context, at, &object.info, time, (timestamp, asked));
        }
        Merged::Newer(meta) => meta,
    };
    match device.write_meta(at, path, &meta) {
        Ok(()) => Ok(stored(context)),
        Err(DiskError::NotFound { .. }) => Ok(Outcome::NotFound),
        Err(error) => Err(error.into()),
    }
}

/// Metadata as new as this is here: the verdict on it, once it is flushed.
fn settle_post(
    context: &Context,
    at: &Location,
    info: &ObjectInfo,
    here: Timestamp,
    (timestamp, content_type): (Timestamp, Timestamp),
) -> Result<Outcome, Refusal> {
    let offer = Offer {
        metadata: timestamp,
        content_type,
        ..Offer::of_one_time(at.hash, info.data, Some(ObjectKind::Data))
    };
    match confirm(context, at, &offer, None)? {
        Some(_) if here == timestamp => Ok(Outcome::Confirmed),
        Some(_) => Ok(Outcome::Superseded(here)),
        None => Err(Refusal::new(Reason::StateChanged, "the object was replaced meanwhile; offer it again")),
    }
}

fn commit(context: &Context, at: &Location, timestamp: Timestamp) -> Result<Outcome, Refusal> {
    let Some(fragment) = context.fragment() else {
        return Err(Refusal {
            field: Some("partition.fragment_index".to_owned()),
            ..Refusal::new(Reason::InvalidArgument, "commit: the session names no fragment to mark")
        });
    };
    // Sessions know nothing of a partition power that is being changed: Swift's senders leave such policies alone.
    match context.handle.device.commit_fragment(at, fragment, timestamp, None) {
        Ok(()) => Ok(stored(context)),
        Err(DiskError::NotFound { .. }) => Ok(Outcome::NotFound),
        Err(error) => Err(error.into()),
    }
}
