//! The asking half of a push: offers go up, answers become work.

use std::collections::{HashMap, VecDeque};

use ssync_store::{CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers};
use ssync_types::{ObjectHash, ObjectKind, Offer, Reason, Refusal, Want};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    peer::silent,
    prepare::{Listed, Unsent},
    push::{Push, Work, lock},
    send::HEARTBEAT_EVERY,
};
use crate::{PHASE, peer::OfferBatch};

/// Wanted objects that one thread opens and reads at a time.
const GROUP_OBJECTS_MAX: usize = 32;

/// Offers that the check has not answered, in their order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    batches: VecDeque<OfferBatch>,
    /// Offers of the first batch that are answered.
    place: usize,
    /// Offers answered since the check began.
    answered: u64,
}

/// Whether what is wanted counts as an object that is lacking: deletions and metadata do not.
fn is_live(listed: &Listed, want: &Want) -> bool {
    want.data && listed.offer.kind != Some(ObjectKind::Tombstone)
}

impl Pending {
    /// Whether all that was asked is answered.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

fn disorder(problem: &str) -> Refusal {
    Refusal::new(Reason::ProtocolOrder, format!("the peer's check {problem}; see its version and log"))
}

/// Waits, with heartbeats for the check: bodies may be on their way, or offers be looked for, for longer than the peer
/// bears silence. A batch without offers is one.
async fn alive<T>(questions: &mpsc::Sender<Vec<Offer>>, waiting: impl Future<Output = T>) -> T {
    let mut waiting = std::pin::pin!(waiting);
    loop {
        tokio::select! {
            biased;
            done = &mut waiting => return done,
            // With no room, there is something to say as it is.
            () = sleep(HEARTBEAT_EVERY) => drop(questions.try_send(Vec::new())),
        }
    }
}

impl Push {
    pub(super) async fn check(
        &self,
        first: OfferBatch,
        offers: mpsc::Receiver<OfferBatch>,
        work: mpsc::Sender<Work>,
    ) -> Result<(), Refusal> {
        let (questions, asked) = mpsc::channel(CHECK_QUEUE_MAX);
        let store = &self.opener.store;
        let answers = async {
            let answers = store.missing_check(self.opener.errand.partition.clone(), asked).await?;
            self.take_answers(answers, work).await
        };
        let asked = async {
            self.ask(first, offers, questions).await?;
            tracing::debug!(target: PHASE, offers = lock(&self.ledger).pushed.offered, "offers made");
            Ok(())
        };
        tokio::try_join!(asked, answers)?;
        tracing::debug!(target: PHASE, "wanted known");
        Ok(())
    }

    /// Offers go up, at most so many batches ahead of the answers.
    async fn ask(
        &self,
        first: OfferBatch,
        mut offers: mpsc::Receiver<OfferBatch>,
        questions: mpsc::Sender<Vec<Offer>>,
    ) -> Result<(), Refusal> {
        let mut next = Some(first);
        while let Some(batch) = next {
            match alive(&questions, self.unanswered.acquire()).await {
                Ok(permit) => permit.forget(),
                Err(_) => break,
            }
            lock(&self.ledger).pushed.offered += batch.len() as u64;
            let question = batch.iter().map(|object| object.offer.clone()).collect();
            lock(&self.pending).batches.push_back(batch);
            // Why the check has ended is for its answers to say.
            if questions.send(question).await.is_err() {
                break;
            }
            next = alive(&questions, offers.recv()).await;
        }
        Ok(())
    }

    async fn take_answers(&self, mut answers: CheckAnswers, work: mpsc::Sender<Work>) -> Result<(), Refusal> {
        let silence_max = self.opener.silence_max;
        loop {
            match timeout(silence_max, answers.recv()).await {
                // The peer has nothing to say while nothing is asked.
                Err(_) if lock(&self.pending).batches.is_empty() => {}
                Err(_) => return Err(silent(silence_max)),
                Ok(Some(answer)) => {
                    self.source().beat();
                    let (items, parked) = self.sort_out(answer?)?;
                    for (listed, refusal) in parked {
                        self.leave_parked(&listed, refusal).await;
                    }
                    for item in items {
                        if work.send(item).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                Ok(None) if lock(&self.pending).batches.is_empty() => return Ok(()),
                Ok(None) => return Err(disorder("ended before all offers were answered")),
            }
        }
    }

    /// Splits what is answered now into what to send or to ask, and what is left alone.
    fn sort_out(&self, answer: CheckAnswer) -> Result<(Vec<Work>, Vec<Unsent>), Refusal> {
        let mut wants: HashMap<ObjectHash, Want> =
            answer.wants.into_iter().map(|want| (want.hash, want)).collect();
        let (mut send, mut confirm, mut parked) = (Vec::new(), Vec::new(), Vec::new());
        let mut parked_live = 0;
        let here = &self.opener.errand.parked;
        for listed in self.answered(answer.answered_offers)? {
            match wants.remove(&listed.offer.hash) {
                Some(want) => match here.holds(&listed.offer) {
                    Some(refusal) => {
                        parked_live += usize::from(is_live(&listed, &want));
                        parked.push((listed, refusal));
                    }
                    None => send.push((listed, want)),
                },
                None if self.mode.confirms() => confirm.push(listed),
                None => here.is_there(listed.offer.hash),
            }
        }
        if !wants.is_empty() {
            return Err(disorder("wants objects that were not offered"));
        }
        let live = send.iter().filter(|(listed, want)| is_live(listed, want)).count() + parked_live;
        self.visit().wants(live as u64);
        lock(&self.ledger).pushed.wanted += (send.len() + parked.len()) as u64;
        let mut work = Vec::new();
        let mut send = send.into_iter().peekable();
        while send.peek().is_some() {
            work.push(Work::Send(send.by_ref().take(GROUP_OBJECTS_MAX).collect()));
        }
        if !confirm.is_empty() {
            work.push(Work::Confirm(confirm));
        }
        Ok((work, parked))
    }

    /// The offers that are answered when `total` of them are.
    fn answered(&self, total: u64) -> Result<Vec<Listed>, Refusal> {
        let mut pending = lock(&self.pending);
        let now = total.checked_sub(pending.answered).ok_or_else(|| disorder("counts backwards"))?;
        let mut listed = Vec::new();
        for _ in 0..now {
            let place = pending.place;
            let batch =
                pending.batches.front().ok_or_else(|| disorder("answers more than was offered"))?.clone();
            pending.place += 1;
            if pending.place >= batch.len() {
                pending.batches.pop_front();
                pending.place = 0;
                self.unanswered.add_permits(1);
            }
            listed.push(Listed { batch, place });
        }
        pending.answered = total;
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_hears_from_us_while_we_wait() {
        let (questions, mut asked) = mpsc::channel(CHECK_QUEUE_MAX);
        let begin = Instant::now();
        let waiting = alive(&questions, sleep(HEARTBEAT_EVERY * 5 / 2));
        let listening = async {
            for beat in 1..=2 {
                assert_eq!(asked.recv().await, Some(Vec::new()));
                assert_eq!(begin.elapsed().as_secs(), (HEARTBEAT_EVERY * beat).as_secs());
            }
        };
        let both = async { tokio::join!(waiting, listening) };
        timeout(HEARTBEAT_EVERY * 10, both).await.expect("heartbeats come");
        // A check that takes nothing is not waited for.
        alive(&questions, sleep(HEARTBEAT_EVERY * 100)).await;
        assert_eq!(asked.len(), CHECK_QUEUE_MAX);
    }
}
