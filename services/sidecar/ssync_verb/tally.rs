//! What became of the updates: results as they come, failures by Swift's rules (Swift: ssync_receiver.py updates).

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ssync_protocol::{ErrorLine, FailureLimits, SubMethod, repr_bytes};
use ssync_types::{Accepted, Durability, Outcome, Reason, Refusal, SessionEvent, UpdateResult};
use tokio::sync::{Semaphore, mpsc};

use super::{confirms::Confirms, fault::Fault, session_log::SessionLog};
use crate::{
    http::{Response, ResponseBody},
    status::{page_text, status_of},
};

/// Most updates that wait for their results, whatever the receiver would allow.
const OUTSTANDING_MAX: u32 = 64;

/// Counts results. The reader of sub-requests and the follower of events share it.
#[derive(Debug)]
pub(super) struct Tally {
    limits: FailureLimits,
    durability: Durability,
    room_max: u32,
    room: Semaphore,
    confirms: Confirms,
    log: SessionLog,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    /// Updates without a result, and what they were.
    outstanding: BTreeMap<u64, Pending>,
    successes: u64,
    failures: u64,
    withheld: u64,
    draining: bool,
    in_body: bool,
}

/// An update without a result.
#[derive(Debug)]
struct Pending {
    method: SubMethod,
    /// Its request line, for messages.
    context: String,
}

impl Tally {
    pub(super) fn new(accepted: &Accepted, limits: FailureLimits, log: SessionLog) -> Self {
        let room_max = accepted.outstanding_updates_max.clamp(1, OUTSTANDING_MAX);
        Self {
            limits,
            durability: accepted.durability,
            room_max,
            room: Semaphore::new(room_max as usize),
            confirms: Confirms::new(accepted),
            log,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For one more message of the session.
    pub(super) fn next_id(&self) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        state.last_id
    }

    pub(super) fn confirms(&self) -> &Confirms {
        &self.confirms
    }

    /// Waits until one more update may be under way; returns its number.
    pub(super) async fn begin(&self, method: SubMethod, context: String) -> u64 {
        // It is never closed.
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        let id = self.next_id();
        self.state().outstanding.insert(id, Pending { method, context });
        id
    }

    /// An update that did not get as far as the store. It is counted when those before it are.
    pub(super) async fn failed_here(&self, context: &str, refused: &Response) -> Result<(), Fault> {
        let _all_answered = self.room.acquire_many(self.room_max).await;
        let body = match &refused.body {
            ResponseBody::Full(text) => text.as_ref(),
            _ => b"",
        };
        self.failed(refused.status, context, body);
        self.count(false)
    }

    fn failed(&self, status: u16, context: &str, body: &[u8]) {
        let body = repr_bytes(body);
        self.log.warning(&format!("subrequest failed with {status}: {context} ({body})"));
    }

    /// So many objects are lacking that were not asked for.
    pub(super) fn withhold(&self, wants: u64) {
        self.state().withheld = wants;
    }

    /// Whether the session is within a body, where nothing else may be said.
    pub(super) fn is_in_body(&self) -> bool {
        self.state().in_body
    }

    /// A body begins, or has ended.
    pub(super) fn set_in_body(&self, in_body: bool) {
        self.state().in_body = in_body;
    }

    /// The daemon is shutting down: an error when no further update should be begun.
    pub(super) fn check_draining(&self) -> Result<(), Fault> {
        match self.state().draining {
            true => Err(Fault::Refused(Refusal::new(Reason::Draining, "the receiver is shutting down"))),
            false => Ok(()),
        }
    }

    /// Follows the session to its end. An error may come even after the summary: it says why the session ended early.
    pub(super) async fn follow(
        &self,
        events: &mut mpsc::Receiver<Result<SessionEvent, Refusal>>,
    ) -> Result<(), Fault> {
        let mut summed_up = false;
        loop {
            match events.recv().await {
                Some(Ok(SessionEvent::Results(results))) => {
                    results.iter().try_for_each(|result| self.settle(result))?;
                }
                Some(Ok(SessionEvent::Draining(_))) => self.state().draining = true,
                Some(Ok(SessionEvent::Summary(_))) => summed_up = true,
                Some(Ok(
                    SessionEvent::Opened { .. }
                    | SessionEvent::Accepted(_)
                    | SessionEvent::Heartbeat
                    | SessionEvent::Work(_),
                )) => {}
                Some(Err(refusal)) => return Err(Fault::Refused(refusal)),
                None if summed_up => return Ok(()),
                None => return Err(Fault::text(0, "the session ended without a summary")),
            }
        }
    }

    pub(super) fn settle(&self, result: &UpdateResult) -> Result<(), Fault> {
        if let Some(settled) = self.confirms.settle(result, &self.log) {
            return settled;
        }
        let Some(pending) = self.state().outstanding.remove(&result.update_id) else {
            return Err(Fault::text(
                0,
                format!("a result for update {}, which waits for none", result.update_id),
            ));
        };
        self.room.add_permits(1);
        let success = match failure(pending.method, &result.outcome) {
            None => true,
            Some((status, said)) => {
                self.failed(status, &pending.context, said.as_bytes());
                false
            }
        };
        self.count(success)
    }

    fn count(&self, success: bool) -> Result<(), Fault> {
        let mut state = self.state();
        match success {
            true => state.successes += 1,
            false => state.failures += 1,
        }
        let (successes, failures) = (state.successes, state.failures);
        match self.limits.exceeded(successes, failures) {
            true => Err(Fault::text(0, format!("Too many {failures} failures to {successes} successes"))),
            false => Ok(()),
        }
    }

    /// After the summary: whether the sender may take everything for being here.
    pub(super) fn verdict(&self) -> Result<(), Fault> {
        let state = self.state();
        let said = |text: String| Err(Fault::Said(ErrorLine::body(500, text)));
        let unanswered = state.outstanding.len() as u64;
        if state.failures + unanswered > 0 {
            let (failures, successes) = (state.failures + unanswered, state.successes);
            return Err(Fault::Failures(format!(
                "ERROR: With :UPDATES: {failures} failures to {successes} successes"
            )));
        }
        if state.withheld > 0 {
            return said(format!("ERROR: {} more objects are lacking; sync again", state.withheld));
        }
        if self.durability == Durability::None {
            // A stock sender that hears of success may remove its copy, and nothing was flushed here (rule S1).
            return said("ERROR: durability = none: what is here is not flushed, keep your copy".to_owned());
        }
        Ok(())
    }
}

/// What Swift's object server would have answered, if that counts as a failure. 2xx is success, and so is 404: a POST or
/// DELETE whose object is gone. 409 is none: a PUT or POST of what is here already, or anything older than what is here.
fn failure(method: SubMethod, outcome: &Outcome) -> Option<(u16, String)> {
    let status = match (outcome, method) {
        (Outcome::Applied | Outcome::AppliedUnflushed | Outcome::NotFound, _)
        | (Outcome::Confirmed, SubMethod::Delete) => return None,
        (Outcome::Confirmed | Outcome::Superseded(_), _) => 409,
        (Outcome::NotPrimary, _) => 503,
        (Outcome::Failed(refusal), _) => match status_of(refusal.reason) {
            404 => return None,
            status => return Some((status, refusal.message.clone())),
        },
    };
    Some((status, page_text(status, "")))
}

#[cfg(test)]
pub(super) mod tests {
    use ssync_types::{ObjectHash, Partition, PartitionRef, PolicyIndex, Summary, Timestamp};

    use super::*;

    fn tally(threshold: u64, durability: Durability) -> Tally {
        let accepted = Accepted {
            non_durable: false,
            inline_bytes_max: 0,
            outstanding_updates_max: 1000,
            durability,
            session_updates_max: 0,
            session_time_max: std::time::Duration::ZERO,
        };
        Tally::new(&accepted, FailureLimits { threshold, ratio: 1.0 }, session_log())
    }

    pub(in crate::ssync_verb) fn partition() -> PartitionRef {
        PartitionRef {
            device: "sdb1".parse().unwrap(),
            partition: Partition::new(1),
            policy: PolicyIndex::new(0),
            fragment: None,
        }
    }

    pub(in crate::ssync_verb) fn session_log() -> SessionLog {
        SessionLog::new("192.0.2.7:4711".parse().unwrap(), &partition())
    }

    fn result(update_id: u64, outcome: Outcome) -> UpdateResult {
        UpdateResult { update_id, hash: ObjectHash::from_bytes([0; 16]), outcome }
    }

    fn line(fault: Result<(), Fault>) -> String {
        String::from_utf8(fault.unwrap_err().line("sdb1").unwrap().encode()).unwrap()
    }

    async fn settled(tally: &Tally, outcomes: &[Outcome]) -> Result<(), Fault> {
        for outcome in outcomes {
            let id = tally.begin(SubMethod::Put, String::new()).await;
            tally.settle(&result(id, outcome.clone()))?;
        }
        tally.verdict()
    }

    #[tokio::test]
    async fn success_and_failure_are_swifts() {
        let good = [
            Outcome::Applied,
            Outcome::AppliedUnflushed,
            Outcome::NotFound,
            Outcome::Failed(Refusal::new(Reason::NotFound, "")),
        ];
        assert!(settled(&tally(100, Durability::Batch), &good).await.is_ok());
        for bad in [
            Outcome::Confirmed,
            Outcome::Superseded(Timestamp::ZERO),
            Outcome::NotPrimary,
            Outcome::Failed(Refusal::new(Reason::ObjectIo, "")),
        ] {
            let verdict = settled(&tally(100, Durability::Batch), &[Outcome::Applied, bad]).await;
            assert_eq!(line(verdict), ":ERROR: 500 b'ERROR: With :UPDATES: 1 failures to 1 successes'\n");
        }
    }

    #[tokio::test]
    async fn what_is_deleted_already_is_no_failure() {
        let tally = tally(100, Durability::Batch);
        let id = tally.begin(SubMethod::Delete, String::new()).await;
        tally.settle(&result(id, Outcome::Confirmed)).unwrap();
        assert!(tally.verdict().is_ok());
        let id = tally.begin(SubMethod::Delete, String::new()).await;
        tally.settle(&result(id, Outcome::Superseded(Timestamp::ZERO))).unwrap();
        assert!(line(tally.verdict()).contains("1 failures to 1"));
    }

    #[tokio::test]
    async fn ends_a_session_in_which_too_much_fails() {
        let failed = || Outcome::Superseded(Timestamp::ZERO);
        let verdict = settled(&tally(2, Durability::Batch), &[failed(), failed()]).await;
        assert_eq!(line(verdict), ":ERROR: 0 'Too many 2 failures to 0 successes'\n");
        let mixed = [Outcome::Applied, failed(), Outcome::Applied, failed()];
        let verdict = settled(&tally(2, Durability::Batch), &mixed).await;
        assert_eq!(line(verdict), ":ERROR: 500 b'ERROR: With :UPDATES: 2 failures to 2 successes'\n");
    }

    #[tokio::test]
    async fn an_update_without_a_result_is_a_failure() {
        let tally = tally(100, Durability::Batch);
        let id = tally.begin(SubMethod::Put, "PUT /a/c/o".into()).await;
        assert!(line(tally.verdict()).contains("1 failures to 0"));
        assert!(tally.settle(&result(id + 1, Outcome::Applied)).is_err());
        assert!(tally.settle(&result(id, Outcome::Applied)).is_ok());
        assert!(tally.settle(&result(id, Outcome::Applied)).is_err(), "one result for each update");
    }

    #[tokio::test]
    async fn no_sender_may_remove_what_is_not_safe_here() {
        assert!(line(settled(&tally(100, Durability::None), &[]).await).contains("not flushed"));
        let tally = tally(100, Durability::Batch);
        tally.withhold(3);
        assert!(line(tally.verdict()).contains("3 more objects are lacking"));
    }

    #[tokio::test]
    async fn follows_until_the_summary() {
        let tally = tally(100, Durability::Batch);
        let (sender, mut events) = mpsc::channel(8);
        let id = tally.begin(SubMethod::Put, String::new()).await;
        sender.send(Ok(SessionEvent::Heartbeat)).await.unwrap();
        sender.send(Ok(SessionEvent::Draining(String::new()))).await.unwrap();
        sender.send(Ok(SessionEvent::Results(vec![result(id, Outcome::Applied)]))).await.unwrap();
        sender.send(Ok(SessionEvent::Summary(Summary::default()))).await.unwrap();
        drop(sender);
        tally.follow(&mut events).await.unwrap();
        assert!(tally.check_draining().is_err());
        assert!(tally.verdict().is_ok());
        assert!(line(tally.follow(&mut events).await).contains("without a summary"));
    }

    #[tokio::test]
    async fn hears_why_a_session_ended_early() {
        let (sender, mut events) = mpsc::channel(8);
        sender.send(Ok(SessionEvent::Summary(Summary::default()))).await.unwrap();
        sender.send(Err(Refusal::new(Reason::DeviceUnmounted, "gone"))).await.unwrap();
        let followed = tally(100, Durability::Batch).follow(&mut events).await;
        assert!(line(followed).starts_with(":ERROR: 507 "));
    }
}
