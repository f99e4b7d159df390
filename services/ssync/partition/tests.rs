//! What is told of a partition in each state.

use ssync_replicator::Target;
use ssync_types::{Partition, PolicyIndex, Suffix, SuffixHash, SuffixHashes};

use super::{Busy, Diagnosis, Held, Lacks, Replica, Shown, State, Told, diagnose, to_json, view::table};
use crate::{object::Role, table::Page};

fn target(name: &str) -> Target {
    Target {
        ip: "10.0.0.1".to_owned(),
        port: 6200,
        device: name.parse().unwrap(),
        region: 1,
        meta: String::new(),
    }
}

/// Suffixes and what each has.
fn told(hashes: &[(u16, char)]) -> Told {
    let hash = |c: char| SuffixHash::Replicated(c.to_string().repeat(32));
    let hashes: SuffixHashes =
        hashes.iter().map(|(suffix, c)| (Suffix::from_low_bits(*suffix), hash(*c))).collect();
    Told { kind: "ssync", hashes, ..Told::default() }
}

fn replica(role: Role, name: &str, hashes: &[(u16, char)]) -> Replica {
    Replica { role, target: target(name), is_own: false, state: State::Answered(told(hashes)) }
}

fn primaries(of: [&[(u16, char)]; 3]) -> Vec<Replica> {
    let named = of.iter().enumerate();
    named.map(|(number, hashes)| replica(Role::Primary(number), &format!("d{number}"), hashes)).collect()
}

fn diagnosis(replicas: &[Replica]) -> Diagnosis {
    diagnose(PolicyIndex::new(0), Partition::new(7), replicas, &Busy::default())
}

#[test]
fn equal_primaries_are_well_and_idle_handoffs_are_no_matter() {
    let mut replicas = primaries([&[(1, 'a')], &[(1, 'a')], &[(1, 'a')]]);
    replicas.push(replica(Role::Handoff(0), "h0", &[]));
    let told = diagnosis(&replicas);
    assert!(told.is_healthy() && told.found, "{told:?}");
    assert_eq!(told.summary, "3 of 3 primaries are equal in all 1 suffix");
    let nothing = diagnosis(&primaries([&[], &[], &[]]));
    assert!(
        nothing.is_healthy() && !nothing.found && nothing.summary.starts_with("nobody has"),
        "{nothing:?}"
    );
}

#[test]
fn the_one_that_differs_is_named_with_who_can_give_it_what_it_lacks() {
    let mut replicas = primaries([&[(1, 'a'), (2, 'b')], &[(1, 'a'), (2, 'b')], &[(1, 'x')]]);
    if let State::Answered(told) = &mut replicas[2].state {
        told.lacks = Some(Lacks { objects: 3, asked: 9 });
    }
    let told = diagnosis(&replicas);
    assert_eq!(told.differing, [Some(0), Some(0), Some(2)]);
    assert_eq!(told.problems.len(), 1);
    assert!(
        told.problems[0].what.contains("d2") && told.problems[0].what.contains("lacks 3 objects"),
        "{told:?}"
    );
    assert!(
        told.problems[0]
            .remedy
            .ends_with("ssync push --device d0 --partition 7 --policy 0 --to 10.0.0.1:6200/d2"),
        "{told:?}"
    );
    // What one has and the others lack is lacking there, not too much here.
    let new = diagnosis(&primaries([&[(1, 'a')], &[], &[]]));
    assert_eq!(new.differing, [Some(0), Some(1), Some(1)]);
    assert!(new.problems[0].remedy.contains("ssync push --device d0"), "{new:?}");
    // Where no two agree all are told to be different.
    let told = diagnosis(&primaries([&[(1, 'a')], &[(1, 'b')], &[(1, 'c')]]));
    assert_eq!(told.differing, [Some(1), Some(1), Some(1)]);
    assert!(told.problems[0].remedy.starts_with("primaries bring each other up to date"), "{told:?}");
}

#[test]
fn a_handoff_that_holds_something_and_a_node_that_is_down_are_told() {
    let mut replicas = primaries([&[(1, 'a')], &[(1, 'a')], &[(1, 'a')]]);
    replicas[2].state = State::Failed("cannot be reached".to_owned());
    replicas.push(replica(Role::Handoff(0), "h0", &[(1, 'a'), (3, 'c')]));
    let told = diagnosis(&replicas);
    let what: Vec<&str> = told.problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(what.len(), 2, "{what:?}");
    assert!(what[0].ends_with("cannot be reached") && what[1].contains("holds 2 suffixes"), "{what:?}");
    assert_eq!(told.summary, "2 of 3 primaries are equal in all 1 suffix");
}

#[test]
fn what_is_parked_is_a_problem() {
    let busy = Busy { parked: 1, ..Busy::default() };
    let replicas = primaries([&[(1, 'a')], &[(1, 'a')], &[(1, 'a')]]);
    let told = diagnose(PolicyIndex::new(0), Partition::new(7), &replicas, &busy);
    assert!(told.problems[0].what.starts_with("1 object of it is parked"), "{told:?}");
}

#[test]
fn the_table_and_json_have_what_was_counted() {
    let mut replicas = primaries([&[(1, 'a')], &[(1, 'a')], &[]]);
    replicas[0].is_own = true;
    if let State::Answered(told) = &mut replicas[0].state {
        told.held = Some(Held {
            objects: 12_345,
            bytes: 5 << 30,
            whole: true,
            hashed_seconds: Some(90),
            ..Held::default()
        });
    }
    let diagnosis = diagnosis(&replicas);
    let shown = Shown {
        partition: Partition::new(7),
        policy: PolicyIndex::new(0),
        policy_name: "gold".to_owned(),
        replicas,
        busy: Busy::default(),
        diagnosis,
    };
    let text = table(&shown).show(Page::PLAIN);
    for part in ["d0 (here)", "12,345", "5.0 GiB", "1 min 30 s ago", "1 suffix differ"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json = to_json(&shown);
    assert_eq!(
        (json["healthy"].as_bool(), json["devices"][0]["objects"].as_u64()),
        (Some(false), Some(12_345))
    );
    assert_eq!(json["devices"][2]["suffixes_differing"], 1);
}
