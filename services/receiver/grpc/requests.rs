//! A client's messages on their way to the store.

use std::time::Duration;

use ssync_api::status::from_status;
use ssync_types::{Reason, Refusal};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Streaming};

use super::GrpcSettings;

/// A request stream, watched.
#[derive(Debug)]
pub(super) struct Requests<W> {
    stream: Streaming<W>,
    silence_timeout: Duration,
    /// Cancelled when the stream has to end for the daemon's sake.
    drain: CancellationToken,
}

impl<W: Send + 'static> Requests<W> {
    /// A stream that is not ended by the drain: what it carries has a way of its own to be told.
    pub(super) fn new(request: Request<Streaming<W>>, settings: &GrpcSettings) -> Self {
        Self {
            stream: request.into_inner(),
            silence_timeout: settings.silence_timeout,
            drain: CancellationToken::new(),
        }
    }

    /// A stream that ends when `drain` is cancelled.
    pub(super) fn ended_by(self, drain: &CancellationToken) -> Self {
        Self { drain: drain.clone(), ..self }
    }

    /// The first message, which `name` describes.
    pub(super) async fn first(&mut self, name: &str) -> Result<W, Refusal> {
        let first = self.next().await?;
        first.ok_or_else(|| Refusal::new(Reason::ProtocolOrder, format!("the stream ended before {name}")))
    }

    async fn next(&mut self) -> Result<Option<W>, Refusal> {
        let received = tokio::select! {
            received = timeout(self.silence_timeout, self.stream.message()) => received,
            () = self.drain.cancelled() => {
                return Err(Refusal::new(Reason::Draining, "the daemon is shutting down; come back later"));
            }
        };
        match received {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(broken(from_status(&status))),
            Err(_) => Err(Refusal::new(
                Reason::IdleTimeout,
                format!("the client has said nothing for {:?}", self.silence_timeout),
            )),
        }
    }

    /// Hands `first`, then what `convert` makes of the rest (nothing of some) to the store, until the client has said all,
    /// something is wrong, `is_last` says so, or the store takes no more, which is what it does when nobody waits for its
    /// answer. What was wrong is told before the store's queue is closed.
    pub(super) fn pump<T: Send + 'static>(
        self,
        first: Option<T>,
        taker: mpsc::Sender<T>,
        convert: impl FnMut(W) -> Result<Option<T>, Refusal> + Send + 'static,
        is_last: impl Fn(&T) -> bool + Send + 'static,
    ) -> oneshot::Receiver<Refusal> {
        let (faulty, fault) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(refusal) = self.copy(first, &taker, convert, is_last).await {
                // Nobody hears it when the client is gone.
                let _ = faulty.send(refusal);
            }
            // Only now, so that who sees the store end for want of messages finds the cause.
            drop(taker);
        });
        fault
    }

    async fn copy<T>(
        mut self,
        first: Option<T>,
        taker: &mpsc::Sender<T>,
        mut convert: impl FnMut(W) -> Result<Option<T>, Refusal>,
        is_last: impl Fn(&T) -> bool,
    ) -> Result<(), Refusal> {
        let mut item = first;
        loop {
            if let Some(item) = item.take() {
                let last = is_last(&item);
                if taker.send(item).await.is_err() || last {
                    return Ok(());
                }
            }
            let message = tokio::select! {
                message = self.next() => message?,
                () = taker.closed() => return Ok(()),
            };
            match message {
                Some(message) => item = convert(message)?,
                None => return Ok(()),
            }
        }
    }
}

/// A client sends no statuses: what the library calls an internal error is a message that it could not read.
fn broken(refusal: Refusal) -> Refusal {
    match refusal.reason {
        Reason::Internal => Refusal { reason: Reason::InvalidArgument, ..refusal },
        _ => refusal,
    }
}
