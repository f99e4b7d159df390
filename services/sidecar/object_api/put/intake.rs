//! The body of a PUT as it comes: bare, or as the first of several documents (Swift: obj/server.py
//! _do_multi_stage_mime_continue_headers and what follows, proxy/controllers/obj.py MIMEPutter).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ssync_types::{BodyEvent, Metadata};
use tokio::{
    sync::mpsc,
    time::{Instant, error::Elapsed, timeout},
};

use super::footer::{self, FOOTER_BYTES_MAX, said};
use crate::{
    fields::is_true,
    http::{Documents, Exchange, HttpError, MimeHead, MimeStep},
    status::{Refused, page, text},
};

/// Most bytes behind the last document that matters.
const REST_BYTES_MAX: usize = 65_536;

/// What comes behind the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// Metadata.
    pub(super) footers: bool,
    /// The leave to commit, which is waited for with the data on disk.
    pub(super) commit: bool,
}

impl Form {
    pub(super) fn of(headers: &Metadata) -> Self {
        Self {
            footers: is_true(headers, "X-Backend-Obj-Metadata-Footer"),
            commit: is_true(headers, "X-Backend-Obj-Multiphase-Commit"),
        }
    }

    /// What `100 Continue` tells a proxy, which sends footers and commits only to those who can read them.
    fn told(self) -> &'static [(&'static str, &'static str)] {
        const TOLD: [(&str, &str); 2] =
            [("X-Obj-Multiphase-Commit", "yes"), ("X-Obj-Metadata-Footer", "yes")];
        match (self.commit, self.footers) {
            (true, true) => &TOLD,
            (true, false) => &TOLD[..1],
            (false, true) => &TOLD[1..],
            (false, false) => &[],
        }
    }

    /// What takes the body apart.
    fn documents(self, headers: &Metadata) -> Result<Option<Documents>, Refused> {
        if !self.footers && !self.commit {
            return Ok(None);
        }
        let boundary = headers.get("X-Backend-Obj-Multipart-Mime-Boundary").cloned().unwrap_or_default();
        let documents = Documents::new(&boundary);
        documents.map(Some).ok_or_else(|| match boundary.is_empty() {
            true => said(400, "no MIME boundary"),
            false => said(400, "the MIME boundary is too long"),
        })
    }
}

/// A body on its way in. It holds one piece at a time.
pub(super) struct Intake<'e, 'c> {
    exchange: &'e mut Exchange<'c>,
    form: Form,
    documents: Option<Documents>,
    /// How long each document behind the data may take.
    patience: Duration,
}

impl<'e, 'c> Intake<'e, 'c> {
    /// Sends the `100 Continue` that the client may wait for.
    pub(super) async fn open(exchange: &'e mut Exchange<'c>, form: Form) -> Result<Self, Refused> {
        let documents = form.documents(&exchange.head.headers)?;
        if exchange.head.expects_continue {
            exchange.send_continue(form.told()).await.map_err(|error| broken(&error))?;
        }
        let patience = exchange.read_limit();
        Ok(Self { exchange, form, documents, patience })
    }

    /// Hands the data on as it comes. Says how many bytes it was, and how long the store took to take them.
    pub(super) async fn data(
        &mut self,
        to: &mpsc::Sender<BodyEvent>,
        bytes_max: u64,
    ) -> Result<(u64, Duration), Refused> {
        let (mut bytes, mut taken) = (0, Duration::ZERO);
        if self.documents.is_some() {
            self.document().await?;
        }
        while let Some(piece) = self.piece().await? {
            bytes += piece.len() as u64;
            if bytes > bytes_max {
                return Err(Box::new(text(413, "Your request is too large.")));
            }
            let offered = Instant::now();
            send(to, BodyEvent::Chunk(piece)).await;
            taken += offered.elapsed();
        }
        Ok((bytes, taken))
    }

    /// A piece of the data, or of the document that was begun.
    async fn piece(&mut self) -> Result<Option<Bytes>, Refused> {
        if self.documents.is_none() {
            return read(self.exchange).await;
        }
        match self.step().await? {
            MimeStep::Piece(piece) => Ok(Some(piece)),
            _ => Ok(None),
        }
    }

    /// The next document's headers; `None` when there is none.
    async fn document(&mut self) -> Result<Option<MimeHead>, Refused> {
        match self.step().await? {
            MimeStep::Head(head) => Ok(Some(head)),
            _ => Ok(None),
        }
    }

    async fn step(&mut self) -> Result<MimeStep, Refused> {
        let Some(documents) = &mut self.documents else { return Ok(MimeStep::Over) };
        loop {
            match documents.step().map_err(|error| broken(&error))? {
                MimeStep::More => match read(self.exchange).await? {
                    Some(piece) => documents.feed(piece),
                    None => documents.finish(),
                },
                step => return Ok(step),
            }
        }
    }

    /// What stands between the data and the leave to commit: the footers. None where none were announced.
    pub(super) async fn footers(&mut self) -> Result<Metadata, Refused> {
        let patience = self.patience;
        let read = async {
            let footers = if self.form.footers { self.footer().await? } else { Metadata::new() };
            self.read_to_end().await?;
            Ok(footers)
        };
        let read = timeout(patience, read).await;
        self.in_time(read)
    }

    /// What was read in time. Of a client that took too long nobody knows where its next request begins.
    pub(super) fn in_time<T>(&mut self, read: Result<Result<T, Refused>, Elapsed>) -> Result<T, Refused> {
        read.unwrap_or_else(|_| {
            self.exchange.give_up();
            Err(Box::new(page(408, "")))
        })
    }

    async fn footer(&mut self) -> Result<Metadata, Refused> {
        let missing = || said(400, "couldn't find footer MIME doc");
        let head = self.document().await?.ok_or_else(missing)?;
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > FOOTER_BYTES_MAX {
                return Err(said(413, "the footer MIME doc is too large"));
            }
            body.extend_from_slice(&piece);
        }
        footer::parse(&head, &body)
    }

    /// Reads what stands behind the documents up to the end of the chunks: a client that does not come so far has not said
    /// all that it had to say. One that waits for leave to go on begins others then.
    async fn read_to_end(&mut self) -> Result<(), Refused> {
        let Some(documents) = &self.documents else { return Ok(()) };
        let mut left = documents.untaken();
        loop {
            if left > REST_BYTES_MAX {
                return Err(said(413, "too much stands behind the MIME docs"));
            }
            match read(self.exchange).await? {
                Some(piece) => left += piece.len(),
                None => return Ok(()),
            }
        }
    }

    /// Tells the client that its data is stored, and waits for its leave to commit it.
    pub(super) async fn leave_to_commit(&mut self) -> Result<(), Refused> {
        let patience = self.patience;
        let read = async {
            self.exchange.continue_again(self.form.told()).await.map_err(|error| broken(&error))?;
            let missing = || said(400, "couldn't find PUT commit MIME doc");
            let head = self.document().await?.ok_or_else(missing)?;
            self.read_to_end().await?;
            match head.get("X-Document") {
                Some(b"put commit") => Ok(()),
                _ => Err(Box::new(page(500, ""))),
            }
        };
        let read = timeout(patience, read).await;
        self.in_time(read)
    }
}

/// Hands one event to the store. A store that listens no more has said why, or is about to: whoever waits for that word
/// drops this.
async fn send(to: &mpsc::Sender<BodyEvent>, event: BodyEvent) {
    if to.send(event).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn read(exchange: &mut Exchange<'_>) -> Result<Option<Bytes>, Refused> {
    exchange.read_body().await.map_err(|error| broken(&error))
}

/// The answer to a body that broke off.
fn broken(error: &HttpError) -> Refused {
    Box::new(match error {
        HttpError::Timeout => page(408, ""),
        HttpError::Malformed { status, text: problem } => text(*status, *problem),
        HttpError::Closed | HttpError::Disconnected | HttpError::Io(_) => page(499, ""),
    })
}
