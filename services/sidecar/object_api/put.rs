//! PUT: a new object (Swift: obj/server.py PUT).

use ssync_store::{StoreResult, Upload};
use ssync_types::{
    BodyEnd, BodyEvent, CommitMode, Metadata, ObjectPut, ObjectRef, PutStep, Reason, Refusal, Stored,
    Timestamp,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    constraints::{BodyLength, check_creation},
    fields::{etags, next_part_power, normal_etag, timestamp},
    kept::kept_of_put,
    scope,
};
use crate::{
    http::{Exchange, HttpError, Response},
    placement::{self, Path, Refused},
    sidecar::Shared,
    status::{HTML, plain_page, refused, text},
};

/// Stores an object.
pub(crate) async fn put(
    shared: &Shared,
    exchange: &mut Exchange<'_>,
    path: &Path,
) -> Result<Response, Refused> {
    let object = placement::object(path, &exchange.head.headers, &shared.policies)?;
    let drive = object.partition.device.to_string();
    let timestamp = timestamp(&exchange.head.headers)?;
    let length = body_length(exchange);
    let mut headers = exchange.head.headers.clone();
    check_creation(&mut headers, &object.path, length, timestamp, &shared.config.constraints)?;
    scope::check_updates(&headers)?;
    scope::check_put(&headers)?;
    let etag = headers.get("Etag").map(|etag| normal_etag(&String::from_utf8_lossy(etag)));
    let put = object_put(shared, object, timestamp, &headers, length)?;
    match store(shared, exchange, put, etag.filter(|etag| !etag.is_empty())).await {
        Ok(stored) => Ok(Response::new(201, HTML, "").with("Etag", format!("\"{}\"", stored.etag))),
        Err(Failure::Store(refusal)) => Err(Box::new(refused(&refusal, &drive))),
        Err(Failure::Peer(error)) => Err(Box::new(broken(&error))),
    }
}

fn body_length(exchange: &Exchange<'_>) -> BodyLength {
    match (exchange.head.framing.length(), exchange.head.framing.is_done()) {
        (Some(length), _) => BodyLength::Known(length),
        (None, false) => BodyLength::Chunked,
        (None, true) => BodyLength::Missing,
    }
}

fn object_put(
    shared: &Shared,
    object: ObjectRef,
    timestamp: Timestamp,
    headers: &Metadata,
    length: BodyLength,
) -> Result<ObjectPut, Refused> {
    let content_length = match length {
        BodyLength::Known(length) => Some(length),
        BodyLength::Chunked | BodyLength::Missing => None,
    };
    Ok(ObjectPut {
        object,
        timestamp,
        content_length,
        metadata: kept_of_put(headers, &shared.config.allowed_headers),
        if_none_match: etags(headers, "If-None-Match"),
        commit: CommitMode::AtOnce,
        next_part_power: next_part_power(headers)?,
    })
}

/// Why a PUT came to nothing.
enum Failure {
    /// The store said no.
    Store(Refusal),
    /// The body did not come.
    Peer(HttpError),
}

/// Hands the body on while the store writes it. A store that says no while the body is still coming is heard at once.
async fn store(
    shared: &Shared,
    exchange: &mut Exchange<'_>,
    put: ObjectPut,
    etag: Option<String>,
) -> Result<Stored, Failure> {
    let deadline = Instant::now() + shared.config.max_upload_time;
    // Only now is the peer told to go on.
    let Upload { body, mut steps } = shared.store.put_object(put).await.map_err(Failure::Store)?;
    let pump = async {
        match timeout_at(deadline, hand_on(exchange, body, etag, shared.config.constraints.max_file_size))
            .await
        {
            Ok(handed_on) => handed_on,
            Err(_) => Err(HttpError::Timeout),
        }
    };
    tokio::pin!(pump);
    tokio::select! {
        step = steps.recv() => stored(step),
        pumped = &mut pump => match pumped {
            Ok(()) => stored(steps.recv().await),
            Err(error) => {
                // The body ended without its end; let the store clean up before the peer hears of it.
                let _ = steps.recv().await;
                Err(Failure::Peer(error))
            }
        },
    }
}

fn stored(step: Option<StoreResult<PutStep>>) -> Result<Stored, Failure> {
    match step {
        Some(Ok(PutStep::Stored(stored))) => Ok(stored),
        Some(Err(refusal)) => Err(Failure::Store(refusal)),
        Some(Ok(PutStep::Prepared)) | None => {
            Err(Failure::Store(Refusal::new(Reason::Internal, "the store ended an upload without a verdict")))
        }
    }
}

/// Reads the body into the store's channel. Without the end the store keeps nothing.
async fn hand_on(
    exchange: &mut Exchange<'_>,
    pieces: mpsc::Sender<BodyEvent>,
    etag: Option<String>,
    bytes_max: u64,
) -> Result<(), HttpError> {
    while let Some(piece) = exchange.read_body().await? {
        if exchange.bytes_read() > bytes_max {
            return Err(HttpError::Malformed { status: 413, text: "Your request is too large." });
        }
        if !send(&pieces, BodyEvent::Chunk(piece)).await {
            return Ok(());
        }
    }
    send(&pieces, BodyEvent::End(BodyEnd::Complete { etag, footers: Metadata::new() })).await;
    Ok(())
}

/// False when the store listens no more: it has said why, or is about to.
async fn send(pieces: &mpsc::Sender<BodyEvent>, event: BodyEvent) -> bool {
    pieces.send(event).await.is_ok()
}

/// The answer to a body that broke off.
fn broken(error: &HttpError) -> Response {
    match error {
        HttpError::Timeout => plain_page(408, ""),
        HttpError::Malformed { status, text: problem } => text(*status, *problem),
        HttpError::Closed | HttpError::Disconnected | HttpError::Io(_) => plain_page(499, ""),
    }
}
