//! The sessions under way: for operators, and for the watchdogs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ssync_types::{Job, PartitionRef, SessionOpen, SessionProtocol, Summary};
use tokio::time::Instant;

use crate::counters::Counter;

/// One session under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Unique for the life of the process.
    pub id: u64,
    /// Where it says that it comes from.
    pub peer: String,
    /// Whose rules of admission apply.
    pub protocol: SessionProtocol,
    /// Why the sender pushes.
    pub job: Job,
    /// The partition at this node.
    pub partition: PartitionRef,
    /// How long it has been open.
    pub age: Duration,
    /// What became of its updates so far.
    pub summary: Summary,
}

/// All sessions under way.
#[derive(Debug)]
pub(crate) struct Registry {
    began: Instant,
    next_id: AtomicU64,
    // Bounded by what the server's connections carry; entries are small.
    entries: Mutex<BTreeMap<u64, Arc<SessionEntry>>>,
}

/// What is counted of a session.
#[derive(Debug)]
pub(crate) struct SessionEntry {
    id: u64,
    peer: String,
    protocol: SessionProtocol,
    job: Job,
    partition: PartitionRef,
    opened: Instant,
    pub(crate) applied: Counter,
    pub(crate) confirmed: Counter,
    pub(crate) superseded: Counter,
    pub(crate) failed: Counter,
    /// Milliseconds from the registry's beginning to the last offer checked for this partition.
    checked: AtomicU64,
}

/// Keeps a session in the list.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    pub(crate) entry: Arc<SessionEntry>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), next_id: AtomicU64::new(1), entries: Mutex::default() }
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn register(self: &Arc<Self>, open: &SessionOpen) -> Registered {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(SessionEntry {
            id,
            peer: open.sender.address.clone(),
            protocol: open.protocol,
            job: open.sender.job,
            partition: open.partition.clone(),
            opened: Instant::now(),
            applied: Counter::default(),
            confirmed: Counter::default(),
            superseded: Counter::default(),
            failed: Counter::default(),
            checked: AtomicU64::new(0),
        });
        self.lock().insert(id, Arc::clone(&entry));
        Registered { registry: Arc::clone(self), entry }
    }

    /// Offers of a partition were checked: its sessions are not idle, though they hear nothing (a check of a partition in sync
    /// makes no updates).
    pub(crate) fn checked(&self, partition: &PartitionRef) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        for entry in self.lock().values().filter(|entry| entry.partition == *partition) {
            entry.checked.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn list(&self) -> Vec<SessionInfo> {
        self.lock().values().map(|entry| entry.info()).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<SessionEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    /// When offers of the session's partition were checked last.
    pub(crate) fn last_checked(&self) -> Instant {
        self.registry.began + Duration::from_millis(self.entry.checked.load(Ordering::Relaxed))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.entry.id);
    }
}

impl SessionEntry {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            applied: self.applied.get(),
            confirmed: self.confirmed.get(),
            superseded: self.superseded.get(),
            failed: self.failed.get(),
        }
    }

    fn info(&self) -> SessionInfo {
        SessionInfo {
            id: self.id,
            peer: self.peer.clone(),
            protocol: self.protocol,
            job: self.job,
            partition: self.partition.clone(),
            age: self.opened.elapsed(),
            summary: self.summary(),
        }
    }
}
