//! What the answers mean, and what to do.

use std::collections::{BTreeMap, BTreeSet};

use ssync_types::{Partition, PolicyIndex, Suffix, SuffixHash};

use super::{Busy, Replica, State};
use crate::{figures, object::Problem};

/// What the answers mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// In one sentence.
    pub(crate) summary: String,
    /// Nothing when all is well.
    pub(crate) problems: Vec<Problem>,
    /// What is worth knowing, and no fault.
    pub(crate) notes: Vec<String>,
    /// For each replica, in how many suffixes it differs from what most primaries have.
    pub(crate) differing: Vec<Option<u64>>,
    /// Whether any device has anything of it.
    pub(crate) found: bool,
}

impl Diagnosis {
    pub(crate) fn is_healthy(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { what: what.into(), remedy: remedy.into() });
    }
}

/// What the answers mean.
pub(crate) fn diagnose(
    policy: PolicyIndex,
    partition: Partition,
    replicas: &[Replica],
    busy: &Busy,
) -> Diagnosis {
    let primaries: Vec<&Replica> = replicas.iter().filter(|replica| replica.is_primary()).collect();
    let answered = primaries.iter().filter(|replica| replica.told().is_some()).count();
    let expected = expected(&primaries);
    let mut diagnosis = Diagnosis {
        found: replicas.iter().any(|replica| replica.told().is_some_and(|told| !told.hashes.is_empty())),
        differing: replicas.iter().map(|replica| differing(replica, &expected)).collect(),
        ..Diagnosis::default()
    };
    let equal = replicas
        .iter()
        .zip(&diagnosis.differing)
        .filter(|(replica, differs)| replica.is_primary() && **differs == Some(0));
    diagnosis.summary = match (answered, equal.count()) {
        (0, _) => "no primary answered".to_owned(),
        _ if !diagnosis.found => {
            "nobody has anything of it: no object was stored in it, or all are gone".to_owned()
        }
        (_, equal) => format!(
            "{equal} of {} primaries are equal in all {}",
            primaries.len(),
            figures::counted(expected.len() as u64, "suffix")
        ),
    };
    let command = |device: &str, to: Option<String>| {
        let to = to.map(|to| format!(" --to {to}")).unwrap_or_default();
        format!("ssync push --device {device} --partition {partition} --policy {policy}{to}")
    };
    // Who has what most have can give it to the others.
    let source = replicas.iter().zip(&diagnosis.differing).filter(|(_, differs)| **differs == Some(0));
    let source = source.map(|(replica, _)| replica).find(|replica| !replica.is_empty()).cloned();
    for (replica, differs) in replicas.iter().zip(diagnosis.differing.clone()) {
        match (&replica.state, differs) {
            (State::Failed(why), _) => diagnosis.problem(
                format!("{}: {why}", replica.name()),
                "what it holds is not known; look at that node and its device, then ask again",
            ),
            (State::Answered(told), Some(differs)) if differs > 0 => {
                let lacks = told.lacks.filter(|lacks| lacks.objects > 0).map(|lacks| {
                    format!("; it lacks {} that this node has", figures::counted(lacks.objects, "object"))
                });
                let remedy = match source.as_ref().filter(|source| source.target != replica.target) {
                    Some(source) => format!(
                        "on the node of {}: {}",
                        source.name(),
                        command(source.target.device.as_str(), Some(replica.target.to_string()))
                    ),
                    None => format!(
                        "primaries bring each other up to date: on the node of each, {}",
                        command("DEVICE", None)
                    ),
                };
                diagnosis.problem(
                    format!(
                        "{} differs in {} from what most have{}",
                        replica.name(),
                        figures::counted(differs, "suffix"),
                        lacks.unwrap_or_default()
                    ),
                    remedy,
                );
            }
            (State::Answered(told), None) if !told.hashes.is_empty() => diagnosis.problem(
                format!(
                    "{} holds {}, which its replicator has not brought home",
                    replica.name(),
                    figures::counted(told.hashes.len() as u64, "suffix")
                ),
                format!("on its node: {}", command(replica.target.device.as_str(), None)),
            ),
            _ => {}
        }
        for held in replica.told().and_then(|told| told.held).iter().filter(|held| held.unread > 0) {
            diagnosis.problem(
                format!("{} cannot read {}", replica.name(), figures::counted(held.unread, "object")),
                "look at the disk and its kernel log; ssync verify names them",
            );
        }
    }
    if diagnosis.differing.iter().flatten().any(|differs| *differs > 0) {
        diagnosis.notes.push(
            "what is being written now differs for a moment: ask again before anything else".to_owned(),
        );
    }
    if busy.parked > 0 {
        let objects = figures::counted(busy.parked, "object");
        let verb = if busy.parked == 1 { "is" } else { "are" };
        diagnosis.problem(
            format!("{objects} of it {verb} parked: pushed again and again without success"),
            "ssync status tells which, and why",
        );
    }
    diagnosis
}

/// For each suffix what most have of the primaries that have anything of it; `None` where as many have something else. Who has nothing
/// has no say: what was just written is on one of them.
fn expected(primaries: &[&Replica]) -> BTreeMap<Suffix, Option<SuffixHash>> {
    let told: Vec<_> = primaries.iter().filter_map(|replica| replica.told()).collect();
    let suffixes: BTreeSet<Suffix> = told.iter().flat_map(|told| told.hashes.keys().copied()).collect();
    let of = |suffix: Suffix| {
        let all: Vec<&SuffixHash> = told.iter().filter_map(|told| told.hashes.get(&suffix)).collect();
        let votes = |one: &SuffixHash| all.iter().filter(|other| same(Some(other), Some(one))).count();
        let best = all.iter().max_by_key(|one| votes(one))?;
        (votes(best) * 2 > all.len()).then(|| (*best).clone())
    };
    suffixes.into_iter().map(|suffix| (suffix, of(suffix))).collect()
}

/// Fragments differ from node to node; what all have in common is what is durable.
fn same(one: Option<&SuffixHash>, other: Option<&SuffixHash>) -> bool {
    match (one, other) {
        (Some(SuffixHash::Fragments(one)), Some(SuffixHash::Fragments(other))) => {
            one.get(&None) == other.get(&None)
        }
        (Some(one), Some(other)) => one.agrees(other),
        (None, None) => true,
        _ => false,
    }
}

/// In how many suffixes a primary differs. A handoff need not have anything.
fn differing(replica: &Replica, expected: &BTreeMap<Suffix, Option<SuffixHash>>) -> Option<u64> {
    let told = replica.told().filter(|_| replica.is_primary())?;
    let differs = expected.iter().filter(|(suffix, expected)| match expected {
        Some(expected) => !same(told.hashes.get(suffix), Some(expected)),
        None => true,
    });
    Some(differs.count() as u64)
}
