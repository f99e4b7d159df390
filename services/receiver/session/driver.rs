//! The session's loop: takes messages, starts work, answers. It never waits for one of them alone.

use std::{collections::VecDeque, future::pending, mem, pin::Pin, sync::Arc, time::Duration};

use ssync_protocol::{FailureLimits, may_go_on};
use ssync_types::{
    Accepted, BodyEvent, ObjectHash, Offer, Outcome, PutUpdate, Reason, Refusal, SessionEvent, Summary,
    Update, UpdateMessage, UpdateOp, UpdateResult,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

use super::{
    Events,
    apply::{Whole, apply},
    context::Context,
    draining,
    lanes::Lanes,
    streamed::{self, BODY_QUEUE_MAX},
};

/// Offers in one question.
const CONFIRM_OFFERS_MAX: usize = 1000;
/// Bytes of one piece of a body.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Results in one message.
const RESULTS_MAX: usize = 512;
/// How long a result waits for others while more work is under way.
const RESULTS_WAIT: Duration = Duration::from_millis(2);
/// How long nothing is said at most.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// How many silences a peer may fill with heartbeats alone.
const HEARTBEAT_ONLY_FACTOR: u32 = 10;
/// How long senders have to see that this node drains, and to close.
const DRAIN_GRACE: Duration = Duration::from_secs(5);
/// What an update costs beside its body, in the budget of waiting bytes.
const UPDATE_BYTES: usize = 1024;

/// What waits for its turn, or runs.
#[derive(Debug)]
enum Task {
    Whole { id: u64, update: Whole, bytes: Option<OwnedSemaphorePermit> },
    Streamed { id: u64, put: PutUpdate, pieces: mpsc::Receiver<BodyEvent> },
}

/// What could not be taken further at once.
enum Passed {
    /// There is room for the update's bytes.
    Update(Update, OwnedSemaphorePermit),
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
    done: mpsc::Sender<UpdateResult>,
    finished: mpsc::Receiver<UpdateResult>,
    /// Results to come.
    outstanding: usize,
    updates: u64,
    notices: VecDeque<SessionEvent>,
    results: Vec<UpdateResult>,
    results_since: Option<Instant>,
    /// When the peer said anything, and when it said more than that it lives.
    heard: Instant,
    progress: Instant,
    spoke: Instant,
    drains_since: Option<Instant>,
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
        let results_max = accepted.outstanding_updates_max as usize + CONFIRM_OFFERS_MAX;
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
            done,
            finished,
            outstanding: 0,
            updates: 0,
            notices: VecDeque::new(),
            results: Vec::new(),
            results_since: None,
            heard: now,
            progress: now,
            spoke: now,
            drains_since: None,
            error: None,
        }
    }

    /// Runs to the end. What was begun is finished also when the session ends early.
    pub(super) async fn run(mut self) -> Ended {
        let drain = self.context.core.drain.clone();
        let mut finished = Vec::new();
        while !self.is_over() {
            let wake = self.next_look();
            tokio::select! {
                biased;
                () = self.events.closed() => return self.abandoned(),
                open = room(&self.events), if self.has_news() => {
                    if !open {
                        return self.abandoned();
                    }
                    self.tell();
                }
                count = self.finished.recv_many(&mut finished, RESULTS_MAX), if self.results.len() < RESULTS_MAX => {
                    debug_assert!(count > 0, "the session holds a sender");
                    for result in finished.drain(..) {
                        self.take_result(result);
                    }
                }
                passed = wait_for(&mut self.stalled), if self.stalled.is_some() => {
                    self.stalled = None;
                    self.heard = Instant::now();
                    if let Passed::Update(update, bytes) = passed {
                        self.start(update, Some(bytes));
                    }
                }
                message = self.messages.recv(), if self.wants_messages() => self.take(message),
                () = drain.cancelled(), if self.drains_since.is_none() => self.begin_drain(),
                () = tokio::time::sleep_until(wake) => {
                    if !self.look() {
                        return self.abandoned();
                    }
                }
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
    async fn finish(self) -> Ended {
        let Self { context, events, error, .. } = self;
        let (summary, wait) = (context.summary(), context.core.config.client_timeout);
        drop(context);
        let farewell = async {
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
        !matches!(self.input, Input::Ended)
            && self.stalled.is_none()
            && self.outstanding < self.accepted.outstanding_updates_max as usize
    }

    /// Whether there is something to say now. A few results wait for more, as long as more are coming.
    fn has_news(&self) -> bool {
        let waited = self.results_since.is_some_and(|since| since.elapsed() >= RESULTS_WAIT);
        let due = self.outstanding == 0 || waited || self.results.len() >= RESULTS_MAX;
        !self.notices.is_empty() || (!self.results.is_empty() && due)
    }

    /// Says one thing; there is room, which nobody else can take.
    fn tell(&mut self) {
        let event = match self.notices.pop_front() {
            Some(notice) => notice,
            None => {
                self.results_since = None;
                SessionEvent::Results(mem::take(&mut self.results))
            }
        };
        let _ = self.events.try_send(Ok(event));
        self.spoke();
    }

    fn spoke(&mut self) {
        self.spoke = Instant::now();
        // The peer may have waited for this.
        self.heard = self.spoke;
        self.progress = self.spoke;
    }

    /// Takes nothing more. What was begun goes on, but a body in the middle is broken off.
    fn end(&mut self, error: Option<Refusal>) {
        self.input = Input::Ended;
        if error.is_some() {
            self.stalled = None;
            self.error = self.error.take().or(error);
        }
    }

    fn take(&mut self, message: Option<UpdateMessage>) {
        self.heard = Instant::now();
        if !matches!(message, Some(UpdateMessage::Heartbeat)) {
            self.progress = self.heard;
        }
        match (message, &self.input) {
            (None, _) => self.end(None),
            (Some(UpdateMessage::Heartbeat), _) => {}
            (Some(UpdateMessage::Update(update)), Input::Updates) => self.take_update(update),
            (Some(UpdateMessage::Chunk(bytes)), Input::Body(_)) if bytes.len() > CHUNK_BYTES_MAX => {
                let message =
                    format!("a chunk has {} bytes, at most {CHUNK_BYTES_MAX} are taken", bytes.len());
                self.end(Some(Refusal::new(Reason::InvalidArgument, message)));
            }
            (Some(UpdateMessage::Chunk(bytes)), Input::Body(_)) => self.pass(BodyEvent::Chunk(bytes)),
            (Some(UpdateMessage::End(end)), Input::Body(_)) => {
                self.pass(BodyEvent::End(end));
                self.input = Input::Updates;
                self.check_updates_max();
            }
            (Some(UpdateMessage::Update(_)), _) => self.out_of_order("an update inside another one's body"),
            (Some(UpdateMessage::Chunk(_) | UpdateMessage::End(_)), _) => {
                self.out_of_order("a piece of a body that was not announced");
            }
        }
    }

    fn out_of_order(&mut self, what: &str) {
        self.end(Some(Refusal::new(
            Reason::ProtocolOrder,
            format!("{what}: finish one update before the next"),
        )));
    }

    /// Hands a piece to the body's writer; when the writer is behind, nothing more is taken until it has caught up.
    fn pass(&mut self, event: BodyEvent) {
        let Input::Body(writer) = &mut self.input else { return };
        let Some(pieces) = writer else { return };
        match pieces.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => *writer = None,
            Err(mpsc::error::TrySendError::Full(event)) => {
                let pieces = pieces.clone();
                self.stalled = Some(Box::pin(async move {
                    // Closed: the verdict is on its way.
                    let _ = pieces.send(event).await;
                    Passed::Piece
                }));
            }
        }
    }

    fn take_update(&mut self, update: Update) {
        self.updates += 1;
        let bytes = match self.cost(&update.op) {
            Ok(bytes) => bytes,
            Err(refusal) => return self.end(Some(refusal)),
        };
        let budget = Arc::clone(&self.context.core.waiting_bytes);
        match Arc::clone(&budget).try_acquire_many_owned(bytes) {
            Ok(permit) => self.start(update, Some(permit)),
            Err(tokio::sync::TryAcquireError::NoPermits) => {
                self.stalled = Some(Box::pin(async move {
                    match budget.acquire_many_owned(bytes).await {
                        Ok(permit) => Passed::Update(update, permit),
                        // The budget is never closed.
                        Err(_) => pending().await,
                    }
                }));
            }
            Err(tokio::sync::TryAcquireError::Closed) => self.start(update, None),
        }
    }

    /// Bytes to take out of the budget; a message beyond its limits ends the session.
    fn cost(&self, op: &UpdateOp) -> Result<u32, Refusal> {
        let too_many = |what: &str, count: usize, limit: usize| {
            Refusal::new(Reason::InvalidArgument, format!("{what}: {count} are more than {limit}"))
        };
        let body = match op {
            UpdateOp::Put(PutUpdate { inline_body: Some(body), .. }) => body.data.len(),
            UpdateOp::Confirm(offers) if offers.len() > CONFIRM_OFFERS_MAX => {
                return Err(too_many("offers to confirm", offers.len(), CONFIRM_OFFERS_MAX));
            }
            _ => 0,
        };
        let limit = self.accepted.inline_bytes_max as usize;
        if body > limit {
            return Err(too_many("bytes of an inline body", body, limit));
        }
        Ok(u32::try_from(body + UPDATE_BYTES)
            .unwrap_or(u32::MAX)
            .min(self.context.core.config.waiting_bytes_max))
    }

    fn start(&mut self, update: Update, bytes: Option<OwnedSemaphorePermit>) {
        let Update { id, op } = update;
        let (hash, whole) = match op {
            UpdateOp::Confirm(offers) => return self.start_confirms(id, offers),
            UpdateOp::Put(mut put) => {
                let hash = self.context.hash(&put.path);
                match put.inline_body.take() {
                    Some(body) => (hash, Whole::Put(put, body)),
                    None => return self.start_body(id, hash, put),
                }
            }
            UpdateOp::Post { path, timestamp, metadata, content_type } => {
                (self.context.hash(&path), Whole::Post { path, timestamp, metadata, content_type })
            }
            UpdateOp::Delete { path, timestamp } => {
                (self.context.hash(&path), Whole::Delete { path, timestamp })
            }
            UpdateOp::Commit { hash, timestamp } => (hash, Whole::Commit { timestamp }),
        };
        self.queue(id, hash, Task::Whole { id, update: whole, bytes });
        self.check_updates_max();
    }

    fn start_confirms(&mut self, id: u64, offers: Vec<Offer>) {
        for offer in offers {
            let update = Whole::Confirm(offer);
            let Whole::Confirm(Offer { hash, .. }) = update else { continue };
            self.queue(id, hash, Task::Whole { id, update, bytes: None });
        }
        self.check_updates_max();
    }

    fn start_body(&mut self, id: u64, hash: ObjectHash, put: PutUpdate) {
        let (sender, pieces) = mpsc::channel(BODY_QUEUE_MAX);
        self.input = Input::Body(Some(sender));
        self.queue(id, hash, Task::Streamed { id, put, pieces });
    }

    fn check_updates_max(&mut self) {
        if matches!(self.input, Input::Updates) && !may_go_on(self.updates, self.accepted.session_updates_max)
        {
            let limit = self.accepted.session_updates_max;
            self.notices
                .push_back(SessionEvent::Draining(format!("a session has {limit} updates; open the next")));
            self.end(None);
        }
    }

    /// Begins an update, or puts it behind another one of the same object.
    fn queue(&mut self, id: u64, hash: ObjectHash, task: Task) {
        if let Err(refusal) = self.context.check_hash(&hash) {
            // It touches nothing, so it waits for nothing. The pieces of its body are dropped with it.
            return self.answer(UpdateResult { update_id: id, hash, outcome: Outcome::Failed(refusal) });
        }
        self.outstanding += 1;
        if let Some(task) = self.lanes.begin(hash, task) {
            self.spawn(hash, task);
        }
    }

    fn spawn(&self, hash: ObjectHash, task: Task) {
        let (context, done) = (Arc::clone(&self.context), self.done.clone());
        match task {
            Task::Whole { id, update, bytes } => {
                let handle = context.handle.clone();
                handle.push(move || {
                    // Also when the work panics there is a verdict. Who has it finds slot and locks free: the session's
                    // context goes first.
                    let mut verdict = Verdict::new(done, id, hash);
                    let outcome = (!context.is_abandoned()).then(|| apply(&context, hash, update));
                    drop((context, bytes));
                    verdict.settle(outcome);
                });
            }
            Task::Streamed { id, put, pieces } => {
                tokio::spawn(async move {
                    let mut verdict = Verdict::new(done, id, hash);
                    let outcome = streamed::put(&context, hash, put, pieces).await;
                    drop(context);
                    verdict.settle(Some(outcome));
                });
            }
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

    fn begin_drain(&mut self) {
        self.drains_since = Some(Instant::now());
        self.notices.push_back(SessionEvent::Draining("this node is shutting down".to_owned()));
    }

    /// When to look at the clock next.
    fn next_look(&self) -> Instant {
        let config = &self.context.core.config;
        let mut next = self.spoke + HEARTBEAT_EVERY.min(config.client_timeout / 2);
        if let Some(since) = self.results_since {
            let due = since + RESULTS_WAIT;
            // Once they are due, the peer is what is waited for.
            next = next.min(if due > Instant::now() { due } else { since + config.client_timeout });
        }
        if let Some(since) = self.drains_since {
            next = next.min(if self.grace_is_over() {
                since + config.drain_timeout
            } else {
                since + DRAIN_GRACE
            });
        }
        next.min(self.heard + config.client_timeout).max(Instant::now() + Duration::from_millis(1))
    }

    fn grace_is_over(&self) -> bool {
        let grace = DRAIN_GRACE.min(self.context.core.config.drain_timeout);
        self.drains_since.is_some_and(|since| since.elapsed() >= grace)
    }

    /// Looks at the clock: false when the peer does not read any more.
    fn look(&mut self) -> bool {
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
        self.look_at_drain();
        self.look_at_silence();
        true
    }

    fn look_at_drain(&mut self) {
        let Some(since) = self.drains_since.filter(|_| self.grace_is_over()) else { return };
        let in_body = matches!(self.input, Input::Body(_)) || self.stalled.is_some();
        let late = since.elapsed() >= self.context.core.config.drain_timeout;
        if !matches!(self.input, Input::Ended) && (!in_body || late) {
            self.end(Some(draining()));
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
        let checked = Instant::from_std(self.context.registered.last_checked());
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

/// Sends the verdict on an update when dropped.
struct Verdict {
    done: mpsc::Sender<UpdateResult>,
    id: u64,
    hash: ObjectHash,
    outcome: Outcome,
}

impl Verdict {
    fn new(done: mpsc::Sender<UpdateResult>, id: u64, hash: ObjectHash) -> Self {
        let lost = Refusal::new(Reason::Internal, "the update was lost; the log has the cause");
        Self { done, id, hash, outcome: Outcome::Failed(lost) }
    }

    fn settle(&mut self, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.outcome = outcome;
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        let outcome = mem::replace(&mut self.outcome, Outcome::NotFound);
        // There is room for every result that is due; without a session nobody waits for it.
        let _ = self.done.try_send(UpdateResult { update_id: self.id, hash: self.hash, outcome });
    }
}
