//! Single requests that read an object: GET and HEAD (Swift: server.py GET, HEAD).

use std::{mem, sync::Arc};

use bytes::Bytes;
use ssync_diskfile::{BodyReader, Device, DiskError, Found, Location, OpenObject, OpenOptions};
use ssync_store::{Body, StoreResult};
use ssync_types::{ByteRange, Invalid, ObjectInfo, ObjectRef, ReadOptions, Reason, Refusal, Timestamp};
use tokio::sync::mpsc;

use crate::{core::Core, devices::DeviceHandle, pool::Lane};

/// Pieces that wait for the reader.
const PIECES_MAX: usize = 8;
/// Bytes read at a time. A body up to this size is read, and checked, before it is answered at all.
const READ_BYTES: usize = 256 * 1024;

pub(crate) async fn head(
    core: &Arc<Core>,
    object: ObjectRef,
    options: ReadOptions,
) -> StoreResult<ObjectInfo> {
    let (at, handle) = find(core, &object).await?;
    let found = handle.run(Lane::Request, move |device| Ok(open(device, &at, &object, options))).await??;
    core.counters.requests.add(1);
    Ok(found.info)
}

pub(crate) async fn get(
    core: &Arc<Core>,
    object: ObjectRef,
    range: Option<ByteRange>,
    options: ReadOptions,
) -> StoreResult<(ObjectInfo, Body)> {
    let (at, handle) = find(core, &object).await?;
    let begun = move |device: &Arc<Device>| {
        let found = match open(device, &at, &object, options) {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let info = found.info.clone();
        Ok(Source::new(found, range).and_then(|mut source| {
            let first = source.read()?;
            Ok((info, source, first))
        }))
    };
    let (info, source, first) = handle.run(Lane::Request, begun).await??;
    core.counters.requests.add(1);
    let (pieces, body) = mpsc::channel(PIECES_MAX);
    let sending = Sending { core: Arc::clone(core), handle, pieces };
    tokio::spawn(sending.run(source, first));
    Ok((info, body))
}

async fn find(core: &Arc<Core>, object: &ObjectRef) -> Result<(Location, DeviceHandle), Refusal> {
    let hash = core.check_object(object)?;
    let handle = core.devices.open(&object.partition.device).await?;
    Ok((Location { policy: object.partition.policy, partition: object.partition.partition, hash }, handle))
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

/// What is left to read.
enum Source {
    /// This, and all of a body is checked on the way.
    Body(Box<BodyReader>),
    /// Nothing.
    Read,
}

impl Source {
    fn new(object: Box<OpenObject>, range: Option<ByteRange>) -> Result<Self, Refusal> {
        let Some(range) = range else {
            return Ok(Self::Body(Box::new(object.into_reader())));
        };
        let length = object.info.content_length;
        let (next, end) = (range.first, range.last.saturating_add(1).min(length));
        if range.last < range.first {
            let problem = format!("{} is below first, {}", range.last, range.first);
            return Err(Invalid::new("range.last", problem).into());
        }
        if next >= end {
            let problem = format!("byte {next} is beyond the end: the object has {length} bytes");
            return Err(Refusal::new(Reason::RangeNotSatisfiable, problem));
        }
        Ok(Self::Body(Box::new(object.into_range_reader(next, end))))
    }

    /// The next pieces; none at the end.
    fn read(&mut self) -> Result<Vec<Bytes>, DiskError> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < READ_BYTES
            && let Some(piece) = self.piece()?
        {
            bytes += piece.len();
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn piece(&mut self) -> Result<Option<Bytes>, DiskError> {
        let piece = match self {
            Self::Body(reader) => reader.next_chunk()?,
            Self::Read => None,
        };
        if piece.is_none() {
            *self = Self::Read;
        }
        Ok(piece)
    }
}

struct Sending {
    core: Arc<Core>,
    handle: DeviceHandle,
    pieces: mpsc::Sender<Result<Bytes, Refusal>>,
}

impl Sending {
    async fn run(self, mut source: Source, mut read: Vec<Bytes>) {
        loop {
            for piece in mem::take(&mut read) {
                if !self.send(Ok(piece)).await {
                    return;
                }
            }
            if matches!(source, Source::Read) {
                return;
            }
            let next =
                self.handle.run(Lane::Request, move |_| source.read().map(|read| (source, read))).await;
            (source, read) = match next {
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
