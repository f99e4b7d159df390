//! The network: how long a message takes, which are lost, and who can hear whom.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ssync_diskfile::simulation::Random;

/// Clients, as one end of the network.
pub(crate) const CLIENTS: usize = usize::MAX;

/// How bad it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Of a thousand requests, so many never arrive.
    pub(crate) requests_lost: usize,
    /// Of a thousand answers.
    pub(crate) answers_lost: usize,
    /// Of a thousand messages in streams, so many break the stream.
    pub(crate) cuts: usize,
    /// The longest that a message takes now and then, in milliseconds.
    pub(crate) delay_max: usize,
}

/// The network.
#[derive(Debug)]
pub(crate) struct Network(Mutex<State>);

#[derive(Debug)]
struct State {
    random: Random,
    weather: Weather,
    /// From whom to whom nothing comes.
    deaf: BTreeSet<(usize, usize)>,
}

impl Network {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        Self(Mutex::new(State { random: Random::of(seed, 2), weather, deaf: BTreeSet::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on all is well.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        (state.weather, state.deaf) = (Weather::default(), BTreeSet::new());
    }

    /// What one says the other does not hear.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.state().deaf.insert((from, to));
    }

    pub(crate) fn join(&self, from: usize, to: usize) {
        self.state().deaf.remove(&(from, to));
    }

    pub(crate) fn hears(&self, from: usize, to: usize) -> bool {
        !self.state().deaf.contains(&(from, to))
    }

    /// How long the next message takes.
    pub(crate) fn delay(&self) -> Duration {
        let mut state = self.state();
        let most = state.weather.delay_max;
        let milliseconds = match state.random.below(100) {
            0..50 => 0,
            50..98 => 1,
            _ => state.random.below(most.max(2)),
        };
        Duration::from_millis(milliseconds as u64)
    }

    /// How long somebody waits for what does not come.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.state().random.below(10_000) as u64)
    }

    pub(crate) fn loses_request(&self) -> bool {
        let mut state = self.state();
        let often = state.weather.requests_lost;
        state.random.per_mille(often)
    }

    pub(crate) fn loses_answer(&self) -> bool {
        let mut state = self.state();
        let often = state.weather.answers_lost;
        state.random.per_mille(often)
    }

    pub(crate) fn breaks_stream(&self) -> bool {
        let mut state = self.state();
        let often = state.weather.cuts;
        state.random.per_mille(often)
    }
}
