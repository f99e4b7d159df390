//! The receiver: a storage node's disks behind one trait.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ssync_diskfile::Devices;
use ssync_store::{Body, CheckAnswers, Release, Session, Store, StoreResult, Upload};
use ssync_types::{
    ByteRange, Deleted, DeviceName, DeviceSurvey, InlineBody, ObjectDelete, ObjectHash, ObjectInfo,
    ObjectPath, ObjectPost, ObjectPut, ObjectRef, Offer, PartitionRef, PendingUpdate, Posted, ReadOptions,
    Rehash, ReleaseOpen, SessionOpen, Stored, Suffix, SuffixHashes,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    check,
    config::ReceiverConfig,
    core::{Core, LimitStatus},
    counters::CountersSnapshot,
    devices::DeviceStatus,
    limits::SessionLimits,
    object,
    placement::Placement,
    pool::Lane,
    read,
    registry::SessionInfo,
    release,
    removals::{self, Removals},
    session, survey, upload,
};

/// A storage node.
#[derive(Debug)]
pub struct Receiver {
    core: Arc<Core>,
}

impl Receiver {
    /// A node over these devices. When `drain` is cancelled, sessions are told and new ones are refused.
    #[must_use]
    pub fn new(
        config: ReceiverConfig,
        devices: Arc<Devices>,
        placement: Arc<dyn Placement>,
        drain: CancellationToken,
    ) -> Arc<Self> {
        let core = Arc::new(Core::new(config, devices, placement, drain));
        let counting = Arc::downgrade(&core);
        core.devices.disk().at_quarantine(move || {
            if let Some(core) = counting.upgrade() {
                core.count(&core.counters.quarantines, "quarantines");
            }
        });
        Arc::new(Self { core })
    }

    /// Gives sessions so long, once it drains, to finish the object that they are in; before that it is `drain_timeout`.
    pub fn drain_within(&self, time: Duration) {
        self.core.drain_time.set(time);
    }

    /// The sessions under way, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.core.registry.list()
    }

    /// The limits in force. (Those of devices are in their status.)
    #[must_use]
    pub fn limits(&self) -> Vec<LimitStatus> {
        self.core.limits()
    }

    /// The limits of sessions that may be changed: in force, and as configured.
    #[must_use]
    pub fn session_limits(&self) -> (SessionLimits, SessionLimits) {
        let limits = &self.core.session_limits;
        (limits.now(), limits.configured())
    }

    /// Admits by these limits from now on. What is under way goes on by its own.
    pub fn set_session_limits(&self, limits: SessionLimits) {
        self.core.session_limits.set(limits);
    }

    /// The same, as the configuration has them now.
    pub fn follow(&self, limits: SessionLimits) {
        self.core.session_limits.configure(limits);
    }

    /// Admits no more sessions into a device, and asks those under way to end with the object that they are at. Clients are served
    /// as before.
    pub fn drain_device(&self, device: &DeviceName) {
        tracing::warn!(%device, "drained by an operator: it admits no replication until `ssync resume`");
        self.core.device_drains.drain(device);
    }

    /// Admits sessions into a device again; false where it was not drained.
    pub fn resume_device(&self, device: &DeviceName) -> bool {
        let resumed = self.core.device_drains.resume(device);
        if resumed {
            tracing::info!(%device, "admits replication again, by an operator's word");
        }
        resumed
    }

    /// The devices that are drained by name.
    #[must_use]
    pub fn drained_devices(&self) -> Vec<DeviceName> {
        self.core.device_drains.list()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What this node's devices have let go of an object, as handoffs.
    pub async fn removals(&self, hash: ObjectHash) -> Removals {
        removals::find(&self.core, hash).await
    }

    /// The hash of a name in this cluster.
    #[must_use]
    pub fn hash_of(&self, path: &ObjectPath) -> ObjectHash {
        removals::hash(&self.core, path)
    }

    /// How devices are, in the order asked. A device that hangs says so after a few seconds.
    pub async fn device_status(&self, names: Vec<DeviceName>) -> Vec<DeviceStatus> {
        futures_util::future::join_all(names.into_iter().map(|name| self.core.devices.status(name))).await
    }

    /// How all devices are that have a directory in `devices`, by name.
    pub async fn devices(&self) -> Vec<DeviceStatus> {
        self.device_status(self.core.devices.names().await).await
    }

    /// What was done since the start.
    #[must_use]
    pub fn counters(&self) -> CountersSnapshot {
        self.core.counters.snapshot()
    }

    /// How long the receiver has been there.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.core.registry.uptime()
    }

    /// Begins to drain; says how many sessions are under way.
    pub fn drain(&self) -> usize {
        self.core.drain.cancel();
        self.core.registry.count()
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.core.drain.is_cancelled()
    }
}

#[async_trait]
impl Store for Receiver {
    async fn missing_check(
        &self,
        partition: PartitionRef,
        offers: mpsc::Receiver<Vec<Offer>>,
    ) -> StoreResult<CheckAnswers> {
        check::open(&self.core, partition, offers).await
    }

    async fn updates(&self, open: SessionOpen) -> StoreResult<Session> {
        session::open(&self.core, open).await
    }

    async fn release(&self, open: ReleaseOpen) -> StoreResult<Release> {
        release::open(&self.core, open).await
    }

    async fn suffix_hashes(&self, partition: PartitionRef, rehash: Rehash) -> StoreResult<SuffixHashes> {
        self.core.check_partition(&partition)?;
        let handle = self.core.devices.open(&partition.device).await?;
        let (policy, number) = (partition.policy, partition.partition);
        handle
            .run_long(move |device| device.suffix_hashes(policy, number, &rehash.suffixes, rehash.list))
            .await
    }

    async fn invalidate_suffixes(&self, partition: PartitionRef, suffixes: Vec<Suffix>) -> StoreResult<()> {
        self.core.check_partition(&partition)?;
        let handle = self.core.devices.open(&partition.device).await?;
        let (policy, number) = (partition.policy, partition.partition);
        handle.run(Lane::Request, move |device| device.invalidate_suffixes(policy, number, &suffixes)).await
    }

    async fn survey_devices(&self) -> StoreResult<DeviceSurvey> {
        survey::survey(&self.core).await
    }

    async fn put_object(&self, put: ObjectPut) -> StoreResult<Upload> {
        upload::put(&self.core, put).await
    }

    async fn put_whole_object(&self, put: ObjectPut, body: InlineBody) -> StoreResult<Stored> {
        upload::put_whole(&self.core, put, body).await
    }

    async fn get_object(
        &self,
        object: ObjectRef,
        ranges: Vec<ByteRange>,
        options: ReadOptions,
    ) -> StoreResult<(ObjectInfo, Body)> {
        read::get(&self.core, object, ranges, options).await
    }

    async fn head_object(&self, object: ObjectRef, options: ReadOptions) -> StoreResult<ObjectInfo> {
        read::head(&self.core, object, options).await
    }

    async fn post_object(&self, post: ObjectPost) -> StoreResult<Posted> {
        object::post(&self.core, post).await
    }

    async fn delete_object(&self, delete: ObjectDelete) -> StoreResult<Deleted> {
        object::delete(&self.core, delete).await
    }

    async fn queue_update(&self, update: PendingUpdate) -> StoreResult<()> {
        self.core.devices.policy(update.policy)?;
        let handle = self.core.devices.open(&update.device).await?;
        handle.run(Lane::Request, move |device| device.write_pending(&update)).await?;
        self.core.count(&self.core.counters.async_pendings, "async_pendings");
        Ok(())
    }
}
