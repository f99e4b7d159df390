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

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes() -> [ObjectHash; 3] {
        [1, 2, 3].map(|byte| ObjectHash::from_bytes([byte; 16]))
    }

    fn of_sheaf(done: &mpsc::Sender<Done>) -> Verdicts {
        Verdicts::of_sheaf(done.clone(), (7..).zip(hashes()))
    }

    #[tokio::test]
    async fn all_of_a_sheaf_come_at_once_and_in_order() {
        let (done, mut finished) = mpsc::channel(1);
        let mut verdicts = of_sheaf(&done);
        verdicts.settle([Some(Outcome::Applied), None, Some(Outcome::Confirmed)]);
        drop(verdicts);
        let Done { results, sheaf } = finished.recv().await.unwrap();
        assert!(sheaf);
        let [first, second, third] = &results[..] else { panic!("{results:?}") };
        assert_eq!((first.update_id, first.hash, &first.outcome), (7, hashes()[0], &Outcome::Applied));
        assert!(matches!(&second.outcome, Outcome::Failed(refusal) if refusal.reason == Reason::Internal));
        assert_eq!((third.update_id, &third.outcome), (9, &Outcome::Confirmed));
    }

    #[tokio::test]
    async fn work_that_panics_or_is_never_begun_has_verdicts_too() {
        let (done, mut finished) = mpsc::channel(2);
        let panics = of_sheaf(&done);
        let work = move || {
            let _verdicts = panics;
            panic!("on purpose");
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
        let withdrawn = of_sheaf(&done);
        drop(move || drop(withdrawn));
        for _ in 0..2 {
            let done = finished.recv().await.unwrap();
            assert_eq!(done.results.len(), 3);
            assert!(done.results.iter().all(|result| matches!(result.outcome, Outcome::Failed(_))));
        }
    }
}
