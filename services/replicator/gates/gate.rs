//! One peer as this node has found it: how many visits are under way, and whether to ask it now. Free of I/O.

use std::{collections::VecDeque, time::Duration};

use ssync_types::{Reason, Refusal};
use tokio::time::Instant;

use crate::{shuffle::Shuffle, source::Pulse};

/// So many failures in a row, and the partitions of a peer that does not answer wait for it no longer.
pub(crate) const GIVEN_UP_AFTER: u32 = 3;
/// A peer that has admitted nothing for this long is not waited for, however politely it refuses.
pub(crate) const BUSY_FOR_MAX: Duration = Duration::from_secs(300);
/// How soon to look again at a peer that another job is trying.
const TRIED_WAIT: Duration = Duration::from_millis(100);
/// Who tries for longer than this is waited for no more: it may be sending for hours.
const TRIED_MAX: Duration = Duration::from_secs(120);

/// So many pushes for each session that a full peer admits, and it is asked for one session more.
const ASK_MORE_AFTER: usize = 16;
/// How long a place is kept for a job that was begun: it may hash its own partition first.
const EXPECTED_FOR: Duration = Duration::from_secs(5);

/// How the wait grows from one refusal to the next.
#[derive(Debug, Clone, Copy)]
struct BackOff {
    first: Duration,
    factor: u32,
    max: Duration,
}

/// A peer that says that it is busy.
const BUSY: BackOff = BackOff { first: Duration::from_millis(50), factor: 2, max: Duration::from_secs(5) };
/// A peer that does not answer.
const SILENT: BackOff =
    BackOff { first: Duration::from_millis(300), factor: 2, max: Duration::from_secs(30) };

impl BackOff {
    /// The wait after so many refusals, and up to half of it more, so that those who were refused together come apart.
    fn wait(self, times: u32, random: &mut Shuffle) -> Duration {
        let factor = self.factor.saturating_pow(times.saturating_sub(1).min(16));
        let wait = self.first.saturating_mul(factor).min(self.max);
        let half = u64::try_from(wait.as_micros() / 2).unwrap_or(u64::MAX).max(1);
        wait + Duration::from_micros(random.next() % half)
    }
}

/// What is asked of a peer. What works out at one stage says nothing of those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// To find it and compare hashes.
    Hashes,
    /// To admit a session.
    Session,
    /// To get on with one.
    Push,
}

/// What is wrong with a peer.
#[derive(Debug, Clone)]
struct Trouble {
    stage: Stage,
    cause: Refusal,
    busy: bool,
    /// In a row.
    times: u32,
    since: Instant,
    /// The peer's own word on when to come back.
    asked: Instant,
    until: Instant,
    /// Since when a job is finding out whether it is over.
    tried: Option<Instant>,
    /// That it was given up has been told.
    told: bool,
    /// It could not be reached, the last time or before.
    was_away: bool,
}

impl Trouble {
    fn is_given_up(&self, now: Instant) -> bool {
        match self.busy {
            true => now.duration_since(self.since) >= BUSY_FOR_MAX,
            false => self.times >= GIVEN_UP_AFTER,
        }
    }
}

/// How many sessions of this node's a peer was found to admit at once: it is full of them, which is no trouble.
#[derive(Debug, Clone, Copy)]
struct Room {
    sessions_max: usize,
    /// Pushes since it was found, or since it was asked for more.
    pushes: usize,
}

impl Room {
    /// A push has ended well. One session more is asked for now and then: others may have left the peer.
    fn pushed(&mut self) {
        self.pushes += 1;
        if self.pushes >= ASK_MORE_AFTER * self.sessions_max {
            *self = Self { sessions_max: self.sessions_max + 1, pushes: 0 };
        }
    }
}

/// Whether to go in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    /// Yes.
    Open,
    /// Yes, alone: to see whether it is over.
    Try,
    /// Not before then, if it is known.
    Wait(Option<Instant>),
    /// No, and it is not to be waited for.
    GivenUp(Refusal),
}

/// A trouble that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// That the peer was given up has been told.
    pub(super) told: bool,
    /// It could not be reached.
    pub(super) was_away: bool,
}

/// A node, or a device of one.
#[derive(Debug, Default)]
pub(super) struct Gate {
    visits: usize,
    /// Of the visits in which something is sent: one with nothing but large bodies left is not counted.
    pulses: Vec<Pulse>,
    /// Until when jobs that were begun for this peer are expected: a place is kept for each.
    expected: VecDeque<Instant>,
    /// That the peer was asked for, or has admitted.
    sessions: usize,
    trouble: Option<Trouble>,
    room: Option<Room>,
}

impl Gate {
    /// What is wrong with it, and for how long it is left alone; `None` when it may be asked.
    pub(super) fn left_alone(&self, now: Instant) -> Option<(Refusal, Duration)> {
        let trouble = self.trouble.as_ref()?;
        let left = trouble.until.max(trouble.asked).saturating_duration_since(now);
        (!left.is_zero()).then(|| (trouble.cause.clone(), left))
    }

    /// It is asked again at once. Says whether it was left alone.
    pub(super) fn ask_again(&mut self, now: Instant) -> bool {
        let was_left_alone = self.left_alone(now).is_some();
        if let Some(trouble) = &mut self.trouble {
            (trouble.until, trouble.asked, trouble.tried) = (now, now, None);
            // Nor is it given up: those that come while one finds out wait for that.
            (trouble.times, trouble.since) = (0, now);
        }
        was_left_alone
    }

    /// Whether a visitor that goes as far as `stage` may go in, besides those that are in there.
    pub(super) fn access(&self, stage: Stage, visits_max: usize, now: Instant) -> Access {
        let visits_max = self.room.map_or(visits_max, |room| visits_max.min(room.sessions_max));
        let expected = self.expected(now);
        let long = self.pulses.iter().filter(|pulse| pulse.is_long()).count().min(visits_max);
        match self.blocked(stage, now) {
            Access::Open | Access::Try if self.visits + expected >= visits_max + long => Access::Wait(None),
            Access::Try if expected > 0 => Access::Wait(Some(now + TRIED_WAIT)),
            access => access,
        }
    }

    fn expected(&self, now: Instant) -> usize {
        self.expected.iter().filter(|until| **until > now).count()
    }

    /// A job that was begun for this peer will come.
    pub(super) fn expect(&mut self, now: Instant) {
        self.expected.retain(|until| *until > now);
        self.expected.push_back(now + EXPECTED_FOR);
    }

    /// One of them is there. Says whether a place was kept for it.
    pub(super) fn arrived(&mut self, now: Instant) -> bool {
        self.expected.retain(|until| *until > now);
        self.expected.pop_front().is_some()
    }

    /// The same for one that is in already.
    pub(super) fn blocked(&self, stage: Stage, now: Instant) -> Access {
        let Some(trouble) =
            self.trouble.as_ref().filter(|trouble| trouble.stage.min(Stage::Session) <= stage)
        else {
            return Access::Open;
        };
        let due = match trouble.tried {
            Some(since) if now < since + TRIED_MAX => now + TRIED_WAIT,
            _ => trouble.until,
        };
        match due.checked_duration_since(now).filter(|left| !left.is_zero()) {
            None => Access::Try,
            Some(left) if trouble.is_given_up(now) => {
                Access::GivenUp(Refusal { retry_after: Some(left), ..trouble.cause.clone() })
            }
            Some(_) => Access::Wait(Some(due)),
        }
    }

    /// Those under way.
    pub(super) fn visits(&self) -> usize {
        self.visits
    }

    pub(super) fn enter(&mut self) {
        self.visits += 1;
    }

    pub(super) fn leave(&mut self) {
        self.visits = self.visits.saturating_sub(1);
    }

    /// Whether the peer has all sessions that it was found to admit.
    pub(super) fn is_full(&self) -> bool {
        self.room.is_some_and(|room| self.sessions >= room.sessions_max)
    }

    /// It is asked for a session.
    pub(super) fn begin_session(&mut self) {
        self.sessions += 1;
    }

    /// The session has ended, or was refused.
    pub(super) fn end_session(&mut self) {
        self.sessions = self.sessions.saturating_sub(1);
    }

    /// A visitor sends, and its pulse tells what.
    pub(super) fn sends(&mut self, pulse: &Pulse) {
        self.pulses.push(pulse.clone());
    }

    /// It does no longer.
    pub(super) fn has_sent(&mut self, pulse: &Pulse) {
        if let Some(place) = self.pulses.iter().position(|other| other.is(pulse)) {
            self.pulses.swap_remove(place);
        }
    }

    /// Somebody tries, or has stopped to try without finding out.
    pub(super) fn trying(&mut self, since: Option<Instant>) {
        if let Some(trouble) = &mut self.trouble {
            trouble.tried = since;
        }
    }

    /// Its trouble may be over: somebody may try at once, unless it has said when to come.
    pub(super) fn may_be_over(&mut self, now: Instant) {
        if let Some(trouble) = &mut self.trouble {
            trouble.until = trouble.until.min(trouble.asked.max(now));
            trouble.tried = None;
        }
    }

    /// It worked out, as far as `stage`. Says what ended with that.
    pub(super) fn worked(&mut self, stage: Stage, now: Instant) -> Option<Ended> {
        if let Some(room) = self.room.as_mut().filter(|_| stage == Stage::Push) {
            room.pushed();
        }
        let Some(trouble) = self.trouble.take_if(|trouble| trouble.stage <= stage) else {
            // One that broke off sessions admits them again: the others do not wait for the end of this one, which may be
            // hours away. A device that hangs admits sessions as well.
            let broke_off = |trouble: &Trouble| trouble.cause.reason != Reason::IdleTimeout;
            if stage == Stage::Session && self.trouble.as_ref().is_some_and(broke_off) {
                self.may_be_over(now);
            }
            return None;
        };
        let ended = Ended { told: trouble.told, was_away: trouble.was_away };
        if trouble.asked > now {
            // A slot may be free here, but it has said when to come.
            self.trouble = Some(Trouble {
                times: 0,
                since: now,
                until: trouble.asked,
                tried: None,
                told: false,
                was_away: false,
                ..trouble
            });
        }
        Some(ended)
    }

    /// It did not. Says for how long the peer is not asked, when it has just been given up.
    pub(super) fn failed(
        &mut self,
        stage: Stage,
        cause: &Refusal,
        now: Instant,
        random: &mut Shuffle,
    ) -> Option<Duration> {
        let busy = is_busy(cause.reason);
        if busy && cause.reason != Reason::Draining {
            // Besides the one that was refused.
            let others = self.sessions.saturating_sub(1);
            if stage == Stage::Session && self.trouble.is_none() && others > 0 {
                self.room = Some(Room { sessions_max: others, pushes: 0 });
                return None;
            }
        } else {
            // What it admits when it is back is to be found out anew.
            self.room = None;
        }
        // What has been over for long tells nothing of now.
        let before = self.trouble.take().filter(|before| now < before.until + super::RETRY_MAX);
        // Those who were in when it began say what is known already.
        let again = before.as_ref().is_none_or(|before| before.tried.is_some() || before.until <= now);
        let told = before.as_ref().is_some_and(|before| before.told);
        let was_away =
            cause.reason == Reason::Unreachable || before.as_ref().is_some_and(|before| before.was_away);
        let (times, since) = before.as_ref().map_or((0, now), |before| (before.times, before.since));
        let times = times + u32::from(again);
        let wait = if busy { BUSY } else { SILENT }.wait(times, random);
        let asked = now + cause.retry_after.unwrap_or_default().min(super::RETRY_MAX);
        let until = match before.as_ref() {
            Some(before) if !again => before.until,
            _ => now + wait,
        };
        let mut trouble = Trouble {
            stage,
            cause: cause.clone(),
            busy,
            times,
            since,
            asked,
            until: until.max(asked),
            tried: None,
            told,
            was_away,
        };
        let given_up = trouble.is_given_up(now) && !told;
        trouble.told |= given_up;
        let left = trouble.until.saturating_duration_since(now);
        self.trouble = Some(trouble);
        given_up.then_some(left)
    }

    /// Whether somebody is finding out.
    pub(super) fn is_tried(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.tried.is_some())
    }

    /// Nothing is known that another peer's gate would not say.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.is_empty(now) && self.trouble.is_none() && self.room.is_none()
    }

    /// Nobody visits it, or is expected.
    pub(super) fn is_empty(&self, now: Instant) -> bool {
        self.visits == 0 && self.expected(now) == 0
    }

    /// Jobs wait for its time, or count on that it has been given up.
    pub(super) fn is_waited_for(&self, now: Instant) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| now < trouble.until)
    }
}

pub(super) fn is_busy(reason: Reason) -> bool {
    matches!(reason, Reason::ReceiverBusy | Reason::Draining | Reason::DeviceLocked)
}

#[cfg(test)]
mod tests;
