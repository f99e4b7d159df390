//! The same peers, reached through their gates.

use std::sync::Arc;

use async_trait::async_trait;
use ssync_types::{PartitionRef, Refusal, SuffixHashes, Want};
use tokio::sync::mpsc;

use super::{Gates, Sending, Stage, Visit};
use crate::peer::{
    Errand, OfferBatch, Peer, Peers, PushError, PushMode, PushSession, Pushed, Target, Verdicts,
};

/// Peers that are left in peace when they have enough, or do not answer.
pub(crate) struct GatedPeers {
    inner: Arc<dyn Peers>,
    gates: Arc<Gates>,
}

impl GatedPeers {
    pub(crate) fn new(inner: Arc<dyn Peers>, gates: Arc<Gates>) -> Self {
        Self { inner, gates }
    }
}

#[async_trait]
impl Peers for GatedPeers {
    async fn find(&self, target: &Target) -> Result<Arc<dyn Peer>, Refusal> {
        let visit = Arc::new(self.gates.enter(target)?);
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
        self.visit.goes_on(&self.target, Stage::Session)?;
        let pulse = errand.source.pulse().clone();
        let session = self.inner.open(errand).await;
        self.visit.found(Stage::Session, session.as_ref().err());
        let (inner, sending) = (session?, self.visit.sends(&pulse));
        Ok(Box::new(GatedSession { inner, visit: Arc::clone(&self.visit), sending }))
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
