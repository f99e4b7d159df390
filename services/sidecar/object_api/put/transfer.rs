//! A body under way from the client to the store.

use ssync_store::Upload;
use ssync_types::{BodyEnd, BodyEvent, Metadata, PutStep, Reason, Refusal, Stored};
use tokio::time::{Instant, timeout_at};

use super::{Request, etag::Expected, intake::Intake};
use crate::{
    object_api::kept::kept_of_footers,
    sidecar::Shared,
    status::{Refused, page},
};

/// An upload that was let in, and where its body comes from.
pub(super) struct Transfer<'t, 'e, 'c> {
    pub(super) shared: &'t Shared,
    pub(super) request: &'t Request,
    pub(super) intake: Intake<'e, 'c>,
    pub(super) upload: Upload,
}

/// An upload that came to nothing, as far as is known.
pub(super) struct Failed {
    /// The answer.
    pub(super) refused: Refused,
    /// What came behind the body, where the store went away after it had got all: it may have kept the object.
    pub(super) unsure: Option<Metadata>,
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self { refused, unsure: None }
    }
}

impl Transfer<'_, '_, '_> {
    /// What has been stored, and what came behind the body: whether it was kept or not, it wins over the headers.
    pub(super) async fn run(mut self) -> Result<(Stored, Metadata), Failed> {
        let (end, footers) = match self.body().await {
            Ok(body) => body,
            Err(refused) => {
                // Without its end nothing is kept of it. The client hears of it when that is so.
                drop(self.upload.body);
                while self.upload.steps.recv().await.is_some() {}
                return Err(refused.into());
            }
        };
        match self.keep(end).await {
            Ok(stored) => Ok((stored, footers)),
            Err(Broken::Client(refused)) => Err(refused.into()),
            Err(Broken::Store(refusal)) => {
                let unsure = (refusal.reason == Reason::Unreachable).then_some(footers);
                Err(Failed { refused: self.request.refused(&refusal), unsure })
            }
        }
    }

    /// Lets the store keep what it has got, at once or in two steps.
    async fn keep(&mut self, end: BodyEnd) -> Result<Stored, Broken> {
        self.tell(BodyEvent::End(end)).await?;
        let mut step = self.step().await?;
        if self.request.form.commit {
            // Where no leave comes, a fragment stays without its mark.
            self.intake.leave_to_commit().await.map_err(Broken::Client)?;
        }
        if step == PutStep::Prepared {
            self.tell(BodyEvent::Commit).await?;
            step = self.step().await?;
        }
        match step {
            PutStep::Stored(stored) => Ok(stored),
            PutStep::Prepared => Err(gone().into()),
        }
    }

    /// Hands the body on while the store writes it. A store that says no while the body is still coming is heard at once.
    async fn body(&mut self) -> Result<(BodyEnd, Metadata), Refused> {
        let Self { shared, request, intake, upload } = self;
        let read = async {
            let deadline = Instant::now() + shared.config.max_upload_time;
            let data = intake.data(&upload.body, shared.config.constraints.max_file_size);
            let data = timeout_at(deadline, data).await;
            if data.is_err() {
                shared.statsd.increment("PUT.timeouts");
            }
            let (bytes, taken) = intake.in_time(data)?;
            if request.put.content_length.is_some_and(|announced| announced != bytes) {
                return Err(Box::new(page(499, "")));
            }
            let device = &request.put.object.partition.device;
            shared.statsd.transfer_rate(format_args!("PUT.{device}.timing"), taken, bytes);
            let footers = intake.footers().await?;
            let etag = match Expected::of(&request.headers, &footers) {
                Expected::Anything => None,
                Expected::Md5(etag) => Some(etag),
                Expected::Nothing => return Err(Box::new(page(422, ""))),
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

    async fn tell(&mut self, event: BodyEvent) -> Result<(), Refusal> {
        match self.upload.body.send(event).await {
            Ok(()) => Ok(()),
            // It has said why.
            Err(_) => self.step().await.and(Err(gone())),
        }
    }

    async fn step(&mut self) -> Result<PutStep, Refusal> {
        self.upload.steps.recv().await.unwrap_or_else(|| Err(gone()))
    }
}

/// Whose fault it is that the second half of an upload fails.
enum Broken {
    Client(Refused),
    Store(Refusal),
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Store(refusal)
    }
}

fn gone() -> Refusal {
    Refusal::new(Reason::Unreachable, "the store went away in the middle of the upload; try again")
}
