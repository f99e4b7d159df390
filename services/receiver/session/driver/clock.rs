//! What time does to a session: heartbeats, silence, the drain.

use std::time::Duration;

use ssync_types::{Reason, Refusal, SessionEvent};
use tokio::time::Instant;

use super::{Driver, Input, RESULTS_WAIT};
use crate::{core::HEARTBEAT_ONLY_FACTOR, session::asked_to_end};

/// How long nothing is said at most.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// How long senders have to see that this node drains, and to close.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

impl Driver {
    pub(super) fn begin_drain(&mut self) {
        self.drains_since = Some(Instant::now());
        self.drains_with_node = self.context.core.drain.is_cancelled();
        let why = match self.drains_with_node {
            true => "this node is shutting down".to_owned(),
            false => format!("device {} is drained by an operator", self.context.open.partition.device),
        };
        self.notices.push_back(SessionEvent::Draining(why));
    }

    /// When to look at the clock next.
    pub(super) fn next_look(&self) -> Instant {
        let config = &self.context.core.config;
        let mut next = self.spoke + HEARTBEAT_EVERY.min(config.client_timeout / 2);
        if let Some(since) = self.results_since {
            let due = since + RESULTS_WAIT;
            // Once they are due, the peer is what is waited for.
            next = next.min(if due > Instant::now() { due } else { since + config.client_timeout });
        }
        if let Some(since) = self.drains_since {
            next = next.min(match (self.grace_is_over(), self.drains_with_node) {
                (false, _) => since + self.grace(),
                (true, true) => since + self.drain_time(),
                // A body that is under way may take as long as it needs.
                (true, false) => Instant::now() + DRAIN_GRACE,
            });
        }
        if let Some(ends) = self.ends_at() {
            next = next.min(ends);
        }
        next.min(self.heard + config.client_timeout).max(Instant::now() + Duration::from_millis(1))
    }

    /// When it is old enough to be opened again; `None` while that cannot be, or may not.
    fn ends_at(&self) -> Option<Instant> {
        let limit = self.accepted.session_time_max;
        (matches!(self.input, Input::Updates) && !limit.is_zero()).then(|| self.began + limit)
    }

    fn grace_is_over(&self) -> bool {
        self.drains_since.is_some_and(|since| since.elapsed() >= self.grace())
    }

    fn grace(&self) -> Duration {
        DRAIN_GRACE.min(self.drain_time())
    }

    fn drain_time(&self) -> Duration {
        self.context.core.drain_time.get()
    }

    /// Looks at the clock: false when the peer does not read any more.
    pub(super) fn look(&mut self) -> bool {
        let config = &self.context.core.config;
        let unread = self.results_since.is_some_and(|since| since.elapsed() >= config.client_timeout);
        if unread && self.events.capacity() == 0 {
            return false;
        }
        if self.spoke.elapsed() >= HEARTBEAT_EVERY.min(config.client_timeout / 2) {
            // No room: the peer has something to read as it is.
            let _ = self.events.try_send(Ok(SessionEvent::Heartbeat));
            self.spoke = Instant::now();
        }
        self.look_at_device();
        self.look_at_drain();
        self.look_at_age();
        self.look_at_silence();
        true
    }

    /// A device that hangs takes nothing more. What has begun ends with the disk's own answer, and the session with it.
    fn look_at_device(&mut self) {
        if !matches!(self.input, Input::Ended)
            && let Err(refusal) = self.context.handle.refuse_if_it_hangs()
        {
            self.end(Some(refusal));
        }
    }

    pub(super) fn look_at_drain(&mut self) {
        let Some(since) = self.drains_since.filter(|_| self.grace_is_over()) else { return };
        let in_body = matches!(self.input, Input::Body(_)) || self.stalled.is_some();
        let late = self.drains_with_node && since.elapsed() >= self.drain_time();
        if !matches!(self.input, Input::Ended) && (!in_body || late) {
            self.end(Some(asked_to_end(&self.context.core, &self.context.open)));
        }
    }

    fn look_at_age(&mut self) {
        if self.ends_at().is_some_and(|ends| ends <= Instant::now()) {
            let limit = self.accepted.session_time_max;
            self.end_full(&format!("{limit:?} (session_time_max)"));
        }
    }

    fn look_at_silence(&mut self) {
        if !self.wants_messages() || (self.outstanding > 0 && !matches!(self.input, Input::Body(_))) {
            // The next word is this node's.
            self.heard = Instant::now();
            self.progress = self.heard;
            return;
        }
        let limit = self.context.core.config.client_timeout;
        let checked = self.context.registered.last_checked();
        let silent = self.heard.max(checked).elapsed() >= limit;
        let stuck = self.progress.max(checked).elapsed() >= limit * HEARTBEAT_ONLY_FACTOR;
        if silent || stuck {
            let message = format!("nothing came for {limit:?} (client_timeout)");
            self.end(Some(Refusal::new(Reason::IdleTimeout, message)));
        } else if checked > self.heard {
            self.heard = checked;
        }
    }
}
