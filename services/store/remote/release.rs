//! A release at the receiver of this node, behind gRPC.

use std::sync::Arc;

use ssync_api::{
    convert::{self, RELEASE_ITEMS_MAX},
    v1::{self, release_response::Message},
};
use ssync_types::{Invalid, ReleaseItem, ReleaseOpen, ReleaseResult};
use tokio::sync::mpsc;

use super::{
    Inner,
    incoming::Incoming,
    ledger::Ledger,
    outgoing::{Source, outgoing},
    request,
};
use crate::{CHECK_QUEUE_MAX, Release, StoreResult};

pub(super) async fn release(inner: &Arc<Inner>, open: ReleaseOpen) -> StoreResult<Release> {
    let settings = &inner.settings;
    let lease = inner.checks.lease();
    let ledger = Arc::new(Ledger::new(settings.progress_timeout));
    let (items, queue) = mpsc::channel(CHECK_QUEUE_MAX);
    let source = Items { queue, batch: Vec::new() };
    let (stream, interest) = outgoing(open.into(), source, Arc::clone(&ledger), settings.heartbeat_interval);

    let mut client = lease.replication();
    let responses = inner.unary(settings.silence_timeout, client.release(request(stream))).await?;
    let mut incoming = Incoming::new(inner, lease, responses, Arc::clone(&ledger));
    locked(&mut incoming, inner).await?;
    let (taker, received) = mpsc::channel(CHECK_QUEUE_MAX);
    tokio::spawn(incoming.forward(taker, move |response| results(response, &ledger), interest));
    Ok(Release { items, results: received })
}

struct Items {
    queue: mpsc::Receiver<Vec<ReleaseItem>>,
    /// What is left of a batch that fits into no message.
    batch: Vec<ReleaseItem>,
}

impl Source for Items {
    type Wire = v1::ReleaseRequest;

    async fn next(&mut self) -> Option<(Self::Wire, u64)> {
        while self.batch.is_empty() {
            self.batch = self.queue.recv().await?;
        }
        let rest = self.batch.split_off(self.batch.len().min(RELEASE_ITEMS_MAX));
        let batch = std::mem::replace(&mut self.batch, rest);
        let count = batch.len() as u64;
        Some((batch.into(), count))
    }

    fn heartbeat(&self) -> Option<Self::Wire> {
        let heartbeat = v1::release_request::Message::Heartbeat(v1::Heartbeat::default());
        Some(v1::ReleaseRequest { message: Some(heartbeat) })
    }
}

/// Waits for the lock.
async fn locked(incoming: &mut Incoming<v1::ReleaseResponse>, inner: &Inner) -> StoreResult<()> {
    while let Some(response) = incoming.next().await? {
        match response.message {
            Some(Message::Heartbeat(_)) => {}
            Some(Message::Locked(_)) => return Ok(()),
            Some(Message::Results(_)) | None => break,
        }
    }
    Err(inner.faults.ended_early("`locked`"))
}

fn results(response: v1::ReleaseResponse, ledger: &Ledger) -> Result<Option<Vec<ReleaseResult>>, Invalid> {
    match response.message {
        Some(Message::Heartbeat(_) | Message::Locked(_)) => Ok(None),
        Some(Message::Results(results)) => {
            let results = convert::release_results(results)?;
            ledger.answered(results.len() as u64);
            Ok(Some(results))
        }
        None => Err(Invalid::new("message", "is required")),
    }
}
