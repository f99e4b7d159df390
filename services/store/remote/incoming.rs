//! A peer's answers, watched: that it says anything at all, and that it makes progress.

use std::{sync::Arc, time::Duration};

use ssync_types::Invalid;
use tokio::{sync::mpsc, time::timeout};
use tonic::Streaming;

use super::{Inner, Lease, faults::Faults, ledger::Ledger};
use crate::StoreResult;

/// A response stream. It holds its connection.
#[derive(Debug)]
pub(super) struct Incoming<W, L = Lease> {
    responses: Streaming<W>,
    ledger: Arc<Ledger>,
    faults: Faults,
    silence_timeout: Duration,
    progress_timeout: Duration,
    _lease: L,
}

impl<W, L> Incoming<W, L> {
    pub(super) fn new(inner: &Inner, lease: L, responses: Streaming<W>, ledger: Arc<Ledger>) -> Self {
        let settings = &inner.settings;
        Self {
            responses,
            ledger,
            faults: inner.faults.clone(),
            silence_timeout: settings.silence_timeout,
            progress_timeout: settings.progress_timeout,
            _lease: lease,
        }
    }

    /// Of a peer that says nothing while it waits for us: only what it owes is watched.
    pub(super) fn without_heartbeats(self) -> Self {
        Self { silence_timeout: Duration::MAX, ..self }
    }

    /// The next message; `None` at the orderly end. After an error there is nothing more.
    pub(super) async fn next(&mut self) -> StoreResult<Option<W>> {
        let received = tokio::select! {
            received = timeout(self.silence_timeout, self.responses.message()) => received,
            () = self.ledger.overdue() => return Err(self.faults.stuck(self.progress_timeout)),
        };
        match received {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(self.faults.status(&status)),
            Err(_) => Err(self.faults.silent(self.silence_timeout)),
        }
    }

    /// Hands on what `convert` makes of the messages (nothing of some), to the end, to the first error, or until nobody
    /// takes it. `interest` is given up then.
    pub(super) async fn forward<T, I>(
        mut self,
        taker: mpsc::Sender<StoreResult<T>>,
        mut convert: impl FnMut(W) -> Result<Option<T>, Invalid>,
        interest: I,
    ) {
        loop {
            let received = tokio::select! {
                () = taker.closed() => break,
                received = self.next() => received,
            };
            let item = match received {
                Ok(None) => break,
                Ok(Some(message)) => {
                    convert(message).map_err(|invalid| self.faults.nonsense(&invalid)).transpose()
                }
                Err(refusal) => Some(Err(refusal)),
            };
            let Some(item) = item else { continue };
            let is_last = item.is_err();
            if taker.send(item).await.is_err() || is_last {
                break;
            }
        }
        drop(interest);
    }
}
