//! The first phase: what the sender has, and what is lacking of it (Swift: ssync_receiver.py missing_check).

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    time::Duration,
};

use ssync_protocol::{Marker, decode_offer, encode_want};
use ssync_store::{CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers, Store};
use ssync_types::{ObjectHash, Offer, PartitionRef, Want};
use tokio::{sync::mpsc, time::Instant};

use super::{SIGNS_OF_LIFE, confirms::Confirmer, fault::Fault, input::Input, reassure};
use crate::http::Exchange;

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
pub(super) async fn missing_check(input: &mut Input<'_, '_>, check: Check<'_>) -> Result<Wants, Fault> {
    input.expect(Marker::MissingCheckStart, "missing_check start").await?;
    let (offers, checked) = mpsc::channel(CHECK_QUEUE_MAX);
    let (offered, unanswered) = mpsc::channel(CHECK_QUEUE_MAX);
    let answers = check.begin(checked).await?;
    let collect = check.collect(answers, Unanswered::new(unanswered), Wants::new(WANTS_MAX));
    tokio::pin!(collect);
    let every = input.exchange().read_limit() / SIGNS_OF_LIFE;
    let offered = tokio::select! {
        // The answers first: where both fail, they know why.
        biased;
        early = &mut collect => return Err(early.err().unwrap_or_else(|| Fault::text(0, "the check ended too early"))),
        offered = send_offers(input, Outbox { offers: offers.clone(), offered }, every) => offered?,
        never = beat(&offers, every) => match never {},
    };
    drop(offers);
    let wants = reassure(input.exchange(), collect).await?;
    if wants.answered_offers != offered {
        let answered = wants.answered_offers;
        return Err(Fault::text(0, format!("the check answered {answered} of {offered} offers")));
    }
    Ok(wants)
}

/// Tells the check that its sender is alive, who looks for more to offer; it is for the conversation to say when that takes too
/// long.
async fn beat(offers: &mpsc::Sender<Vec<Offer>>, every: Duration) -> Infallible {
    loop {
        tokio::time::sleep(every).await;
        // A full channel is a sign of life as well.
        let _ = offers.try_send(Vec::new());
    }
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

/// Hands the offers on, full batches and those that have waited; answers with their number. The end of the request is the end
/// of the list, as in Swift.
async fn send_offers(input: &mut Input<'_, '_>, outbox: Outbox, every: Duration) -> Result<u64, Fault> {
    let mut offered = 0;
    let mut batch = Vec::new();
    let mut sent = Instant::now();
    while let Some(line) = input.line("missing_check line").await? {
        if Marker::of(&line) == Some(Marker::MissingCheckEnd) {
            break;
        }
        batch.push(decode_offer(&line).map_err(Fault::invalid)?);
        offered += 1;
        if batch.len() == BATCH_OFFERS || sent.elapsed() >= every {
            outbox.send(std::mem::take(&mut batch)).await?;
            sent = Instant::now();
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

/// The partition, and who answers for it.
#[derive(Clone, Copy)]
pub(super) struct Check<'s> {
    pub(super) store: &'s dyn Store,
    pub(super) partition: &'s PartitionRef,
    pub(super) confirmer: Confirmer<'s>,
}

impl Check<'_> {
    async fn begin(self, offers: mpsc::Receiver<Vec<Offer>>) -> Result<CheckAnswers, Fault> {
        self.store.missing_check(self.partition.clone(), offers).await.map_err(Fault::Refused)
    }

    /// Follows the check. What it does not want is confirmed, while the list may still be coming; what cannot be found is
    /// wanted after all.
    async fn collect(
        self,
        mut answers: CheckAnswers,
        mut unanswered: Unanswered,
        mut all: Wants,
    ) -> Result<Wants, Fault> {
        while let Some(answer) = answers.recv().await {
            let CheckAnswer { wants, answered_offers } = answer.map_err(Fault::Refused)?;
            all.answered_offers = answered_offers;
            let here = unanswered.answered(answered_offers)?;
            let wants = self.mark(&here, wants).await?;
            self.confirm(here, &wants).await?;
            all.add(self.confirmer.lacking());
            all.add(wants);
        }
        self.confirmer.all_answered().await;
        all.add(self.confirmer.lacking());
        Ok(all)
    }

    /// Asks for those of the offers that are not wanted.
    async fn confirm(self, mut offers: Vec<Offer>, wants: &[Want]) -> Result<(), Fault> {
        let wanted: HashSet<ObjectHash> = wants.iter().map(|want| want.hash).collect();
        offers.retain(|offer| !wanted.contains(&offer.hash));
        self.confirmer.ask(&offers).await
    }

    /// What is wanted once the fragments that lack only their mark have it. It is tried once, as in Swift: what could not be
    /// marked, or lacks its mark again, is wanted whole.
    async fn mark(self, offers: &[Offer], wants: Vec<Want>) -> Result<Vec<Want>, Fault> {
        let (marks, mut wants): (Vec<Want>, Vec<Want>) =
            wants.into_iter().partition(|want| want.durable_mark);
        if marks.is_empty() {
            return Ok(wants);
        }
        let hashes: HashSet<ObjectHash> = marks.iter().map(|want| want.hash).collect();
        let mut offers: Vec<Offer> =
            offers.iter().filter(|offer| hashes.contains(&offer.hash)).cloned().collect();
        self.confirmer.mark(&offers).await?;
        let lacking = self.confirmer.lacking();
        offers.retain(|offer| !lacking.iter().any(|want| want.hash == offer.hash));
        wants.extend(lacking);
        wants.extend(self.again(offers).await?);
        Ok(wants)
    }

    /// Has some offers checked once more.
    async fn again(self, offers: Vec<Offer>) -> Result<Vec<Want>, Fault> {
        let (sender, checked) = mpsc::channel(1);
        let count = offers.len() as u64;
        // There is room: the channel is new.
        let _ = sender.try_send(offers);
        drop(sender);
        let mut answers = self.begin(checked).await?;
        let (mut wants, mut answered) = (Vec::new(), 0);
        while let Some(answer) = answers.recv().await {
            let answer = answer.map_err(Fault::Refused)?;
            answered = answer.answered_offers;
            wants.extend(answer.wants);
        }
        match answered == count {
            true => Ok(wants),
            false => Err(Fault::text(0, format!("the check answered {answered} of {count} offers"))),
        }
    }
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
    use ssync_types::{Outcome, Timestamp, Update, UpdateMessage, UpdateOp, UpdateResult};

    use super::*;
    use crate::{
        ssync_verb::{confirms::tests::tally, tally::tests::partition},
        tests::FakeStore,
    };

    fn want(byte: u8) -> Want {
        Want { hash: ObjectHash::from_bytes([byte; 16]), data: true, metadata: false, durable_mark: false }
    }

    fn offers(count: u8) -> Vec<Offer> {
        let offer =
            |byte| Offer::of_one_time(ObjectHash::from_bytes([byte; 16]), Timestamp::from_seconds(1), None);
        (1..=count).map(offer).collect()
    }

    /// These answers to two messages of five offers. What is to be confirmed is confirmed.
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
        let (tally, store) = (tally(1000), FakeStore::default());
        let (messages, mut asked) = mpsc::channel(64);
        let confirmer = Confirmer { tally: &tally, messages: &messages };
        let check = Check { store: &store, partition: &partition(), confirmer };
        let confirm = async {
            while let Some(message) = asked.recv().await {
                let UpdateMessage::Update(Update { id, op: UpdateOp::Confirm(offers) }) = message else {
                    panic!()
                };
                for offer in offers {
                    let outcome = Outcome::Confirmed;
                    tally.settle(&UpdateResult { update_id: id, hash: offer.hash, outcome }).unwrap();
                }
            }
        };
        tokio::select! {
            collected = check.collect(answers, Unanswered::new(unanswered), Wants::new(3)) => collected,
            () = confirm => panic!("the channel is open"),
        }
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
