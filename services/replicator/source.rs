//! Where a job reads its objects: one partition of one local device, reached on a bounded number of threads.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ssync_diskfile::{Device, Devices, DiskError, LocalObject, Location, SuffixListing, SuffixLook, ToSend};
use ssync_types::{
    DeviceName, ObjectHash, ObjectKind, Partition, PolicyIndex, Reason, Refusal, ReleaseFile, Suffix, Want,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    ahead::{Ahead, AheadShare},
    blocking::blocking_on,
};

/// Most threads that wait for one device at once, so that a dying disk holds up itself alone.
pub(crate) const DEVICE_CALLS_MAX: usize = 8;

/// How often it is looked whether hashing gets on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After this no further suffix is listed at a time: what is found is offered.
const LIST_TIME_MAX: Duration = Duration::from_millis(500);

/// A local device and its share of the blocking threads. It is opened for each piece of work, so that its mount is checked
/// each time (rule S7), and nothing holds it while it is idle.
#[derive(Debug, Clone)]
pub(crate) struct LocalDevice {
    devices: Arc<Devices>,
    name: DeviceName,
    calls: Arc<Semaphore>,
    ahead: Ahead,
    pulse: Pulse,
}

/// When a job last got on, what it has moved, and whether it will be at it for long.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    last: Mutex<Instant>,
    moved: Mutex<Moved>,
    is_long: AtomicBool,
}

/// What a job has brought to peers so far, for who watches it. What counts is told at the end of each session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Objects.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        let last = Mutex::new(Instant::now());
        Self(Arc::new(Beats { last, moved: Mutex::default(), is_long: AtomicBool::new(false) }))
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job has got on.
    pub(crate) fn beat(&self) {
        *self.last() = Instant::now();
    }

    /// Whether nothing but large bodies is left of what it sends: it does not take a worker from those who have small ones.
    pub(crate) fn is_long(&self) -> bool {
        self.0.is_long.load(Ordering::Relaxed)
    }

    /// It is, or is no longer.
    pub(crate) fn set_long(&self, is_long: bool) {
        self.0.is_long.store(is_long, Ordering::Relaxed);
    }

    /// The pulse of the same job.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// For how long it has not.
    pub(crate) fn silence(&self) -> Duration {
        self.last().elapsed()
    }

    fn all_moved(&self) -> std::sync::MutexGuard<'_, Moved> {
        self.0.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has moved so far.
    pub(crate) fn moved(&self) -> Moved {
        *self.all_moved()
    }
}

/// The local devices, each with the same few threads for as long as the daemon runs: what a disk that hangs holds does
/// not grow from pass to pass.
#[derive(Debug)]
pub(crate) struct LocalDevices {
    devices: Arc<Devices>,
    // By the rings' own names, so as many as the node has devices.
    calls: Mutex<BTreeMap<DeviceName, Arc<Semaphore>>>,
    /// What is read of all of them before it is sent.
    ahead: Ahead,
}

impl LocalDevices {
    pub(crate) fn new(devices: Arc<Devices>) -> Self {
        Self { devices, calls: Mutex::default(), ahead: Ahead::new() }
    }

    pub(crate) fn get(&self, name: &DeviceName) -> LocalDevice {
        let calls = Arc::clone(
            self.calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(name.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(DEVICE_CALLS_MAX))),
        );
        let (devices, ahead) = (Arc::clone(&self.devices), self.ahead.clone());
        LocalDevice { devices, name: name.clone(), calls, ahead, pulse: Pulse::new() }
    }

    /// A device that does not answer any more: all its threads hang.
    #[cfg(test)]
    pub(crate) fn hang(&self, name: &DeviceName) {
        let hung = self.get(name).calls;
        hung.forget_permits(DEVICE_CALLS_MAX);
    }
}

impl LocalDevice {
    /// The same device and threads for a job, with a pulse of its own.
    pub(crate) fn for_job(&self) -> Self {
        Self { pulse: Pulse::new(), ..self.clone() }
    }

    /// Where a policy's partitions are, for the log.
    pub(crate) fn objects_path(&self, policy: PolicyIndex) -> PathBuf {
        self.devices.objects_path(&self.name, policy)
    }

    /// Where a partition is, for the log.
    pub(crate) fn partition_path(&self, policy: PolicyIndex, partition: Partition) -> PathBuf {
        self.objects_path(policy).join(partition.to_string())
    }

    /// The pulse of the job that this is for. It beats with each piece of disk work that ends, and with what peers take
    /// and answer.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Waits for `hashes` of this device. They may take long, and the job gets on as long as suffixes are hashed here. Where
    /// another process hashes them, the call to it has a bound of its own.
    pub(crate) async fn hashing<T>(&self, hashes: impl Future<Output = T>) -> T {
        let mut hashes = pin!(hashes);
        let mut hashed = self.devices.suffixes_hashed(&self.name);
        loop {
            if let Ok(hashes) = timeout(LOOK_EVERY, hashes.as_mut()).await {
                return hashes;
            }
            let now = self.devices.suffixes_hashed(&self.name);
            if now != hashed {
                self.pulse.beat();
                hashed = now;
            }
        }
    }

    /// Runs disk work on a blocking thread. It goes on to its end even when the caller is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Device>) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let stopped = || Refusal::new(Reason::Internal, format!("work on device {} was stopped", self.name));
        let permit = Arc::clone(&self.calls).acquire_owned().await.map_err(|_| stopped())?;
        let (devices, name) = (Arc::clone(&self.devices), self.name.clone());
        let task = blocking_on(&self.name, move || {
            let _permit = permit;
            work(&devices.open(&name)?)
        });
        let done = task.await.map_err(|_| stopped())?;
        self.pulse.beat();
        Ok(done?)
    }
}

/// One partition of a local device.
#[derive(Debug, Clone)]
pub struct Source {
    local: LocalDevice,
    policy: PolicyIndex,
    partition: Partition,
}

/// The same, on a blocking thread and with the device open.
#[derive(Debug)]
pub(crate) struct OpenSource {
    device: Arc<Device>,
    policy: PolicyIndex,
    partition: Partition,
}

impl Source {
    pub(crate) fn new(local: LocalDevice, policy: PolicyIndex, partition: Partition) -> Self {
        Self { local, policy, partition }
    }

    /// The job has got on.
    pub(crate) fn beat(&self) {
        self.local.pulse.beat();
    }

    /// What a push has of the budget of bodies that are read ahead.
    pub(crate) fn ahead(&self) -> AheadShare {
        self.local.ahead.share()
    }

    /// From now on, until the end of the push, only large bodies are sent.
    pub(crate) fn transfers_long(&self) {
        self.local.pulse.set_long(true);
    }

    /// The pulse of the job that this is for.
    pub(crate) fn pulse(&self) -> &Pulse {
        self.local.pulse()
    }

    /// The job has moved so much more.
    pub(crate) fn moved(&self, objects: u64, bytes: u64) {
        let mut moved = self.local.pulse.all_moved();
        moved.objects += objects;
        moved.bytes += bytes;
    }

    /// The partition's suffixes.
    pub(crate) async fn suffixes(&self) -> Result<Vec<Suffix>, Refusal> {
        self.run(|source| source.device.suffixes(source.policy, source.partition)).await
    }

    /// The objects of suffixes in their order, at least of the first: until there are so many, or it has taken long.
    pub(crate) async fn list(
        &self,
        suffixes: Vec<Suffix>,
        enough: usize,
    ) -> Result<Vec<SuffixListing>, Refusal> {
        let list = move |source: &OpenSource| {
            let (policy, partition) = (source.policy, source.partition);
            source.device.list_suffixes_until(policy, partition, &suffixes, enough, LIST_TIME_MAX)
        };
        self.run(list).await
    }

    /// The same with their sizes, and without putting anything in order.
    pub(crate) async fn look(&self, suffix: Suffix) -> Result<SuffixLook, Refusal> {
        self.run(move |source| source.device.look_at_suffix(source.policy, source.partition, suffix)).await
    }

    /// Runs disk work for this partition.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OpenSource) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Self { policy, partition, .. } = *self;
        self.local
            .run(move |device| work(&OpenSource { device: Arc::clone(device), policy, partition }))
            .await
    }

    /// Reads a whole body and checks it; a damaged one goes to quarantine on the way. Says whether it was sound.
    pub(crate) async fn verify(&self, hash: ObjectHash) -> Result<bool, Refusal> {
        self.run(move |source| source.verify(hash)).await
    }
}

impl OpenSource {
    /// Opens an object as replication does: expired ones too. Blocks.
    pub(crate) fn open(&self, hash: ObjectHash) -> Result<ToSend, DiskError> {
        let at = Location { policy: self.policy, partition: self.partition, hash };
        self.device.open_to_send(&at)
    }

    fn verify(&self, hash: ObjectHash) -> Result<bool, DiskError> {
        let ToSend::Object(object) = self.open(hash)? else { return Ok(true) };
        let mut reader = object.into_reader();
        loop {
            match reader.next_chunk() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(true),
                Err(DiskError::Damaged { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Which changes bring a peer up to date on one object, decided when it is opened (Swift: ssync_sender.py updates).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Send the body.
    pub(crate) put: bool,
    /// Send the metadata of a later POST.
    pub(crate) post: bool,
    /// Send the deletion.
    pub(crate) delete: bool,
    /// The object is still the version that was offered.
    pub(crate) as_offered: bool,
}

impl Plan {
    /// What of `opened` to send for `want`, and whether it is what `listed` says.
    pub(crate) fn of(opened: &ToSend, want: Want, listed: &LocalObject) -> Self {
        match opened {
            ToSend::Object(object) => Self {
                put: want.data,
                post: want.metadata && object.meta.is_some(),
                delete: false,
                as_offered: same_files(&object.files, &listed.files)
                    && object.info.data == listed.offer.data
                    && listed.offer.kind != Some(ObjectKind::Tombstone),
            },
            ToSend::Deletion(_, timestamp) => Self {
                put: false,
                post: false,
                delete: want.data,
                as_offered: *timestamp == listed.offer.data && listed.offer.kind != Some(ObjectKind::Data),
            },
            ToSend::Nothing => Self { put: false, post: false, delete: false, as_offered: false },
        }
    }

    /// How many changes it has.
    pub(crate) fn changes(self) -> usize {
        usize::from(self.put) + usize::from(self.post) + usize::from(self.delete)
    }

    /// Whether the peer's results for these changes speak for the whole offered version. Where the peer wanted only a part,
    /// it has to be asked for the rest.
    pub(crate) fn covers(self, listed: &LocalObject) -> bool {
        self.delete || (self.put && (self.post || listed.offer.metadata == listed.offer.data))
    }
}

fn same_files(opened: &[ReleaseFile], listed: &[ReleaseFile]) -> bool {
    opened.len() == listed.len() && listed.iter().all(|file| opened.contains(file))
}

#[cfg(test)]
mod tests {
    use ssync_types::{ObjectPath, Offer, Timestamp};

    use super::*;

    fn listed(kind: ObjectKind, data: u64, metadata: u64) -> LocalObject {
        let mut offer =
            Offer::of_one_time(ObjectHash::from_bytes([1; 16]), Timestamp::from_seconds(data), Some(kind));
        offer.metadata = Timestamp::from_seconds(metadata);
        LocalObject { offer, fragment: None, files: Vec::new() }
    }

    fn want(data: bool, metadata: bool) -> Want {
        Want { hash: ObjectHash::from_bytes([1; 16]), data, metadata, durable_mark: false }
    }

    #[test]
    fn a_tombstone_is_sent_only_when_the_body_was_wanted() {
        let path = ObjectPath::of("a", "c", "o").unwrap();
        let opened = ToSend::Deletion(path, Timestamp::from_seconds(5));
        let object = listed(ObjectKind::Tombstone, 5, 5);
        let plan = Plan::of(&opened, want(true, true), &object);
        assert!(plan.delete && plan.as_offered && plan.covers(&object) && plan.changes() == 1);
        let plan = Plan::of(&opened, want(false, true), &object);
        assert!(!plan.delete && plan.changes() == 0 && !plan.covers(&object));
        let other = listed(ObjectKind::Data, 4, 4);
        assert!(!Plan::of(&opened, want(true, false), &other).as_offered);
    }

    #[test]
    fn what_is_gone_is_not_as_offered() {
        let plan = Plan::of(&ToSend::Nothing, want(true, true), &listed(ObjectKind::Data, 1, 1));
        assert!(!plan.as_offered && plan.changes() == 0);
    }

    #[test]
    fn a_body_alone_does_not_answer_for_later_metadata() {
        let plan = Plan { put: true, post: false, delete: false, as_offered: true };
        assert!(plan.covers(&listed(ObjectKind::Data, 1, 1)));
        assert!(!plan.covers(&listed(ObjectKind::Data, 1, 2)));
        assert!(Plan { post: true, ..plan }.covers(&listed(ObjectKind::Data, 1, 2)));
        assert!(!Plan { put: false, post: true, ..plan }.covers(&listed(ObjectKind::Data, 1, 2)));
    }
}
