//! PUT: what stands in the way, the body, and its commit, as Swift's object server decides them (server.py PUT).

use std::{sync::Arc, time::Duration};

use ssync_diskfile::{Committed, DataFile, Device, DiskError, Location, Writer};
use ssync_store::{StoreResult, UPLOAD_QUEUE_MAX, Upload};
use ssync_types::{
    BodyEvent, CommitMode, FragmentIndex, InlineBody, Metadata, ObjectPut, PutStep, Reason, Refusal, Stored,
};
use tokio::{sync::mpsc, time::timeout};
use tracing::{Instrument as _, Span};

use crate::{
    PHASE,
    before::{Before, conflict, delete_at},
    body::{self, Complete, FRAGMENT_INDEX, WriteBody, fragment_of},
    core::Core,
    devices::DeviceHandle,
    pool::{Held, Lane},
};

/// `Prepared` and the last.
const STEPS_MAX: usize = 2;

/// Lets an upload in; what it brings is stored while the caller sends it.
pub(crate) async fn put(core: &Arc<Core>, put: ObjectPut) -> StoreResult<Upload> {
    let at = check(core, &put)?;
    let coded = core.is_coded(at.policy);
    let device = put.object.partition.device.clone();
    let put = Arc::new(put);
    let begin = {
        let put = Arc::clone(&put);
        move |handle: &DeviceHandle| {
            let create = |size| handle.device.create(&at, &put.object.path, size);
            let (writer, previous) = begin(&handle.device, &at, &put, false, create)?;
            Ok((handle.hold(writer), previous, handle.clone()))
        }
    };
    let (writer, previous, handle) = core.devices.run(&device, 0, begin).await?;
    let (body, events) = mpsc::channel(UPLOAD_QUEUE_MAX);
    let (steps, received) = mpsc::channel(STEPS_MAX);
    let receiving = Receiving { core: Arc::clone(core), handle, at, put, coded, events, steps };
    // A part of the request, whoever waits for it.
    tokio::spawn(receiving.run(writer, previous).in_current_span());
    Ok(Upload { body, steps: received })
}

/// Stores an object whose body is at hand, in one go.
pub(crate) async fn put_whole(core: &Arc<Core>, put: ObjectPut, body: InlineBody) -> StoreResult<Stored> {
    let at = check(core, &put)?;
    core.check_length(body.data.len() as u64)?;
    let coded = core.is_coded(at.policy);
    let device = put.object.partition.device.clone();
    let InlineBody { data, etag } = body;
    let bytes = data.len() as u64;
    let commit = commit_span(&put);
    let store = move |handle: &DeviceHandle| {
        let mut sheaf = handle.device.sheaf()?;
        let is_vacant = sheaf.is_vacant(&at);
        let create = |size| sheaf.create(&at, &put.object.path, size);
        let (mut writer, previous) = begin(&handle.device, &at, &put, is_vacant, create)?;
        writer.write(&data)?;
        let end = Complete { bytes, etag, footers: Metadata::new() };
        let (stored, _) = finish(writer, &put, end, coded, |writer, file| sheaf.add(writer, file))?;
        sheaf.publish().into_iter().collect::<Result<(), _>>()?;
        Ok(Stored { previous, ..stored })
    };
    let stored = core.devices.run(&device, bytes, store).instrument(commit).await?;
    core.counters.requests.add(1);
    Ok(stored)
}

/// The way of a body from the last of it to its being durable.
fn commit_span(put: &ObjectPut) -> Span {
    let at = &put.object.partition;
    tracing::debug_span!(target: PHASE, "commit", device = %at.device, policy = at.policy.get())
}

/// What is refused without a look at the device.
fn check(core: &Core, put: &ObjectPut) -> Result<Location, Refusal> {
    let at = core.locate(&put.object)?;
    core.check_length(put.content_length.unwrap_or(0))?;
    delete_at(&put.metadata)?;
    Ok(at)
}

/// Looks what stands in the way, unless it is known that nothing does, and begins the body.
fn begin(
    device: &Arc<Device>,
    at: &Location,
    put: &ObjectPut,
    is_vacant: bool,
    create: impl FnOnce(Option<u64>) -> Result<Writer, DiskError>,
) -> Result<(Writer, Option<Metadata>), Refusal> {
    let before = match is_vacant {
        true => Before::nothing(),
        false => match Before::look(device, at, &put.object, put.timestamp) {
            // Swift: a PUT does not mind that what it replaces is being replaced.
            Err(DiskError::StateChanged { .. }) => Before::nothing(),
            before => before?,
        },
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
    let writer = create(put.content_length)?;
    let previous = before.live().map(|info| info.metadata.clone());
    Ok((writer, previous))
}

/// An upload that was let in.
struct Receiving {
    core: Arc<Core>,
    handle: DeviceHandle,
    at: Location,
    put: Arc<ObjectPut>,
    coded: bool,
    events: mpsc::Receiver<BodyEvent>,
    steps: mpsc::Sender<StoreResult<PutStep>>,
}

impl Receiving {
    async fn run(mut self, writer: Held<Writer>, previous: Option<Metadata>) {
        let stored = self.store(writer).await;
        let last = stored.map(|stored| PutStep::Stored(Stored { previous, ..stored }));
        // Who does not wait for the answer does not get it; what is stored stays.
        let _ = self.steps.send(last).await;
    }

    async fn store(&mut self, writer: Held<Writer>) -> Result<Stored, Refusal> {
        let mut starved = Duration::ZERO;
        let body = WriteBody {
            handle: &self.handle,
            lane: Lane::Request,
            events: &mut self.events,
            announced: self.put.content_length,
            bytes_max: self.core.config.max_file_size,
            silence_max: Some(self.core.config.client_timeout),
            starved: &mut starved,
        };
        let ending = body.write(writer).await?;
        let (put, coded) = (Arc::clone(&self.put), self.coded);
        let finish = move |writer, end| finish(writer, &put, end, coded, Writer::commit);
        let commit = commit_span(&self.put);
        let (stored, fragment) =
            ending.finish(&self.handle, Lane::Request, finish).instrument(commit).await?;
        if self.put.commit == CommitMode::SecondPhase {
            self.commit(fragment).await?;
        }
        self.core.counters.requests.add(1);
        Ok(stored)
    }

    /// The second phase. A whole copy is committed by now; its client is told all the same.
    async fn commit(&mut self, fragment: Option<FragmentIndex>) -> Result<(), Refusal> {
        let _ = self.steps.send(Ok(PutStep::Prepared)).await;
        self.wait_for_commit().await?;
        let Some(fragment) = fragment else { return Ok(()) };
        let (at, timestamp, next_part_power) = (self.at, self.put.timestamp, self.put.next_part_power);
        let mark =
            move |device: &Arc<Device>| device.commit_fragment(&at, fragment, timestamp, next_part_power);
        self.handle.run(Lane::Request, mark).await
    }

    async fn wait_for_commit(&mut self) -> Result<(), Refusal> {
        let limit = self.core.config.client_timeout;
        let stays = "the fragment stays without its durable mark";
        match timeout(limit, self.events.recv()).await {
            Ok(Some(BodyEvent::Commit)) => Ok(()),
            Ok(Some(_)) => {
                Err(Refusal::new(Reason::ProtocolOrder, format!("only a commit may follow the end: {stays}")))
            }
            Ok(None) => Err(Refusal::new(Reason::BodyLength, format!("no commit came: {stays}"))),
            Err(_) => Err(Refusal::new(
                Reason::IdleTimeout,
                format!("no commit came for {limit:?} (client_timeout): {stays}"),
            )),
        }
    }
}

fn finish(
    writer: Writer,
    put: &ObjectPut,
    end: Complete,
    coded: bool,
    commit: impl FnOnce(Writer, DataFile) -> Result<Committed, DiskError>,
) -> Result<(Stored, Option<FragmentIndex>), Refusal> {
    let mut metadata = put.metadata.clone();
    metadata.extend(end.footers);
    let index = coded.then(|| own_index(&mut metadata, put.object.partition.fragment)).transpose()?;
    let durable = put.commit == CommitMode::AtOnce;
    let file = DataFile {
        timestamp: put.timestamp,
        metadata,
        fragment: index.map(|index| (index, durable)),
        next_part_power: put.next_part_power,
    };
    let etag = end.etag.as_deref();
    let committed = body::finish(writer, put.content_length, etag, file, commit)?;
    let stored = Stored { etag: committed.etag, content_length: committed.content_length, previous: None };
    Ok((stored, index))
}

/// The index of a fragment: its own metadata say, or else whoever asked, and then they say so from now on (Swift:
/// diskfile.py ECDiskFileWriter.put).
fn own_index(metadata: &mut Metadata, asked: Option<FragmentIndex>) -> Result<FragmentIndex, Refusal> {
    if let Some(index) = asked.filter(|_| metadata.get(FRAGMENT_INDEX).is_none()) {
        metadata.set(FRAGMENT_INDEX, index.to_string());
    }
    fragment_of(metadata)
}
