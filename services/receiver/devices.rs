//! The devices as the receiver uses them: opened, flushed once after the start, each with its own threads.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicU32},
    time::Duration,
};

use ssync_diskfile::{Device, Devices, DiskError, PolicyKind, Space};
use ssync_types::{DeviceName, PolicyIndex, Reason, Refusal, SurveyedEntry};
use tokio::sync::OnceCell;

use crate::{
    permits::{Permit, Permits},
    pool::{DevicePool, Held, Lane},
    slot::Slot,
    waiting::{WaitingBytes, WaitingShare},
};

/// Names of devices remembered; a node has fewer.
const DEVICES_MAX: usize = 1024;
/// How long a device may take to say how it is.
const STATUS_WAIT_MAX: Duration = Duration::from_secs(5);
/// When to try again after the device had no permit left.
const PERMIT_RETRY: Duration = Duration::from_millis(500);

/// How a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Its name in the ring.
    pub name: DeviceName,
    /// Its space; or why it cannot be used.
    pub space: Result<Space, String>,
    /// Sessions that hold a permit of it.
    pub sessions: u64,
    /// Disk operations that wait for a thread.
    pub waiting: u64,
}

/// What one device may take.
#[derive(Debug, Clone)]
pub(crate) struct DeviceLimits {
    pub(crate) threads: u32,
    /// gRPC sessions; 0 for no limit.
    pub(crate) sessions: Arc<AtomicU32>,
    /// How long an operation may take, before the device hangs; zero for as long as it likes.
    pub(crate) patience: Duration,
}

/// All devices of the node.
#[derive(Debug)]
pub(crate) struct DeviceTable {
    devices: Arc<Devices>,
    limits: DeviceLimits,
    waiting: WaitingBytes,
    known: Mutex<BTreeMap<DeviceName, Arc<Known>>>,
}

/// What is kept of a device while it is not in use. (The disk layer keeps and checks the descriptor.)
#[derive(Debug)]
struct Known {
    pool: DevicePool,
    permits: Permits,
    /// The slots of its sessions.
    slots: Mutex<Vec<Weak<Slot>>>,
    waiting: WaitingShare,
    flushed: OnceCell<()>,
    /// Bytes of one file that are not flushed yet, at most (`mb_per_sync`).
    unflushed_max: u64,
}

/// A device that can be used.
#[derive(Debug, Clone)]
pub(crate) struct DeviceHandle {
    pub(crate) device: Arc<Device>,
    known: Arc<Known>,
}

impl DeviceTable {
    pub(crate) fn new(devices: Arc<Devices>, limits: DeviceLimits, waiting: WaitingBytes) -> Self {
        Self { devices, limits, waiting, known: Mutex::default() }
    }

    /// Bytes of bodies that came whole and wait for a disk.
    pub(crate) fn waiting(&self) -> &WaitingBytes {
        &self.waiting
    }

    pub(crate) fn disk(&self) -> &Devices {
        &self.devices
    }

    /// The disk layer, for work of the caller's own threads.
    pub(crate) fn shared_disk(&self) -> Arc<Devices> {
        Arc::clone(&self.devices)
    }

    /// How a device is, as operators ask. It need not be usable.
    pub(crate) async fn survey(&self, name: &DeviceName) -> Result<SurveyedEntry, Refusal> {
        let known = self.known(name)?;
        let (devices, device) = (Arc::clone(&self.devices), name.clone());
        let found = known.pool.look(move || devices.survey(device.as_str())).await;
        self.forget(name, known);
        found
    }

    /// Refuses a policy that swift.conf does not have.
    pub(crate) fn policy(&self, policy: PolicyIndex) -> Result<PolicyKind, Refusal> {
        self.devices.policy(policy).ok_or_else(|| DiskError::PolicyUnknown { policy }.into())
    }

    /// The device, if it is mounted and usable. The first time, everything on it is flushed: a killed program may have left
    /// names whose files are not on disk yet (rule S1).
    pub(crate) async fn open(&self, name: &DeviceName) -> Result<DeviceHandle, Refusal> {
        let known = self.known(name)?;
        let opened = Self::open_known(&self.devices, &known, name);
        // The first one flushes, and the others wait for it.
        match known.pool.unless_it_hangs(opened, || false).await.flatten() {
            Ok(device) => Ok(DeviceHandle { device, known }),
            Err(refusal) => {
                self.forget(name, known);
                Err(refusal)
            }
        }
    }

    /// Runs a request's `work` on the device's threads, as [`open`](Self::open) and [`DeviceHandle::run`] do together, in one go:
    /// it is opened, or its mount looked at, right before.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        name: &DeviceName,
        bytes: u64,
        work: impl FnOnce(&DeviceHandle) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        let known = self.flushed(name).await?;
        let bytes = bytes.min(known.unflushed_max);
        let open = {
            let (devices, name) = (Arc::clone(&self.devices), name.clone());
            move || devices.open(&name).map_err(Refusal::from)
        };
        let work = {
            let known = Arc::clone(&known);
            move |device| work(&DeviceHandle { device, known })
        };
        known.pool.run_opened(Lane::Request, bytes, open, work).await?
    }

    /// A device after the first flush of everything on it.
    async fn flushed(&self, name: &DeviceName) -> Result<Arc<Known>, Refusal> {
        let known = self.known(name)?;
        if known.flushed.initialized() {
            return Ok(known);
        }
        // A name that is no device's is forgotten only where nobody else holds it.
        drop(known);
        Ok(self.open(name).await?.known)
    }

    async fn open_known(
        devices: &Arc<Devices>,
        known: &Known,
        name: &DeviceName,
    ) -> Result<Arc<Device>, Refusal> {
        let opened = {
            let (devices, name) = (Arc::clone(devices), name.clone());
            known.pool.look(move || devices.open(&name)).await??
        };
        let device = Arc::clone(&opened);
        known
            .flushed
            .get_or_try_init(|| async move {
                // It may have a whole page cache to write.
                known.pool.run_long(move || device.sync()).await?.map_err(Refusal::from)
            })
            .await?;
        Ok(opened)
    }

    fn known(&self, name: &DeviceName) -> Result<Arc<Known>, Refusal> {
        let mut table = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.get(name) {
            return Ok(Arc::clone(known));
        }
        if table.len() >= DEVICES_MAX {
            // A caller that went away before the answer did not forget.
            table.retain(|_, known| {
                let is_used = Arc::strong_count(known) > 1 || known.flushed.initialized();
                is_used || known.pool.hangs_for().is_some()
            });
        }
        if table.len() >= DEVICES_MAX {
            return Err(Refusal::new(
                Reason::DeviceUnmounted,
                format!("device {name}: {DEVICES_MAX} devices are in use already; is it in the ring?"),
            ));
        }
        let permits = Permits::new(Arc::clone(&self.limits.sessions));
        let known = Arc::new(Known {
            pool: DevicePool::new(name.clone(), self.limits.threads, self.limits.patience),
            permits,
            slots: Mutex::default(),
            waiting: self.waiting.share(),
            flushed: OnceCell::new(),
            unflushed_max: match self.devices.config().mb_per_sync {
                0 => u64::MAX,
                mebibytes => mebibytes.saturating_mul(1 << 20),
            },
        });
        table.insert(name.clone(), Arc::clone(&known));
        Ok(known)
    }

    /// A name that was never a usable device is not remembered; but threads that hang are, so that no more join them, and so
    /// is what somebody else is just opening: with a second pool of threads, limits and flushes would be counted twice.
    fn forget(&self, name: &DeviceName, known: Arc<Known>) {
        /// The table's and the caller's.
        const NOBODY_ELSE: usize = 2;
        let mut table = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = table.get(name).is_some_and(|current| Arc::ptr_eq(current, &known));
        let unused = Arc::strong_count(&known) == NOBODY_ELSE && !known.flushed.initialized();
        if same && unused && known.pool.hangs_for().is_none() {
            table.remove(name);
        }
        // Before the lock is: of two callers that give up at once the second is alone.
        drop(known);
    }

    /// Gives back the slots of sessions into devices that hang: they do no work. Their locks stay theirs. Says how many.
    pub(crate) fn free_hanging_slots(&self) -> usize {
        let known: Vec<_> = {
            let table = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            table.iter().map(|(name, known)| (name.clone(), Arc::clone(known))).collect()
        };
        let mut freed = 0;
        for (device, known) in known {
            let Some(age) = known.pool.hangs_for() else { continue };
            let slots = mem::take(&mut *known.slots.lock().unwrap_or_else(PoisonError::into_inner));
            let count = slots.iter().filter_map(Weak::upgrade).filter(|slot| slot.give_back()).count();
            if count > 0 {
                tracing::warn!(%device, seconds = age.as_secs(), sessions = count,
                    "a device hangs: its sessions do not count among replication_concurrency any more");
            }
            freed += count;
        }
        freed
    }

    /// The names in `devices` that can be those of devices.
    pub(crate) async fn names(&self) -> Vec<DeviceName> {
        let root = self.devices.config().devices.clone();
        let list = move || -> Vec<DeviceName> {
            let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
            let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_file()));
            let mut names: Vec<DeviceName> = directories
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .take(DEVICES_MAX)
                .collect();
            names.sort();
            names
        };
        // It reads the directory above the devices, which does not hang when one of them does.
        tokio::task::spawn_blocking(list).await.unwrap_or_default()
    }

    /// How a device is. A device that hangs is not waited for.
    pub(crate) async fn status(&self, name: DeviceName) -> DeviceStatus {
        let space = tokio::time::timeout(STATUS_WAIT_MAX, self.space(&name)).await;
        let space =
            space.unwrap_or_else(|_| Err(format!("no answer in {STATUS_WAIT_MAX:?}; is the disk dying?")));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&name).map(Arc::clone);
        let (sessions, waiting) =
            known.map_or((0, 0), |known| (u64::from(known.permits.used()), known.pool.waiting()));
        DeviceStatus { name, space, sessions, waiting: waiting as u64 }
    }

    async fn space(&self, name: &DeviceName) -> Result<Space, String> {
        let handle = self.open(name).await.map_err(|refusal| refusal.message)?;
        let space = handle.look(|device| device.space()).await;
        space.map_err(|refusal| refusal.message)
    }
}

impl DeviceHandle {
    /// Runs `work` on the device's threads, after a look whether it is still mounted (rule S7).
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Arc<Device>) -> Result<R, DiskError> + Send + 'static,
    ) -> Result<R, Refusal> {
        let device = Arc::clone(&self.device);
        Ok(self.known.pool.run(lane, move || device.check_mounted().and_then(|()| work(&device))).await??)
    }

    /// As [`run`](Self::run), for what often ends without the disk.
    pub(crate) async fn look<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Device>) -> Result<R, DiskError> + Send + 'static,
    ) -> Result<R, Refusal> {
        let device = Arc::clone(&self.device);
        Ok(self.known.pool.look(move || device.check_mounted().and_then(|()| work(&device))).await??)
    }

    /// As [`run`](Self::run), with a value that only the device's threads let go of.
    pub(crate) async fn run_with<T: Send + 'static, R: Send + 'static>(
        &self,
        lane: Lane,
        held: Held<T>,
        work: impl FnOnce(T) -> Result<R, DiskError> + Send + 'static,
    ) -> Result<R, Refusal> {
        self.run_flushing(lane, 0, held, work).await
    }

    /// As [`run_with`](Self::run_with), for work on a file with so many bytes, which may flush what it may have unflushed.
    pub(crate) async fn run_flushing<T: Send + 'static, R: Send + 'static>(
        &self,
        lane: Lane,
        bytes: u64,
        held: Held<T>,
        work: impl FnOnce(T) -> Result<R, DiskError> + Send + 'static,
    ) -> Result<R, Refusal> {
        let lost = || Refusal::new(Reason::Internal, "what the work needs was let go of before");
        let (device, bytes) = (Arc::clone(&self.device), bytes.min(self.known.unflushed_max));
        let work = move || {
            device.check_mounted()?;
            held.into_inner().map(work).transpose()
        };
        self.known.pool.run_flushing(lane, bytes, work).await??.ok_or_else(lost)
    }

    /// Has `value` dropped by a thread of the device. It belongs to one body.
    pub(crate) fn hold<T: Send + 'static>(&self, value: T) -> Held<T> {
        self.known.pool.hold(value)
    }

    /// As [`run`](Self::run) in a session, with which the work is withdrawn.
    pub(crate) async fn run_in<R: Send + 'static>(
        &self,
        session: u64,
        work: impl FnOnce(&Arc<Device>) -> Result<R, DiskError> + Send + 'static,
    ) -> Result<R, Refusal> {
        let device = Arc::clone(&self.device);
        let work = move || device.check_mounted().and_then(|()| work(&device));
        Ok(self.known.pool.run_of(session, Lane::Replication, work).await??)
    }

    /// As [`run`](Self::run), for work of minutes.
    pub(crate) async fn run_long<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Device>) -> Result<R, DiskError> + Send + 'static,
    ) -> Result<R, Refusal> {
        let device = Arc::clone(&self.device);
        Ok(self.known.pool.run_long(move || device.check_mounted().and_then(|()| work(&device))).await??)
    }

    /// Refuses what is asked of a device that hangs.
    pub(crate) fn refuse_if_it_hangs(&self) -> Result<(), Refusal> {
        self.known.pool.refuse_if_it_hangs()
    }

    /// Queues `work` of a session, which the caller bounds and which may flush so many bytes. It calls what it is given when it
    /// is done with the disk.
    pub(crate) fn push(&self, session: u64, bytes: u64, work: impl FnOnce(&dyn Fn()) + Send + 'static) {
        self.known.pool.push(Lane::Replication, Some(session), bytes, work);
    }

    /// Takes back what a session queued and what has not begun. What it holds goes with it.
    /// How many sheaves a session has under way at once: as the device serves best, and never more than half of the threads.
    pub(crate) fn hands(&self) -> usize {
        self.device.hands().min(self.known.pool.threads_max() / 2).max(1)
    }

    pub(crate) fn withdraw(&self, session: u64) {
        self.known.pool.withdraw(session);
    }

    /// The device's share of the bytes that may wait for a disk.
    pub(crate) fn waiting_bytes(&self) -> &WaitingShare {
        &self.known.waiting
    }

    /// Remembers whose slot it is, in case the device hangs.
    pub(crate) fn keep_slot(&self, slot: &Arc<Slot>) {
        let mut slots = self.known.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(slot));
    }

    /// One of the device's places for gRPC sessions.
    pub(crate) fn permit(&self) -> Result<Permit, Refusal> {
        self.known.permits.take().ok_or_else(|| {
            Refusal::new(
                Reason::DeviceLocked,
                format!(
                    "device {}: all gRPC sessions that grpc_sessions_per_device and replication_concurrency admit \
                     are under way",
                    self.device.name()
                ),
            )
            .retry_after(PERMIT_RETRY)
        })
    }
}
