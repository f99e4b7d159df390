//! What is judged of removals, and of what is seen twice.

use std::{collections::BTreeSet, time::Duration};

use ssync_diskfile::{Flaw, FlawKind};
use ssync_ring::{Ring, RingDevice};
use ssync_types::{
    Assurance, Certainty, ObjectKind, Offer, Partition, PolicyIndex, Primary, Removal, Timestamp,
};

use super::{
    Finding, Findings, Judged, Rules, Severity,
    finding::TOLD_MAX,
    removals::{by_record, has_it},
    suffix::Suspicion,
};
use crate::object::{Answer, HandoffChoice, Seen, sites};

const VERSION: u64 = 1_700_000_000;

fn ring() -> Ring {
    let device = |id: u8| {
        Some(RingDevice::local(id.into(), 1, ([10, 0, 0, id], 6200).into(), &format!("d{id}")).unwrap())
    };
    Ring::new((0..4).map(device).collect(), 1, vec![vec![0, 1], vec![1, 2], vec![2, 3]]).unwrap()
}

fn rules(enough: Option<usize>) -> Rules<'static> {
    Rules {
        policies: &[],
        enough,
        reclaim_age: Duration::from_secs(604_800),
        limit: None,
        tls: None,
        most: 10,
        now: Timestamp::from_seconds(VERSION + 60),
    }
}

/// Let go of by the word of these devices.
fn removal(ring: &Ring, by: &[u8]) -> Removal {
    let hash = "4e2772c453cbe15a19b26fbfbb223e31".parse().unwrap();
    let primary = |id: &u8| Primary { address: format!("10.0.0.{id}:6200"), device: format!("d{id}") };
    Removal {
        at: Timestamp::from_seconds(VERSION + 30),
        device: "d3".parse().unwrap(),
        policy: PolicyIndex::new(0),
        partition: Partition::new(0),
        offer: Offer::of_one_time(hash, Timestamp::from_seconds(VERSION), Some(ObjectKind::Data)),
        path: None,
        confirmed_by: by.iter().map(|id| (primary(id), Assurance::Confirmed)).collect(),
        ring_digest: Some(ring.digest().to_vec()),
        certainty: Certainty::Removed,
    }
}

fn judge(removal: &Removal, enough: Option<usize>) -> Option<&'static str> {
    by_record(removal, &ring(), &rules(enough), "log", &mut Judged::default()).map(|finding| finding.rule)
}

#[test]
fn every_primary_has_to_have_answered_and_nobody_else_counts() {
    let ring = ring();
    assert_eq!(judge(&removal(&ring, &[0, 1, 2]), None), None);
    assert_eq!(judge(&removal(&ring, &[0, 1]), None), Some("S2"));
    assert_eq!(judge(&removal(&ring, &[0, 1, 3]), None), Some("S2"), "d3 is no primary of it");
    assert_eq!(judge(&removal(&ring, &[0, 0, 0]), None), Some("S2"), "one that answers thrice is one");
    assert_eq!(judge(&removal(&ring, &[0, 1]), Some(2)), None, "handoff_delete = 2");
    assert_eq!(judge(&removal(&ring, &[0, 1, 2]), Some(9)), None, "there are no more than three");
}

#[test]
fn by_another_ring_only_the_number_is_judged() {
    let mut other = removal(&ring(), &[0, 1, 3]);
    other.ring_digest = Some(vec![7; 32]);
    let mut judged = Judged::default();
    assert_eq!(by_record(&other, &ring(), &rules(None), "log", &mut judged), None);
    assert_eq!(judged.other_ring, 1);
    other.confirmed_by.truncate(2);
    assert_eq!(judge(&other, None), Some("S6"));
}

#[test]
fn what_was_let_go_of_is_somewhere_or_newer_or_deleted() {
    let ring = ring();
    let removal = removal(&ring, &[0, 1, 2]);
    let seen = |answers: [Answer; 3]| -> Vec<Seen> {
        let sites = sites(&ring, Partition::new(0), HandoffChoice::Some(0)).into_iter();
        sites.zip(answers).map(|(site, answer)| Seen { site, answer }).collect()
    };
    let tombstone = |seconds| Answer::Tombstone(Timestamp::from_seconds(seconds));
    let nothing = || Answer::Nothing;
    assert_eq!(has_it(&removal, &seen([nothing(), tombstone(VERSION), nothing()])), Some(true));
    assert_eq!(has_it(&removal, &seen([nothing(), tombstone(VERSION - 1), nothing()])), Some(false));
    let failed = Answer::Failed("down".to_owned());
    assert_eq!(has_it(&removal, &seen([nothing(), failed, nothing()])), None, "who is down may have it");
}

#[test]
fn what_is_not_seen_again_is_no_finding() {
    let flaw = |name: &str| Flaw { path: name.into(), kind: FlawKind::Stray };
    let suspicion = |flaws: &[&str], stale: Option<&str>| Suspicion {
        flaws: flaws.iter().map(|name| flaw(name)).collect::<BTreeSet<_>>(),
        stale: stale.map(str::to_owned),
    };
    let confirmed = suspicion(&["a", "b"], Some("x")).confirmed(&suspicion(&["b", "c"], Some("y")));
    assert_eq!(confirmed, suspicion(&["b"], None), "another hash each time is one that changes");
    assert!(suspicion(&["a"], None).confirmed(&Suspicion::default()).is_empty());
}

#[test]
fn very_many_findings_are_counted_and_the_wrong_ones_are_told() {
    let mut findings = Findings::default();
    (0..TOLD_MAX as u64 + 5).for_each(|number| {
        findings.add(Finding::notice("S5", number.to_string(), "what", "remedy"));
    });
    findings.add(Finding::wrong("S1", "x".to_owned(), "what", "remedy"));
    assert_eq!((findings.told.len(), findings.notices, findings.wrong), (TOLD_MAX, TOLD_MAX as u64 + 5, 1));
    assert!(findings.told.iter().any(|told| told.severity == Severity::Wrong));
    let mut all = Findings::default();
    all.append(findings);
    assert_eq!((all.notices, all.wrong), (TOLD_MAX as u64 + 5, 1));
}
