//! Where threads that hash bodies at the same time meet: one of them hashes for up to eight, in step (see `lanes`).
//!
//! A thread comes with some blocks of its body and queues. Nobody waits for company, but to let those run who could: who comes
//! while no thread leads leads at once, and takes those along that come in the meantime. At each stop it tells those who are
//! through, and lets others in; when its own blocks are done it goes, and one that waits leads on. While as many wait as fill the
//! lanes, another leads them. The queue is bounded by the threads.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use bytes::Bytes;

use super::lanes::{Block, LANES_MAX, State, compress};
use crate::priority::gives_way;

/// Blocks of each body between two stops: 16 KiB.
const STOP_BLOCKS: usize = 256;

/// Where the threads of a node meet. Those that serve clients do not wait for those that give way to them.
#[derive(Debug, Default)]
pub(crate) struct Hashing {
    usual: Together,
    giving_way: Together,
}

impl Hashing {
    /// Where this thread hashes.
    pub(super) fn here(&self) -> &Together {
        if gives_way() { &self.giving_way } else { &self.usual }
    }
}

/// Threads that hash at the same time.
#[derive(Debug, Default)]
pub(super) struct Together(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    leaders: usize,
}

/// Blocks of one body, as far as they are not hashed.
#[derive(Debug)]
struct Job {
    state: State,
    blocks: Bytes,
    ticket: Arc<Ticket>,
}

/// Where a thread waits for its state.
#[derive(Debug, Default)]
struct Ticket {
    state: Mutex<Option<State>>,
    called: Condvar,
}

impl Together {
    /// What comes of a body after these whole blocks.
    pub(super) fn hash(&self, state: State, blocks: Bytes) -> State {
        let ticket = Arc::new(Ticket::default());
        let mut waiting = self.lock();
        waiting.jobs.push_back(Job { state, blocks, ticket: Arc::clone(&ticket) });
        loop {
            if let Some(state) = ticket.take() {
                return state;
            }
            if waiting.leaders == 0 || waiting.jobs.len() >= LANES_MAX {
                waiting.leaders += 1;
                drop(waiting);
                Leading { together: self, own: &ticket, lanes: Vec::new() }.lead();
                waiting = self.lock();
            } else {
                waiting = ticket.called.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // What it holds is whole after every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    fn is_called(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self) -> Option<State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The caller holds the lock on all that wait, so that nobody goes to sleep in between.
    fn call(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        self.called.notify_one();
    }
}

/// A thread that hashes for others. However it ends, those who are not through go on.
struct Leading<'c> {
    together: &'c Together,
    own: &'c Arc<Ticket>,
    lanes: Vec<Job>,
}

impl Leading<'_> {
    /// Hashes until its own blocks are done, or none are left: another leads them.
    fn lead(mut self) {
        self.admit();
        if self.lanes.len() == 1 {
            // To those who wait for this processor on their way here: together it is less work.
            thread::yield_now();
        }
        while !self.lanes.is_empty() && !self.own.is_called() {
            self.admit();
            advance(&mut self.lanes);
            self.dismiss();
        }
    }

    fn admit(&mut self) {
        let mut waiting = self.together.lock();
        while self.lanes.len() < LANES_MAX
            && let Some(next) = waiting.jobs.pop_front()
        {
            self.lanes.push(next);
        }
    }

    /// Tells those who are through.
    fn dismiss(&mut self) {
        if self.lanes.iter().all(|job| !job.is_through()) {
            return;
        }
        let _waiting = self.together.lock();
        for job in self.lanes.extract_if(.., |job| job.is_through()) {
            job.ticket.call(job.state);
        }
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut waiting = self.together.lock();
        // Its own is there only where it panicked: nobody waits for it.
        let others = mem::take(&mut self.lanes).into_iter().filter(|job| !Arc::ptr_eq(&job.ticket, self.own));
        for job in others.rev() {
            waiting.jobs.push_front(job);
        }
        waiting.leaders -= 1;
        if waiting.leaders == 0
            && let Some(next) = waiting.jobs.front()
        {
            next.ticket.called.notify_one();
        }
    }
}

impl Job {
    fn is_through(&self) -> bool {
        self.blocks.is_empty()
    }
}

/// Hashes as many blocks of each as all have, up to the next stop.
fn advance(lanes: &mut [Job]) {
    let blocks = |job: &Job| job.blocks.len() / size_of::<Block>();
    let count = lanes.iter().map(blocks).min().unwrap_or(0).min(STOP_BLOCKS);
    let bodies: Vec<&[Block]> =
        lanes.iter().filter_map(|job| job.blocks.as_chunks().0.get(..count)).collect();
    let mut states: Vec<State> = lanes.iter().map(|job| job.state).collect();
    match (&mut states[..], &bodies[..]) {
        ([state], [body]) => md5::block_api::compress(state, body),
        (states @ ([_, _] | [_, _, _] | [_, _, _, _]), bodies) => compress::<1>(states, bodies),
        (states, bodies) => compress::<2>(states, bodies),
    }
    for (job, state) in lanes.iter_mut().zip(states) {
        job.state = state;
        drop(job.blocks.split_to(count * size_of::<Block>()));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lanes::BEGIN, *};

    fn blocks(seed: usize, count: usize) -> Bytes {
        (0..count * size_of::<Block>()).map(|at| (at * 31 + seed * 97 + at / 251) as u8).collect()
    }

    fn alone(blocks: &Bytes) -> State {
        let mut state = BEGIN;
        md5::block_api::compress(&mut state, blocks.as_chunks().0);
        state
    }

    #[test]
    fn each_gets_its_own_however_many_there_are() {
        let together = Together::default();
        for threads in [1, 2, 3, 5, 8, 9, 30] {
            thread::scope(|scope| {
                for seed in 0..threads {
                    let together = &together;
                    scope.spawn(move || {
                        for round in 1..20 {
                            let blocks = blocks(seed, 1 + (seed * 131 + round * 57) % 700);
                            assert_eq!(together.hash(BEGIN, blocks.clone()), alone(&blocks));
                        }
                    });
                }
            });
        }
        let waiting = together.lock();
        assert!(waiting.jobs.is_empty() && waiting.leaders == 0);
    }

    /// Those who come while somebody leads are taken along, and whoever is left leads on.
    #[test]
    fn the_lead_goes_on_when_who_has_it_is_through() {
        let together = Together::default();
        let all: Vec<_> = (0..5).map(|seed| blocks(seed, 100 * (seed + 1))).collect();
        let tickets: Vec<_> = all
            .iter()
            .map(|blocks| {
                let ticket = Arc::new(Ticket::default());
                let job = Job { state: BEGIN, blocks: blocks.clone(), ticket: Arc::clone(&ticket) };
                together.lock().jobs.push_back(job);
                ticket
            })
            .collect();
        together.lock().leaders += 1;
        Leading { together: &together, own: &tickets[1], lanes: Vec::new() }.lead();
        let called: Vec<bool> = tickets.iter().map(|ticket| ticket.is_called()).collect();
        assert_eq!(called, [true, true, false, false, false]);
        assert_eq!(together.lock().jobs.len(), 3, "they have not lost their place");
        let own = blocks(9, 3);
        assert_eq!(together.hash(BEGIN, own.clone()), alone(&own));
        for (ticket, blocks) in tickets.iter().zip(&all).take(2) {
            assert_eq!(ticket.take(), Some(alone(blocks)));
        }
        let mut waiting = together.lock();
        for (job, blocks) in waiting.jobs.drain(..).zip(all.iter().skip(2)) {
            let done = blocks.len() - job.blocks.len();
            assert!(done > 0);
            assert_eq!(job.state, alone(&blocks.slice(..done)));
        }
    }
}
