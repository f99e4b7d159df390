//! Rules S2 and S6: what handoffs here have let go of, by their own record, held against the ring and against its primaries.

use std::{collections::BTreeSet, path::Path, time::Duration};

use ssync_diskfile::Device;
use ssync_ring::{Policy, Ring};
use ssync_tls::Tls;
use ssync_types::{Certainty, ObjectKind, Removal, Timestamp};

use super::{Finding, Findings};
use crate::object::{Answer, HandoffChoice, Question, Seen, ask_all, sites};

/// Most removals of a device whose primaries are asked, beside the record's own word.
const ASKED_MAX: usize = 20;

/// How removals are judged.
pub(crate) struct Rules<'a> {
    pub(crate) policies: &'a [(&'a Policy, Ring)],
    /// How many primaries suffice (`handoff_delete`), where not all have to answer.
    pub(crate) enough: Option<usize>,
    pub(crate) reclaim_age: Duration,
    /// For each device that is asked; `None`: nobody is asked.
    pub(crate) limit: Option<Duration>,
    pub(crate) tls: Option<Tls>,
    /// How many removals of a device are judged by the record.
    pub(crate) most: usize,
    pub(crate) now: Timestamp,
}

/// What was judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// By the record alone.
    pub(crate) recorded: u64,
    /// By another ring than the present one: the number of answers alone could be judged.
    pub(crate) other_ring: u64,
    /// Of which the primaries were asked, and answered.
    pub(crate) asked: u64,
    /// Of which they could not be.
    pub(crate) unasked: u64,
}

impl Judged {
    pub(crate) fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.other_ring += other.other_ring;
        self.asked += other.asked;
        self.unasked += other.unasked;
    }
}

/// Judges the latest removals of a device; `root` is its directory.
pub(crate) async fn judge_removals(device: &Device, root: &Path, rules: &Rules<'_>) -> (Judged, Findings) {
    let (mut judged, mut findings) = (Judged::default(), Findings::default());
    let log = root.join("removal-log").display().to_string();
    let (removals, odd) = match device.latest_removals(rules.most) {
        Ok(read) => read,
        Err(error) => {
            findings.add(Finding::wrong(
                "S2",
                log,
                format!("the record of what was let go of cannot be read: {error}"),
                "look at the disk; nothing is let go of by it, but where objects went is not known",
            ));
            return (judged, findings);
        }
    };
    if odd > 0 {
        findings.add(Finding::notice(
            "S2",
            log.clone(),
            format!("has lines that are not understood: {odd}"),
            "see whether somebody else writes there, or whether a newer ssync did",
        ));
    }
    let mut asked = 0;
    for removal in &removals {
        let Some((_, ring)) = rules.policies.iter().find(|(policy, _)| policy.index == removal.policy) else {
            continue;
        };
        judged.recorded += 1;
        if let Some(finding) = by_record(removal, ring, rules, &log, &mut judged) {
            findings.add(finding);
        }
        if let Some(limit) = rules.limit.filter(|_| asked < ASKED_MAX && can_be_asked(removal, rules)) {
            asked += 1;
            match at_primaries(removal, ring, rules, limit).await {
                Some(true) => judged.asked += 1,
                None => judged.unasked += 1,
                Some(false) => {
                    judged.asked += 1;
                    findings.add(lost(removal, &log));
                }
            }
        }
    }
    (judged, findings)
}

/// Whether those who answered were enough, and were primaries.
pub(super) fn by_record(
    removal: &Removal,
    ring: &Ring,
    rules: &Rules<'_>,
    log: &str,
    judged: &mut Judged,
) -> Option<Finding> {
    let primaries: BTreeSet<(String, String)> = ring
        .primaries(removal.partition)
        .iter()
        .map(|primary| {
            let device = primary.device;
            let target = ssync_replicator::Target::from(device);
            (target.address(), device.device.to_string())
        })
        .collect();
    let needed = rules.enough.map_or(primaries.len(), |enough| enough.min(primaries.len()));
    let answered: BTreeSet<(String, String)> = removal
        .confirmed_by
        .iter()
        .map(|(primary, _)| (primary.address.clone(), primary.device.clone()))
        .collect();
    let same_ring = removal.ring_digest.as_deref() == Some(ring.digest().as_slice());
    let counted = if same_ring { answered.intersection(&primaries).count() } else { answered.len() };
    judged.other_ring += u64::from(!same_ring);
    let rule = if same_ring { "S2" } else { "S6" };
    (counted < needed).then(|| {
        Finding::wrong(
            rule,
            format!("{log}, {}", removal.at.normal()),
            format!(
                "{} of partition {} was let go of by {} on the word of {}, and {needed} have to answer{}",
                removal.offer.hash,
                removal.partition,
                removal.device,
                crate::figures::counted(counted as u64, "primary"),
                if same_ring { "" } else { " (it was another ring than now: only their number was judged)" }
            ),
            format!(
                "ssync object {} --policy {} --handoffs all tells where it is; if handoff_delete was set then, that was its price",
                removal.path.as_ref().map_or_else(|| removal.offer.hash.to_string(), ToString::to_string),
                removal.policy
            ),
        )
    })
}

/// Whose name is on record, and whose tombstone cannot have been forgotten since.
fn can_be_asked(removal: &Removal, rules: &Rules<'_>) -> bool {
    let is_old = |at: Timestamp| at.age_at(rules.now) > rules.reclaim_age;
    let forgotten = removal.offer.kind != Some(ObjectKind::Data) && is_old(removal.offer.data);
    removal.certainty == Certainty::Removed && removal.path.is_some() && !is_old(removal.at) && !forgotten
}

/// Whether anybody who has to have it has it now, or something newer, or a tombstone. `None`: not all could be asked.
async fn at_primaries(removal: &Removal, ring: &Ring, rules: &Rules<'_>, limit: Duration) -> Option<bool> {
    let question = Question {
        path: removal.path.clone()?,
        policy: removal.policy,
        partition: removal.partition,
        limit,
        tls: rules.tls.clone(),
    };
    for handoffs in [HandoffChoice::Some(0), HandoffChoice::AsMany] {
        let seen = ask_all(&question, sites(ring, removal.partition, handoffs)).await;
        match has_it(removal, &seen) {
            Some(false) => {}
            answer => return answer,
        }
    }
    Some(false)
}

pub(super) fn has_it(removal: &Removal, seen: &[Seen]) -> Option<bool> {
    let version = removal.offer.data;
    let has = |seen: &Seen| match &seen.answer {
        Answer::Data(copy) => copy.data >= version,
        Answer::Tombstone(at) => *at >= version,
        Answer::Nothing | Answer::Failed(_) => false,
    };
    if seen.iter().any(has) {
        return Some(true);
    }
    (!seen.iter().any(|seen| matches!(seen.answer, Answer::Failed(_)))).then_some(false)
}

fn lost(removal: &Removal, log: &str) -> Finding {
    let name = removal.path.as_ref().map(ToString::to_string).unwrap_or_default();
    let by: Vec<String> = removal
        .confirmed_by
        .iter()
        .map(|(primary, _)| format!("{}/{}", primary.address, primary.device))
        .collect();
    Finding::wrong(
        "S2",
        format!("{log}, {}", removal.at.normal()),
        format!(
            "{name} ({}) was let go of here on the word of {}, and none of its primaries or first handoffs has that version, a newer \
             one, or a tombstone",
            removal.offer.hash,
            by.join(" and ")
        ),
        format!(
            "ssync object {name} --policy {} --handoffs all; look into quarantined/ and the kernel's log of those nodes",
            removal.policy
        ),
    )
}
