//! What all the work of one session shares.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ssync_diskfile::Location;
use ssync_types::{
    FragmentIndex, Job, ObjectHash, ObjectPath, Outcome, Reason, Refusal, SessionOpen, SessionProtocol,
    Summary,
};
use tokio_util::sync::CancellationToken;

use super::work::Work;
use crate::{admission::Admitted, core::Core, devices::DeviceHandle, registry::Registered};

/// Shared by the session and by every write begun under it: the last one that ends frees slot and locks.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) core: Arc<Core>,
    pub(crate) open: SessionOpen,
    pub(crate) handle: DeviceHandle,
    pub(crate) registered: Registered,
    pub(super) work: Work,
    /// Cancelled when the session is to end: the node drains, or its device.
    pub(crate) told: CancellationToken,
    abandoned: AtomicBool,
    _admitted: Admitted,
}

impl Context {
    pub(crate) fn new(
        core: Arc<Core>,
        open: SessionOpen,
        handle: DeviceHandle,
        registered: Registered,
        admitted: Admitted,
        told: CancellationToken,
    ) -> Self {
        let (work, abandoned) = (Work::default(), AtomicBool::new(false));
        Self { core, open, handle, registered, work, told, abandoned, _admitted: admitted }
    }

    /// Nobody waits for the session's results any more: what has not begun does not begin, and
    /// so holds no slot and no lock while the disk hangs.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.handle.withdraw(self.registered.entry.id());
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(crate) fn hash(&self, path: &ObjectPath) -> ObjectHash {
        self.core.devices.disk().hash_path().hash(path)
    }

    /// Where an object of the session's partition is.
    pub(crate) fn location(&self, hash: ObjectHash) -> Location {
        Location { policy: self.open.partition.policy, partition: self.open.partition.partition, hash }
    }

    /// Refuses an object that is not of the session's partition.
    pub(crate) fn check_hash(&self, hash: &ObjectHash) -> Result<(), Refusal> {
        self.core.check_hash(&self.open.partition, hash)
    }

    /// The session's fragment, where the policy has fragments.
    pub(crate) fn fragment(&self) -> Option<FragmentIndex> {
        self.is_erasure_coded().then_some(self.open.partition.fragment).flatten()
    }

    pub(crate) fn is_erasure_coded(&self) -> bool {
        self.core.is_coded(self.open.partition.policy)
    }

    /// Whether this device answers for the partition, by the ring as it is now. Without a ring it does not.
    pub(crate) fn is_primary(&self) -> bool {
        let at = &self.open.partition;
        self.core.placement.is_primary(at.policy, at.partition, &at.device) == Some(true)
    }

    /// Whether what is found here may license the sender to remove its copy (rule S6): where this node is no primary, two
    /// handoffs with different rings could each count on the other. In a session by Swift's rules they cannot, for both
    /// nodes hold their partition locks: this one while the session lasts, the sender until it has removed.
    pub(crate) fn may_license(&self) -> bool {
        self.is_primary() || self.open.protocol == SessionProtocol::Ssync
    }

    /// The outcome of an update, of which it licenses only what it may. What was stored only now is new to whatever this program
    /// removes here, but not to a stock replicator on the same device: with rsync it asks nobody and heeds no lock of the
    /// sender's, so it may bring the object back to the sender, who has it, and remove it here.
    pub(crate) fn license(&self, outcome: Outcome) -> Outcome {
        let may_remove = matches!(self.open.sender.job, Job::Revert | Job::Unknown);
        if outcome.is_safe() && may_remove && !self.may_license() { Outcome::NotPrimary } else { outcome }
    }

    /// Counts an outcome.
    pub(crate) fn count(&self, outcome: &Outcome) {
        let (session, node) = (&self.registered.entry, &self.core.counters);
        let counters = match outcome {
            Outcome::Applied | Outcome::AppliedUnflushed => [&session.applied, &node.updates_applied],
            Outcome::Confirmed => [&session.confirmed, &node.updates_confirmed],
            Outcome::Superseded(_) => [&session.superseded, &node.updates_superseded],
            Outcome::Failed(_) => [&session.failed, &node.updates_failed],
            Outcome::NotFound | Outcome::NotPrimary => return,
        };
        counters.iter().for_each(|counter| counter.add(1));
        if let Outcome::Failed(refusal) = outcome {
            node.failed.add(refusal.reason);
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        self.registered.entry.summary()
    }

    /// Whether the device went away under the session.
    pub(crate) fn ends_session(outcome: &Outcome) -> Option<Refusal> {
        match outcome {
            Outcome::Failed(refusal) if refusal.reason == Reason::DeviceUnmounted => Some(refusal.clone()),
            _ => None,
        }
    }
}
