//! What the replicator asks of another node, whatever that node speaks: hashes, and a session that takes offers and
//! answers with verdicts.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use ssync_diskfile::LocalObject;
use ssync_protocol::removal::PeerIndex;
use ssync_types::{DeviceName, Offer, Outcome, PartitionRef, Reason, Refusal, Sender, SuffixHashes, Want};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{backlog::Visit, listing::SLICE_OBJECTS_MAX, parked::ParkedHere, source::Source};

/// Most batches of offers under way to one session.
pub(crate) const OFFER_QUEUE_MAX: usize = 2;
/// Most batches of verdicts under way to the job.
pub(crate) const VERDICT_QUEUE_MAX: usize = 16;

/// A device of a ring, as a goal of replication.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The replication address: an IP address or a host name.
    pub ip: String,
    /// The replication port.
    pub port: u16,
    /// The device there.
    pub device: DeviceName,
    /// The device's region.
    pub region: u32,
    /// What the ring says of the device in free text.
    pub meta: String,
}

impl Target {
    /// `ip:port`, with brackets around an IPv6 address.
    #[must_use]
    pub fn address(&self) -> String {
        match self.ip.contains(':') {
            true => format!("[{}]:{}", self.ip.trim_matches(['[', ']']), self.port),
            false => format!("{}:{}", self.ip, self.port),
        }
    }
}

/// Swift: common/utils node_to_string.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.device)
    }
}

/// What a session is opened for.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The partition at the peer.
    pub partition: PartitionRef,
    /// Who pushes, and why.
    pub sender: Sender,
    /// A digest of our ring.
    pub ring_digest: Option<Vec<u8>>,
    /// Where the objects are read.
    pub source: Source,
    /// Which of them have failed before.
    pub parked: ParkedHere,
    /// What is found and stored, and where the time goes.
    pub(crate) visit: Visit,
    /// Whether it waits for its turn at a peer that is full of this node's sessions. Who holds sessions with others does not:
    /// they may be what those there wait for.
    pub patient: bool,
    /// When this is cancelled, the push ends with the object that it is at.
    pub stop: CancellationToken,
}

/// How far a push goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushMode {
    /// Send what the peer lacks.
    Update,
    /// Send what the peer lacks, and ask it to answer for every object.
    UpdateAndConfirm,
    /// Send nothing; ask the peer to answer for what it has.
    ConfirmOnly,
}

impl PushMode {
    pub(crate) fn updates(self) -> bool {
        self != Self::ConfirmOnly
    }

    pub(crate) fn confirms(self) -> bool {
        self != Self::Update
    }
}

/// Objects to offer, shared by the sessions of a job.
pub type OfferBatch = Arc<Vec<LocalObject>>;

/// A peer's answer for one version of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The version that the answer is for.
    pub offer: Offer,
    /// The answer.
    pub outcome: Outcome,
}

/// Where a session's verdicts go.
#[derive(Debug, Clone)]
pub struct Verdicts {
    pub(crate) peer: PeerIndex,
    pub(crate) to: mpsc::Sender<(PeerIndex, Vec<Verdict>)>,
}

impl Verdicts {
    /// Hands verdicts to the job. That it does not listen any more is its own affair.
    pub async fn send(&self, verdicts: Vec<Verdict>) {
        if !verdicts.is_empty() {
            let _ = self.to.send((self.peer, verdicts)).await;
        }
    }
}

/// What a push amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Objects offered.
    pub offered: u64,
    /// Objects of which the peer wanted something.
    pub wanted: u64,
    /// Objects that the peer stored.
    pub objects: u64,
    /// Bytes of bodies that it stored.
    pub bytes: u64,
    /// Objects that it could not store or answer for.
    pub failed: u64,
    /// Objects that were wanted but not there any more, not readable, or parked (rule S4: not in sync).
    pub skipped: u64,
    /// Of these, objects that were not tried, because they have failed before.
    pub parked: u64,
    /// It was told to stop before all was sent.
    pub stopped: bool,
}

impl Pushed {
    /// Counts another push to the same peer.
    pub fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.wanted += other.wanted;
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.parked += other.parked;
        self.stopped |= other.stopped;
    }

    /// Why it is not complete, where that is no refusal.
    pub(crate) fn shortfall(&self) -> Refusal {
        let Self { failed, skipped, parked, .. } = self;
        let message = format!("{failed} objects failed, {skipped} were not sent, {parked} of these parked");
        Refusal::new(Reason::ObjectIo, message)
    }

    /// Whether everything that was wanted has arrived.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.failed == 0 && self.skipped == 0 && !self.stopped
    }
}

/// Why a push broke off, and whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The peer refused, or is gone.
    #[error("{0}")]
    Peer(#[from] Refusal),
    /// This node's own device could not be read.
    #[error("the device here could not be read: {0}")]
    Here(Refusal),
}

/// A device of another node.
#[async_trait]
pub trait Peer: Send + Sync {
    /// The hashes of a partition's suffixes there.
    async fn suffix_hashes(&self, partition: &PartitionRef) -> Result<SuffixHashes, Refusal>;

    /// What the peer lacks of these objects, one answer at the end. A question only: it stores nothing there.
    async fn lacking(&self, partition: &PartitionRef, objects: OfferBatch) -> Result<Vec<Want>, Refusal>;

    /// Opens a session. Tried once: a busy peer is a refusal that says when to come back.
    async fn open(&self, errand: Errand) -> Result<Box<dyn PushSession>, Refusal>;
}

/// A session with a peer, admitted there.
#[async_trait]
pub trait PushSession: Send {
    /// Objects that are best offered in one session of which each is to be answered for. Fewer than a slice where the
    /// answers come at its end alone, and with them the space of a handoff.
    fn confirmable_max(&self) -> u64 {
        SLICE_OBJECTS_MAX
    }

    /// Offers all that comes, sends what is wanted, and in a mode that confirms passes on the verdicts on every object. The
    /// end of `offers` is the orderly end.
    async fn push(
        self: Box<Self>,
        mode: PushMode,
        offers: mpsc::Receiver<OfferBatch>,
        verdicts: Verdicts,
    ) -> Result<Pushed, PushError>;
}

/// Finds out how to talk to a device.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// A way to the device.
    async fn find(&self, target: &Target) -> Result<Arc<dyn Peer>, Refusal>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_device_as_swift_does() {
        let target = |ip: &str| Target {
            ip: ip.into(),
            port: 6200,
            device: "sdb1".parse().unwrap(),
            region: 1,
            meta: String::new(),
        };
        assert_eq!(target("10.0.0.1").to_string(), "10.0.0.1:6200/sdb1");
        assert_eq!(target("fd00::1").to_string(), "[fd00::1]:6200/sdb1");
    }
}
