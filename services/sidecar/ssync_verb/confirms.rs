//! What the check does not want is confirmed before the sender hears so: found again, and flushed (rule S1).
//!
//! A stock handoff removes what a receiver did not want (Swift: replicator.py update_deleted), and the check only looks.
//! What it found may have been written by a daemon that flushed nothing. And a fragment that lacks only its mark gets it here
//! (Swift: ssync_receiver.py `_check_local`), where the session holds the partition's lock.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ssync_protocol::ErrorLine;
use ssync_types::{
    Accepted, ObjectHash, ObjectKind, Offer, Outcome, Reason, Update, UpdateMessage, UpdateOp, UpdateResult,
    Want,
};
use tokio::sync::{Semaphore, mpsc};

use super::{fault::Fault, hand_on, session_log::SessionLog, tally::Tally};

/// Offers of one question.
const BATCH_OFFERS_MAX: u32 = 1000;
/// Most offers that wait for their results, whatever the receiver would allow.
const OUTSTANDING_MAX: u32 = 2 * BATCH_OFFERS_MAX;

/// Questions under way, and what was found lacking.
#[derive(Debug)]
pub(super) struct Confirms {
    room_max: u32,
    room: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many results are to come. A sender may offer an object twice.
    outstanding: HashMap<(u64, ObjectHash), usize>,
    /// Fragments that are being marked.
    marks: HashSet<u64>,
    lacking: Vec<ObjectHash>,
}

impl Confirms {
    pub(super) fn new(accepted: &Accepted) -> Self {
        let room_max = accepted.outstanding_updates_max.clamp(1, OUTSTANDING_MAX);
        Self { room_max, room: Semaphore::new(room_max as usize), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Half of the room, so that the next question is there when one is answered.
    fn batch_max(&self) -> usize {
        (self.room_max / 2).clamp(1, BATCH_OFFERS_MAX) as usize
    }

    /// Waits for room; there is enough for one batch.
    async fn begin(&self, id: u64, offers: &[Offer]) {
        let offers_room = u32::try_from(offers.len()).unwrap_or(u32::MAX).min(self.room_max);
        // It is never closed.
        if let Ok(permits) = self.room.acquire_many(offers_room).await {
            permits.forget();
        }
        let mut state = self.state();
        for offer in offers {
            *state.outstanding.entry((id, offer.hash)).or_default() += 1;
        }
    }

    /// Waits until no result is to come: then all of the room is free.
    async fn all_settled(&self) {
        let _all = self.room.acquire_many(self.room_max).await;
    }

    /// `None` for a result of something else.
    pub(super) fn settle(&self, result: &UpdateResult, log: &SessionLog) -> Option<Result<(), Fault>> {
        let mut state = self.state();
        let key = (result.update_id, result.hash);
        let results = state.outstanding.get_mut(&key)?;
        *results -= 1;
        if *results == 0 {
            state.outstanding.remove(&key);
        }
        self.room.add_permits(1);
        if state.marks.remove(&result.update_id) {
            if !matches!(result.outcome, Outcome::Applied | Outcome::AppliedUnflushed) {
                log.error(&format!(
                    "EXCEPTION while attempting commit of {}: {:?}",
                    result.hash, result.outcome
                ));
                // Then all of it is asked for, as Swift does.
                state.lacking.push(result.hash);
            }
            return Some(Ok(()));
        }
        match &result.outcome {
            Outcome::Confirmed | Outcome::Superseded(_) => {}
            // The check was a hint: it is gone by now, or is found damaged.
            Outcome::NotFound => state.lacking.push(result.hash),
            // One that somebody writes to all the time is no reason to end the session.
            Outcome::Failed(refusal) if refusal.reason == Reason::StateChanged => {
                state.lacking.push(result.hash);
            }
            outcome => {
                return Some(Err(not_confirmed(result, outcome)));
            }
        }
        Some(Ok(()))
    }
}

fn not_confirmed(result: &UpdateResult, outcome: &Outcome) -> Fault {
    let why = match outcome {
        Outcome::Failed(refusal) => refusal.to_string(),
        outcome => format!("{outcome:?} is no answer"),
    };
    let text = format!("ERROR: With :MISSING_CHECK: {} cannot be confirmed: {why}", result.hash);
    Fault::Said(ErrorLine::body(500, text))
}

/// Puts questions to the session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirmer<'t> {
    pub(super) tally: &'t Tally,
    pub(super) messages: &'t mpsc::Sender<UpdateMessage>,
}

impl Confirmer<'_> {
    /// Asks for these; waits as long as too many are under way.
    pub(super) async fn ask(self, offers: &[Offer]) -> Result<(), Fault> {
        for batch in offers.chunks(self.tally.confirms().batch_max()) {
            let id = self.tally.next_id();
            self.tally.confirms().begin(id, batch).await;
            let op = UpdateOp::Confirm(batch.iter().map(as_body).collect());
            hand_on(self.messages, UpdateMessage::Update(Update { id, op })).await?;
        }
        Ok(())
    }

    /// Gives these fragments, which are here, the mark that they lack; returns when they have it, or are
    /// [`lacking`](Self::lacking).
    pub(super) async fn mark(self, offers: &[Offer]) -> Result<(), Fault> {
        for offer in offers {
            let id = self.tally.next_id();
            self.tally.confirms().begin(id, std::slice::from_ref(offer)).await;
            self.tally.confirms().state().marks.insert(id);
            let op = UpdateOp::Commit { hash: offer.hash, timestamp: offer.data };
            hand_on(self.messages, UpdateMessage::Update(Update { id, op })).await?;
        }
        self.all_answered().await;
        Ok(())
    }

    /// Waits until everything that was asked is answered.
    pub(super) async fn all_answered(self) {
        self.tally.confirms().all_settled().await;
    }

    /// What was found lacking since it was last asked: all of it is wanted, as of any object that is not here. The sender
    /// passes over metadata that it does not have (Swift: ssync_sender.py updates).
    pub(super) fn lacking(self) -> Vec<Want> {
        let lacking = std::mem::take(&mut self.tally.confirms().state().lacking);
        let all_of = |hash| Want { hash, data: true, metadata: true, durable_mark: false };
        lacking.into_iter().map(all_of).collect()
    }
}

/// SSYNC offers do not say whether they are bodies, and it matters in one case only: a tombstone of the very time of a
/// body that is here. Swift's receiver does not want that one (ssync_receiver.py encode_wanted), and nothing in the
/// conversation tells it from the same body, short of having each body sent again.
fn as_body(offer: &Offer) -> Offer {
    Offer { kind: offer.kind.or(Some(ObjectKind::Data)), ..offer.clone() }
}

#[cfg(test)]
pub(super) mod tests {
    use ssync_protocol::FailureLimits;
    use ssync_types::{Durability, Reason, Refusal, Timestamp};

    use super::*;
    use crate::ssync_verb::tally::tests::session_log;

    pub(in crate::ssync_verb) fn tally(outstanding_updates_max: u32) -> Tally {
        let accepted = Accepted {
            non_durable: false,
            inline_bytes_max: 0,
            outstanding_updates_max,
            durability: Durability::Batch,
            session_updates_max: 0,
            session_time_max: std::time::Duration::ZERO,
        };
        Tally::new(&accepted, FailureLimits::default(), session_log())
    }

    fn offers(bytes: std::ops::Range<u8>) -> Vec<Offer> {
        let offer =
            |byte| Offer::of_one_time(ObjectHash::from_bytes([byte; 16]), Timestamp::from_seconds(1), None);
        bytes.map(offer).collect()
    }

    /// The next question, if one is there.
    fn question(messages: &mut mpsc::Receiver<UpdateMessage>) -> Option<(u64, Vec<Offer>)> {
        match messages.try_recv().ok()? {
            UpdateMessage::Update(Update { id, op: UpdateOp::Confirm(offers) }) => Some((id, offers)),
            other => panic!("{other:?}"),
        }
    }

    fn settle(tally: &Tally, id: u64, offer: &Offer, outcome: Outcome) -> Result<(), Fault> {
        tally.settle(&UpdateResult { update_id: id, hash: offer.hash, outcome })
    }

    #[tokio::test]
    async fn asks_in_order_and_for_no_more_than_may_wait() {
        let tally = tally(4);
        let (messages, mut asked) = mpsc::channel(64);
        let confirmer = Confirmer { tally: &tally, messages: &messages };
        let all = offers(0..9);
        let ask = async {
            confirmer.ask(&all).await.unwrap();
            confirmer.all_answered().await;
        };
        tokio::pin!(ask);
        let (mut seen, mut last_id, mut waiting) = (Vec::new(), 0, Vec::new());
        while seen.len() < all.len() || !waiting.is_empty() {
            assert!(run_on(&mut ask).await.is_none(), "not all is answered");
            while let Some((id, batch)) = question(&mut asked) {
                assert!(id > last_id && batch.len() <= 2);
                last_id = id;
                assert!(batch.iter().all(|offer| offer.kind == Some(ObjectKind::Data)), "{batch:?}");
                seen.extend(batch.iter().map(|offer| offer.hash));
                waiting.extend(batch.into_iter().map(|offer| (id, offer)));
            }
            assert!((1..=4).contains(&waiting.len()), "{waiting:?}");
            // In whatever order results come.
            let (id, offer) = waiting.pop().unwrap();
            settle(&tally, id, &offer, Outcome::Confirmed).unwrap();
        }
        assert!(run_on(&mut ask).await.is_some());
        assert_eq!(seen, all.iter().map(|offer| offer.hash).collect::<Vec<_>>());
        assert!(confirmer.lacking().is_empty());
    }

    /// Lets a future run as far as it can.
    async fn run_on<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = tokio::task::yield_now() => None,
        }
    }

    #[tokio::test]
    async fn what_is_not_found_is_wanted() {
        let tally = tally(1000);
        let (messages, mut asked) = mpsc::channel(64);
        let confirmer = Confirmer { tally: &tally, messages: &messages };
        let all = offers(0..4);
        confirmer.ask(&all).await.unwrap();
        let (id, _) = question(&mut asked).unwrap();
        let changing = Outcome::Failed(Refusal::new(Reason::StateChanged, "it is written to"));
        let outcomes =
            [Outcome::Confirmed, Outcome::Superseded(Timestamp::ZERO), Outcome::NotFound, changing];
        for (offer, outcome) in all.iter().zip(outcomes) {
            settle(&tally, id, offer, outcome).unwrap();
        }
        confirmer.all_answered().await;
        let lacking =
            |place: usize| Want { hash: all[place].hash, data: true, metadata: true, durable_mark: false };
        assert_eq!(confirmer.lacking(), [lacking(2), lacking(3)]);
        assert!(confirmer.lacking().is_empty(), "once");
        assert!(tally.verdict().is_ok(), "questions are no updates");
    }

    #[tokio::test]
    async fn what_cannot_be_confirmed_ends_the_conversation() {
        for outcome in [
            Outcome::Failed(Refusal::new(Reason::ObjectIo, "flush")),
            Outcome::AppliedUnflushed,
            Outcome::Applied,
            Outcome::NotPrimary,
        ] {
            let tally = tally(1000);
            let (messages, mut asked) = mpsc::channel(64);
            let all = offers(0..1);
            Confirmer { tally: &tally, messages: &messages }.ask(&all).await.unwrap();
            let (id, _) = question(&mut asked).unwrap();
            let fault = settle(&tally, id, &all[0], outcome).unwrap_err();
            let line = String::from_utf8(fault.line("sdb1").unwrap().encode()).unwrap();
            assert!(line.starts_with(":ERROR: 500 b'ERROR: With :MISSING_CHECK: 0000"), "{line}");
        }
    }

    #[tokio::test]
    async fn a_fragment_that_cannot_be_marked_is_wanted() {
        let tally = tally(1000);
        let (messages, mut said) = mpsc::channel(64);
        let confirmer = Confirmer { tally: &tally, messages: &messages };
        let all = offers(0..2);
        let mark = confirmer.mark(&all);
        tokio::pin!(mark);
        assert!(run_on(&mut mark).await.is_none(), "both are awaited");
        for (offer, outcome) in all.iter().zip([Outcome::Applied, Outcome::NotFound]) {
            let UpdateMessage::Update(Update { id, op }) = said.try_recv().unwrap() else { panic!() };
            assert_eq!(op, UpdateOp::Commit { hash: offer.hash, timestamp: offer.data });
            settle(&tally, id, offer, outcome).unwrap();
        }
        run_on(&mut mark).await.unwrap().unwrap();
        let lacking = Want { hash: all[1].hash, data: true, metadata: true, durable_mark: false };
        assert_eq!(confirmer.lacking(), [lacking]);
    }

    #[tokio::test]
    async fn one_result_for_each_offer_of_a_question() {
        let tally = tally(1000);
        let (messages, mut asked) = mpsc::channel(64);
        let twice = [offers(0..1), offers(0..1)].concat();
        Confirmer { tally: &tally, messages: &messages }.ask(&twice).await.unwrap();
        let (id, batch) = question(&mut asked).unwrap();
        assert_eq!(batch.len(), 2);
        assert!(settle(&tally, id, &offers(1..2)[0], Outcome::Confirmed).is_err(), "another object");
        assert!(settle(&tally, id + 1, &twice[0], Outcome::Confirmed).is_err(), "another question");
        assert!(settle(&tally, id, &twice[0], Outcome::Confirmed).is_ok());
        assert!(settle(&tally, id, &twice[0], Outcome::Confirmed).is_ok());
        assert!(settle(&tally, id, &twice[0], Outcome::Confirmed).is_err());
    }
}
