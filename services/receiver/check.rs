//! Which of these objects are lacking here: the answer to offers. A hint, which writes nothing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, future::try_join_all, stream};
use ssync_diskfile::{Device, DiskError, Found, Location, OpenOptions};
use ssync_protocol::{LocalState, LocalVersion, want};
use ssync_store::{CHECK_QUEUE_MAX, CheckAnswer, CheckAnswers, StoreResult};
use ssync_types::{FragmentIndex, Offer, PartitionRef, Reason, Refusal, Want};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use tracing::Instrument as _;

use crate::{
    PHASE,
    core::{Core, HEARTBEAT_ONLY_FACTOR},
    devices::DeviceHandle,
    pool::Lane,
};

/// Offers that one thread of the device checks at a time: several share a cold message.
const OFFERS_A_THREAD: usize = 64;
/// Messages checked at the same time.
const BATCHES_AT_ONCE: usize = 4;

/// Answers offers as they come. A batch without offers is a heartbeat, and has no answer.
pub(crate) async fn open(
    core: &Arc<Core>,
    partition: PartitionRef,
    offers: mpsc::Receiver<Vec<Offer>>,
) -> StoreResult<CheckAnswers> {
    core.check_partition(&partition)?;
    let handle = core.devices.open(&partition.device).await?;
    let (answers, answered) = mpsc::channel(CHECK_QUEUE_MAX);
    let check = Check { core: Arc::clone(core), handle, partition };
    tokio::spawn(async move { check.run(offers, answers).await }.in_current_span());
    Ok(answered)
}

/// When offers came, or an answer went, last.
#[derive(Debug)]
struct Progress(Mutex<Instant>);

impl Progress {
    fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn made(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// The next batch that has offers. Who looks for more of them sends heartbeats meanwhile, but not for ever.
async fn next_offers(
    offers: &mut mpsc::Receiver<Vec<Offer>>,
    silence_max: Duration,
    progress: &Progress,
) -> StoreResult<Option<Vec<Offer>>> {
    let idle = |what: &str, limit: Duration| {
        let message = format!("{what} came for {limit:?} (client_timeout is {silence_max:?})");
        Err(Refusal::new(Reason::IdleTimeout, message))
    };
    let heartbeats_max = silence_max * HEARTBEAT_ONLY_FACTOR;
    loop {
        match timeout(silence_max, offers.recv()).await {
            Err(_) => return idle("nothing", silence_max),
            Ok(Some(batch)) if batch.is_empty() => {
                if progress.age() >= heartbeats_max {
                    return idle("nothing but heartbeats", heartbeats_max);
                }
            }
            Ok(batch) => {
                progress.made();
                return Ok(batch);
            }
        }
    }
}

#[derive(Clone)]
struct Check {
    core: Arc<Core>,
    handle: DeviceHandle,
    partition: PartitionRef,
}

impl Check {
    async fn run(self, offers: mpsc::Receiver<Vec<Offer>>, answers: mpsc::Sender<StoreResult<CheckAnswer>>) {
        let silence_max = self.core.config.client_timeout;
        let progress = Arc::new(Progress::new());
        let source = (offers, Arc::clone(&progress));
        let batches = stream::unfold(source, |(mut offers, progress)| async move {
            match next_offers(&mut offers, silence_max, &progress).await {
                Ok(batch) => batch.map(|batch| (Ok(batch), (offers, progress))),
                Err(refusal) => {
                    offers.close();
                    Some((Err(refusal), (offers, progress)))
                }
            }
        });
        let checked = batches.map(|batch| {
            let check = self.clone();
            async move { check.batch(batch?).await }
        });
        let mut checked = std::pin::pin!(checked.buffered(BATCHES_AT_ONCE));
        let (mut answered_offers, mut wanted) = (0, 0);
        while let Some(result) = checked.next().await {
            let answer = result.map(|(count, wants)| {
                answered_offers += count;
                wanted += wants.len();
                CheckAnswer { wants, answered_offers }
            });
            let ends = answer.is_err();
            let sent = timeout(silence_max, answers.send(answer)).await;
            progress.made();
            if ends || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        tracing::debug!(target: PHASE, offers = answered_offers, wanted, "offers checked");
    }

    async fn batch(self, offers: Vec<Offer>) -> StoreResult<(u64, Vec<Want>)> {
        if offers.len() > Offer::BATCH_MAX {
            let message =
                format!("{} offers in one message are more than {}", offers.len(), Offer::BATCH_MAX);
            return Err(Refusal {
                field: Some("offers".to_owned()),
                ..Refusal::new(Reason::InvalidArgument, message)
            });
        }
        for offer in &offers {
            self.core.check_hash(&self.partition, &offer.hash)?;
        }
        let count = offers.len() as u64;
        let parts = offers.chunks(OFFERS_A_THREAD).map(|part| self.part(part.to_vec()));
        let wants: Vec<Want> = try_join_all(parts).await?.into_iter().flatten().collect();
        self.core.registry.checked(&self.partition);
        self.core.counters.offers_checked.add(count);
        self.core.counters.offers_wanted.add(wants.len() as u64);
        Ok((count, wants))
    }

    async fn part(&self, offers: Vec<Offer>) -> StoreResult<Vec<Want>> {
        let (policy, partition) = (self.partition.policy, self.partition.partition);
        let fragment = self.core.is_coded(policy).then_some(self.partition.fragment).flatten();
        let wants = self.handle.run(Lane::Replication, move |device| {
            let mut wants = Vec::new();
            for offer in &offers {
                let at = Location { policy, partition, hash: offer.hash };
                wants.extend(want(&local_state(device, &at, offer, fragment)?, offer));
            }
            Ok(wants)
        });
        wants.await
    }
}

/// What is here of an offered object (Swift: ssync_receiver.py `_check_local`).
fn local_state(
    device: &Arc<Device>,
    at: &Location,
    offer: &Offer,
    fragment: Option<FragmentIndex>,
) -> Result<LocalState, DiskError> {
    let options = OpenOptions { fragment, open_expired: true, ..OpenOptions::default() };
    let newest = version(device.open_for_check(at, &options))?;
    let mut local = LocalState { newest, undurable: Vec::new() };
    let newer = newest.is_none_or(|version| version.time() < offer.data);
    if let Some(fragment) = fragment.filter(|_| newer) {
        let sets = device.fragments(at)?;
        if sets.iter().any(|set| set.timestamp == offer.data && set.indexes.contains(&fragment)) {
            local.undurable.push(offer.data);
        }
    }
    Ok(local)
}

/// What counts. What cannot be opened does not: it is wanted again. But a device that fails is no reason to want everything.
fn version(found: Result<Found, DiskError>) -> Result<Option<LocalVersion>, DiskError> {
    match found {
        Ok(Found::Object(object) | Found::Expired(object)) => Ok(Some(LocalVersion::Data {
            data: object.info.data,
            metadata: object.info.timestamp,
            content_type: object.info.content_type,
        })),
        Ok(Found::Tombstone(time)) => Ok(Some(LocalVersion::Tombstone(time))),
        Ok(Found::Nothing) => Ok(None),
        Err(
            error @ (DiskError::Unmounted { .. }
            | DiskError::NoAttributes { .. }
            | DiskError::PolicyUnknown { .. }
            | DiskError::Doubtful { .. }
            | DiskError::Io { .. }),
        ) => Err(error),
        Err(_) => Ok(None),
    }
}
