//! A replication session: one partition, its slot and locks, and the updates that come through it.

mod apply;
mod context;
mod driver;
mod lanes;
mod sheaf;
mod streamed;
mod work;

use std::{sync::Arc, time::Duration};

use ssync_store::{SESSION_QUEUE_MAX, Session, SessionError};
use ssync_types::{Accepted, Reason, Refusal, SessionEvent, SessionOpen, SessionProtocol, UpdateMessage};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::{PHASE, core::Core, device_drains::drained, devices::DeviceHandle, registry::Registered};

use context::Context;
use driver::Driver;

/// When to come back to a node that is shutting down.
const DRAIN_RETRY: Duration = Duration::from_secs(5);

type Events = mpsc::Sender<Result<SessionEvent, SessionError>>;

/// Checks the request, and begins the session.
pub(crate) async fn open(core: &Arc<Core>, open: SessionOpen) -> Result<Session, Refusal> {
    refuse_when_draining(core)?;
    core.check_partition(&open.partition)?;
    core.device_drains.refuse(&open.partition.device)?;
    let handle = core.devices.open(&open.partition.device).await?;
    let own_digest = core.placement.ring_digest(open.partition.policy);
    let ring_differs = matches!((&own_digest, &open.ring_digest), (Some(own), Some(theirs)) if own != theirs);

    let (messages, incoming) = mpsc::channel(SESSION_QUEUE_MAX);
    let (events, outgoing) = mpsc::channel(SESSION_QUEUE_MAX);
    // There is room: the channel is new.
    let _ = events.try_send(Ok(SessionEvent::Opened { ring_differs }));
    let registered = core.registry.register(&open);
    let span = tracing::info_span!(
        "session",
        session = registered.entry.id(),
        partition = %open.partition,
        peer = open.sender.address,
        protocol = ?open.protocol,
        job = ?open.sender.job,
    );
    tokio::spawn(run(Arc::clone(core), open, handle, registered, incoming, events).instrument(span));
    Ok(Session { messages, events: outgoing })
}

pub(crate) fn refuse_when_draining(core: &Core) -> Result<(), Refusal> {
    if core.drain.is_cancelled() { Err(draining()) } else { Ok(()) }
}

fn draining() -> Refusal {
    Refusal::new(Reason::Draining, "this node is shutting down; come back later").retry_after(DRAIN_RETRY)
}

/// Why sessions of this partition are to end: the node drains, or the device alone.
fn asked_to_end(core: &Core, open: &SessionOpen) -> Refusal {
    if core.drain.is_cancelled() { draining() } else { drained(&open.partition.device) }
}

async fn run(
    core: Arc<Core>,
    open: SessionOpen,
    handle: DeviceHandle,
    registered: Registered,
    messages: mpsc::Receiver<UpdateMessage>,
    events: Events,
) {
    let told = core.device_drains.token(&open.partition.device);
    let admitted = tokio::select! {
        biased;
        () = events.closed() => return,
        () = told.cancelled() => Err(asked_to_end(&core, &open)),
        admitted = core.admission.admit(&core.config, &core.session_limits, &core.devices, &handle, &open.partition, open.protocol) => admitted,
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            core.counters.sessions_refused.add(1);
            core.counters.refused.add(refusal.reason);
            tracing::info!(%refusal, "session refused");
            let _ = events.send(Err(refusal)).await;
            return;
        }
    };
    core.counters.sessions_accepted.add(1);
    tracing::debug!(target: PHASE, "session accepted");
    let accepted = terms(&core, &open);
    if events.send(Ok(SessionEvent::Accepted(accepted))).await.is_err() {
        return;
    }
    let context = Context::new(core, open, handle, registered, admitted, told);
    let (summary, error) = Driver::new(Arc::new(context), accepted, messages, events).run().await;
    tracing::info!(
        applied = summary.applied,
        confirmed = summary.confirmed,
        superseded = summary.superseded,
        failed = summary.failed,
        error = error.map(tracing::field::display),
        "session ended"
    );
}

fn terms(core: &Core, open: &SessionOpen) -> Accepted {
    // An SSYNC session cannot be ended and opened again in the middle.
    let (session_updates_max, session_time_max) = match open.protocol {
        SessionProtocol::Ssync => (0, Duration::ZERO),
        SessionProtocol::Grpc => {
            let limits = core.session_limits.now();
            (limits.session_updates_max, limits.session_time_max)
        }
    };
    Accepted {
        non_durable: open.non_durable,
        inline_bytes_max: core.config.inline_bytes_max,
        outstanding_updates_max: core.config.outstanding_updates_max,
        durability: core.devices.disk().config().durability,
        session_updates_max,
        session_time_max,
    }
}
