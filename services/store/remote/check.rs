//! A check at a remote store.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use ssync_api::{
    convert::{self, OFFERS_MAX},
    v1,
};
use ssync_types::{Invalid, Offer, PartitionRef};
use tokio::sync::{Semaphore, mpsc};

use super::{
    Inner,
    incoming::Incoming,
    ledger::Ledger,
    outgoing::{Source, outgoing},
    request,
};
use crate::{CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers, StoreResult};

pub(super) async fn missing_check(
    inner: &Arc<Inner>,
    partition: PartitionRef,
    offers: mpsc::Receiver<Vec<Offer>>,
) -> StoreResult<CheckAnswers> {
    let settings = &inner.settings;
    let lease = inner.checks.lease();
    let ledger = Arc::new(Ledger::new(settings.progress_timeout));
    let credit = Arc::new(Credit::new());
    let source = Offers { offers, batch: Vec::new(), credit: Arc::clone(&credit) };
    let first = v1::MissingCheckRequest { partition: Some(partition.into()), offers: Vec::new() };
    let (stream, interest) = outgoing(first, source, Arc::clone(&ledger), settings.heartbeat_interval);

    let mut client = lease.replication();
    let responses = inner.unary(settings.silence_timeout, client.missing_check(request(stream))).await?;
    let (answers, received) = mpsc::channel(CHECK_QUEUE_MAX);
    let incoming = Incoming::new(inner, lease, responses, Arc::clone(&ledger));
    let mut answered = 0;
    let convert = move |response| answer(response, &mut answered, &ledger, &credit);
    tokio::spawn(incoming.forward(answers, convert, interest));
    Ok(received)
}

/// How many offer messages may still be sent: at most [`CHECK_QUEUE_MAX`] are unanswered.
struct Credit {
    free: Semaphore,
    /// Of each unanswered message: how many offers were sent up to and with it.
    unanswered: Mutex<(u64, VecDeque<u64>)>,
}

impl Credit {
    fn new() -> Self {
        Self { free: Semaphore::new(CHECK_QUEUE_MAX), unanswered: Mutex::default() }
    }

    fn sent(&self, offers: u64) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        unanswered.0 = unanswered.0.saturating_add(offers);
        let total = unanswered.0;
        unanswered.1.push_back(total);
    }

    fn answered(&self, total: u64) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        while unanswered.1.front().is_some_and(|&sent| sent <= total) {
            unanswered.1.pop_front();
            self.free.add_permits(1);
        }
    }
}

struct Offers {
    offers: mpsc::Receiver<Vec<Offer>>,
    /// What is left of a batch that fits into no message.
    batch: Vec<Offer>,
    credit: Arc<Credit>,
}

impl Source for Offers {
    type Wire = v1::MissingCheckRequest;

    async fn next(&mut self) -> Option<(Self::Wire, u64)> {
        let credit = Arc::clone(&self.credit);
        let permit = credit.free.acquire().await.ok()?;
        while self.batch.is_empty() {
            self.batch = self.offers.recv().await?;
        }
        permit.forget();
        let rest = self.batch.split_off(self.batch.len().min(OFFERS_MAX));
        let batch = std::mem::replace(&mut self.batch, rest);
        let count = batch.len() as u64;
        self.credit.sent(count);
        let offers = batch.into_iter().map(Into::into).collect();
        Some((v1::MissingCheckRequest { partition: None, offers }, count))
    }

    fn heartbeat(&self) -> Option<Self::Wire> {
        Some(v1::MissingCheckRequest::default())
    }
}

/// Counts what a response answers. `None` for a heartbeat.
fn answer(
    response: v1::MissingCheckResponse,
    answered: &mut u64,
    ledger: &Ledger,
    credit: &Credit,
) -> Result<Option<CheckAnswer>, Invalid> {
    let wants = convert::wants(response.wants)?;
    let more = response.answered_offers.saturating_sub(*answered);
    if more == 0 && wants.is_empty() {
        return Ok(None);
    }
    *answered = (*answered).max(response.answered_offers);
    ledger.answered(more);
    credit.answered(*answered);
    Ok(Some(CheckAnswer { wants, answered_offers: *answered }))
}
