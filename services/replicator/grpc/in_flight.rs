//! What a session was sent and has not answered for yet.

use std::collections::HashMap;

use ssync_types::{ObjectHash, Offer, Outcome, Reason, Refusal, UpdateResult};

use crate::peer::Verdict;

/// An object with changes, or a question, under way.
#[derive(Debug)]
struct Pending {
    offer: Offer,
    /// Bytes of the body that was sent; `None` when it was only asked about.
    bytes: Option<u64>,
    /// What was sent is still what was offered.
    as_offered: bool,
    /// Updates not yet answered.
    waiting: Vec<u64>,
    /// The answer so far: the first that is not safe, else the last.
    outcome: Option<Outcome>,
}

/// An object whose last answer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) verdict: Verdict,
    /// Bytes of the body that was sent; `None` when it was only asked about.
    pub(super) bytes: Option<u64>,
}

/// Objects under way, at most `accepted.outstanding_updates_max`.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    objects: HashMap<ObjectHash, Pending>,
}

impl InFlight {
    /// These updates speak for `offer`, unless what they carry is not what was offered.
    pub(super) fn sent(&mut self, offer: &Offer, updates: Vec<u64>, bytes: Option<u64>, as_offered: bool) {
        let pending = Pending { offer: offer.clone(), bytes, as_offered, waiting: updates, outcome: None };
        self.objects.insert(offer.hash, pending);
    }

    /// Takes an answer; `Some` when it is the object's last one. An answer that nobody waits for is an error of the peer.
    pub(super) fn answered(&mut self, result: UpdateResult) -> Result<Option<Settled>, Refusal> {
        let unexpected = || {
            Refusal::new(
                Reason::ProtocolOrder,
                format!(
                    "the peer answered for object {} in update {}, which was not sent",
                    result.hash, result.update_id
                ),
            )
        };
        let pending = self.objects.get_mut(&result.hash).ok_or_else(unexpected)?;
        let place = pending.waiting.iter().position(|&id| id == result.update_id).ok_or_else(unexpected)?;
        pending.waiting.swap_remove(place);
        if pending.outcome.as_ref().is_none_or(Outcome::is_safe) {
            pending.outcome = Some(result.outcome);
        }
        if !pending.waiting.is_empty() {
            return Ok(None);
        }
        Ok(self.objects.remove(&result.hash).and_then(|done| {
            let outcome = match done.outcome? {
                safe if safe.is_safe() && !done.as_offered => Outcome::Failed(changed()),
                outcome => outcome,
            };
            Some(Settled { verdict: Verdict { offer: done.offer, outcome }, bytes: done.bytes })
        }))
    }

    /// Objects that wait.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }
}

/// The peer is up to date, but with another version than the one that was offered.
fn changed() -> Refusal {
    Refusal::new(Reason::StateChanged, "the object was changed after it was offered")
}

#[cfg(test)]
mod tests {
    use ssync_types::{ObjectKind, Timestamp};

    use super::*;

    fn offer(number: u8) -> Offer {
        Offer::of_one_time(
            ObjectHash::from_bytes([number; 16]),
            Timestamp::from_seconds(1),
            Some(ObjectKind::Data),
        )
    }

    fn result(number: u8, update_id: u64, outcome: Outcome) -> UpdateResult {
        UpdateResult { update_id, hash: offer(number).hash, outcome }
    }

    #[test]
    fn an_object_is_settled_by_its_last_answer_and_the_worst_counts() {
        let mut in_flight = InFlight::default();
        in_flight.sent(&offer(1), vec![1, 2], Some(10), true);
        assert_eq!(in_flight.answered(result(1, 1, Outcome::NotFound)), Ok(None));
        let settled = in_flight.answered(result(1, 2, Outcome::Applied)).unwrap().unwrap();
        assert_eq!((settled.verdict.outcome, settled.bytes), (Outcome::NotFound, Some(10)));
        in_flight.sent(&offer(1), vec![3, 4], Some(10), true);
        assert_eq!(in_flight.answered(result(1, 4, Outcome::Applied)), Ok(None));
        let settled = in_flight.answered(result(1, 3, Outcome::Confirmed)).unwrap().unwrap();
        assert!(settled.verdict.outcome.is_safe());
        assert_eq!(in_flight.len(), 0);
    }

    #[test]
    fn what_changed_after_the_offer_is_not_safe_in_the_offered_version() {
        let mut in_flight = InFlight::default();
        in_flight.sent(&offer(1), vec![1], Some(1), false);
        let settled = in_flight.answered(result(1, 1, Outcome::Applied)).unwrap().unwrap();
        assert!(!settled.verdict.outcome.is_safe());
    }

    #[test]
    fn answers_to_nothing_are_refused() {
        let mut in_flight = InFlight::default();
        in_flight.sent(&offer(1), vec![1], None, true);
        for bad in [result(1, 2, Outcome::Applied), result(2, 1, Outcome::Applied)] {
            assert_eq!(in_flight.answered(bad).unwrap_err().reason, Reason::ProtocolOrder);
        }
        assert!(in_flight.answered(result(1, 1, Outcome::Applied)).unwrap().is_some());
        assert!(in_flight.answered(result(1, 1, Outcome::Applied)).is_err(), "twice");
    }
}
