//! One partition of one local device, and what is to be done with it.

mod handoff;
mod look;
mod primary;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use ssync_store::Store;
use ssync_types::{DeviceName, Partition, PartitionRef, PolicyIndex, Primary, ReleaseOpen, Sender};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub(crate) use primary::differing;

use crate::{
    backlog::{Backlog, Visit},
    claims::Claims,
    config::ReplicatorConfig,
    failures::Failures,
    gates::{Blocked, Gates, Stage},
    parked::Parked,
    pauses::Pauses,
    peer::{Errand, Peers, Target},
    places::Places,
    progress::Meter,
    schedule::Scheduled,
    shuffle::Shuffle,
    source::{LocalDevice, Source},
    spent::{Share, Spender},
    tally::Tally,
};

/// How often a job comes back to busy peers before it counts as failed.
const COME_BACK_MAX: u32 = 100;
/// The shortest wait grows to this while peers stay busy.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// When to come back to a partition that another job works on.
const CLAIMED_RETRY: Duration = Duration::from_millis(500);

/// A partition is listed in one of so many passes.
const LISTING_PASSES: u64 = 10;

/// What all jobs of a pass share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) config: ReplicatorConfig,
    pub(crate) local: Arc<dyn Store>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) parked: Parked,
    /// What was paused: of that nothing is begun.
    pub(crate) pauses: Pauses,
    /// Where it is told what failed.
    pub(crate) failures: Failures,
    /// How many jobs there may be at once.
    pub(crate) workers: Arc<AtomicUsize>,
    pub(crate) handoff_delete: Option<usize>,
    /// Where the jobs count.
    pub(crate) meter: Meter,
    pub(crate) drain: CancellationToken,
    /// Counts passes, from anywhere.
    pub(crate) cycle: u64,
    /// The partitions that are worked on: one job each.
    pub(crate) claims: Claims,
    /// What is pending, over all passes.
    pub(crate) backlog: Backlog,
    /// Whether visits are those of a pass, and not on demand.
    pub(crate) counts: bool,
    /// The seed of the pass: it gives the order of partitions, and of the peers of each.
    pub(crate) seed: u64,
}

impl Context {
    /// Whether this pass looks for suffixes of the partition that nobody has reported: each tenth pass does, and which one
    /// it is depends on the partition (Swift: replicator.py update, `do_listdir`).
    pub(crate) fn lists(&self, partition: Partition) -> bool {
        u64::from(partition.get()).wrapping_add(self.cycle).is_multiple_of(LISTING_PASSES)
    }
}

/// Why this device holds the partition.
#[derive(Debug)]
pub(crate) enum Kind {
    /// It is one of the partition's primaries.
    Primary(primary::Round),
    /// It is not: the partition is to go home.
    Handoff,
}

impl Kind {
    /// A primary that has asked nobody yet.
    pub(crate) fn primary() -> Self {
        Self::Primary(primary::Round::default())
    }
}

/// A partition to replicate.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) policy: PolicyIndex,
    pub(crate) partition: Partition,
    pub(crate) device: DeviceName,
    pub(crate) local: LocalDevice,
    /// The region of this device.
    pub(crate) region: u32,
    pub(crate) kind: Kind,
    /// The primaries, without this device. Never empty for a handoff.
    pub(crate) targets: Vec<Target>,
    pub(crate) places: Arc<Places>,
    /// How often it was put back.
    pub(crate) returns: u32,
    /// Why it was put back the last time: the peer, and what is waited for there.
    pub(crate) waits_for: Option<(Target, Spender)>,
    /// It was a handoff's, and is not here any more.
    pub(crate) gone: bool,
    /// It is for some of its targets only, and nobody stands in for them.
    pub(crate) limited: bool,
}

impl Scheduled for Job {
    fn device(&self) -> &DeviceName {
        &self.device
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// It is done with, well or not; its counts say which.
    Done,
    /// A peer is busy: others first, and again after this.
    ComeBack(Duration),
}

impl Job {
    /// The same job for these targets alone. Who asks one primary alone lets go of nothing (rule S2): a handoff becomes one
    /// that compares and pushes.
    pub(crate) fn limited_to(self, targets: Vec<Target>) -> Self {
        Self { kind: Kind::primary(), targets, limited: true, ..self }
    }

    /// Where the job stands in the order of a pass: another place for each seed, the same on each device that has the
    /// partition only by chance.
    pub(crate) fn order_key(&self, seed: u64) -> u64 {
        let words = [u64::from(self.policy.get()), u64::from(self.partition.get())];
        let device = self.device.as_str().bytes().map(u64::from);
        words.into_iter().chain(device).fold(seed, |key, word| Shuffle::seeded(key ^ word).next())
    }

    /// Whether it would only wait for peers if it were begun now. A primary can begin with any of those that are left; a
    /// handoff needs the answers of all. Nobody waits for a peer that was given up.
    pub(crate) fn blocked(&self, gates: &Gates) -> Option<Blocked> {
        match &self.kind {
            Kind::Handoff => self.targets.iter().find_map(|target| gates.blocks(target, Stage::Session)),
            Kind::Primary(round) => {
                let mut first = None;
                for target in round.left(&self.targets) {
                    let blocked = gates.blocks(target, self.stage())?;
                    first.get_or_insert(blocked);
                }
                first
            }
        }
    }

    pub(crate) fn is_handoff(&self) -> bool {
        matches!(self.kind, Kind::Handoff)
    }

    /// What it needs of a peer: who was put back has found something to send.
    fn stage(&self) -> Stage {
        if self.returns > 0 { Stage::Session } else { Stage::Hashes }
    }

    /// It is about to be begun: the peers that it visits first keep a place for it.
    pub(crate) fn announce(&mut self, gates: &Gates) {
        let stage = self.stage();
        match &mut self.kind {
            Kind::Handoff => self.targets.iter().for_each(|target| gates.expect(target)),
            Kind::Primary(round) => round.announce(&mut self.targets, |target| {
                let open = gates.blocks(target, stage).is_none();
                if open {
                    gates.expect(target);
                }
                open
            }),
        }
    }

    /// Peers are visited in an order that the seed gives, so that not all nodes begin with the same.
    pub(crate) fn shuffle_targets(&mut self, seed: u64) {
        if let Kind::Primary(_) = self.kind {
            Shuffle::seeded(self.order_key(seed)).shuffle(&mut self.targets);
        }
    }

    /// Does the job, as far as it can be done now.
    pub(crate) async fn run(&mut self, context: &Context) -> JobEnd {
        let Some(_claim) = context.claims.claim(&self.at(&self.device)) else {
            self.local.pulse().beat();
            return JobEnd::ComeBack(CLAIMED_RETRY);
        };
        let span = tracing::info_span!(
            "replicate",
            device = %self.device,
            partition = self.partition.get(),
            policy = self.policy.get(),
            handoff = self.is_handoff(),
        );
        let end = match context.pauses.begin(&self.device, &context.drain) {
            None => look::run(self, context, false).instrument(span).await,
            Some(begun) => {
                let own = Context { drain: begun.stop.clone(), ..context.clone() };
                let end = match self.kind {
                    Kind::Primary(_) => primary::run(self, &own).instrument(span.clone()).await,
                    Kind::Handoff => handoff::run(self, &own).instrument(span.clone()).await,
                };
                // Of a handoff that was let go nothing is left to look at.
                match !self.gone && begun.was_paused(&context.drain) {
                    true => look::run(self, context, true).instrument(span).await,
                    false => end,
                }
            }
        };
        if let JobEnd::ComeBack(_) = end {
            self.returns += 1;
            self.tally(context).count(|stats| stats.put_back += 1);
        }
        end
    }

    /// Where it counts.
    fn tally(&self, context: &Context) -> Tally {
        context.meter.of(&self.device)
    }

    /// When to come back to a busy peer: not before it said, later each time, and not for ever.
    fn come_back(&self, asked: Duration) -> Option<Duration> {
        let own = Duration::from_millis(50 << self.returns.min(7));
        (self.returns < COME_BACK_MAX).then(|| asked.max(own).min(asked.max(DELAY_MAX)))
    }

    /// What is done for this device alone.
    fn share(&self, spender: Spender) -> Share {
        Share { spender, peer: None, device: Some(self.device.clone()) }
    }

    pub(crate) fn source(&self) -> Source {
        Source::new(self.local.clone(), self.policy, self.partition)
    }

    /// The partition on a device; it is the same on all.
    pub(crate) fn at(&self, device: &DeviceName) -> PartitionRef {
        PartitionRef {
            device: device.clone(),
            partition: self.partition,
            policy: self.policy,
            fragment: None,
        }
    }

    /// Locks this handoff's partition, to let go of what its primaries answer for. Their places are those of the targets.
    fn release(&self) -> ReleaseOpen {
        let primary =
            |target: &Target| Primary { address: target.address(), device: target.device.to_string() };
        ReleaseOpen {
            partition: self.at(&self.device),
            ring_digest: Some(self.places.digest()),
            primaries: self.targets.iter().take(ReleaseOpen::PRIMARIES_MAX).map(primary).collect(),
        }
    }

    /// It waits for its turn at the peer; who holds sessions with others sets that right.
    fn errand(&self, target: &Target, context: &Context, visit: Visit, job: ssync_types::Job) -> Errand {
        Errand {
            partition: self.at(&target.device),
            sender: Sender {
                address: format!("{}:{}", context.config.own_ip(), context.config.bind_port),
                device: self.device.to_string(),
                job,
                agent: context.config.agent.clone(),
            },
            ring_digest: Some(self.places.digest()),
            source: self.source(),
            parked: context.parked.at(&self.at(&self.device), &target.to_string()),
            visit,
            patient: true,
            stop: context.drain.clone(),
        }
    }
}
