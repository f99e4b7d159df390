//! Hashes of such a peer, and how a session with it is opened.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use ssync_store::{CHECK_QUEUE_MAX, Session, Store};
use ssync_types::{
    Accepted, Offer, PartitionRef, Reason, Refusal, Rehash, SessionEvent, SessionOpen, SessionProtocol,
    SuffixHashes, Want,
};
use tokio::{sync::mpsc, time::timeout};

use super::push::Push;
use crate::peer::{Errand, OfferBatch, Peer, PushError, PushMode, PushSession, Pushed, Verdicts};

/// A device behind a `Store`.
pub struct GrpcPeer {
    store: Arc<dyn Store>,
    silence_max: Duration,
}

impl fmt::Debug for GrpcPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcPeer").field("silence_max", &self.silence_max).finish_non_exhaustive()
    }
}

impl GrpcPeer {
    /// A peer that is given up after so much silence.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, silence_max: Duration) -> Self {
        Self { store, silence_max }
    }
}

#[async_trait]
impl Peer for GrpcPeer {
    async fn suffix_hashes(&self, partition: &PartitionRef) -> Result<SuffixHashes, Refusal> {
        let hashes = self.store.suffix_hashes(partition.clone(), Rehash::default());
        timeout(self.silence_max, hashes).await.map_err(|_| silent(self.silence_max))?
    }

    async fn lacking(&self, partition: &PartitionRef, objects: OfferBatch) -> Result<Vec<Want>, Refusal> {
        let (questions, asked) = mpsc::channel(CHECK_QUEUE_MAX);
        let ask = async {
            for part in objects.chunks(Offer::BATCH_MAX) {
                let question = part.iter().map(|object| object.offer.clone()).collect();
                // Why the check has ended is for its answers to say.
                if questions.send(question).await.is_err() {
                    break;
                }
            }
            drop(questions);
            Ok(())
        };
        let take = async {
            let late = |_| silent(self.silence_max);
            let check = self.store.missing_check(partition.clone(), asked);
            let mut answers = timeout(self.silence_max, check).await.map_err(late)??;
            let (mut wants, mut answered) = (Vec::new(), 0);
            while let Some(answer) = timeout(self.silence_max, answers.recv()).await.map_err(late)? {
                let answer = answer?;
                wants.extend(answer.wants);
                answered = answer.answered_offers;
            }
            match answered == objects.len() as u64 && wants.len() <= objects.len() {
                true => Ok(wants),
                false => {
                    Err(Refusal::new(Reason::ProtocolOrder, "the peer's check did not answer all offers"))
                }
            }
        };
        let ((), wants) = tokio::try_join!(ask, take)?;
        Ok(wants)
    }

    async fn open(&self, errand: Errand) -> Result<Box<dyn PushSession>, Refusal> {
        let opener = Opener { store: Arc::clone(&self.store), errand, silence_max: self.silence_max };
        let admitted = opener.open().await?;
        Ok(Box::new(GrpcSession { opener, admitted }))
    }
}

pub(super) fn silent(waited: Duration) -> Refusal {
    Refusal::new(Reason::IdleTimeout, format!("the peer was silent for {waited:?} (http_timeout)"))
}

/// A session whose slot and locks are held.
pub(super) struct Admitted {
    pub(super) session: Session,
    pub(super) accepted: Accepted,
}

/// Opens sessions for one errand, one after the other.
pub(super) struct Opener {
    pub(super) store: Arc<dyn Store>,
    pub(super) errand: Errand,
    pub(super) silence_max: Duration,
}

impl Opener {
    /// Opens one and waits for its terms.
    pub(super) async fn open(&self) -> Result<Admitted, Refusal> {
        let open = SessionOpen {
            partition: self.errand.partition.clone(),
            sender: self.errand.sender.clone(),
            ring_digest: self.errand.ring_digest.clone(),
            non_durable: false,
            failures_unlimited: false,
            protocol: SessionProtocol::Grpc,
        };
        timeout(self.silence_max, self.admission(open)).await.map_err(|_| silent(self.silence_max))?
    }

    /// Opens one more after the peer has asked to end the one before. Only of a device that is drained it says so in another way.
    pub(super) async fn open_after_drain(&self) -> Result<Admitted, Refusal> {
        self.open().await.map_err(|refusal| match refusal.reason {
            Reason::DeviceLocked => refusal,
            _ => drains(),
        })
    }

    async fn admission(&self, open: SessionOpen) -> Result<Admitted, Refusal> {
        let mut session = self.store.updates(open).await?;
        loop {
            match session.events.recv().await.transpose()? {
                Some(SessionEvent::Opened { ring_differs }) => {
                    if ring_differs {
                        tracing::info!(partition = %self.errand.partition, "the peer has another ring than this node");
                    }
                }
                Some(SessionEvent::Accepted(accepted)) => return Ok(Admitted { session, accepted }),
                Some(SessionEvent::Heartbeat | SessionEvent::Work(_)) => {}
                Some(SessionEvent::Draining(reason)) => return Err(Refusal::new(Reason::Draining, reason)),
                Some(SessionEvent::Results(_) | SessionEvent::Summary(_)) => {
                    return Err(Refusal::new(
                        Reason::ProtocolOrder,
                        "the peer answered before it accepted the session",
                    ));
                }
                None => return Err(ended_early()),
            }
        }
    }
}

pub(super) fn ended_early() -> Refusal {
    Refusal::new(Reason::Unreachable, "the peer ended the session early")
}

pub(super) fn drains() -> Refusal {
    Refusal::new(Reason::Draining, "the peer is shutting down")
}

/// A session, and the means to open the next one.
struct GrpcSession {
    opener: Opener,
    admitted: Admitted,
}

#[async_trait]
impl PushSession for GrpcSession {
    async fn push(
        self: Box<Self>,
        mode: PushMode,
        offers: mpsc::Receiver<OfferBatch>,
        verdicts: Verdicts,
    ) -> Result<Pushed, PushError> {
        Push::new(self.opener, mode, verdicts).run(self.admitted, offers).await
    }
}
