//! When a pass will have ended, told from how fast visits end now, and how far that may be off. Free of I/O.
//!
//! The order of a pass is random, so the visits that have ended are a fair sample of those that are left. Time is judged by a
//! window that moves along: the time that visits were under way in it, divided by the visits that ended in it, is what one takes,
//! also while a peer that has become slow ends none of the new, slow ones yet (the renewal-reward theorem). A pass cannot end
//! before all of its work is done by as many visits at once as are seen, nor before each node has had its own, of which it gets
//! no more at once than it is allowed.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// What is looked back at least, and the part of the pass beyond that.
const WINDOW_MIN: Duration = Duration::from_secs(12);
const WINDOW_PART: u32 = 6;
/// How often it is noted how far a node is.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Notes that are kept; when there are more, every second goes.
const NOTES_MAX: usize = 512;
/// Fewer visits than these tell nothing of the rest.
const VISITS_MIN: f64 = 3.0;
/// Pieces that a window is cut into, to see how steady it is.
const PIECES: u32 = 6;
/// Standard deviations that make 19 of 20, with what a normal distribution leaves out.
const SIGMAS: f64 = 2.5;
/// The least that a forecast may be off, as a part of it.
const MARGIN_MIN: f64 = 0.02;

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// In so much time.
    pub remaining: Duration,
    /// Give or take so much.
    pub margin: Duration,
}

/// How far a node was at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Note {
    at: Instant,
    /// Seconds of visits that were under way until then, one second for each visit and second.
    busy: f64,
    /// Visits that have ended, what they took, and the squares of that.
    done: f64,
    took: f64,
    squares: f64,
}

/// How visits to one node get on in this pass.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    now: Note,
    under_way: u64,
    notes: VecDeque<Note>,
    every: Duration,
}

/// What is left to do with a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// Visits that are not done with, those under way too.
    pub(crate) visits: u64,
    /// Most at once.
    pub(crate) at_once_max: u64,
}

/// How fast visits are in the window.
#[derive(Debug, Clone, Copy)]
struct Speed {
    /// Seconds that one takes.
    each: f64,
    /// How many are under way.
    at_once: f64,
    /// Standard error of `each`, as a part of it.
    error: f64,
    /// How much one differs from another, as a part of `each`.
    spread: f64,
}

impl Pace {
    pub(crate) fn new(at: Instant) -> Self {
        let now = Note { at, busy: 0.0, done: 0.0, took: 0.0, squares: 0.0 };
        let notes = VecDeque::from([now]);
        Self { now, under_way: 0, notes, every: NOTE_EVERY }
    }

    fn advance(&mut self, at: Instant) {
        let elapsed = at.saturating_duration_since(self.now.at).as_secs_f64();
        self.now.busy += elapsed * self.under_way as f64;
        self.now.at = self.now.at.max(at);
        if self.notes.back().is_none_or(|last| self.now.at - last.at >= self.every) {
            self.notes.push_back(self.now);
            if self.notes.len() > NOTES_MAX {
                self.thin_out();
            }
        }
    }

    fn thin_out(&mut self) {
        let mut keep = false;
        self.notes.retain(|_| {
            keep = !keep;
            keep
        });
        self.every *= 2;
    }

    /// A visit begins.
    pub(crate) fn begins(&mut self, at: Instant) {
        self.advance(at);
        self.under_way += 1;
    }

    /// A visit is interrupted: it is to be gone on with.
    pub(crate) fn pauses(&mut self, at: Instant) {
        self.advance(at);
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A visit that has been under way for so long in all is done with.
    pub(crate) fn ended(&mut self, at: Instant, took: Duration) {
        self.advance(at);
        self.now.done += 1.0;
        self.now.took += took.as_secs_f64();
        self.now.squares += took.as_secs_f64().powi(2);
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.under_way
    }

    /// How far it was at `at`.
    fn at(&self, at: Instant) -> Note {
        let place = self.notes.partition_point(|note| note.at <= at);
        let (before, after) =
            (place.checked_sub(1).and_then(|place| self.notes.get(place)), self.notes.get(place));
        match (before.copied(), after.copied().unwrap_or(self.now)) {
            (Some(before), after) if after.at > before.at => {
                let part = (at - before.at).as_secs_f64() / (after.at - before.at).as_secs_f64();
                let between = |of: fn(&Note) -> f64| of(&before) + (of(&after) - of(&before)) * part.min(1.0);
                Note {
                    at,
                    busy: between(|note| note.busy),
                    done: between(|note| note.done),
                    took: between(|note| note.took),
                    squares: between(|note| note.squares),
                }
            }
            (Some(before), _) => before,
            (None, after) => after,
        }
    }

    /// `None` while too few visits have ended.
    fn speed(&self, now: Instant) -> Option<Speed> {
        let mut current = self.clone();
        current.advance(now);
        let begun = current.notes.front().map_or(now, |note| note.at);
        let elapsed = now.saturating_duration_since(begun);
        let mut window = WINDOW_MIN.max(elapsed / WINDOW_PART).min(elapsed);
        // Where few end, more of the past is looked at.
        while current.now.done - current.at(now - window).done < VISITS_MIN * f64::from(PIECES)
            && window < elapsed
        {
            window = (window * 2).min(elapsed);
        }
        let from = current.at(now - window);
        let (busy, done) = (current.now.busy - from.busy, current.now.done - from.done);
        if done < VISITS_MIN || window.is_zero() {
            return None;
        }
        let each = busy / done;
        let mean = (current.now.took - from.took) / done;
        let variance = ((current.now.squares - from.squares) / done - mean * mean).max(0.0);
        let spread = if mean > 0.0 { variance.sqrt() / mean } else { 0.0 };
        let unsteady = current.unsteadiness(now, window, each);
        Some(Speed {
            each,
            at_once: busy / window.as_secs_f64(),
            error: (spread / done.sqrt()).max(unsteady),
            spread,
        })
    }

    /// What is said of a node of which too few visits have ended: they are as others, or as long as they have lasted already; and
    /// that may be off by all of it.
    fn unknown(&self, now: Instant, others: f64) -> Speed {
        let mut current = self.clone();
        current.advance(now);
        let lasted = current.now.busy / (current.now.done + current.under_way as f64).max(1.0);
        Speed { each: others.max(lasted), at_once: current.under_way as f64, error: 1.0, spread: 1.0 }
    }

    /// How much the pieces of a window differ from the whole, as the standard error of their mean.
    fn unsteadiness(&self, now: Instant, window: Duration, each: f64) -> f64 {
        let piece = window / PIECES;
        let speeds: Vec<f64> = (0..PIECES)
            .map(|index| (self.at(now - piece * (index + 1)), self.at(now - piece * index)))
            .filter(|(from, to)| to.done - from.done > 0.5 && each > 0.0)
            .map(|(from, to)| (to.busy - from.busy) / (to.done - from.done) / each - 1.0)
            .collect();
        let count = speeds.len() as f64;
        if speeds.len() < 2 {
            return 0.0;
        }
        (speeds.iter().map(|off| off * off).sum::<f64>() / (count - 1.0) / count).sqrt()
    }
}

/// When all of the work is done, by the nodes' paces and what is left for each. `None` while too little is known.
pub(crate) fn forecast<'a>(
    nodes: impl Iterator<Item = (&'a Pace, Left)>,
    workers: u64,
    now: Instant,
) -> Option<Forecast> {
    let nodes: Vec<_> = nodes.map(|(pace, left)| (pace, left, pace.speed(now))).collect();
    let all = nodes.iter().filter_map(|(pace, _, speed)| Some((speed.as_ref()?.each, pace.now.done)));
    let (sum, done) = all.fold((0.0, 0.0), |(sum, all), (each, done)| (sum + each * done, all + done));
    if done <= 0.0 {
        return None;
    }
    let (mut work, mut variance, mut at_once, mut longest) = (0.0, 0.0, 0.0, Spell::default());
    for (pace, left, speed) in nodes {
        if left.visits == 0 && speed.is_none() {
            continue;
        }
        let speed = speed.unwrap_or_else(|| pace.unknown(now, sum / done));
        at_once += speed.at_once;
        // Of those under way half is done, on the average.
        let visits = (left.visits as f64 - pace.under_way as f64 / 2.0).max(0.0);
        let seconds = visits * speed.each;
        let off = seconds * speed.error;
        let scatter = visits.sqrt() * speed.each * speed.spread;
        work += seconds;
        variance += off * off + scatter * scatter;
        let own = (left.at_once_max.min(workers).max(1) as f64).max(speed.at_once.min(workers as f64));
        longest =
            longest.max(Spell { seconds: seconds / own, off: off.hypot(scatter) / own, last: speed.each });
    }
    let at_once = at_once.clamp(0.1, workers.max(1) as f64);
    let whole = Spell { seconds: work / at_once, off: variance.sqrt() / at_once, last: longest.last };
    let spell = whole.max(longest);
    // The last ones are not shared among all.
    let off = (SIGMAS * spell.off).max(spell.seconds * MARGIN_MIN) + spell.last / 2.0;
    Some(Forecast { remaining: seconds(spell.seconds), margin: seconds(off) })
}

/// A stretch of time that is still to pass.
#[derive(Debug, Clone, Copy, Default)]
struct Spell {
    seconds: f64,
    /// Its standard deviation.
    off: f64,
    /// What the last visit takes.
    last: f64,
}

impl Spell {
    fn max(self, other: Self) -> Self {
        if other.seconds > self.seconds { other } else { self }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
