//! Messages of the sender, and the work that they begin.

use std::{future::pending, sync::Arc};

use ssync_protocol::may_go_on;
use ssync_store::SESSION_QUEUE_MAX;
use ssync_types::{
    BodyEvent, ObjectHash, Offer, Outcome, PutUpdate, Reason, Refusal, SessionEvent, Update, UpdateMessage,
    UpdateOp, UpdateResult,
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Driver, Input, Passed, Task,
    sheaves::{self, Put},
    verdict::Verdicts,
};
use crate::{
    PHASE,
    core::UPDATE_BYTES,
    session::{
        apply::{Whole, apply},
        sheaf::{self, WholePut},
        streamed::{self, BODY_QUEUE_MAX},
    },
    waiting::Waiting,
};

/// Bytes of one piece of a body.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Messages that are taken one after the other before anything else is looked at.
const MESSAGES_MAX: usize = SESSION_QUEUE_MAX;

impl Driver {
    /// Takes a message, and what else is there: so that it can be handed over together.
    pub(super) fn take_all(&mut self, message: Option<UpdateMessage>) {
        // Who sends without a pause leaves no moment to look at the clock.
        // The end itself is no reason to break off.
        if message.is_some() {
            self.look_at_drain();
        }
        if matches!(self.input, Input::Ended) {
            return;
        }
        self.take(message);
        for _ in 1..MESSAGES_MAX {
            if !self.wants_messages() {
                return;
            }
            // That there are no more, and never will be, is found out by waiting.
            let Ok(message) = self.messages.try_recv() else { return };
            self.take(Some(message));
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
        // Whoever mistakes one answer for another must not remove anything because of it.
        if let Some(last) = self.last_id.filter(|last| update.id <= *last) {
            let message = format!("update {} comes after update {last}: their ids must increase", update.id);
            return self.end(Some(Refusal::new(Reason::ProtocolOrder, message)));
        }
        self.last_id = Some(update.id);
        if self.updates == 0 {
            tracing::debug!(target: PHASE, "updates begin");
        }
        self.updates += 1;
        let bytes = match self.cost(&update.op) {
            Ok(bytes) => bytes,
            Err(refusal) => return self.end(Some(refusal)),
        };
        let share = self.context.handle.waiting_bytes();
        match share.try_take(bytes) {
            Ok(taken) => self.start(update, Some(taken)),
            Err(_) => {
                let share = share.clone();
                self.stalled = Some(Box::pin(async move {
                    match share.take(bytes).await {
                        Some(taken) => Passed::Update(update, taken),
                        None => pending().await,
                    }
                }));
            }
        }
    }

    /// Bytes to take out of the budget; a message beyond its limits ends the session.
    fn cost(&self, op: &UpdateOp) -> Result<u32, Refusal> {
        let too_many = |what: &str, count: usize, limit: usize| {
            Refusal::new(Reason::InvalidArgument, format!("{what}: {count} are more than {limit}"))
        };
        let body = match op {
            UpdateOp::Put(PutUpdate { inline_body: Some(body), .. }) => body.data.len(),
            UpdateOp::Confirm(offers) if offers.len() > Offer::BATCH_MAX => {
                return Err(too_many("offers to confirm", offers.len(), Offer::BATCH_MAX));
            }
            _ => 0,
        };
        let limit = self.accepted.inline_bytes_max as usize;
        if body > limit {
            return Err(too_many("bytes of an inline body", body, limit));
        }
        Ok(u32::try_from(body).unwrap_or(u32::MAX).saturating_add(UPDATE_BYTES))
    }

    pub(super) fn start(&mut self, update: Update, bytes: Option<Waiting>) {
        let Update { id, op } = update;
        let (hash, whole) = match op {
            UpdateOp::Confirm(offers) => return self.start_confirms(id, offers),
            UpdateOp::Put(mut put) => {
                let hash = self.context.hash(&put.path);
                let Some(body) = put.inline_body.take() else { return self.start_body(id, hash, put) };
                let put = Put { id, whole: WholePut { hash, put, body }, bytes };
                self.queue(id, hash, Task::Put(put));
                return self.check_updates_max();
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
            self.end_full(&format!("{limit} updates (session_updates_max)"));
        }
    }

    /// The node does not drain: the sender need not go away.
    pub(super) fn end_full(&mut self, limit: &str) {
        self.notices.push_back(SessionEvent::Draining(format!(
            "this session has had {limit}; a new one may be opened at once"
        )));
        self.end(None);
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

    pub(super) fn spawn(&mut self, hash: ObjectHash, task: Task) {
        let (context, done) = (Arc::clone(&self.context), self.done.clone());
        match task {
            Task::Put(put) => self.sheaves.add(put),
            Task::Whole { id, update, bytes } => {
                let mut verdict = Verdicts::of_one(done, id, hash);
                let (handle, handed) = (context.handle.clone(), Instant::now());
                handle.push(context.registered.entry.id(), 0, move |done_with_disk| {
                    let apply = || context.work.done(handed, || apply(&context, hash, update));
                    let outcome = (!context.is_abandoned()).then(apply);
                    done_with_disk();
                    // Who has the verdict finds slot and locks free: the session's context goes first.
                    drop((context, bytes));
                    verdict.settle([outcome]);
                });
            }
            Task::Streamed { id, put, pieces } => {
                tokio::spawn(async move {
                    let mut verdict = Verdicts::of_one(done, id, hash);
                    let outcome = streamed::put(&context, hash, put, pieces).await;
                    drop(context);
                    verdict.settle([Some(outcome)]);
                });
            }
        }
    }

    /// Hands the bodies that came whole to the disk, as many together as it serves well.
    pub(super) fn hand_over(&mut self) {
        while let Some(sheaf) = self.sheaves.next(self.context.handle.hands()) {
            let context = Arc::clone(&self.context);
            let (handle, handed) = (context.handle.clone(), Instant::now());
            let updates = sheaf.iter().map(|put| (put.id, put.whole.hash));
            // Also where the work panics, or is never begun, there is a verdict on each.
            let mut verdicts = Verdicts::of_sheaf(self.done.clone(), updates);
            handle.push(context.registered.entry.id(), sheaves::cost(&sheaf), move |done_with_disk| {
                let (puts, bytes): (Vec<_>, Vec<_>) =
                    sheaf.into_iter().map(|put| (put.whole, put.bytes)).unzip();
                let outcomes = context.work.done(handed, || sheaf::store(&context, &puts));
                done_with_disk();
                drop((puts, bytes));
                // As above.
                drop(context);
                verdicts.settle(outcomes);
            });
        }
    }
}
