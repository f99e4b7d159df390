//! A store's answers on their way to the client.

use std::{collections::VecDeque, time::Duration};

use futures_util::stream;
use ssync_types::Refusal;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tonic::{Status, codegen::BoxStream};

use super::{batch::Batch, refused};

/// A response stream: `head`, then what comes out of `source`. It ends with the source, with the source's first error, or
/// with what was wrong with the requests. Polled only when the transport has room, so a client that does not read slows
/// the store down; dropped when the client goes away.
pub(super) fn responses<B: Batch + Default>(
    head: Option<B::Wire>,
    source: mpsc::Receiver<Result<B::Item, Refusal>>,
    fault: Option<oneshot::Receiver<Refusal>>,
    heartbeat_interval: Duration,
) -> BoxStream<B::Wire> {
    let responses = Responses {
        ready: head.into_iter().collect(),
        batch: B::default(),
        source,
        gathered: Vec::new(),
        fault,
        heartbeat_interval,
        end: None,
    };
    Box::pin(stream::unfold(responses, |mut responses: Responses<B>| async move {
        let message = responses.next().await?;
        Some((message, responses))
    }))
}

struct Responses<B: Batch> {
    ready: VecDeque<B::Wire>,
    batch: B,
    source: mpsc::Receiver<Result<B::Item, Refusal>>,
    gathered: Vec<Result<B::Item, Refusal>>,
    /// What was wrong with the requests; `None` once it is known that nothing was.
    fault: Option<oneshot::Receiver<Refusal>>,
    heartbeat_interval: Duration,
    /// How it ends, once that is known and `ready` is empty; `Some(None)` for the orderly end.
    end: Option<Option<Refusal>>,
}

impl<B: Batch> Responses<B> {
    async fn next(&mut self) -> Option<Result<B::Wire, Status>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(Ok(message));
            }
            if let Some(end) = &mut self.end {
                return end.take().map(|refusal| Err(refused(&refusal)));
            }
            self.gather().await;
        }
    }

    /// Waits for something to say, or for the end.
    async fn gather(&mut self) {
        tokio::select! {
            biased;
            refusal = wrong(&mut self.fault) => self.end = Some(Some(refusal)),
            count = self.source.recv_many(&mut self.gathered, B::ITEMS_MAX) => {
                self.take_gathered();
                if count == 0 {
                    self.end = Some(None);
                }
            }
            () = sleep(self.heartbeat_interval) => self.ready.extend(self.batch.heartbeat()),
        }
    }

    fn take_gathered(&mut self) {
        for item in self.gathered.drain(..) {
            match item {
                Ok(item) => self.batch.push(item, &mut self.ready),
                Err(refusal) => {
                    self.end = Some(Some(refusal));
                    break;
                }
            }
        }
        self.batch.flush(&mut self.ready);
    }
}

/// What was wrong with the requests. Waits for ever when nothing was.
async fn wrong(fault: &mut Option<oneshot::Receiver<Refusal>>) -> Refusal {
    if let Some(told) = fault
        && let Ok(refusal) = told.await
    {
        return refusal;
    }
    *fault = None;
    std::future::pending().await
}
