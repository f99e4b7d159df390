//! PUT: a new object (Swift: obj/server.py PUT).

use ssync_store::Upload;
use ssync_types::{
    BodyEnd, BodyEvent, CommitMode, FragmentIndex, Metadata, ObjectPut, PutStep, Reason, Refusal, Stored,
};
use tokio::time::{Instant, timeout_at};

use super::{
    constraints::{BodyLength, check_creation},
    fields::{bad, etags, has, integer, is_true, next_part_power, timestamp},
    kept::{kept_of_footers, kept_of_put},
};
use crate::{
    PolicyKind,
    http::{Exchange, Response},
    placement::{self, Path, Refused},
    sidecar::Shared,
    status::{HTML, plain_page, refused},
    updates::Change,
};

mod etag;
mod footer;
mod intake;

use etag::{Expected, can_match};
use intake::{Form, Intake, too_slow};

/// Stores an object.
pub(crate) async fn put(
    shared: &Shared,
    exchange: &mut Exchange<'_>,
    path: &Path,
) -> Result<Response, Refused> {
    let request = Request::check(shared, exchange, path)?;
    let upload = shared.store.put_object(request.put.clone()).await;
    let upload = upload.map_err(|refusal| request.refused(&refusal))?;
    let intake = Intake::open(exchange, request.form).await?;
    let (stored, footers) = Transfer { shared, request: &request, intake, upload }.run().await?;
    let Request { put, headers, .. } = &request;
    let change =
        Change { request: &exchange.head, path, headers, object: &put.object, timestamp: put.timestamp };
    let updated = shared.updates.after_put(&change, &footers, &stored).await;
    updated.map_err(|refusal| request.refused(&refusal))?;
    Ok(Response::new(201, HTML, "").with("Etag", format!("\"{}\"", stored.etag)))
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
            object.partition.fragment = fragment(&headers)?;
        }
        let form = Form::of(&headers);
        let put = ObjectPut {
            object,
            timestamp,
            content_length: content_length(&headers, length)?,
            metadata: kept_of_put(&headers, &shared.config.allowed_headers),
            if_none_match: etags(&headers, "If-None-Match")
                .into_iter()
                .filter(|etag| can_match(etag))
                .collect(),
            commit: match coded {
                true if is_true(&headers, "X-Backend-No-Commit") => CommitMode::Never,
                true if form.commit => CommitMode::SecondPhase,
                _ => CommitMode::AtOnce,
            },
            next_part_power: next_part_power(&headers)?,
        };
        Ok(Self { put, headers, form })
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
    let shown = String::from_utf8_lossy(value);
    length.map(Some).ok_or_else(|| bad(format!("invalid literal for int() with base 10: '{shown}'")))
}

/// Which fragment an SSYNC sender or a reconstructor writes.
fn fragment(headers: &Metadata) -> Result<Option<FragmentIndex>, Refused> {
    if !has(headers, "X-Backend-Ssync-Frag-Index") {
        return Ok(None);
    }
    let index = headers.get_str("X-Backend-Ssync-Frag-Index").and_then(|text| text.trim().parse().ok());
    index
        .map(|index| Some(FragmentIndex::new(index)))
        .ok_or_else(|| bad("Invalid X-Backend-Ssync-Frag-Index"))
}

/// A body under way from the client to the store.
struct Transfer<'t, 'e, 'c> {
    shared: &'t Shared,
    request: &'t Request,
    intake: Intake<'e, 'c>,
    upload: Upload,
}

impl Transfer<'_, '_, '_> {
    /// What has been stored, and what came behind the body: whether it was kept or not, it wins over the headers.
    async fn run(mut self) -> Result<(Stored, Metadata), Refused> {
        let (end, footers) = match self.body().await {
            Ok(body) => body,
            Err(refused) => {
                // Without its end nothing is kept of it. The client hears of it when that is so.
                drop(self.upload.body);
                while self.upload.steps.recv().await.is_some() {}
                return Err(refused);
            }
        };
        self.tell(BodyEvent::End(end)).await?;
        let mut step = self.step().await?;
        if self.request.form.commit {
            // Where no leave comes, a fragment stays without its mark.
            self.intake.leave_to_commit().await?;
        }
        if step == PutStep::Prepared {
            self.tell(BodyEvent::Commit).await?;
            step = self.step().await?;
        }
        match step {
            PutStep::Stored(stored) => Ok((stored, footers)),
            PutStep::Prepared => Err(self.request.refused(&gone())),
        }
    }

    /// Hands the body on while the store writes it. A store that says no while the body is still coming is heard at once.
    async fn body(&mut self) -> Result<(BodyEnd, Metadata), Refused> {
        let Self { shared, request, intake, upload } = self;
        let read = async {
            let deadline = Instant::now() + shared.config.max_upload_time;
            let data = intake.data(&upload.body, shared.config.constraints.max_file_size);
            let Ok(data) = timeout_at(deadline, data).await else {
                shared.statsd.increment("PUT.timeouts");
                return Err(too_slow());
            };
            let (bytes, taken) = data?;
            if request.put.content_length.is_some_and(|announced| announced != bytes) {
                return Err(Box::new(plain_page(499, "")));
            }
            let device = &request.put.object.partition.device;
            shared.statsd.transfer_rate(format_args!("PUT.{device}.timing"), taken, bytes);
            let footers = intake.footers().await?;
            let etag = match Expected::of(&request.headers, &footers) {
                Expected::Anything => None,
                Expected::Md5(etag) => Some(etag),
                Expected::Nothing => return Err(Box::new(plain_page(422, ""))),
            };
            Ok((BodyEnd::Complete { etag, footers: kept_of_footers(&footers) }, footers))
        };
        tokio::select! {
            said = upload.steps.recv() => Err(match said {
                Some(Err(refusal)) => request.refused(&refusal),
                Some(Ok(_)) | None => request.refused(&gone()),
            }),
            read = read => read,
        }
    }

    async fn tell(&mut self, event: BodyEvent) -> Result<(), Refused> {
        match self.upload.body.send(event).await {
            Ok(()) => Ok(()),
            // It has said why.
            Err(_) => self.step().await.and(Err(self.request.refused(&gone()))),
        }
    }

    async fn step(&mut self) -> Result<PutStep, Refused> {
        match self.upload.steps.recv().await {
            Some(step) => step.map_err(|refusal| self.request.refused(&refusal)),
            None => Err(self.request.refused(&gone())),
        }
    }
}

fn gone() -> Refusal {
    Refusal::new(Reason::Unreachable, "the store went away in the middle of the upload; try again")
}
