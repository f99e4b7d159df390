//! A caller's messages as a request stream, with heartbeats while it has nothing to say.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{sync::oneshot, time::sleep};

use super::ledger::Ledger;

/// Where the messages of a request stream come from.
pub(super) trait Source: Send + 'static {
    /// A message of the contract.
    type Wire: Send;

    /// The next message and how many answers it asks for; `None` is the orderly end. Nothing is lost when it is dropped
    /// before it is ready.
    fn next(&mut self) -> impl Future<Output = Option<(Self::Wire, u64)>> + Send;

    /// What an idle sender says, where the contract lets it say something.
    fn heartbeat(&self) -> Option<Self::Wire>;
}

/// Held while somebody waits for the answers; when it is gone the stream ends.
#[derive(Debug)]
pub(super) struct Interest {
    _alive: oneshot::Sender<Infallible>,
}

/// The request stream, and the interest in it. It is polled only when the transport has room, so a peer that does not
/// read slows the source down.
pub(super) fn outgoing<S: Source>(
    first: S::Wire,
    source: S,
    ledger: Arc<Ledger>,
    heartbeat_interval: Duration,
) -> (impl Stream<Item = S::Wire> + Send + 'static, Interest) {
    let (alive, interest_lost) = oneshot::channel();
    let outgoing = Outgoing { first: Some(first), source, ledger, heartbeat_interval, interest_lost };
    let stream = stream::unfold(outgoing, |mut outgoing| async move {
        let message = outgoing.next().await?;
        Some((message, outgoing))
    });
    (stream, Interest { _alive: alive })
}

struct Outgoing<S: Source> {
    first: Option<S::Wire>,
    source: S,
    ledger: Arc<Ledger>,
    heartbeat_interval: Duration,
    interest_lost: oneshot::Receiver<Infallible>,
}

impl<S: Source> Outgoing<S> {
    async fn next(&mut self) -> Option<S::Wire> {
        self.ledger.taken();
        if let Some(first) = self.first.take() {
            self.ledger.gave(0);
            return Some(first);
        }
        loop {
            tokio::select! {
                biased;
                _ = &mut self.interest_lost => return None,
                message = self.source.next() => {
                    let (message, answers) = message?;
                    self.ledger.gave(answers);
                    return Some(message);
                }
                () = sleep(self.heartbeat_interval) => {
                    if let Some(heartbeat) = self.source.heartbeat() {
                        self.ledger.gave(0);
                        return Some(heartbeat);
                    }
                }
            }
        }
    }
}
