//! The receiving half of a session.

use std::sync::Arc;

use ssync_types::{Refusal, SessionEvent, Summary, UpdateResult};
use tokio::sync::{Semaphore, mpsc};

use crate::client::ended_early;

/// What a node says in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Results, in any order across objects, in order for one.
    Results(Vec<UpdateResult>),
    /// The node wants the session to end: finish what was begun, and open another for the rest. Updates that are sent from now
    /// on have no result.
    Draining(String),
    /// What became of all updates. The last.
    Summary(Summary),
}

/// What became of the updates of a session. Dropping it gives the session up.
#[derive(Debug)]
pub struct Verdicts {
    events: mpsc::Receiver<Result<SessionEvent, Refusal>>,
    /// Of updates without a result; closed with the session, so that nobody waits for it.
    room: Arc<Semaphore>,
    summed_up: bool,
}

impl Verdicts {
    pub(crate) fn new(events: mpsc::Receiver<Result<SessionEvent, Refusal>>, room: Arc<Semaphore>) -> Self {
        Self { events, room, summed_up: false }
    }

    /// The next event; `None` at the orderly end. What had no result by the end was not answered for: offer it again.
    pub async fn next(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            match self.events.recv().await {
                Some(Ok(SessionEvent::Results(results))) => {
                    self.room.add_permits(results.len());
                    return Ok(Some(Event::Results(results)));
                }
                Some(Ok(SessionEvent::Draining(reason))) => return Ok(Some(Event::Draining(reason))),
                Some(Ok(SessionEvent::Summary(summary))) => {
                    self.summed_up = true;
                    return Ok(Some(Event::Summary(summary)));
                }
                Some(Ok(
                    SessionEvent::Opened { .. }
                    | SessionEvent::Accepted(_)
                    | SessionEvent::Heartbeat
                    | SessionEvent::Work(_),
                )) => {}
                Some(Err(refusal)) => {
                    self.room.close();
                    return Err(refusal);
                }
                None if self.summed_up => {
                    self.room.close();
                    return Ok(None);
                }
                None => {
                    self.room.close();
                    return Err(ended_early());
                }
            }
        }
    }
}

impl Drop for Verdicts {
    fn drop(&mut self) {
        self.room.close();
    }
}
