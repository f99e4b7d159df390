//! SSYNC: Swift's replication conversation, over a session of the store (Swift: obj/ssync_receiver.py).
//!
//! What is wrong before the answer begins is an HTTP status; what goes wrong later is a line in it, and the end of the
//! connection. The store's session holds slot and locks over both phases, as Swift's receiver does.

mod change;
mod check;
mod confirms;
mod fault;
mod input;
mod session_log;
mod tally;
mod updates;

use std::{convert::Infallible, time::Duration};

use ssync_protocol::Marker;
use ssync_store::Session;
use ssync_types::{
    Accepted, Job, PartitionRef, Reason, Refusal, Sender, SessionEvent, SessionOpen, SessionProtocol,
    UpdateMessage,
};
use tokio::sync::mpsc;

use crate::{
    PolicyKind,
    answer::Answer,
    fields::fragment_index,
    http::{Exchange, HttpError, Response, ResponseBody},
    path::Path,
    placement,
    sidecar::Shared,
    status::{HTML, Refused, refused, text},
};
use fault::Fault;
use input::Input;
use session_log::SessionLog;
use tally::Tally;

/// How often in `client_timeout` each side hears that the other is alive.
const SIGNS_OF_LIFE: u32 = 4;

/// Answers `SSYNC /device/partition`.
pub(crate) async fn serve(shared: &Shared, exchange: &mut Exchange<'_>, path: &Path) -> Answer {
    let open = match open_request(shared, exchange, path) {
        Ok(open) => open,
        Err(refused) => return Answer::Response(*refused),
    };
    let partition = open.partition.clone();
    match open_session(shared, open).await {
        Ok(session) => Answer::Sent(converse(shared, exchange, &partition, session).await),
        Err(refusal) => Answer::Response(refused(&refusal, partition.device.as_str())),
    }
}

fn open_request(shared: &Shared, exchange: &Exchange<'_>, path: &Path) -> Result<SessionOpen, Refused> {
    let headers = &exchange.head.headers;
    if !exchange.head.is_http11 {
        return Err(Box::new(text(505, "SSYNC answers in chunks, which only HTTP/1.1 has")));
    }
    let (mut partition, _) = placement::partition(path, headers, &shared.policies, false)?;
    let index = fragment_index(headers)?;
    if shared.policies.kind(partition.policy) == Some(PolicyKind::ErasureCoding) {
        partition.fragment = index;
    }
    let sender = Sender {
        address: exchange.peer().ip().to_string(),
        device: String::new(),
        job: Job::Unknown,
        agent: exchange.head.header("User-Agent").unwrap_or("swift ssync sender").to_owned(),
    };
    Ok(SessionOpen {
        partition,
        sender,
        ring_digest: None,
        non_durable: true,
        // Swift's rules about failures are applied here.
        failures_unlimited: true,
        protocol: SessionProtocol::Ssync,
    })
}

/// Opens the session; returns when the store has found that the request makes sense.
async fn open_session(shared: &Shared, open: SessionOpen) -> Result<Session, Refusal> {
    let mut session = shared.store.updates(open).await?;
    loop {
        match session.events.recv().await {
            Some(Ok(SessionEvent::Opened { .. })) => return Ok(session),
            Some(Ok(_)) => {}
            Some(Err(refusal)) => return Err(refusal),
            None => return Err(Refusal::new(Reason::Internal, "the session ended before it was opened")),
        }
    }
}

/// Says 200, and all the rest.
async fn converse(
    shared: &Shared,
    exchange: &mut Exchange<'_>,
    partition: &PartitionRef,
    session: Session,
) -> Result<(), HttpError> {
    let head = Response::bare(200, ResponseBody::None)
        .with("Content-Type", HTML)
        .with("X-Backend-Accept-No-Commit", "True");
    exchange.begin(&head).await?;
    exchange.send_chunk(b"\r\n").await?;
    exchange.flush().await?;
    let log = SessionLog::new(exchange.peer(), partition);
    match conversation(shared, exchange, partition, session, log.clone()).await {
        Ok(()) => exchange.finish_chunks().await,
        Err(fault) => {
            fault.report(&log);
            exchange.give_up();
            if let Some(line) = fault.line(partition.device.as_str()) {
                exchange.send_chunk(&line.encode()).await?;
            }
            exchange.flush().await
        }
    }
}

/// Both phases. The session's events are followed all the while: results come while updates are still being read.
async fn conversation(
    shared: &Shared,
    exchange: &mut Exchange<'_>,
    partition: &PartitionRef,
    session: Session,
    log: SessionLog,
) -> Result<(), Fault> {
    let Session { messages, mut events } = session;
    let accepted = accepted(&mut events).await?;
    let tally = Tally::new(&accepted, shared.config.failure_limits, log);
    let follow = tally.follow(&mut events);
    tokio::pin!(follow);
    {
        let beat = beat(&tally, messages.clone(), exchange.read_limit() / SIGNS_OF_LIFE);
        let talk = talk(shared, exchange, partition, &accepted, &tally, messages);
        tokio::pin!(talk);
        tokio::select! {
            // The session first: where the talk finds it closed, it has said why.
            biased;
            // Whatever it is, it is the reason why the talk cannot go on.
            ended = &mut follow => return Err(match ended {
                Ok(()) => Fault::text(0, "the session ended too early"),
                Err(fault) => fault,
            }),
            talked = &mut talk => talked?,
            never = beat => match never {},
        }
    }
    reassure(exchange, follow).await?;
    tally.verdict()?;
    exchange.send_chunk(Marker::UpdatesStart.line()).await?;
    exchange.send_chunk(Marker::UpdatesEnd.line()).await?;
    Ok(())
}

/// Tells the session that its sender is alive, who says nothing in the first phase, or says it slowly.
async fn beat(tally: &Tally, messages: mpsc::Sender<UpdateMessage>, every: Duration) -> Infallible {
    loop {
        tokio::time::sleep(every).await;
        if !tally.is_in_body() {
            // A full channel is a sign of life as well.
            let _ = messages.try_send(UpdateMessage::Heartbeat);
        }
    }
}

/// Hands a message to the session.
async fn hand_on(messages: &mpsc::Sender<UpdateMessage>, message: UpdateMessage) -> Result<(), Fault> {
    messages.send(message).await.map_err(|_| Fault::text(0, "the session took no more updates"))
}

/// Sends an empty line now and then while something is waited for: the sender passes over it, and gives up on a
/// silent receiver after a minute (Swift: ssync_sender.py missing_check, updates; http_timeout).
async fn reassure<T>(
    exchange: &mut Exchange<'_>,
    awaited: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let every = exchange.read_limit() / SIGNS_OF_LIFE;
    tokio::pin!(awaited);
    loop {
        tokio::select! {
            done = &mut awaited => return done,
            () = tokio::time::sleep(every) => {
                exchange.send_chunk(b"\r\n").await?;
                exchange.flush().await?;
            }
        }
    }
}

/// Waits for slot and locks.
async fn accepted(events: &mut mpsc::Receiver<Result<SessionEvent, Refusal>>) -> Result<Accepted, Fault> {
    loop {
        match events.recv().await {
            Some(Ok(SessionEvent::Accepted(accepted))) => return Ok(accepted),
            Some(Ok(_)) => {}
            Some(Err(refusal)) => return Err(Fault::Refused(refusal)),
            None => return Err(Fault::text(0, "the session ended before it was accepted")),
        }
    }
}

/// Reads all that the sender has to say. When it returns, the session has got all of it.
async fn talk(
    shared: &Shared,
    exchange: &mut Exchange<'_>,
    partition: &PartitionRef,
    accepted: &Accepted,
    tally: &Tally,
    messages: mpsc::Sender<UpdateMessage>,
) -> Result<(), Fault> {
    let mut input = Input::new(exchange);
    let confirmer = confirms::Confirmer { tally, messages: &messages };
    let check = check::Check { store: &*shared.store, partition, confirmer };
    let wants = check::missing_check(&mut input, check).await?;
    check::answer(input.exchange(), &wants).await?;
    tally.withhold(wants.withheld());
    updates::updates(shared, &mut input, accepted, tally, messages).await
}
