//! Where a node is, what a partition lacks there, and how a session is opened.

use std::{sync::Arc, time::Duration};

use ssync_store::{CHECK_QUEUE_MAX, CheckAnswers, RemoteSettings, RemoteStore, Store as _, StoreAddress};
use ssync_types::{
    Job, Offer, PartitionRef, Reason, Refusal, Sender, SessionEvent, SessionOpen, SessionProtocol, Want,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

use crate::{Updates, Verdicts};

/// Where a refusal that is worth another try names no time.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

/// A storage node. Connects when it is first needed, and again when a connection broke. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    store: RemoteStore,
    agent: String,
    silence_max: Duration,
}

impl Client {
    /// The node at `http://HOST:PORT` or `unix:/PATH`. `agent` is who you are, for the node's logs: `program/1.0`.
    pub fn to(address: &str, agent: &str) -> Result<Self, Refusal> {
        Self::with(address, agent, RemoteSettings::default())
    }

    /// The same with settings of your own: TLS, time-outs.
    pub fn with(address: &str, agent: &str, settings: RemoteSettings) -> Result<Self, Refusal> {
        let silence_max = settings.silence_timeout;
        let store = RemoteStore::new(address.parse::<StoreAddress>()?, settings)?;
        Ok(Self { store, agent: agent.to_owned(), silence_max })
    }

    /// What the partition lacks of these. A hint: nothing may be removed because of it.
    pub async fn lacking(&self, partition: PartitionRef, offers: Vec<Offer>) -> Result<Vec<Want>, Refusal> {
        let (questions, asked) = mpsc::channel(CHECK_QUEUE_MAX);
        let count = offers.len() as u64;
        let ask = async {
            for batch in offers.chunks(Offer::BATCH_MAX) {
                // Why the check has ended is for its answers to say.
                if questions.send(batch.to_vec()).await.is_err() {
                    break;
                }
            }
            drop(questions);
            Ok(())
        };
        let take = async {
            let mut answers = self.check(partition, asked).await?;
            let (mut wants, mut answered) = (Vec::new(), 0);
            while let Some(answer) = answers.recv().await {
                let answer = answer?;
                wants.extend(answer.wants);
                answered = answer.answered_offers;
            }
            match answered == count {
                true => Ok(wants),
                false => Err(ended_early()),
            }
        };
        let ((), wants) = tokio::try_join!(ask, take)?;
        Ok(wants)
    }

    /// The same as a stream: batches of offers go in, wants come out as soon as they are known. Batches of any size; at most 8
    /// messages of 1,000 offers are under way.
    pub async fn check(
        &self,
        partition: PartitionRef,
        offers: mpsc::Receiver<Vec<Offer>>,
    ) -> Result<CheckAnswers, Refusal> {
        self.store.missing_check(partition, offers).await
    }

    /// Opens a session, and returns when the node has admitted it. One that is busy refuses at once ([`come_back_after`]).
    pub async fn open(&self, partition: PartitionRef) -> Result<(Updates, Verdicts), Refusal> {
        let sender = Sender {
            address: String::new(),
            device: String::new(),
            job: Job::Client,
            agent: self.agent.clone(),
        };
        let open = SessionOpen {
            partition,
            sender,
            ring_digest: None,
            non_durable: false,
            failures_unlimited: false,
            protocol: SessionProtocol::Grpc,
        };
        let silent = || Refusal::new(Reason::IdleTimeout, format!("no answer within {:?}", self.silence_max));
        timeout(self.silence_max, self.admission(open)).await.map_err(|_| silent())?
    }

    async fn admission(&self, open: SessionOpen) -> Result<(Updates, Verdicts), Refusal> {
        let mut session = self.store.updates(open).await?;
        while let Some(event) = session.events.recv().await.transpose()? {
            match event {
                SessionEvent::Accepted(terms) => {
                    let room = Arc::new(Semaphore::new(
                        (terms.outstanding_updates_max as usize).min(OUTSTANDING_MAX),
                    ));
                    let updates = Updates::new(session.messages, terms, Arc::clone(&room));
                    return Ok((updates, Verdicts::new(session.events, room)));
                }
                SessionEvent::Draining(reason) => return Err(Refusal::new(Reason::Draining, reason)),
                _ => {}
            }
        }
        Err(ended_early())
    }
}

/// Most updates without a result, whatever a node allows.
const OUTSTANDING_MAX: usize = 64 * 1024;

pub(crate) fn ended_early() -> Refusal {
    Refusal::new(Reason::Unreachable, "the node ended the call early")
}

/// When to try again what was refused so; `None` where it would be refused again.
#[must_use]
pub fn come_back_after(refusal: &Refusal) -> Option<Duration> {
    let passes = matches!(refusal.reason, Reason::Draining | Reason::Unreachable | Reason::IdleTimeout);
    refusal.retry_after.or(passes.then_some(COME_BACK_AFTER))
}
