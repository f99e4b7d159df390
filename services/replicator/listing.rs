//! Walks a partition suffix by suffix and hands its objects to sessions, in slices of bounded size.

use std::{collections::VecDeque, sync::Arc};

use ssync_diskfile::LocalObject;
use ssync_types::{Refusal, Suffix};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{peer::OfferBatch, source::Source};

/// Most offers in a message (the contract's limit).
pub(crate) const BATCH_OFFERS_MAX: usize = 1_000;
/// A slice ends with the suffix in which it reaches this: what a job holds in memory, and repeats after an interruption.
pub(crate) const SLICE_OBJECTS_MAX: usize = 20_000;

/// The suffixes of a partition that are still to be offered.
#[derive(Debug)]
pub(crate) struct Listing {
    source: Source,
    suffixes: VecDeque<Suffix>,
    first_failure: Option<Refusal>,
    drain: CancellationToken,
}

impl Listing {
    /// The suffixes of `source` that are to be offered, until `drain`.
    pub(crate) fn new(
        source: Source,
        suffixes: impl IntoIterator<Item = Suffix>,
        drain: CancellationToken,
    ) -> Self {
        Self { source, suffixes: suffixes.into_iter().collect(), first_failure: None, drain }
    }

    /// Whether all has been offered.
    pub(crate) fn is_done(&self) -> bool {
        self.suffixes.is_empty()
    }

    /// The first suffix that could not be read, if any; such a suffix is passed over and not in sync (rule S4).
    pub(crate) fn failure(&self) -> Option<&Refusal> {
        self.first_failure.as_ref()
    }

    /// Offers the next slice to all of `sessions`; `offered` sees each batch first. Sessions that have gone are left out;
    /// without any it stops. Answers with the number of objects.
    pub(crate) async fn offer_slice(
        &mut self,
        mut sessions: Vec<mpsc::Sender<OfferBatch>>,
        mut offered: impl FnMut(&[LocalObject]),
    ) -> u64 {
        let (mut total, mut batch) = (0_usize, Vec::new());
        while total + batch.len() < SLICE_OBJECTS_MAX && !sessions.is_empty() && !self.drain.is_cancelled() {
            let Some(suffix) = self.suffixes.pop_front() else { break };
            match self.source.list(suffix).await {
                Ok(objects) => batch.extend(objects),
                Err(refusal) => {
                    tracing::error!(%suffix, %refusal, "a suffix could not be listed, and is not in sync");
                    self.first_failure.get_or_insert(refusal);
                }
            }
            while batch.len() >= BATCH_OFFERS_MAX {
                let rest = batch.split_off(BATCH_OFFERS_MAX);
                total += batch.len();
                send(&mut sessions, std::mem::replace(&mut batch, rest), &mut offered).await;
            }
        }
        if !batch.is_empty() {
            total += batch.len();
            send(&mut sessions, batch, &mut offered).await;
        }
        total as u64
    }
}

async fn send(
    sessions: &mut Vec<mpsc::Sender<OfferBatch>>,
    batch: Vec<LocalObject>,
    offered: &mut impl FnMut(&[LocalObject]),
) {
    offered(&batch);
    let batch = Arc::new(batch);
    let mut still_there = Vec::with_capacity(sessions.len());
    for session in sessions.drain(..) {
        if session.send(Arc::clone(&batch)).await.is_ok() {
            still_there.push(session);
        }
    }
    *sessions = still_there;
}
