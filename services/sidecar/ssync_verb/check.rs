//! The first phase: what the sender has, and what is lacking of it (Swift: ssync_receiver.py missing_check).

use ssync_protocol::{Marker, decode_offer, encode_want};
use ssync_store::{CHECK_QUEUE_MAX, CheckAnswers};
use ssync_types::{Offer, PartitionRef, Want};
use tokio::sync::mpsc;

use super::{fault::Fault, input::Input, reassure};
use crate::{http::Exchange, sidecar::Shared};

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
    answered_offers: u64,
    withheld: u64,
}

impl Wants {
    /// How many are lacking beyond those that can be asked for now. The sender must not take them for being here.
    pub(super) fn withheld(&self) -> u64 {
        self.withheld
    }

    fn add(&mut self, wants: Vec<Want>, wants_max: usize) {
        let room = wants_max - self.wants.len();
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

/// Reads the offers and has them checked.
pub(super) async fn missing_check(
    shared: &Shared,
    input: &mut Input<'_, '_>,
    partition: &PartitionRef,
) -> Result<Wants, Fault> {
    input.expect(Marker::MissingCheckStart, "missing_check start").await?;
    let (offers, checked) = mpsc::channel(CHECK_QUEUE_MAX);
    let answers = shared.store.missing_check(partition.clone(), checked).await.map_err(Fault::Refused)?;
    let collect = collect(answers, WANTS_MAX);
    tokio::pin!(collect);
    let offered = tokio::select! {
        // The answers first: where both fail, they know why.
        biased;
        early = &mut collect => return Err(early.err().unwrap_or_else(|| Fault::text(0, "the check ended too early"))),
        offered = send_offers(input, offers) => offered?,
    };
    let wants = reassure(input.exchange(), collect).await?;
    if wants.answered_offers != offered {
        let answered = wants.answered_offers;
        return Err(Fault::text(0, format!("the check answered {answered} of {offered} offers")));
    }
    Ok(wants)
}

/// Hands the offers on; answers with their number. The end of the request is the end of the list, as in Swift.
async fn send_offers(input: &mut Input<'_, '_>, offers: mpsc::Sender<Vec<Offer>>) -> Result<u64, Fault> {
    let mut offered = 0;
    let mut batch = Vec::new();
    while let Some(line) = input.line("missing_check line").await? {
        if Marker::of(&line) == Some(Marker::MissingCheckEnd) {
            break;
        }
        batch.push(decode_offer(&line).map_err(Fault::invalid)?);
        offered += 1;
        if batch.len() == BATCH_OFFERS {
            send_batch(&offers, std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        send_batch(&offers, batch).await?;
    }
    Ok(offered)
}

async fn send_batch(offers: &mpsc::Sender<Vec<Offer>>, batch: Vec<Offer>) -> Result<(), Fault> {
    offers.send(batch).await.map_err(|_| Fault::text(0, "the check ended too early"))
}

async fn collect(mut answers: CheckAnswers, wants_max: usize) -> Result<Wants, Fault> {
    let mut all = Wants { wants: Vec::new(), answered_offers: 0, withheld: 0 };
    while let Some(answer) = answers.recv().await {
        let answer = answer.map_err(Fault::Refused)?;
        all.answered_offers = answer.answered_offers;
        all.add(answer.wants, wants_max);
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
    use ssync_store::CheckAnswer;
    use ssync_types::ObjectHash;

    use super::*;

    fn want(byte: u8) -> Want {
        Want { hash: ObjectHash::from_bytes([byte; 16]), data: true, metadata: false, durable_mark: false }
    }

    #[tokio::test]
    async fn counts_what_it_cannot_hold() {
        let (sender, answers) = mpsc::channel(2);
        let answer = |wants, answered_offers| Ok(CheckAnswer { wants, answered_offers });
        sender.send(answer(vec![want(1), want(2)], 2)).await.unwrap();
        sender.send(answer(vec![want(3), want(4)], 9)).await.unwrap();
        drop(sender);
        let wants = collect(answers, 3).await.unwrap();
        assert_eq!(wants.wants, [want(1), want(2), want(3)]);
        assert_eq!((wants.withheld(), wants.answered_offers), (1, 9));
    }

    #[test]
    fn asks_for_all_where_only_a_mark_is_lacking() {
        let mark = Want { data: false, durable_mark: true, ..want(1) };
        assert_eq!(encode_want(&asked_for(mark)).unwrap(), format!("{} dm", "01".repeat(16)));
        assert_eq!(asked_for(want(1)), want(1));
    }
}
