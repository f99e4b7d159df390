//! The first phase: what the sender has, and what is lacking of it (Swift: ssync_receiver.py missing_check).

use std::collections::{HashSet, VecDeque};

use ssync_protocol::{Marker, decode_offer, encode_want};
use ssync_store::{CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers};
use ssync_types::{ObjectHash, Offer, PartitionRef, Want};
use tokio::sync::mpsc;

use super::{confirms::Confirmer, fault::Fault, input::Input, reassure};
use crate::{PolicyKind, http::Exchange, sidecar::Shared};

/// Offers of one batch to the store.
const BATCH_OFFERS: usize = 1000;
/// Most wants that one conversation carries: they are held until the sender has ended its list, since it reads nothing
/// before. At most 24 bytes each.
const WANTS_MAX: usize = 1 << 20;
/// Wants are sent in chunks of about this.
const ANSWER_CHUNK_BYTES: usize = 60_000;

const _: () = assert!(size_of::<Want>() <= 24);

/// What is lacking.
#[derive(Debug)]
pub(super) struct Wants {
    wants: Vec<Want>,
    wants_max: usize,
    answered_offers: u64,
    withheld: u64,
}

impl Wants {
    fn new(wants_max: usize) -> Self {
        Self { wants: Vec::new(), wants_max, answered_offers: 0, withheld: 0 }
    }

    /// How many are lacking beyond those that can be asked for now. The sender must not take them for being here.
    pub(super) fn withheld(&self) -> u64 {
        self.withheld
    }

    fn add(&mut self, wants: Vec<Want>) {
        let room = self.wants_max - self.wants.len();
        self.withheld += wants.len().saturating_sub(room) as u64;
        self.wants.extend(wants.into_iter().take(room).map(asked_for));
    }
}

/// SSYNC has no word for a durable mark; the whole fragment has one.
fn asked_for(want: Want) -> Want {
    match want.data || want.metadata {
        true => want,
        false => Want { data: true, metadata: true, ..want },
    }
}

/// Reads the offers and has them checked; what is not wanted is confirmed when this returns.
pub(super) async fn missing_check(
    shared: &Shared,
    input: &mut Input<'_, '_>,
    partition: &PartitionRef,
    confirmer: Confirmer<'_>,
) -> Result<Wants, Fault> {
    input.expect(Marker::MissingCheckStart, "missing_check start").await?;
    let (offers, checked) = mpsc::channel(CHECK_QUEUE_MAX);
    let (offered, unanswered) = mpsc::channel(CHECK_QUEUE_MAX);
    let answers = shared.store.missing_check(partition.clone(), checked).await.map_err(Fault::Refused)?;
    // An offer does not say of which fragment it is, so fragments cannot be confirmed: there it is as in Swift.
    let coded = shared.policies.kind(partition.policy) == Some(PolicyKind::ErasureCoding);
    let collect =
        collect(answers, Unanswered::new(unanswered), (!coded).then_some(confirmer), Wants::new(WANTS_MAX));
    tokio::pin!(collect);
    let offered = tokio::select! {
        // The answers first: where both fail, they know why.
        biased;
        early = &mut collect => return Err(early.err().unwrap_or_else(|| Fault::text(0, "the check ended too early"))),
        offered = send_offers(input, Outbox { offers, offered }) => offered?,
    };
    let wants = reassure(input.exchange(), collect).await?;
    if wants.answered_offers != offered {
        let answered = wants.answered_offers;
        return Err(Fault::text(0, format!("the check answered {answered} of {offered} offers")));
    }
    Ok(wants)
}

/// Where offers go.
struct Outbox {
    /// To the check.
    offers: mpsc::Sender<Vec<Offer>>,
    /// The same, kept until they are answered; ahead of the check, so that no answer comes before its offers.
    offered: mpsc::Sender<Vec<Offer>>,
}

impl Outbox {
    async fn send(&self, batch: Vec<Offer>) -> Result<(), Fault> {
        let ended = || Fault::text(0, "the check ended too early");
        self.offered.send(batch.clone()).await.map_err(|_| ended())?;
        self.offers.send(batch).await.map_err(|_| ended())
    }
}

/// Hands the offers on; answers with their number. The end of the request is the end of the list, as in Swift.
async fn send_offers(input: &mut Input<'_, '_>, outbox: Outbox) -> Result<u64, Fault> {
    let mut offered = 0;
    let mut batch = Vec::new();
    while let Some(line) = input.line("missing_check line").await? {
        if Marker::of(&line) == Some(Marker::MissingCheckEnd) {
            break;
        }
        batch.push(decode_offer(&line).map_err(Fault::invalid)?);
        offered += 1;
        if batch.len() == BATCH_OFFERS {
            outbox.send(std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        outbox.send(batch).await?;
    }
    Ok(offered)
}

/// Offers that the check has not answered yet, in their order.
struct Unanswered {
    batches: mpsc::Receiver<Vec<Offer>>,
    first: VecDeque<Offer>,
    answered: u64,
}

impl Unanswered {
    fn new(batches: mpsc::Receiver<Vec<Offer>>) -> Self {
        Self { batches, first: VecDeque::new(), answered: 0 }
    }

    /// Those up to the offer of this number, which are answered now.
    fn answered(&mut self, number: u64) -> Result<Vec<Offer>, Fault> {
        let mut offers = Vec::new();
        while self.answered < number {
            match self.first.pop_front() {
                Some(offer) => {
                    offers.push(offer);
                    self.answered += 1;
                }
                None => match self.batches.try_recv() {
                    Ok(batch) => self.first = batch.into(),
                    Err(_) => {
                        let offered = self.answered;
                        return Err(Fault::text(
                            0,
                            format!("the check answered {number} of {offered} offers"),
                        ));
                    }
                },
            }
        }
        Ok(offers)
    }
}

/// Follows the check. What it does not want is confirmed, while the list may still be coming; what cannot be found is
/// wanted after all.
async fn collect(
    mut answers: CheckAnswers,
    mut unanswered: Unanswered,
    confirmer: Option<Confirmer<'_>>,
    mut all: Wants,
) -> Result<Wants, Fault> {
    while let Some(answer) = answers.recv().await {
        let CheckAnswer { wants, answered_offers } = answer.map_err(Fault::Refused)?;
        all.answered_offers = answered_offers;
        let mut here = unanswered.answered(answered_offers)?;
        if let Some(confirmer) = confirmer {
            let wanted: HashSet<ObjectHash> = wants.iter().map(|want| want.hash).collect();
            here.retain(|offer| !wanted.contains(&offer.hash));
            confirmer.ask(&here).await?;
            all.add(confirmer.lacking());
        }
        all.add(wants);
    }
    if let Some(confirmer) = confirmer {
        confirmer.all_answered().await;
        all.add(confirmer.lacking());
    }
    Ok(all)
}

/// Tells the sender, which has ended its list by now.
pub(super) async fn answer(exchange: &mut Exchange<'_>, wants: &Wants) -> Result<(), Fault> {
    exchange.send_chunk(Marker::MissingCheckStart.line()).await?;
    let mut chunk = String::new();
    for (index, line) in wants.wants.iter().filter_map(encode_want).enumerate() {
        if index > 0 {
            chunk.push_str("\r\n");
        }
        chunk.push_str(&line);
        if chunk.len() >= ANSWER_CHUNK_BYTES {
            exchange.send_chunk(chunk.as_bytes()).await?;
            chunk.clear();
        }
    }
    exchange.send_chunk(chunk.as_bytes()).await?;
    exchange.send_chunk(b"\r\n").await?;
    exchange.send_chunk(Marker::MissingCheckEnd.line()).await?;
    Ok(exchange.flush().await?)
}

#[cfg(test)]
mod tests {
    use ssync_types::Timestamp;

    use super::*;

    fn want(byte: u8) -> Want {
        Want { hash: ObjectHash::from_bytes([byte; 16]), data: true, metadata: false, durable_mark: false }
    }

    fn offers(count: u8) -> Vec<Offer> {
        let offer =
            |byte| Offer::of_one_time(ObjectHash::from_bytes([byte; 16]), Timestamp::from_seconds(1), None);
        (1..=count).map(offer).collect()
    }

    /// These answers, for which nothing is to be confirmed, to two messages of five offers.
    async fn collected(said: &[(&[Want], u64)]) -> Result<Wants, Fault> {
        let (sender, answers) = mpsc::channel(8);
        for &(wants, answered_offers) in said {
            sender.send(Ok(CheckAnswer { wants: wants.to_vec(), answered_offers })).await.unwrap();
        }
        let (offered, unanswered) = mpsc::channel(2);
        for batch in offers(10).chunks(5) {
            offered.send(batch.to_vec()).await.unwrap();
        }
        drop((sender, offered));
        collect(answers, Unanswered::new(unanswered), None, Wants::new(3)).await
    }

    #[tokio::test]
    async fn counts_what_it_cannot_hold() {
        let wants = collected(&[(&[want(1), want(2)], 2), (&[want(3), want(4)], 9)]).await.unwrap();
        assert_eq!(wants.wants, [want(1), want(2), want(3)]);
        assert_eq!((wants.withheld(), wants.answered_offers), (1, 9));
    }

    #[tokio::test]
    async fn an_answer_is_to_an_offer() {
        assert!(collected(&[(&[], 10)]).await.is_ok());
        let fault = collected(&[(&[], 4), (&[], 11)]).await.unwrap_err();
        assert_eq!(fault.to_string(), Fault::text(0, "the check answered 11 of 10 offers").to_string());
    }

    #[test]
    fn offers_are_kept_until_they_are_answered() {
        let (offered, unanswered) = mpsc::channel(2);
        let mut unanswered = Unanswered::new(unanswered);
        let all = offers(6);
        offered.try_send(all[..3].to_vec()).unwrap();
        offered.try_send(all[3..].to_vec()).unwrap();
        assert_eq!(unanswered.answered(2).unwrap(), all[..2]);
        assert_eq!(unanswered.answered(1).unwrap(), [], "an answer takes nothing back");
        assert_eq!(unanswered.answered(5).unwrap(), all[2..5]);
        assert_eq!(unanswered.answered(6).unwrap(), all[5..]);
    }

    #[test]
    fn asks_for_all_where_only_a_mark_is_lacking() {
        let mark = Want { data: false, durable_mark: true, ..want(1) };
        assert_eq!(encode_want(&asked_for(mark)).unwrap(), format!("{} dm", "01".repeat(16)));
        assert_eq!(asked_for(want(1)), want(1));
    }
}
