//! A body of a session that comes in pieces.

use std::{sync::Arc, time::Duration};

use ssync_diskfile::{Device, Writer};
use ssync_types::{BodyEvent, ObjectHash, Outcome, PutUpdate, Refusal};
use tokio::{sync::mpsc, time::Instant};

use super::{
    apply::{Begun, begin_put, finish_put, stored_body},
    context::Context,
};
use crate::{body::WriteBody, pool::Lane};

/// Pieces between the stream and the writer.
pub(super) const BODY_QUEUE_MAX: usize = 8;

/// Writes a body as its pieces come. Ends early, and so closes `pieces`, when it is not to be stored.
pub(super) async fn put(
    context: &Arc<Context>,
    hash: ObjectHash,
    put: PutUpdate,
    mut pieces: mpsc::Receiver<BodyEvent>,
) -> Outcome {
    let outcome = try_put(context, hash, put, &mut pieces).await.unwrap_or_else(Outcome::Failed);
    context.license(outcome)
}

async fn try_put(
    context: &Arc<Context>,
    hash: ObjectHash,
    put: PutUpdate,
    pieces: &mut mpsc::Receiver<BodyEvent>,
) -> Result<Outcome, Refusal> {
    let (at, put) = (context.location(hash), Arc::new(put));
    let handed = Instant::now();
    let begun = {
        let (context, put) = (Arc::clone(context), Arc::clone(&put));
        let (handle, session) = (context.handle.clone(), context.registered.entry.id());
        let begin = move |device: &Arc<Device>| {
            let create = |size| device.create(&at, &put.path, size);
            Ok(context.work.done(handed, || begin_put(&context, &at, &put, false, create)))
        };
        handle.run_in(session, begin).await??
    };
    let writer = match begun {
        Begun::Settled(outcome) => return Ok(outcome),
        Begun::Writer(writer) => context.handle.hold(*writer),
    };
    let (began, mut starved) = (Instant::now(), Duration::ZERO);
    let body = WriteBody {
        handle: &context.handle,
        lane: Lane::Replication,
        events: pieces,
        announced: Some(put.content_length),
        bytes_max: context.core.config.max_file_size,
        // The session watches its peer.
        silence_max: None,
        starved: &mut starved,
    };
    let written = body.write(writer).await;
    context.work.waited(starved);
    context.work.worked(began.elapsed().saturating_sub(starved));
    let ending = written?;
    let context = Arc::clone(context);
    let (handle, handed) = (context.handle.clone(), Instant::now());
    let finish = move |writer, end| {
        let store = || finish_put(&context, writer, &put, end, Writer::commit);
        let bytes = context.work.done(handed, store)?;
        Ok(stored_body(&context, bytes))
    };
    ending.finish(&handle, Lane::Replication, finish).await
}
