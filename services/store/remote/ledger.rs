//! What a peer owes, and since when: heartbeats prove that it is alive, this that it works.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

#[derive(Debug)]
pub(super) struct Ledger {
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Answers to what was sent.
    answers: u64,
    /// A message that the transport was given and has not taken.
    in_transport: bool,
    /// When the last debt was paid, or the first was made.
    since: Instant,
}

impl State {
    fn is_owing(&self) -> bool {
        self.answers > 0 || self.in_transport
    }
}

impl Ledger {
    /// A ledger of a peer that must make progress within `limit` while it owes something.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, state: Mutex::new(State { answers: 0, in_transport: false, since: Instant::now() }) }
    }

    /// The transport was given a message that asks for so many answers.
    pub(super) fn gave(&self, answers: u64) {
        self.change(|state| {
            if !state.is_owing() {
                state.since = Instant::now();
            }
            state.answers = state.answers.saturating_add(answers);
            state.in_transport = true;
        });
    }

    /// The transport took all it was given.
    pub(super) fn taken(&self) {
        self.change(|state| {
            if std::mem::take(&mut state.in_transport) {
                state.since = Instant::now();
            }
        });
    }

    /// So many answers came.
    pub(super) fn answered(&self, answers: u64) {
        self.change(|state| {
            state.answers = state.answers.saturating_sub(answers);
            state.since = Instant::now();
        });
    }

    /// Returns when the limit has passed without progress on something owed.
    pub(super) async fn overdue(&self) {
        while let Some(left) = self.time_left() {
            sleep(left).await;
        }
    }

    fn time_left(&self) -> Option<Duration> {
        let mut left = Some(self.limit);
        self.change(|state| {
            if state.is_owing() {
                left = self.limit.checked_sub(state.since.elapsed()).filter(|left| !left.is_zero());
            }
        });
        left
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);

    async fn overdue_after(ledger: &Ledger) -> Option<Duration> {
        let begin = Instant::now();
        tokio::time::timeout(10 * LIMIT, ledger.overdue()).await.ok().map(|()| begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_owes_nothing_is_never_overdue() {
        let ledger = Ledger::new(LIMIT);
        assert_eq!(overdue_after(&ledger).await, None);
        ledger.gave(2);
        ledger.taken();
        ledger.answered(2);
        assert_eq!(overdue_after(&ledger).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_owed_is_due_after_the_limit_and_each_answer_gives_more_time() {
        let ledger = Ledger::new(LIMIT);
        ledger.gave(2);
        ledger.taken();
        sleep(LIMIT / 2).await;
        ledger.answered(1);
        assert_eq!(overdue_after(&ledger).await, Some(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_transport_that_takes_nothing_is_overdue_too() {
        let ledger = Ledger::new(LIMIT);
        sleep(LIMIT).await;
        ledger.gave(0);
        assert_eq!(overdue_after(&ledger).await, Some(LIMIT));
    }
}
