//! Says in words what the answers mean, and what to do.

use std::{collections::BTreeSet, time::Duration};

use ssync_ring::PolicyKind;
use ssync_types::{Partition, PolicyIndex, Timestamp};

use super::{Answer, Copy, Seen, coded, replicated};

/// Where the object belongs, and by which rules.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) policy: PolicyIndex,
    pub(crate) kind: PolicyKind,
    pub(crate) partition: Partition,
    /// How old a tombstone gets before it is removed.
    pub(crate) reclaim_age: Duration,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

/// What the answers mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// In one sentence.
    pub(crate) summary: String,
    /// Nothing when all is well.
    pub(crate) problems: Vec<Problem>,
    /// What is worth knowing, and no fault.
    pub(crate) notes: Vec<String>,
    /// Whether any device has anything of the object.
    pub(crate) found: bool,
}

impl Diagnosis {
    pub(super) fn new(summary: String) -> Self {
        Self { summary, problems: Vec::new(), notes: Vec::new(), found: true }
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn problem(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { what: what.into(), remedy: remedy.into() });
    }
}

/// A version: a body or a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) at: Timestamp,
    /// Of one time a tombstone wins (rule S5).
    pub(super) is_tombstone: bool,
}

impl Version {
    pub(super) fn data(at: Timestamp) -> Self {
        Self { at, is_tombstone: false }
    }

    fn of(answer: &Answer) -> Option<Self> {
        match answer {
            Answer::Data(copy) => Some(Self::data(copy.data)),
            Answer::Tombstone(at) => Some(Self { at: *at, is_tombstone: true }),
            Answer::Nothing | Answer::Failed(_) => None,
        }
    }
}

/// What the answers mean at the time `now`.
pub(crate) fn diagnose(place: &Place, seen: &[Seen], now: Timestamp) -> Diagnosis {
    let newest = seen.iter().filter_map(|seen| Version::of(&seen.answer)).max();
    let mut diagnosis = match (newest, &place.kind) {
        (None, _) => nothing(seen),
        (Some(newest), _) if newest.is_tombstone => deleted(place, seen, newest.at, now),
        (Some(newest), PolicyKind::Replication) => replicated::stored(place, seen, newest.at),
        (Some(_), PolicyKind::ErasureCoding { data, parity, .. }) => {
            coded::stored(seen, usize::from(*data), usize::from(*parity))
        }
    };
    for Seen { site, answer } in seen {
        if let Answer::Failed(why) = answer {
            diagnosis.problem(
                format!("{site} ({}) {why}", site.role),
                "what it holds is not known; look at that node and its device, then ask again",
            );
        }
    }
    let expired = newest_copy(seen).and_then(|copy| copy.delete_at).filter(|&at| at <= now.seconds());
    if let Some(at) = expired {
        diagnosis.notes.push(format!(
            "it expired at {}: clients get 404, and swift-object-expirer will delete it",
            Timestamp::from_seconds(at).utc()
        ));
    }
    diagnosis
}

fn newest_copy(seen: &[Seen]) -> Option<&Copy> {
    let copies = seen.iter().filter_map(|seen| match &seen.answer {
        Answer::Data(copy) => Some(&**copy),
        _ => None,
    });
    copies.max_by_key(|copy| (copy.data, copy.newest))
}

fn nothing(seen: &[Seen]) -> Diagnosis {
    let answered = seen.iter().filter(|seen| !matches!(seen.answer, Answer::Failed(_))).count();
    let mut diagnosis = Diagnosis::new(match answered {
        0 => "no device answered".to_owned(),
        _ => format!("none of the {answered} devices that answered has it, or a tombstone of it"),
    });
    diagnosis.found = false;
    if answered > 0 {
        diagnosis.problem(
            "it was never stored by this name in this policy, or its tombstone is gone by now, or every copy is lost",
            "compare the name and --policy with the container's listing; ask more devices with --handoffs all",
        );
    }
    diagnosis
}

fn deleted(place: &Place, seen: &[Seen], at: Timestamp, now: Timestamp) -> Diagnosis {
    let primaries = || seen.iter().filter(|seen| seen.site.is_primary());
    let holds = |seen: &&Seen| seen.answer == Answer::Tombstone(at);
    let (have, all) = (primaries().filter(holds).count(), primaries().count());
    let mut diagnosis = Diagnosis::new(format!(
        "deleted at {} ({at}); the tombstone is on {have} of {all} primaries",
        at.utc()
    ));
    let old = at.age_at(now) >= place.reclaim_age;
    let source = primaries().find(holds).or_else(|| seen.iter().find(holds));
    for Seen { site, answer } in seen {
        match answer {
            Answer::Data(copy) => diagnosis.problem(
                format!(
                    "{site} ({}) still has the data of {}{}",
                    site.role,
                    copy.data.utc(),
                    if old {
                        ", and the tombstone is old enough to be reclaimed: the object can come back"
                    } else {
                        ""
                    }
                ),
                push_remedy(place, source, Some(site)),
            ),
            Answer::Tombstone(theirs) if *theirs < at => diagnosis.problem(
                format!("{site} ({}) has an older tombstone, of {}", site.role, theirs.utc()),
                push_remedy(place, source, Some(site)),
            ),
            Answer::Nothing if site.is_primary() && old => {}
            Answer::Nothing if site.is_primary() => diagnosis.problem(
                format!("{site} ({}) lacks the tombstone", site.role),
                push_remedy(place, source, Some(site)),
            ),
            Answer::Tombstone(_) if !site.is_primary() => {
                left_at_handoff(&mut diagnosis, place, site, "the tombstone");
            }
            _ => {}
        }
    }
    diagnosis
}

/// What a handoff has that its primaries should have.
pub(super) fn left_at_handoff(diagnosis: &mut Diagnosis, place: &Place, site: &super::Site, what: &str) {
    diagnosis.problem(
        format!("{site} ({}) holds {what}, which its replicator has not brought home", site.role),
        format!("on its node: {}", push_command(place, site.device.as_str(), None)),
    );
}

/// How the copy of `source` gets to another device.
pub(super) fn push_remedy(place: &Place, source: Option<&Seen>, to: Option<&super::Site>) -> String {
    match (source, &place.kind) {
        (Some(source), PolicyKind::Replication) => {
            let to = to.filter(|site| site.is_primary());
            format!(
                "on the node of {}: {}",
                source.site,
                push_command(place, source.site.device.as_str(), to.map(super::Site::target).as_deref())
            )
        }
        _ => "swift-object-reconstructor on a primary's node brings it there".to_owned(),
    }
}

fn push_command(place: &Place, device: &str, to: Option<&str>) -> String {
    let mut command =
        format!("ssync push --device {device} --partition {} --policy {}", place.partition, place.policy);
    if let Some(to) = to {
        command.push_str(&format!(" --to {to}"));
    }
    command
}

/// Etags of one version that are not one.
pub(super) fn mixed_etags(diagnosis: &mut Diagnosis, seen: &[Seen], at: Timestamp) {
    let of_version = |seen: &&Seen| matches!(&seen.answer, Answer::Data(copy) if copy.data == at);
    let etags: BTreeSet<(&str, Option<u64>)> = seen
        .iter()
        .filter(of_version)
        .filter_map(|seen| match &seen.answer {
            Answer::Data(copy) => Some((copy.etag.as_str(), copy.bytes)),
            _ => None,
        })
        .collect();
    if etags.len() < 2 {
        return;
    }
    let named: Vec<String> = etags
        .iter()
        .map(|(etag, bytes)| {
            let holders = seen.iter().filter(of_version).filter(|seen| {
                matches!(&seen.answer, Answer::Data(copy) if copy.etag == *etag && copy.bytes == *bytes)
            });
            let holders: Vec<String> = holders.map(|seen| seen.site.to_string()).collect();
            format!("{etag} ({} bytes) on {}", bytes.unwrap_or_default(), holders.join(" and "))
        })
        .collect();
    diagnosis.problem(
        format!("mixed etags at the same timestamp: {}", named.join("; ")),
        "no replicator can tell which is right, and none will mend it: read each copy, and store the right one again",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::testing::{at, data, failed, handoff, place, primary, tombstone};

    fn problems(seen: &[Seen]) -> (String, Vec<String>) {
        let diagnosis = diagnose(&place(), seen, at(1000));
        (diagnosis.summary, diagnosis.problems.into_iter().map(|problem| problem.what).collect())
    }

    #[test]
    fn a_deletion_that_all_know_is_well() {
        let seen = [primary(0, tombstone(10)), primary(1, tombstone(10)), handoff(0, Answer::Nothing)];
        let (summary, found) = problems(&seen);
        assert!(summary.contains("on 2 of 2 primaries") && found.is_empty(), "{summary} {found:?}");
    }

    #[test]
    fn a_deletion_that_some_lack_is_told_of_each() {
        let seen = [
            primary(0, tombstone(10)),
            primary(1, Answer::Nothing),
            primary(2, data(10)),
            handoff(0, tombstone(10)),
            handoff(1, data(5)),
        ];
        let (summary, found) = problems(&seen);
        assert!(summary.contains("deleted at ") && summary.contains("on 1 of 3"), "{summary}");
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains("d1 of 10.0.0.1:6200 (primary 1) lacks the tombstone"), "{found:?}");
        assert!(
            found[1].contains("d2") && found[1].contains("still has the data"),
            "of one time the tombstone wins"
        );
        assert!(found[2].contains("has not brought home"), "{found:?}");
    }

    #[test]
    fn an_old_tombstone_may_be_gone_unless_data_is_left() {
        let week = place().reclaim_age.as_secs();
        let late = at(10 + week);
        let seen = [primary(0, tombstone(10)), primary(1, Answer::Nothing)];
        assert!(diagnose(&place(), &seen, late).is_healthy());
        assert!(!diagnose(&place(), &seen, at(9 + week)).is_healthy());
        let seen = [primary(0, tombstone(10)), primary(1, data(5))];
        let diagnosis = diagnose(&place(), &seen, late);
        assert!(diagnosis.problems[0].what.contains("can come back"), "{diagnosis:?}");
    }

    #[test]
    fn nobody_has_it() {
        let diagnosis = diagnose(&place(), &[primary(0, Answer::Nothing), primary(1, failed())], at(1000));
        assert!(!diagnosis.found && diagnosis.problems.len() == 2, "{diagnosis:?}");
        assert!(diagnosis.summary.contains("none of the 1 devices"), "{diagnosis:?}");
        let diagnosis = diagnose(&place(), &[primary(0, failed())], at(1000));
        assert_eq!(diagnosis.summary, "no device answered");
    }
}
