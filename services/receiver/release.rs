//! A handoff lets go of what its primaries have confirmed (rule S2).

use std::{sync::Arc, time::Duration};

use ssync_diskfile::PartitionLock;
use ssync_store::{Release, StoreResult};
use ssync_types::{PartitionRef, Reason, Refusal, ReleaseItem, ReleaseOutcome, ReleaseResult};
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
pub(crate) async fn open(core: &Arc<Core>, partition: PartitionRef) -> StoreResult<Release> {
    refuse_when_draining(core)?;
    core.check_partition(&partition)?;
    check_handoff(core, &partition)?;
    let handle = core.devices.open(&partition.device).await?;
    let lock = lock_partition(&handle, &partition, LOCK_WAIT, Instant::now() + LOCK_WAIT).await?;
    let (items, batches) = mpsc::channel(BATCHES_MAX);
    let (results, outgoing) = mpsc::channel(BATCHES_MAX);
    let releasing = Releasing { core: Arc::clone(core), handle, partition, lock: Arc::new(lock) };
    tokio::spawn(async move { releasing.run(batches, results).await });
    Ok(Release { items, results: outgoing })
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
    partition: PartitionRef,
    lock: Arc<PartitionLock>,
}

impl Releasing {
    async fn run(
        self,
        mut batches: mpsc::Receiver<Vec<ReleaseItem>>,
        results: mpsc::Sender<StoreResult<Vec<ReleaseResult>>>,
    ) {
        loop {
            let batch = match tokio::time::timeout(SILENCE_MAX, batches.recv()).await {
                Ok(Some(batch)) => batch,
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
            if results.send(done).await.is_err() || failed {
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
        check_handoff(&self.core, &self.partition)?;
        let (lock, core, partition) =
            (Arc::clone(&self.lock), Arc::clone(&self.core), self.partition.clone());
        let released = self.handle.run_long(move |device| {
            let release = |item: ReleaseItem| {
                let outcome = core
                    .check_hash(&partition, &item.hash)
                    .and_then(|()| Ok(device.release(&lock, &item.hash, &item.files)?))
                    .unwrap_or_else(ReleaseOutcome::Failed);
                ReleaseResult { hash: item.hash, outcome }
            };
            Ok(items.into_iter().map(release).collect::<Vec<_>>())
        });
        let released = released.await?;
        let gone = released.iter().filter(|result| result.outcome == ReleaseOutcome::Released).count();
        self.core.counters.objects_released.add(gone as u64);
        Ok(released)
    }

    /// An orderly end: a partition without objects goes as well.
    async fn close(self) {
        let Some(lock) = Arc::into_inner(self.lock) else { return };
        let gone =
            self.handle.run(Lane::Replication, move |device| device.remove_empty_partition(lock)).await;
        match gone {
            Ok(gone) => tracing::debug!(partition = %self.partition, gone, "release ended"),
            Err(refusal) => {
                tracing::warn!(partition = %self.partition, %refusal, "the partition's directory stays");
            }
        }
    }
}
