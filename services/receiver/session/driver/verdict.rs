//! Verdicts that are sent whatever happens.

use std::mem;

use ssync_types::{ObjectHash, Outcome, Reason, Refusal, UpdateResult};
use tokio::sync::mpsc;

/// What became of updates that were handed over together.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) results: Vec<UpdateResult>,
    /// They were a sheaf.
    pub(super) sheaf: bool,
}

/// Sends the verdicts on updates when dropped, all at once.
pub(super) struct Verdicts {
    done: mpsc::Sender<Done>,
    results: Vec<UpdateResult>,
    sheaf: bool,
}

impl Verdicts {
    /// On one update.
    pub(super) fn of_one(done: mpsc::Sender<Done>, id: u64, hash: ObjectHash) -> Self {
        Self { done, results: vec![lost(id, hash)], sheaf: false }
    }

    /// On those of a sheaf.
    pub(super) fn of_sheaf(
        done: mpsc::Sender<Done>,
        updates: impl Iterator<Item = (u64, ObjectHash)>,
    ) -> Self {
        Self { done, results: updates.map(|(id, hash)| lost(id, hash)).collect(), sheaf: true }
    }

    /// In the order of the updates; of what has none it stays that it was lost.
    pub(super) fn settle(&mut self, outcomes: impl IntoIterator<Item = Option<Outcome>>) {
        for (result, outcome) in self.results.iter_mut().zip(outcomes) {
            if let Some(outcome) = outcome {
                result.outcome = outcome;
            }
        }
    }
}

fn lost(update_id: u64, hash: ObjectHash) -> UpdateResult {
    let refusal = Refusal::new(Reason::Internal, "the update was lost; the log has the cause");
    UpdateResult { update_id, hash, outcome: Outcome::Failed(refusal) }
}

impl Drop for Verdicts {
    fn drop(&mut self) {
        // There is room for all that is due; without a session nobody waits for it.
        let _ = self.done.try_send(Done { results: mem::take(&mut self.results), sheaf: self.sheaf });
    }
}
