//! PUT: what stands in the way, the body, and its commit, as Swift's object server decides them (server.py PUT).

use std::sync::Arc;

use ssync_diskfile::{DataFile, Device, DiskError, Location, Writer};
use ssync_store::{StoreResult, UPLOAD_QUEUE_MAX, Upload};
use ssync_types::{
    BodyEvent, CommitMode, FragmentIndex, Metadata, ObjectPut, PutStep, Reason, Refusal, Stored,
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
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
    let at = core.locate(&put.object)?;
    core.check_length(put.content_length.unwrap_or(0))?;
    delete_at(&put.metadata)?;
    let coded = core.is_coded(at.policy);
    let handle = core.devices.open(&put.object.partition.device).await?;
    let put = Arc::new(put);
    let (writer, previous) = {
        let (put, holder) = (Arc::clone(&put), handle.clone());
        let begin = move |device: &Arc<Device>| {
            Ok(begin(device, &at, &put).map(|(writer, previous)| (holder.hold(writer), previous)))
        };
        handle.run(Lane::Request, begin).await??
    };
    let (body, events) = mpsc::channel(UPLOAD_QUEUE_MAX);
    let (steps, received) = mpsc::channel(STEPS_MAX);
    let receiving = Receiving { core: Arc::clone(core), handle, at, put, coded, events, steps };
    tokio::spawn(receiving.run(writer, previous));
    Ok(Upload { body, steps: received })
}

fn begin(
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
        let body = WriteBody {
            handle: &self.handle,
            lane: Lane::Request,
            events: &mut self.events,
            announced: self.put.content_length,
            bytes_max: self.core.config.max_file_size,
            silence_max: Some(self.core.config.client_timeout),
        };
        let (writer, end) = body.write(writer).await?;
        let (bytes, put, coded) = (end.bytes, Arc::clone(&self.put), self.coded);
        let finish = move |writer| Ok(finish(writer, &put, end, coded));
        let (stored, fragment) = self.handle.run_flushing(Lane::Request, bytes, writer, finish).await??;
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
    let committed = body::finish(writer, put.content_length, etag, file, Writer::commit)?;
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
