//! The shipped removal machine, as the model asks it.

use ssync_types::{ObjectHash, ObjectKind, Offer, Outcome, Reason, Refusal, Timestamp};

use super::{
    directory::{Names, Version},
    scope::{Nodes, each},
    state::{Answer, Listed, Model, Progress},
};
use crate::{
    LocalState, LocalVersion,
    removal::{PeerIndex, Quorum, Step, Unsynced},
};

/// A time of the model. Bit 0 is not the beginning of time.
pub(super) fn timestamp(time: u8) -> Timestamp {
    Timestamp::from_seconds(100 + u64::from(time))
}

/// What is told of an object's version; to a peer by SSYNC not what kind it is of.
pub(super) fn offer(object: usize, version: Version, by_ssync: bool) -> Offer {
    let hash = ObjectHash::from_bytes([object as u8; 16]);
    let kind = match version {
        Version::Data { .. } => ObjectKind::Data,
        Version::Tombstone(_) => ObjectKind::Tombstone,
    };
    let mut offer = Offer::of_one_time(hash, timestamp(version.time()), (!by_ssync).then_some(kind));
    if let Version::Data { metadata, .. } = version {
        offer.metadata = timestamp(metadata);
    }
    offer
}

/// A directory, as the shipped decision sees it.
pub(super) fn local(names: Names) -> LocalState {
    match names.version() {
        None => LocalState::nothing(),
        Some(Version::Tombstone(time)) => LocalState::of(LocalVersion::Tombstone(timestamp(time))),
        Some(Version::Data { data, metadata }) => LocalState::of(LocalVersion::Data {
            data: timestamp(data),
            metadata: timestamp(metadata),
            content_type: timestamp(data),
        }),
    }
}

impl Answer {
    fn outcome(self) -> Outcome {
        match self {
            Self::Applied => Outcome::Applied,
            Self::AppliedUnflushed => Outcome::AppliedUnflushed,
            Self::Confirmed => Outcome::Confirmed,
            Self::Superseded(time) => Outcome::Superseded(timestamp(time)),
            Self::NotFound => Outcome::NotFound,
            Self::NotPrimary => Outcome::NotPrimary,
            Self::Failed => Outcome::Failed(Refusal::new(Reason::ObjectIo, "broken")),
        }
    }

    pub(super) fn is_safe(self) -> bool {
        self.outcome().is_safe()
    }
}

fn place(targets: Nodes, node: usize) -> Option<PeerIndex> {
    PeerIndex::new(each(targets).position(|target| target == node)?)
}

impl Model {
    pub(super) fn quorum(&self, targets: Nodes) -> Option<Quorum> {
        let needed = if self.rules.every_primary { self.scope.handoff_delete } else { Some(1) };
        Quorum::of(targets.count_ones() as usize, needed)
    }

    /// Gives the machine an answer of `peer` about the version `answered`.
    pub(super) fn judge(
        &self,
        listed: &mut Listed,
        object: usize,
        targets: Nodes,
        peer: usize,
        answered: Version,
        answer: Answer,
    ) {
        let (Some(quorum), Some(index), Some(version)) =
            (self.quorum(targets), place(targets, peer), listed.names.version())
        else {
            return;
        };
        let own = offer(object, version, false);
        let about = if self.rules.same_version { offer(object, answered, false) } else { own.clone() };
        let outcome = match answer {
            Answer::AppliedUnflushed if !self.rules.unflushed_is_none => Outcome::Applied,
            answer => answer.outcome(),
        };
        listed.count += u8::from(outcome.is_safe() && about == own);
        let step = self.replay(listed, &own, targets, quorum).answer(index, &about, &outcome, quorum);
        listed.refused |= 1 << peer;
        if let Step::Waiting(waiting) = &step
            && waiting.confirmed_by().has(index)
        {
            listed.refused &= !(1 << peer);
            listed.confirmed |= 1 << peer;
        } else {
            listed.confirmed &= !(1 << peer);
        }
        listed.progress = match step {
            _ if !self.rules.once_each && usize::from(listed.count) >= quorum.needed() => {
                Progress::Releasable
            }
            Step::Waiting(_) => Progress::Offered,
            Step::Releasable(_) => {
                listed.refused &= !(1 << peer);
                listed.confirmed |= 1 << peer;
                Progress::Releasable
            }
            Step::Kept => Progress::Over,
        };
    }

    /// The machine with the answers that have come so far; their order is nothing to it before the end.
    fn replay(
        &self,
        listed: &Listed,
        offer: &Offer,
        targets: Nodes,
        quorum: Quorum,
    ) -> crate::removal::Offered {
        let mut machine = Unsynced::new(offer.clone(), Vec::new()).offered();
        let said = [(listed.confirmed, Answer::Confirmed), (listed.refused, Answer::Failed)];
        for (nodes, answer) in said {
            for index in each(nodes).filter_map(|node| place(targets, node)) {
                machine = match machine.answer(index, offer, &answer.outcome(), quorum) {
                    Step::Waiting(machine) => machine,
                    ended => panic!("it was waiting after these answers, and now it is {ended:?}"),
                };
            }
        }
        machine
    }
}
