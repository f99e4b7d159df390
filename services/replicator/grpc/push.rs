//! One push: offers go to the check (`check`), its wants are read ahead (`prepare`) and fed into the session (`send`),
//! results become verdicts; all at once and each part bounded.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use ssync_store::{CHECK_QUEUE_MAX, SessionError};
use ssync_types::{ObjectHash, Offer, Outcome, Reason, Refusal, SessionEvent, UpdateResult, Want};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    check::Pending,
    in_flight::{InFlight, Settled},
    peer::{Admitted, Opener, drains, ended_early, silent},
    prepare::{Listed, Prepared, Unsent, prepare},
    send::{Outgoing, Sent},
};
use crate::{
    PHASE,
    ahead::AheadShare,
    backlog::Visit,
    peer::{OfferBatch, PushError, PushMode, Pushed, Verdict, Verdicts},
    samples::Amount,
    source::{OpenSource, Source},
    spent::Spender,
};

/// Groups of wants, or batches to confirm, that wait to be read.
const WORK_QUEUE_MAX: usize = 16;
/// Groups being read ahead of the one being sent.
const READ_AHEAD_MAX: usize = 4;
/// A body of more bytes is sent in pieces, whatever the peer takes.
const INLINE_BYTES_MAX: u32 = 64 * 1024;
/// Large bodies that are open besides the one being sent.
const LARGE_AHEAD_MAX: usize = 2;
/// Large bodies that wait for the small ones. Those beyond go in their turn.
const LARGE_PUT_OFF_MAX: usize = 20_000;
/// A session in which only heartbeats come for this many times the silence allowed has stalled.
const STALL_FACTOR: u32 = 10;
/// Damaged bodies that are looked at again after a push.
const SUSPECTS_MAX: usize = 100;

/// What is to be done, in the order of the answers.
#[derive(Debug)]
pub(super) enum Work {
    Send(Vec<(Listed, Want)>),
    /// Large bodies, when all small ones are sent.
    SendLarge(Vec<(Listed, Want)>),
    Confirm(Vec<Listed>),
}

/// The same, with files opened and read.
#[derive(Debug)]
pub(super) enum Ready {
    Objects(VecDeque<Result<Prepared, Unsent>>),
    Confirm(Vec<Listed>),
}

/// One push to one peer, over as many sessions as it takes.
pub(super) struct Push {
    pub(super) opener: Opener,
    pub(super) mode: PushMode,
    verdicts: Verdicts,
    pub(super) pending: Mutex<Pending>,
    pub(super) unanswered: Semaphore,
    pub(super) ledger: Mutex<Ledger>,
    /// Large bodies that wait for the small ones: at most as many as a slice has objects.
    large: Mutex<VecDeque<(Listed, Want)>>,
    /// What it may read before the connection takes it.
    ahead: AheadShare,
    /// Reads under way of what was wanted.
    reading: AtomicUsize,
    /// When the peer last took or answered something.
    progress: Mutex<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    in_flight: InFlight,
    pub(super) pushed: Pushed,
    suspects: Vec<ObjectHash>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Push {
    pub(super) fn new(opener: Opener, mode: PushMode, verdicts: Verdicts) -> Self {
        Self {
            ahead: opener.errand.source.ahead(),
            opener,
            mode,
            verdicts,
            pending: Mutex::default(),
            unanswered: Semaphore::new(CHECK_QUEUE_MAX),
            ledger: Mutex::default(),
            reading: AtomicUsize::new(0),
            progress: Mutex::new(Instant::now()),
            large: Mutex::default(),
        }
    }

    /// Pushes all that is offered, beginning in the session given.
    pub(super) async fn run(
        self,
        first: Admitted,
        mut offers: mpsc::Receiver<OfferBatch>,
    ) -> Result<Pushed, PushError> {
        let (work, waiting) = mpsc::channel(WORK_QUEUE_MAX);
        // The session is kept alive from the beginning, however long the first offer takes to be found.
        let deliver = self.deliver(first, waiting);
        let find_out = async {
            let asked = match self.mode.updates() {
                // The check is not begun before there is something to ask.
                true => match offers.recv().await {
                    Some(batch) => self.check(batch, offers, work).await,
                    None => Ok(()),
                },
                false => self.ask_only(offers, work).await,
            };
            asked.map_err(PushError::from)
        };
        tokio::try_join!(find_out, deliver)?;
        self.look_at_suspects().await;
        Ok(lock(&self.ledger).pushed)
    }

    /// Every offer becomes a question; nothing is checked or sent.
    async fn ask_only(
        &self,
        mut offers: mpsc::Receiver<OfferBatch>,
        work: mpsc::Sender<Work>,
    ) -> Result<(), Refusal> {
        while let Some(batch) = offers.recv().await {
            lock(&self.ledger).pushed.offered += batch.len() as u64;
            let listed = (0..batch.len()).map(|place| Listed { batch: batch.clone(), place }).collect();
            if work.send(Work::Confirm(listed)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn ready(&self, work: Work, inline_bytes_max: u64) -> Result<Ready, PushError> {
        match work {
            Work::Confirm(listed) => Ok(Ready::Confirm(listed)),
            Work::Send(wanted) => {
                let mut ready = self.prepare(wanted, inline_bytes_max).await?;
                self.put_off_large(&mut ready);
                Ok(Ready::Objects(ready))
            }
            Work::SendLarge(wanted) => Ok(Ready::Objects(self.prepare(wanted, inline_bytes_max).await?)),
        }
    }

    async fn prepare(
        &self,
        wanted: Vec<(Listed, Want)>,
        inline_bytes_max: u64,
    ) -> Result<VecDeque<Result<Prepared, Unsent>>, PushError> {
        let room = self.ahead.room(inline_bytes_max * wanted.len() as u64).await;
        let read = move |source: &OpenSource| Ok(prepare(source, wanted, inline_bytes_max, room));
        self.reading.fetch_add(1, Ordering::Relaxed);
        if self.visit().spends() == Some(Spender::Comparing) {
            self.visit().spend(Spender::Reading);
        }
        let read = self.source().run(read).await;
        self.reading.fetch_sub(1, Ordering::Relaxed);
        Ok(read.map_err(PushError::Here)?.into())
    }

    /// Closes large bodies; they are opened again when their turn comes.
    fn put_off_large(&self, ready: &mut VecDeque<Result<Prepared, Unsent>>) {
        let mut large = lock(&self.large);
        ready.retain(|object| match object {
            Ok(prepared) if prepared.is_large() && large.len() < LARGE_PUT_OFF_MAX => {
                large.push_back((prepared.listed.clone(), prepared.want));
                false
            }
            _ => true,
        });
    }

    /// The large bodies that were put off, one by one.
    fn large_ones(&self) -> impl Stream<Item = Work> {
        stream::poll_fn(|_| {
            let next = lock(&self.large).pop_front();
            if next.is_some() {
                self.source().transfers_long();
            }
            Poll::Ready(next.map(|wanted| Work::SendLarge(vec![wanted])))
        })
    }

    /// Sends what is ready, in as many sessions as the peer's limit makes necessary.
    async fn deliver(&self, first: Admitted, mut work: mpsc::Receiver<Work>) -> Result<(), PushError> {
        let inline_bytes_max = u64::from(first.accepted.inline_bytes_max.min(INLINE_BYTES_MAX));
        let work = stream::poll_fn(move |context| work.poll_recv(context));
        let small = work.map(|item| self.ready(item, inline_bytes_max)).buffered(READ_AHEAD_MAX);
        // Not asked for before the last of the small ones has been looked at.
        let large =
            self.large_ones().map(|item| self.ready(item, inline_bytes_max)).buffered(LARGE_AHEAD_MAX);
        let ready = small.chain(large);
        let mut ready = std::pin::pin!(ready);
        let mut left = None;
        let mut admitted = first;
        let stop = &self.opener.errand.stop;
        let mut asked_again = false;
        loop {
            let Admitted { session, accepted } = admitted;
            let room =
                Semaphore::new((accepted.outstanding_updates_max as usize).clamp(1, Offer::BATCH_MAX * 64));
            let (sending, draining) = (AtomicBool::new(true), stop.child_token());
            let outgoing = Outgoing::new(self, session.messages, accepted, &room, &draining);
            let send = async {
                let sent = outgoing.send_all(&mut ready, &mut left).await;
                sending.store(false, Ordering::Relaxed);
                tracing::debug!(target: PHASE, "updates sent");
                self.visit().spend(Spender::Storing);
                sent
            };
            let results = async {
                let results = self.take_results(session.events, &room, &sending, &draining).await;
                results.map_err(PushError::from)
            };
            let (sent, ()) = tokio::try_join!(send, results)?;
            tracing::debug!(target: PHASE, "results taken");
            match sent {
                Sent::All => return Ok(()),
                Sent::SessionFull => admitted = self.opener.open().await?,
                Sent::PeerDrains if stop.is_cancelled() => {
                    lock(&self.ledger).pushed.stopped = true;
                    return Ok(());
                }
                // What it says to one session more tells whether the node drains, or this device of it.
                Sent::PeerDrains if asked_again => return Err(drains().into()),
                Sent::PeerDrains => {
                    asked_again = true;
                    admitted = self.opener.open_after_drain().await?;
                }
            }
        }
    }

    async fn take_results(
        &self,
        mut events: mpsc::Receiver<Result<SessionEvent, SessionError>>,
        room: &Semaphore,
        sending: &AtomicBool,
        draining: &CancellationToken,
    ) -> Result<(), Refusal> {
        let silence_max = self.opener.silence_max;
        self.gets_on();
        loop {
            let event = match timeout(silence_max, events.recv()).await {
                Ok(event) => event.transpose()?,
                Err(_) if self.waits_for_nothing() && sending.load(Ordering::Relaxed) => continue,
                Err(_) => return Err(silent(silence_max)),
            };
            match event {
                Some(SessionEvent::Results(results)) => {
                    self.gets_on();
                    self.settle(results, room).await?;
                }
                Some(SessionEvent::Heartbeat) => self.see_stall(silence_max)?,
                Some(SessionEvent::Work(times)) => {
                    self.see_stall(silence_max)?;
                    self.visit().tell_apart(&times);
                }
                Some(SessionEvent::Draining(reason)) => {
                    tracing::info!(%reason, "the peer asks to end the session");
                    draining.cancel();
                }
                Some(SessionEvent::Summary(summary)) => tracing::debug!(?summary, "session ended"),
                Some(SessionEvent::Opened { .. } | SessionEvent::Accepted(_)) => {
                    return Err(Refusal::new(Reason::ProtocolOrder, "the peer opened one session twice"));
                }
                None if sending.load(Ordering::Relaxed) && !draining.is_cancelled() => {
                    return Err(ended_early());
                }
                None if !self.waits_for_nothing() => return Err(ended_early()),
                None => return Ok(()),
            }
        }
    }

    fn waits_for_nothing(&self) -> bool {
        lock(&self.ledger).in_flight.len() == 0
    }

    /// The peer has taken or answered something. A large body is progress long before its result.
    pub(super) fn gets_on(&self) {
        *lock(&self.progress) = Instant::now();
        self.source().beat();
    }

    fn see_stall(&self, silence_max: Duration) -> Result<(), Refusal> {
        let stalled = lock(&self.progress).elapsed() > silence_max * STALL_FACTOR;
        if !self.waits_for_nothing() && stalled {
            return Err(Refusal::new(Reason::IdleTimeout, "the peer is alive but gives no results"));
        }
        Ok(())
    }

    async fn settle(&self, results: Vec<UpdateResult>, room: &Semaphore) -> Result<(), Refusal> {
        let mut verdicts = Vec::new();
        {
            let mut ledger = lock(&self.ledger);
            let before = ledger.pushed;
            let answered = results.len();
            for result in results {
                if let Some(settled) = ledger.in_flight.answered(result)? {
                    ledger.count(&settled);
                    self.remember(&settled);
                    verdicts.push(settled.verdict);
                }
            }
            // At once: who waits for room is woken once.
            room.add_permits(answered);
            let now = ledger.pushed;
            let (objects, bytes) = (now.objects - before.objects, now.bytes - before.bytes);
            self.source().moved(objects, bytes);
            self.visit().stored(Amount::of(objects, bytes));
        }
        if self.mode.confirms() {
            self.verdicts.send(verdicts).await;
        }
        Ok(())
    }

    /// An object that its peer does not take is tried less often.
    fn remember(&self, settled: &Settled) {
        let (parked, offer) = (&self.opener.errand.parked, &settled.verdict.offer);
        match &settled.verdict.outcome {
            Outcome::Failed(refusal) => parked.not_taken(offer, refusal),
            outcome if outcome.is_safe() => parked.arrived(offer.hash),
            _ => {}
        }
    }

    /// These updates are about to be sent and speak for the objects.
    pub(super) fn begin(&self, objects: Vec<(Prepared, Vec<u64>)>) {
        let mut ledger = lock(&self.ledger);
        for (prepared, updates) in objects {
            // Who only updates is content with a newer version than the one that was offered.
            let as_offered = prepared.plan.as_offered || !self.mode.confirms();
            let body = prepared.plan.put.then_some(prepared.bytes);
            ledger.in_flight.sent(&prepared.listed.offer, updates, body, as_offered);
        }
    }

    /// This question is about to be asked.
    pub(super) fn begin_confirm(&self, listed: &Listed, update: u64) {
        lock(&self.ledger).in_flight.sent(&listed.offer, vec![update], None, true);
    }

    /// An object that was wanted is not sent: it is not in sync (rule S4).
    pub(super) async fn skip(&self, listed: &Listed, refusal: Refusal) {
        tracing::warn!(object = %listed.offer.hash, %refusal, "a wanted object was not sent, and is not in sync");
        self.opener.errand.parked.not_read(&listed.offer, &refusal);
        self.leave(listed, refusal).await;
    }

    /// The same of one that has failed before; that was told then.
    pub(super) async fn leave_parked(&self, listed: &Listed, refusal: Refusal) {
        tracing::debug!(object = %listed.offer.hash, %refusal, "a parked object is not in sync");
        lock(&self.ledger).pushed.parked += 1;
        self.leave(listed, refusal).await;
    }

    async fn leave(&self, listed: &Listed, refusal: Refusal) {
        lock(&self.ledger).pushed.skipped += 1;
        if self.mode.confirms() {
            let verdict = Verdict { offer: listed.offer.clone(), outcome: Outcome::Failed(refusal) };
            self.verdicts.send(vec![verdict]).await;
        }
    }

    pub(super) fn confirms(&self) -> bool {
        self.mode.confirms()
    }

    /// What the send loop waits for, when nothing is ready.
    pub(super) fn waits_for(&self) -> Spender {
        let is_asked = !lock(&self.pending).is_empty();
        match self.reading.load(Ordering::Relaxed) {
            0 if is_asked => Spender::Comparing,
            _ => Spender::Reading,
        }
    }

    pub(super) fn visit(&self) -> &Visit {
        &self.opener.errand.visit
    }

    pub(super) fn source(&self) -> &Source {
        &self.opener.errand.source
    }

    /// Bodies whose MD5 was not the stored one at the peer: read again, with quarantine for what is damaged here.
    async fn look_at_suspects(&self) {
        let suspects = std::mem::take(&mut lock(&self.ledger).suspects);
        for hash in suspects {
            match self.opener.errand.source.verify(hash).await {
                Ok(true) => {
                    tracing::warn!(object = %hash, "the peer found another MD5, but the copy here is sound");
                }
                Ok(false) => {
                    tracing::error!(object = %hash, "the copy here was damaged and is in quarantine");
                }
                Err(refusal) => {
                    tracing::error!(object = %hash, %refusal, "a suspect object could not be read again");
                }
            }
        }
    }
}

impl Ledger {
    fn count(&mut self, settled: &Settled) {
        let outcome = &settled.verdict.outcome;
        match outcome {
            Outcome::Applied | Outcome::AppliedUnflushed | Outcome::Confirmed => {
                self.pushed.objects += u64::from(settled.bytes.is_some());
                self.pushed.bytes += settled.bytes.unwrap_or(0);
            }
            Outcome::Superseded(_) => {}
            Outcome::NotFound => self.pushed.skipped += 1,
            Outcome::NotPrimary => self.pushed.failed += 1,
            Outcome::Failed(refusal) if refusal.reason == Reason::StateChanged => self.pushed.skipped += 1,
            Outcome::Failed(refusal) => {
                tracing::error!(object = %settled.verdict.offer.hash, %refusal, "the peer could not store an object");
                self.pushed.failed += 1;
                if refusal.reason == Reason::EtagMismatch && self.suspects.len() < SUSPECTS_MAX {
                    self.suspects.push(settled.verdict.offer.hash);
                }
            }
        }
    }
}
