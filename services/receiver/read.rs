//! Single requests that read an object: GET and HEAD (Swift: server.py GET, HEAD).

use std::sync::Arc;

use bytes::Bytes;
use ssync_diskfile::{BodyReader, Device, DiskError, Found, Location, OpenObject, OpenOptions};
use ssync_store::{Body, StoreResult};
use ssync_types::{ByteRange, Invalid, ObjectInfo, ObjectRef, ReadOptions, Reason, Refusal, Timestamp};
use tokio::sync::mpsc;

use crate::{
    core::Core,
    devices::DeviceHandle,
    pool::{Held, Lane},
};

/// Pieces that wait for the reader.
const PIECES_MAX: usize = 4;
/// Bytes of a piece, and read at a time.
const READ_BYTES: usize = 256 * 1024;
/// A body up to this size is read, and checked, before it is answered at all.
const FIRST_BYTES: usize = PIECES_MAX * READ_BYTES;

pub(crate) async fn head(
    core: &Arc<Core>,
    object: ObjectRef,
    options: ReadOptions,
) -> StoreResult<ObjectInfo> {
    // What is not there is not judged: a proxy goes on to a handoff then.
    let at = core.locate(&object);
    let name = object.partition.device.clone();
    let look = move |handle: &DeviceHandle| Ok(open(&handle.device, &at?, &object, options)?.info);
    let info = core.devices.run(&name, 0, look).await?;
    core.counters.requests.add(1);
    Ok(info)
}

pub(crate) async fn get(
    core: &Arc<Core>,
    object: ObjectRef,
    ranges: Vec<ByteRange>,
    options: ReadOptions,
) -> StoreResult<(ObjectInfo, Body)> {
    let at = core.locate(&object);
    let name = object.partition.device.clone();
    let begin = move |handle: &DeviceHandle| {
        let found = open(&handle.device, &at?, &object, options)?;
        let info = found.info.clone();
        Ok((info, Read::next(reader(*found, &ranges)?, FIRST_BYTES, handle)?, handle.clone()))
    };
    let (info, read, handle) = core.devices.run(&name, 0, begin).await?;
    core.counters.requests.add(1);
    let (pieces, body) = mpsc::channel(PIECES_MAX);
    let read = match read.rest {
        // All of it is here, and there is room for it.
        None if read.pieces.len() <= PIECES_MAX => {
            for piece in read.pieces {
                let _ = pieces.try_send(Ok(piece));
            }
            return Ok((info, body));
        }
        _ => read,
    };
    let sending = Sending { core: Arc::clone(core), handle, pieces };
    tokio::spawn(sending.run(read));
    Ok((info, body))
}

fn open(
    device: &Arc<Device>,
    at: &Location,
    object: &ObjectRef,
    options: ReadOptions,
) -> Result<Box<OpenObject>, Refusal> {
    let options = OpenOptions {
        fragment: object.partition.fragment,
        fragment_preferences: options.fragment_preferences,
        open_expired: options.open_expired,
        now: options.now,
        private: options.private,
        expected: Some(object.path.clone()),
    };
    let gone = |what: &str, time: Option<Timestamp>| {
        let refusal = Refusal::new(Reason::NotFound, format!("{}: {what}", object.path));
        match time {
            Some(time) => refusal.at(time),
            None => refusal,
        }
    };
    match device.open_object(at, &options) {
        Ok(Found::Object(found)) => Ok(found),
        Ok(Found::Expired(found)) if options.open_expired => Ok(found),
        Ok(Found::Expired(found)) => Err(gone("the object has expired", Some(found.info.timestamp))),
        Ok(Found::Tombstone(time)) => Err(gone("the object was deleted", Some(time))),
        Ok(Found::Nothing) | Err(DiskError::NotFound { .. }) => Err(gone("there is no object", None)),
        Err(error) => Err(error.into()),
    }
}

/// Reads what is asked for: a whole body is checked on the way.
fn reader(object: OpenObject, ranges: &[ByteRange]) -> Result<BodyReader, Refusal> {
    if ranges.is_empty() {
        return Ok(object.into_reader());
    }
    let length = object.info.content_length;
    let parts = ranges.iter().map(|range| part(*range, length)).collect::<Result<_, _>>()?;
    Ok(object.into_ranges_reader(parts))
}

/// From where up to where a range goes.
fn part(range: ByteRange, length: u64) -> Result<(u64, u64), Refusal> {
    let (next, end) = (range.first, range.last.saturating_add(1).min(length));
    if range.last < range.first {
        let problem = format!("{} is below first, {}", range.last, range.first);
        return Err(Invalid::new("ranges.last", problem).into());
    }
    if next >= end {
        let problem = format!("byte {next} is beyond the end: the object has {length} bytes");
        return Err(Refusal::new(Reason::RangeNotSatisfiable, problem));
    }
    Ok((next, end))
}

/// What one piece of work reads.
struct Read {
    pieces: Vec<Bytes>,
    /// Where there may be more.
    rest: Option<Held<BodyReader>>,
}

impl Read {
    fn next(mut reader: BodyReader, enough: usize, handle: &DeviceHandle) -> Result<Self, DiskError> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < enough && !reader.has_ended() {
            if let Some(piece) = reader.next_piece(READ_BYTES)? {
                bytes += piece.len();
                pieces.push(piece);
            }
        }
        let rest = (!reader.has_ended()).then(|| handle.hold(reader));
        Ok(Self { pieces, rest })
    }
}

struct Sending {
    core: Arc<Core>,
    handle: DeviceHandle,
    pieces: mpsc::Sender<Result<Bytes, Refusal>>,
}

impl Sending {
    async fn run(self, mut read: Read) {
        loop {
            for piece in read.pieces {
                if !self.send(Ok(piece)).await {
                    return;
                }
            }
            let Some(rest) = read.rest else { return };
            let holder = self.handle.clone();
            let next = move |reader| Read::next(reader, READ_BYTES, &holder);
            read = match self.handle.run_with(Lane::Request, rest, next).await {
                Ok(next) => next,
                Err(refusal) => {
                    self.send(Err(refusal)).await;
                    return;
                }
            };
        }
    }

    /// False when nobody reads any more, or not for a long time.
    async fn send(&self, piece: Result<Bytes, Refusal>) -> bool {
        let sent = tokio::time::timeout(self.core.config.client_timeout, self.pieces.send(piece)).await;
        matches!(sent, Ok(Ok(())))
    }
}
