//! The same peers, reached through their gates.

use std::sync::Arc;

use async_trait::async_trait;
use ssync_types::{PartitionRef, Refusal, SuffixHashes, Want};
use tokio::{sync::mpsc, time::Instant};

use super::{Gates, PLACE_WAIT_MAX, Sending, Stage, Visit};
use crate::{
    parked::Parked,
    peer::{Errand, OfferBatch, Peer, Peers, PushError, PushMode, PushSession, Pushed, Target, Verdicts},
};

/// Peers that are left in peace when they have enough, or do not answer.
pub(crate) struct GatedPeers {
    inner: Arc<dyn Peers>,
    gates: Arc<Gates>,
    pub(super) parked: Parked,
}

impl GatedPeers {
    pub(crate) fn new(inner: Arc<dyn Peers>, gates: Arc<Gates>, parked: Parked) -> Self {
        Self { inner, gates, parked }
    }
}

#[async_trait]
impl Peers for GatedPeers {
    async fn find(&self, target: &Target) -> Result<Arc<dyn Peer>, Refusal> {
        let visit = Arc::new(self.gates.enter(target, &self.parked)?);
        let found = self.inner.find(target).await;
        if let Err(refusal) = &found {
            visit.found(Stage::Hashes, Some(refusal));
        }
        Ok(Arc::new(GatedPeer { inner: found?, visit, target: target.clone() }))
    }
}

struct GatedPeer {
    inner: Arc<dyn Peer>,
    visit: Arc<Visit>,
    target: Target,
}

#[async_trait]
impl Peer for GatedPeer {
    async fn suffix_hashes(&self, partition: &PartitionRef) -> Result<SuffixHashes, Refusal> {
        let hashes = self.inner.suffix_hashes(partition).await;
        self.visit.found(Stage::Hashes, hashes.as_ref().err());
        hashes
    }

    async fn lacking(&self, partition: &PartitionRef, objects: OfferBatch) -> Result<Vec<Want>, Refusal> {
        self.inner.lacking(partition, objects).await
    }

    async fn open(&self, errand: Errand) -> Result<Box<dyn PushSession>, Refusal> {
        let begin = Instant::now();
        let until = if errand.patient { begin + PLACE_WAIT_MAX } else { begin };
        loop {
            let place = self.visit.place(&self.target, until).await?;
            let session = self.inner.open(errand.clone()).await;
            self.visit.found(Stage::Session, session.as_ref().err());
            match session {
                Ok(inner) => {
                    let sending = self.visit.sends(place, errand.source.pulse());
                    return Ok(Box::new(GatedSession { inner, visit: Arc::clone(&self.visit), sending }));
                }
                Err(refusal) if self.visit.was_full(&refusal) && Instant::now() < until => {}
                Err(refusal) => return Err(refusal),
            }
        }
    }
}

struct GatedSession {
    inner: Box<dyn PushSession>,
    visit: Arc<Visit>,
    sending: Sending,
}

#[async_trait]
impl PushSession for GatedSession {
    fn confirmable_max(&self) -> u64 {
        self.inner.confirmable_max()
    }

    async fn push(
        self: Box<Self>,
        mode: PushMode,
        offers: mpsc::Receiver<OfferBatch>,
        verdicts: Verdicts,
    ) -> Result<Pushed, PushError> {
        let Self { inner, visit, sending: _sending } = *self;
        let pushed = inner.push(mode, offers, verdicts).await;
        match &pushed {
            Ok(_) => visit.found(Stage::Push, None),
            Err(PushError::Peer(refusal)) => visit.found(Stage::Push, Some(refusal)),
            // Nothing that the peer did.
            Err(PushError::Here(_)) => {}
        }
        pushed
    }
}
