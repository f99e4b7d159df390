//! A verdict that is sent whatever happens.

use std::mem;

use ssync_types::{ObjectHash, Outcome, Reason, Refusal, UpdateResult};
use tokio::sync::mpsc;

/// Sends the verdict on an update when dropped.
pub(super) struct Verdict {
    done: mpsc::Sender<UpdateResult>,
    id: u64,
    hash: ObjectHash,
    outcome: Outcome,
}

impl Verdict {
    pub(super) fn new(done: mpsc::Sender<UpdateResult>, id: u64, hash: ObjectHash) -> Self {
        let lost = Refusal::new(Reason::Internal, "the update was lost; the log has the cause");
        Self { done, id, hash, outcome: Outcome::Failed(lost) }
    }

    pub(super) fn settle(&mut self, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.outcome = outcome;
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        let outcome = mem::replace(&mut self.outcome, Outcome::NotFound);
        // There is room for every result that is due; without a session nobody waits for it.
        let _ = self.done.try_send(UpdateResult { update_id: self.id, hash: self.hash, outcome });
    }
}
