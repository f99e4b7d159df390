//! Where threads that publish at the same time meet, so that one flush serves many (`durability = batch`).
//!
//! Each thread flushes its own file and note: the kernel joins flushes that are asked for at once, and would do those that one
//! thread asks for one after the other. Then it queues. While fewer threads lead than `Pace` allows, one that waits leads: it
//! takes its own publication and its share of the others, commits these as a batch, in which one flush of the file system's log
//! serves all names, and tells them. Nobody waits for a batch to fill up: a thread that comes alone commits at once, and what
//! comes in the meantime makes the next batch. The queue is bounded by the threads.

mod pace;

use std::{
    collections::VecDeque,
    io, mem,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{
    Device, DiskError,
    publish::{Member, Publication},
};
use pace::Pace;

/// Most publications in a batch.
const BATCH_MAX: usize = 64;

/// The queue of a device.
#[derive(Debug, Default)]
pub(crate) struct Pipeline(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    leaders: usize,
    pace: Pace,
}

#[derive(Debug)]
struct Waiting {
    member: Member,
    ticket: Arc<Ticket>,
}

/// What a thread waits with.
#[derive(Debug, Default)]
struct Ticket {
    /// Written and read by who holds the pipeline's lock.
    outcome: Mutex<Option<Result<(), DiskError>>>,
    /// It has an outcome, or should lead.
    called: Condvar,
}

impl Pipeline {
    /// Publishes, with whatever else is being published on the device.
    pub(crate) fn publish(&self, device: &Device, publication: Publication) -> Result<(), DiskError> {
        let mut own = [Member::new(publication)];
        device.prepare(&mut own);
        let [member] = own;
        if member.has_failed() {
            return member.into_outcome();
        }
        let ticket = Arc::new(Ticket::default());
        let mut state = self.lock();
        state.waiting.push_back(Waiting { member, ticket: Arc::clone(&ticket) });
        loop {
            if let Some(outcome) = ticket.take() {
                return outcome;
            }
            if let Some(batch) = state.take_batch(&ticket) {
                drop(state);
                self.lead(device, batch);
                state = self.lock();
            } else {
                state = ticket.called.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lead(&self, device: &Device, batch: Vec<Waiting>) {
        let (mut members, tickets): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.member, waiting.ticket)).unzip();
        let mut leading =
            Leading { pipeline: self, device, began: Instant::now(), tickets, outcomes: Vec::new() };
        device.commit(&mut members);
        leading.outcomes = members.into_iter().map(Member::into_outcome).collect();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What it holds is whole after every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A batch for the thread that waits with a ticket, if one more may lead and nobody has taken its publication; that
    /// thread is counted. So all who are left in the queue wait, and none of them leads.
    fn take_batch(&mut self, own: &Arc<Ticket>) -> Option<Vec<Waiting>> {
        let free = self.places();
        let place = self.waiting.iter().position(|waiting| Arc::ptr_eq(&waiting.ticket, own));
        let place = place.filter(|_| free > 0)?;
        // With one of the others at least, the one that has waited longest: who comes late cannot keep it waiting.
        let share = self.waiting.len().div_ceil(free).clamp(2, BATCH_MAX);
        let mut batch: Vec<_> = self.waiting.remove(place).into_iter().collect();
        let others = (share - 1).min(self.waiting.len());
        batch.extend(self.waiting.drain(..others));
        self.leaders += 1;
        Some(batch)
    }

    /// How many more may lead.
    fn places(&self) -> usize {
        self.pace.leaders().saturating_sub(self.leaders)
    }
}

impl Ticket {
    fn take(&self) -> Option<Result<(), DiskError>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn call(&self, outcome: Result<(), DiskError>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.called.notify_one();
    }
}

/// A batch under way. When it ends, however it ends, everybody who waits for it is told, and others lead.
struct Leading<'a> {
    pipeline: &'a Pipeline,
    device: &'a Device,
    began: Instant,
    tickets: Vec<Arc<Ticket>>,
    /// Of each ticket; none yet, or none ever where the thread panicked.
    outcomes: Vec<Result<(), DiskError>>,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut state = self.pipeline.lock();
        let crowded = !state.waiting.is_empty();
        state.leaders -= 1;
        state.pace.observe(self.tickets.len(), self.began, crowded);
        let mut outcomes = mem::take(&mut self.outcomes).into_iter();
        for ticket in &self.tickets {
            ticket.call(outcomes.next().unwrap_or_else(|| {
                // Published or not: whoever asks again is told.
                let lost = io::Error::other("the thread that committed it ended; the log has the cause");
                Err(self.device.io("commit", Path::new(""), lost))
            }));
        }
        for next in state.waiting.iter().take(state.places()) {
            next.ticket.called.notify_one();
        }
    }
}
