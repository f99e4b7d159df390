//! A handoff lets go of what its primaries have confirmed (rule S2).

use std::{collections::HashSet, sync::Arc, time::Duration};

use ssync_diskfile::PartitionLock;
use ssync_store::{Release, StoreResult};
use ssync_types::{
    Invalid, PartitionRef, Reason, Refusal, ReleaseItem, ReleaseOpen, ReleaseOutcome, ReleaseResult,
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    admission::lock_partition, core::Core, devices::DeviceHandle, pool::Lane, session::refuse_when_draining,
};

/// How long to wait for the partition's lock (Swift: replicator.py revert, `replication_lock` with 0.2 s).
const LOCK_WAIT: Duration = Duration::from_millis(200);
/// Batches under way, each way.
const BATCHES_MAX: usize = 16;
/// Objects in one batch.
const ITEMS_MAX: usize = 1000;
/// How long the caller may keep the lock without a word.
const SILENCE_MAX: Duration = Duration::from_secs(1800);

/// Takes the partition's lock, for as long as the answer is held.
pub(crate) async fn open(core: &Arc<Core>, open: ReleaseOpen) -> StoreResult<Release> {
    let partition = &open.partition;
    refuse_when_draining(core)?;
    core.check_partition(partition)?;
    check_handoff(core, partition)?;
    let handle = core.devices.open(&partition.device).await?;
    let lock = lock(&handle, partition).await?;
    let (items, batches) = mpsc::channel(BATCHES_MAX);
    let (results, outgoing) = mpsc::channel(BATCHES_MAX);
    let releasing = Releasing { core: Arc::clone(core), handle, open: Arc::new(open), lock: Arc::new(lock) };
    tokio::spawn(async move { releasing.run(batches, results).await });
    Ok(Release { items, results: outgoing })
}

/// The partition's lock. On a device that is full room is made for the file that it is taken on: releasing makes more.
async fn lock(handle: &DeviceHandle, partition: &PartitionRef) -> Result<PartitionLock, Refusal> {
    let take = || lock_partition(handle, partition, LOCK_WAIT, Instant::now() + LOCK_WAIT);
    let full = match take().await {
        Err(refusal) if refusal.reason == Reason::DeviceFull => refusal,
        taken => return taken,
    };
    let (policy, number) = (partition.policy, partition.partition);
    match handle.run(Lane::Replication, move |device| device.make_room(policy, number)).await {
        Ok(true) => take().await,
        Ok(false) | Err(_) => Err(full),
    }
}

/// Only a device that is no primary lets go of anything; without a ring that is not known.
fn check_handoff(core: &Core, at: &PartitionRef) -> Result<(), Refusal> {
    let problem = match core.placement.is_primary(at.policy, at.partition, &at.device) {
        Some(false) => return Ok(()),
        Some(true) => "is a primary",
        None => "has no ring to say whether it is a primary",
    };
    Err(Refusal::new(Reason::NotHandoff, format!("{at}: this device {problem}, so it keeps what it has")))
}

struct Releasing {
    core: Arc<Core>,
    handle: DeviceHandle,
    open: Arc<ReleaseOpen>,
    lock: Arc<PartitionLock>,
}

impl Releasing {
    async fn run(
        self,
        mut batches: mpsc::Receiver<Vec<ReleaseItem>>,
        results: mpsc::Sender<StoreResult<Vec<ReleaseResult>>>,
    ) {
        let mut left = None;
        loop {
            let waited = match left.take() {
                Some(batch) => Ok(Some(batch)),
                None => tokio::time::timeout(SILENCE_MAX, batches.recv()).await,
            };
            let batch = match waited {
                Ok(Some(batch)) => more(batch, &mut batches, &mut left),
                Ok(None) => break,
                Err(_) => {
                    let silent =
                        Refusal::new(Reason::IdleTimeout, format!("nothing came for {SILENCE_MAX:?}"));
                    let _ = results.send(Err(silent)).await;
                    return;
                }
            };
            if batch.is_empty() {
                continue;
            }
            let done = self.batch(batch).await;
            let failed = done.is_err();
            let taken = tokio::time::timeout(SILENCE_MAX, results.send(done)).await;
            if !matches!(taken, Ok(Ok(()))) || failed {
                return;
            }
        }
        self.close().await;
    }

    async fn batch(&self, items: Vec<ReleaseItem>) -> StoreResult<Vec<ReleaseResult>> {
        if items.len() > ITEMS_MAX {
            let message = format!("{} items in one batch are more than {ITEMS_MAX}", items.len());
            return Err(Refusal {
                field: Some("items".to_owned()),
                ..Refusal::new(Reason::InvalidArgument, message)
            });
        }
        // The ring may have been replaced since: what is a primary by now keeps everything.
        check_handoff(&self.core, &self.open.partition)?;
        let problems: Vec<_> = items.iter().map(|item| self.problem(item).err()).collect();
        let sound = items.iter().zip(&problems).filter(|(_, problem)| problem.is_none());
        let sound: Vec<_> = sound.map(|(item, _)| item.clone()).collect();
        let (lock, open) = (Arc::clone(&self.lock), Arc::clone(&self.open));
        let released = self.handle.run_long(move |device| device.release_batch(&lock, &open, &sound)).await?;
        let gone =
            released.results.iter().filter(|result| result.outcome == ReleaseOutcome::Released).count();
        self.core.counters.objects_released.add(gone as u64);
        if let Some(error) = released.unrecorded {
            self.core.counters.removals_unrecorded.add(gone as u64);
            tracing::error!(partition = %self.open.partition, objects = gone, %error,
                "objects were let go of, and the log of removals on the device does not say so");
        }
        let mut released = released.results.into_iter();
        let results = items.into_iter().zip(problems).filter_map(|(item, problem)| match problem {
            None => released.next(),
            Some(refusal) => {
                Some(ReleaseResult { hash: item.offer.hash, outcome: ReleaseOutcome::Failed(refusal) })
            }
        });
        Ok(results.collect())
    }

    /// What is wrong with an item, whatever the disk says.
    fn problem(&self, item: &ReleaseItem) -> Result<(), Refusal> {
        self.core.check_hash(&self.open.partition, &item.offer.hash)?;
        if item.confirmed_by.is_empty() {
            return Err(
                Invalid::new("items.confirmations", "is empty: nobody has answered for the object").into()
            );
        }
        if item.confirmed_by.iter().any(|by| by.primary >= self.open.primaries.len()) {
            return Err(
                Invalid::new("items.confirmations.primary", "is none of those named when it began").into()
            );
        }
        Ok(())
    }

    /// An orderly end: a partition without objects goes as well.
    async fn close(self) {
        let Some(lock) = Arc::into_inner(self.lock) else { return };
        let gone =
            self.handle.run(Lane::Replication, move |device| device.remove_empty_partition(lock)).await;
        match gone {
            Ok(gone) => tracing::debug!(partition = %self.open.partition, gone, "release ended"),
            Err(refusal) => {
                tracing::warn!(partition = %self.open.partition, %refusal, "the partition's directory stays");
            }
        }
    }
}

/// A batch with those that have come while the one before was carried out: they share its flushes. `left` gets the one that is
/// too much, or has an object again.
fn more(
    mut batch: Vec<ReleaseItem>,
    batches: &mut mpsc::Receiver<Vec<ReleaseItem>>,
    left: &mut Option<Vec<ReleaseItem>>,
) -> Vec<ReleaseItem> {
    let mut hashes: HashSet<_> = batch.iter().map(|item| item.offer.hash).collect();
    while left.is_none()
        && let Ok(next) = batches.try_recv()
    {
        let fits = batch.len() + next.len() <= ITEMS_MAX;
        match fits && next.iter().all(|item| hashes.insert(item.offer.hash)) {
            true => batch.extend(next),
            false => *left = Some(next),
        }
    }
    batch
}
