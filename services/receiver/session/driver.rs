//! The session's loop: takes messages, starts work, answers. It never waits for one of them alone.

mod clock;
mod intake;
mod sheaves;
mod verdict;

use std::{collections::VecDeque, future::pending, mem, pin::Pin, sync::Arc, time::Duration};

use ssync_protocol::FailureLimits;
use ssync_types::{
    Accepted, BodyEvent, Offer, PutUpdate, Reason, Refusal, SessionEvent, Summary, Update, UpdateMessage,
    UpdateResult,
};
use tokio::{sync::mpsc, time::Instant};

use super::{Events, apply::Whole, context::Context, lanes::Lanes, work::TELL_EVERY};
use crate::{OBJECT, PHASE, waiting::Waiting};

use sheaves::{Put, SHEAF_MAX, Sheaves};
use verdict::Done;

/// Results in one message.
const RESULTS_MAX: usize = 512;
/// Messages about results that are taken at a time.
const DONE_MAX: usize = RESULTS_MAX / SHEAF_MAX;
/// How long a result waits for others while more work is under way.
const RESULTS_WAIT: Duration = Duration::from_millis(2);

/// What waits for its turn, or runs.
#[derive(Debug)]
enum Task {
    Put(Put),
    Whole { id: u64, update: Whole, bytes: Option<Waiting> },
    Streamed { id: u64, put: PutUpdate, pieces: mpsc::Receiver<BodyEvent> },
}

/// What could not be taken further at once.
enum Passed {
    /// There is room for the update's bytes.
    Update(Update, Waiting),
    /// The piece was taken, or nobody wants it.
    Piece,
}

/// What became of the session, and why it ended early.
pub(super) type Ended = (Summary, Option<Refusal>);

type Stalled = Pin<Box<dyn Future<Output = Passed> + Send>>;

/// What the stream carries now.
enum Input {
    /// Updates.
    Updates,
    /// The pieces of a body; `None` when they are dropped.
    Body(Option<mpsc::Sender<BodyEvent>>),
    /// Nothing more.
    Ended,
}

pub(super) struct Driver {
    context: Arc<Context>,
    accepted: Accepted,
    messages: mpsc::Receiver<UpdateMessage>,
    events: Events,
    input: Input,
    stalled: Option<Stalled>,
    lanes: Lanes<Task>,
    sheaves: Sheaves,
    done: mpsc::Sender<Done>,
    finished: mpsc::Receiver<Done>,
    /// Results to come.
    outstanding: usize,
    updates: u64,
    /// Of the update that came last.
    last_id: Option<u64>,
    notices: VecDeque<SessionEvent>,
    results: Vec<UpdateResult>,
    results_since: Option<Instant>,
    /// When the peer said anything, and when it said more than that it lives.
    heard: Instant,
    progress: Instant,
    spoke: Instant,
    /// When it was told last what the time goes to.
    told_work: Instant,
    began: Instant,
    drains_since: Option<Instant>,
    /// It is the node that drains, not the device alone.
    drains_with_node: bool,
    error: Option<Refusal>,
}

impl Driver {
    pub(super) fn new(
        context: Arc<Context>,
        accepted: Accepted,
        messages: mpsc::Receiver<UpdateMessage>,
        events: Events,
    ) -> Self {
        // Room for every result that can be due, so that work never waits for the session to look.
        let results_max = accepted.outstanding_updates_max as usize + Offer::BATCH_MAX;
        let (done, finished) = mpsc::channel(results_max);
        let now = Instant::now();
        Self {
            context,
            accepted,
            messages,
            events,
            input: Input::Updates,
            stalled: None,
            lanes: Lanes::new(),
            sheaves: Sheaves::default(),
            done,
            finished,
            outstanding: 0,
            updates: 0,
            last_id: None,
            notices: VecDeque::new(),
            results: Vec::new(),
            results_since: None,
            heard: now,
            progress: now,
            spoke: now,
            told_work: now,
            began: now,
            drains_since: None,
            drains_with_node: false,
            error: None,
        }
    }

    /// Runs to the end. What was begun is finished also when the session ends early.
    pub(super) async fn run(mut self) -> Ended {
        let (node, told) = (self.context.core.drain.clone(), self.context.told.clone());
        let mut finished = Vec::new();
        while !self.is_over() {
            self.hand_over();
            let wake = self.next_look();
            let idle_since = (self.outstanding == 0 && self.stalled.is_none()).then(Instant::now);
            tokio::select! {
                biased;
                () = self.events.closed() => return self.abandoned(),
                open = room(&self.events), if self.has_news() => {
                    if !open {
                        return self.abandoned();
                    }
                    self.tell();
                }
                count = self.finished.recv_many(&mut finished, DONE_MAX), if self.results.len() < RESULTS_MAX => {
                    debug_assert!(count > 0, "the session holds a sender");
                    for done in finished.drain(..) {
                        self.take_done(done);
                    }
                }
                passed = wait_for(&mut self.stalled), if self.stalled.is_some() => {
                    self.stalled = None;
                    self.heard = Instant::now();
                    if let Passed::Update(update, bytes) = passed {
                        self.start(update, Some(bytes));
                    }
                }
                () = node.cancelled(), if !self.drains_with_node => self.begin_drain(),
                () = told.cancelled(), if self.drains_since.is_none() => self.begin_drain(),
                message = self.messages.recv(), if self.wants_messages() => self.take_all(message),
                () = tokio::time::sleep_until(wake) => {
                    if !self.look() {
                        return self.abandoned();
                    }
                }
            }
            if let Some(since) = idle_since {
                self.context.work.waited(since.elapsed());
            }
        }
        self.finish().await
    }

    /// Nobody listens any more.
    fn abandoned(self) -> Ended {
        self.context.abandon();
        (self.context.summary(), Some(Refusal::new(Reason::Unreachable, "the sender went away")))
    }

    /// Frees slot and locks, then says so.
    async fn finish(mut self) -> Ended {
        let work = self.work_done();
        let Self { context, events, error, .. } = self;
        let (summary, wait) = (context.summary(), context.core.config.client_timeout);
        tracing::debug!(target: PHASE, "results told");
        drop(context);
        let farewell = async {
            events.send(Ok(work)).await.ok()?;
            events.send(Ok(SessionEvent::Summary(summary))).await.ok()?;
            if let Some(error) = error.clone() {
                events.send(Err(error)).await.ok()?;
            }
            Some(())
        };
        // Who does not read it has gone.
        let _ = tokio::time::timeout(wait, farewell).await;
        (summary, error)
    }

    fn is_over(&self) -> bool {
        let idle = self.outstanding == 0 && self.stalled.is_none();
        matches!(self.input, Input::Ended) && idle && self.results.is_empty() && self.notices.is_empty()
    }

    fn wants_messages(&self) -> bool {
        let room = match self.input {
            Input::Updates => self.outstanding < self.accepted.outstanding_updates_max as usize,
            // The rest of a body is what its own result waits for.
            Input::Body(_) => true,
            Input::Ended => false,
        };
        room && self.stalled.is_none()
    }

    /// Whether there is something to say now. A few results wait for more, as long as more are coming.
    fn has_news(&self) -> bool {
        let waited = self.results_since.is_some_and(|since| since.elapsed() >= RESULTS_WAIT);
        let due = self.outstanding == 0 || waited || self.results.len() >= RESULTS_MAX;
        !self.notices.is_empty() || (!self.results.is_empty() && due)
    }

    /// Says one thing; there is room, which nobody else can take.
    fn tell(&mut self) {
        if self.told_work.elapsed() >= TELL_EVERY {
            let work = self.work_done();
            self.notices.push_front(work);
        }
        let event = match self.notices.pop_front() {
            Some(notice) => notice,
            None => {
                let rest = self.results.split_off(self.results.len().min(RESULTS_MAX));
                self.results_since = (!rest.is_empty()).then(Instant::now);
                SessionEvent::Results(mem::replace(&mut self.results, rest))
            }
        };
        let _ = self.events.try_send(Ok(event));
        self.spoke();
    }

    /// What the time since the last word of it went to.
    fn work_done(&mut self) -> SessionEvent {
        let since = mem::replace(&mut self.told_work, Instant::now());
        SessionEvent::Work(self.context.work.take(since.elapsed()))
    }

    fn spoke(&mut self) {
        self.spoke = Instant::now();
        // The peer may have waited for this.
        self.heard = self.spoke;
        self.progress = self.spoke;
    }

    /// Takes nothing more. What was begun goes on, but a body in the middle is broken off.
    fn end(&mut self, error: Option<Refusal>) {
        if !matches!(self.input, Input::Ended) {
            tracing::debug!(target: PHASE, updates = self.updates, "updates ended");
        }
        self.input = Input::Ended;
        if error.is_some() {
            self.stalled = None;
            self.error = self.error.take().or(error);
        }
    }

    fn take_done(&mut self, done: Done) {
        if done.sheaf {
            self.sheaves.end();
        }
        for result in done.results {
            self.take_result(result);
        }
    }

    fn take_result(&mut self, result: UpdateResult) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if let Some(next) = self.lanes.end(&result.hash) {
            self.spawn(result.hash, next);
        }
        self.answer(result);
    }

    fn answer(&mut self, result: UpdateResult) {
        tracing::debug!(target: OBJECT, hash = %result.hash, outcome = ?result.outcome, "object");
        self.context.count(&result.outcome);
        if let Some(refusal) = Context::ends_session(&result.outcome) {
            self.end(Some(refusal));
        }
        self.results_since.get_or_insert_with(Instant::now);
        self.results.push(result);
        self.check_failures();
    }

    fn check_failures(&mut self) {
        let summary = self.context.summary();
        let config = &self.context.core.config;
        let limits = FailureLimits {
            threshold: config.replication_failure_threshold,
            ratio: config.replication_failure_ratio,
        };
        let successes = summary.applied + summary.confirmed + summary.superseded;
        if summary.failed > 0
            && !self.context.open.failures_unlimited
            && limits.exceeded(successes, summary.failed)
            && self.error.is_none()
        {
            let message = format!("too many {} failures to {successes} successes", summary.failed);
            self.end(Some(Refusal::new(Reason::FailureRatio, message)));
        }
    }
}

/// Waits for room for one event; false when nobody listens.
async fn room(events: &Events) -> bool {
    events.reserve().await.is_ok()
}

async fn wait_for(stalled: &mut Option<Stalled>) -> Passed {
    match stalled {
        Some(stalled) => stalled.await,
        None => pending().await,
    }
}
