//! Where threads that publish at the same time meet, so that one flush serves many (`durability = batch`).
//!
//! Each thread comes with one publication or with a sheaf of them, and flushes its own files and notes: the kernel joins
//! flushes that are asked for at once, and would do those that one thread asks for one after the other. Then it queues. While
//! fewer threads lead than `Pace` allows, one that waits leads: it takes its own publications and its share of the others',
//! commits these as a batch, in which one flush of the file system's log serves all names, and tells them. Nobody waits for a
//! batch to fill up: a thread that comes alone commits at once, and what comes in the meantime makes the next batch. The queue
//! is bounded by the threads.

mod pace;
mod tempo;

use std::{
    collections::VecDeque,
    io, mem,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{Device, DiskError, priority::gives_way, publish::Member};
use pace::Pace;
pub(crate) use tempo::Tempo;

/// Publications in a batch: nothing is added to what makes as many.
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
    members: Vec<Member>,
    ticket: Arc<Ticket>,
}

/// Of each publication that a thread came with.
type Outcomes = Vec<Result<(), DiskError>>;

/// What a thread waits with.
#[derive(Debug)]
struct Ticket {
    /// Its thread does, to those that serve clients.
    gives_way: bool,
    /// Written and read by who holds the pipeline's lock.
    outcomes: Mutex<Option<Outcomes>>,
    /// It has its outcomes, or should lead.
    called: Condvar,
}

impl Pipeline {
    /// Publishes, with whatever else is being published on the device.
    pub(crate) fn publish(&self, device: &Device, mut members: Vec<Member>) -> Outcomes {
        device.prepare(&mut members);
        if members.iter().all(Member::has_failed) {
            return members.into_iter().map(Member::into_outcome).collect();
        }
        let ticket = Arc::new(Ticket::new(gives_way()));
        let mut state = self.lock();
        state.waiting.push_back(Waiting { members, ticket: Arc::clone(&ticket) });
        loop {
            if let Some(outcomes) = ticket.take() {
                return outcomes;
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
        let (groups, tickets): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| {
                let count = waiting.members.len();
                (waiting.members, (waiting.ticket, count))
            })
            .unzip();
        let mut members: Vec<_> = groups.into_iter().flatten().collect();
        let mut leading =
            Leading { pipeline: self, device, began: Instant::now(), tickets, outcomes: Vec::new() };
        device.commit(&mut members);
        device.settings.at_commit.tell(&device.name, leading.began.elapsed());
        leading.outcomes = members.into_iter().map(Member::into_outcome).collect();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What it holds is whole after every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A batch for the thread that waits with a ticket, if one more may lead and nobody has taken its publications; that
    /// thread is counted. So all who are left in the queue wait, and none of them leads.
    fn take_batch(&mut self, own: &Arc<Ticket>) -> Option<Vec<Waiting>> {
        // Those to whom it gives way lead before it.
        let ahead = self.waiting.iter().filter(|waiting| own.gives_way && !waiting.ticket.gives_way).count();
        let free = self.places().saturating_sub(ahead);
        let place = self.waiting.iter().position(|waiting| Arc::ptr_eq(&waiting.ticket, own));
        let place = place.filter(|_| free > 0)?;
        let all: usize = self.waiting.iter().map(|waiting| waiting.members.len()).sum();
        let share = all.div_ceil(free).min(BATCH_MAX);
        let mut batch: Vec<_> = self.waiting.remove(place).into_iter().collect();
        let mut count: usize = batch.iter().map(|own| own.members.len()).sum();
        // With one of the others at least, the one that has waited longest: who comes late cannot keep it waiting. But a thread
        // that gives way is not waited for by those to whom it does.
        let is_taken = |waiting: &Waiting| !own.gives_way || waiting.ticket.gives_way;
        while (batch.len() < 2 || count < share)
            && let Some(place) = self.waiting.iter().position(is_taken)
            && let Some(next) = self.waiting.remove(place)
        {
            count += next.members.len();
            batch.push(next);
        }
        self.leaders += 1;
        Some(batch)
    }

    /// Those who should lead next: the longest waiting, but first those that do not give way.
    fn next_leaders(&self) -> impl Iterator<Item = &Ticket> {
        let of = |gives_way: bool| {
            let tickets = self.waiting.iter().map(|waiting| &*waiting.ticket);
            tickets.filter(move |ticket| ticket.gives_way == gives_way)
        };
        of(false).chain(of(true)).take(self.places())
    }

    /// How many more may lead.
    fn places(&self) -> usize {
        self.pace.leaders().saturating_sub(self.leaders)
    }
}

impl Ticket {
    fn new(gives_way: bool) -> Self {
        Self { gives_way, outcomes: Mutex::default(), called: Condvar::new() }
    }

    fn take(&self) -> Option<Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn give(&self, outcomes: Outcomes) {
        *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcomes);
    }
}

/// A batch under way. When it ends, however it ends, everybody who waits for it is told, and others lead.
struct Leading<'a> {
    pipeline: &'a Pipeline,
    device: &'a Device,
    began: Instant,
    /// And how many publications each is for.
    tickets: Vec<(Arc<Ticket>, usize)>,
    /// Of each publication; none yet, or none ever where the thread panicked.
    outcomes: Outcomes,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut state = self.pipeline.lock();
        let crowded = !state.waiting.is_empty();
        state.leaders -= 1;
        state.pace.observe(self.tickets.iter().map(|(_, count)| count).sum(), self.began, crowded);
        let mut outcomes = mem::take(&mut self.outcomes).into_iter();
        let mut next = || {
            outcomes.next().unwrap_or_else(|| {
                // Published or not: whoever asks again is told.
                let lost = io::Error::other("the thread that committed it ended; the log has the cause");
                Err(self.device.io("commit", Path::new(""), lost))
            })
        };
        for (place, (ticket, count)) in self.tickets.iter().enumerate() {
            ticket.give((0..*count).map(|_| next()).collect());
            // The first is this thread's own: it does not wait.
            if place > 0 {
                ticket.called.notify_one();
            }
        }
        for next in state.next_leaders() {
            next.called.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(state: &mut State, gives_way: bool) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::new(gives_way));
        state.waiting.push_back(Waiting { members: Vec::new(), ticket: Arc::clone(&ticket) });
        ticket
    }

    /// Whose publications are in the batch of a ticket, if it leads.
    fn led(state: &mut State, own: &Arc<Ticket>, all: &[&Arc<Ticket>]) -> Option<Vec<usize>> {
        let batch = state.take_batch(own)?;
        let place = |waiting: &Waiting| all.iter().position(|ticket| Arc::ptr_eq(ticket, &waiting.ticket));
        Some(batch.iter().filter_map(place).collect())
    }

    #[test]
    fn a_thread_that_gives_way_does_not_commit_for_those_to_whom_it_does() {
        let mut state = State::default();
        let [first, second] = [true, false].map(|gives_way| queue(&mut state, gives_way));
        assert!(state.next_leaders().next().is_some_and(|next| std::ptr::eq(next, &*second)));
        state.leaders = state.pace.leaders() - 1;
        assert_eq!(led(&mut state, &first, &[]), None, "it would take the other's place");
        state.leaders = state.pace.leaders() - 2;
        assert_eq!(led(&mut state, &first, &[&first, &second]), Some(vec![0]));
    }

    #[test]
    fn a_thread_that_serves_a_client_takes_along_who_has_waited_longest() {
        let mut state = State::default();
        let [first, second, third] = [true, true, false].map(|gives_way| queue(&mut state, gives_way));
        assert_eq!(led(&mut state, &third, &[&first, &second, &third]), Some(vec![2, 0]));
    }
}
