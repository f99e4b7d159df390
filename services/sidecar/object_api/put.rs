//! PUT: a new object (Swift: obj/server.py PUT).

use ssync_types::{CommitMode, Metadata, ObjectPut, ReadOptions, Refusal, Stored};

use super::{
    constraints::{BodyLength, check_creation},
    kept::kept_of_put,
};
use crate::{
    PolicyKind,
    container_updates::Change,
    fields::{bad, fragment_index, integer, is_true, next_part_power, timestamp},
    http::{Exchange, Response},
    path::Path,
    placement,
    python_text::repr,
    sidecar::Shared,
    status::{HTML, Refused, refused},
};

mod etag;
mod footer;
mod intake;
mod transfer;
mod whole;

use etag::if_none_match;
use intake::{Form, Intake};
use transfer::{Failed, Transfer};

/// Stores an object.
pub(crate) async fn put(
    shared: &Shared,
    exchange: &mut Exchange<'_>,
    path: &Path,
) -> Result<Response, Refused> {
    let request = Request::check(shared, exchange, path)?;
    let done = match whole::body(&request, exchange) {
        Some(body) => whole::store(shared, &request, body).await,
        None => transfer(shared, &request, exchange).await,
    };
    let Request { put, headers, .. } = &request;
    let change =
        Change { request: &exchange.head, path, headers, object: &put.object, timestamp: put.timestamp };
    let (stored, footers) = match done {
        Ok(done) => done,
        Err(Failed { refused, unsure }) => {
            if let Some(footers) = unsure
                && let Some(stored) = request.found(shared).await
                && let Err(refusal) = shared.updates.after_put(&change, &footers, &stored).await
            {
                tracing::warn!(path = %put.object.path, %refusal, "an object is stored and not in its listing");
            }
            return Err(refused);
        }
    };
    let updated = shared.updates.after_put(&change, &footers, &stored).await;
    updated.map_err(|refusal| request.refused(&refusal))?;
    Ok(Response::new(201, HTML, "").with("Etag", format!("\"{}\"", stored.etag)))
}

/// Has the object stored while its body comes.
async fn transfer(
    shared: &Shared,
    request: &Request,
    exchange: &mut Exchange<'_>,
) -> Result<(Stored, Metadata), Failed> {
    let upload = shared.store.put_object(request.put.clone()).await;
    let upload = upload.map_err(|refusal| request.refused(&refusal))?;
    let intake = Intake::open(exchange, request.form).await?;
    Transfer { shared, request, intake, upload }.run().await
}

/// What was asked for.
struct Request {
    put: ObjectPut,
    /// As they came; X-Delete-After has become X-Delete-At.
    headers: Metadata,
    form: Form,
}

impl Request {
    /// Checks the head, in Swift's order (_pre_create_checks).
    fn check(shared: &Shared, exchange: &Exchange<'_>, path: &Path) -> Result<Self, Refused> {
        let mut headers = exchange.head.headers.clone();
        let mut object = placement::object(path, &headers, &shared.policies)?;
        let timestamp = timestamp(&headers)?;
        let length = body_length(exchange);
        check_creation(&mut headers, &object.path, length, timestamp, &shared.config.constraints)?;
        let coded = shared.policies.kind(object.partition.policy) == Some(PolicyKind::ErasureCoding);
        if coded {
            object.partition.fragment = fragment_index(&headers)?;
        }
        let form = Form::of(&headers);
        let put = ObjectPut {
            object,
            timestamp,
            content_length: content_length(&headers, length)?,
            metadata: kept_of_put(&headers, &shared.config.allowed_headers),
            if_none_match: if_none_match(&headers)?,
            commit: match coded {
                true if is_true(&headers, "X-Backend-No-Commit") => CommitMode::Never,
                true if form.commit => CommitMode::SecondPhase,
                _ => CommitMode::AtOnce,
            },
            next_part_power: next_part_power(&headers)?,
        };
        Ok(Self { put, headers, form })
    }

    /// What the store has kept, if it has, where it could not say so: nobody else would tell the listing of it. What was
    /// there before is not known any more; the expirer finds out itself what has become of it.
    async fn found(&self, shared: &Shared) -> Option<Stored> {
        let options = ReadOptions { open_expired: true, ..ReadOptions::default() };
        let info = shared.store.head_object(self.put.object.clone(), options).await.ok()?;
        let etag = info.metadata.get_str("ETag").unwrap_or_default().to_owned();
        let stored = Stored { etag, content_length: info.content_length, previous: None };
        (info.data == self.put.timestamp).then_some(stored)
    }

    fn refused(&self, refusal: &Refusal) -> Refused {
        Box::new(refused(refusal, self.put.object.partition.device.as_str()))
    }
}

fn body_length(exchange: &Exchange<'_>) -> BodyLength {
    match (exchange.head.framing.length(), exchange.head.framing.is_done()) {
        (Some(length), _) => BodyLength::Known(length),
        (None, false) => BodyLength::Chunked,
        (None, true) => BodyLength::Missing,
    }
}

/// Bytes of the object. A proxy that sends more than the object says so in a header of its own.
fn content_length(headers: &Metadata, length: BodyLength) -> Result<Option<u64>, Refused> {
    if let BodyLength::Known(length) = length {
        return Ok(Some(length));
    }
    let Some(value) = headers.get("X-Backend-Obj-Content-Length") else { return Ok(None) };
    let length = integer(value).and_then(|length| u64::try_from(length).ok());
    length.map(Some).ok_or_else(|| bad(format!("invalid literal for int() with base 10: {}", repr(value))))
}
