//! What is wrong with fragments: which are there, whether they suffice, whether they are marked durable.

use std::collections::BTreeMap;

use ssync_types::Timestamp;

use super::{
    Answer, Copy, Seen, Site,
    diagnosis::{Diagnosis, mixed_etags},
    sites::Role,
};

/// Each node's fragments of one version.
type Held<'a> = Vec<(&'a Site, Vec<usize>)>;

fn copies(seen: &[Seen]) -> impl Iterator<Item = (&Site, &Copy)> {
    seen.iter().filter_map(|seen| match &seen.answer {
        Answer::Data(copy) => Some((&seen.site, &**copy)),
        _ => None,
    })
}

fn held(seen: &[Seen], at: Timestamp) -> Held<'_> {
    let of = |copy: &Copy| -> Vec<usize> {
        let sets = copy.fragments.iter().filter(|set| set.timestamp == at);
        sets.flat_map(|set| set.indexes.iter().map(|index| usize::from(index.get()))).collect()
    };
    copies(seen).map(|(site, copy)| (site, of(copy))).filter(|(_, indexes)| !indexes.is_empty()).collect()
}

/// The newest body is durable on some node, or on none: then it is not the object yet.
pub(super) fn stored(seen: &[Seen], data: usize, parity: usize) -> Diagnosis {
    let newest = copies(seen).map(|(_, copy)| copy.data).max().unwrap_or_default();
    let durable = copies(seen).filter_map(|(_, copy)| copy.durable).max();
    let at = durable.unwrap_or(newest);
    let (all, held) = (data + parity, held(seen, at));
    let mut holders: BTreeMap<usize, Vec<&Site>> = BTreeMap::new();
    for (site, indexes) in &held {
        indexes.iter().for_each(|index| holders.entry(*index).or_default().push(site));
    }
    let mut diagnosis = Diagnosis::new(format!(
        "{} of {all} fragments are there, {data} are needed; stored at {} ({at})",
        holders.len(),
        at.utc()
    ));
    if durable.is_none() {
        diagnosis.problem(
            "no node has the durable mark: the PUT did not end, or ended a moment ago",
            "ask again; the proxy told its client of no success. Fragments that stay so are removed after reclaim_age",
        );
    }
    if holders.len() < data {
        diagnosis.problem(
            format!("{} fragments do not make up the object, which needs {data}", holders.len()),
            "bring back the nodes that did not answer, and ask more devices with --handoffs all",
        );
    }
    at_primaries(&mut diagnosis, seen, &held, all);
    for (site, copy) in copies(seen).filter(|(_, copy)| durable.is_some() && copy.durable != durable) {
        diagnosis.problem(
            format!("{site} ({}) has no durable mark for it", site.role),
            match copy.durable {
                Some(older) => format!("it has an older version, of {}; {RECONSTRUCT}", older.utc()),
                None => RECONSTRUCT.to_owned(),
            },
        );
    }
    if newest > at {
        diagnosis
            .notes
            .push(format!("fragments of {} are there that no node has marked durable", newest.utc()));
    }
    mixed_etags(&mut diagnosis, seen, at);
    diagnosis
}

const RECONSTRUCT: &str = "swift-object-reconstructor on the primaries' nodes mends it";

/// Primary `n` has to hold fragment `n`; with copies of fragments they begin anew (Swift: common/storage_policy.py
/// get_backend_index).
fn at_primaries(diagnosis: &mut Diagnosis, seen: &[Seen], held: &Held<'_>, all: usize) {
    for Seen { site, answer } in seen {
        let indexes =
            held.iter().find(|(holder, _)| holder.role == site.role).map(|(_, indexes)| indexes.as_slice());
        let indexes = indexes.unwrap_or_default();
        let Role::Primary(number) = site.role else {
            if !indexes.is_empty() {
                let named: Vec<String> = indexes.iter().map(ToString::to_string).collect();
                diagnosis.problem(
                    format!(
                        "{site} ({}) holds fragment {}, which belongs to a primary",
                        site.role,
                        named.join(" and ")
                    ),
                    "swift-object-reconstructor on its node brings it home",
                );
            }
            continue;
        };
        let expected = number % all.max(1);
        if matches!(answer, Answer::Failed(_)) || indexes.contains(&expected) {
            continue;
        }
        let instead = match indexes.first() {
            Some(other) => format!("lacks fragment {expected} and holds fragment {other}"),
            None => format!("lacks fragment {expected}"),
        };
        diagnosis.problem(format!("{site} ({}) {instead}", site.role), RECONSTRUCT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::testing::{failed, fragment, handoff, primary};

    fn told(seen: &[Seen]) -> (Diagnosis, Vec<String>) {
        let diagnosis = stored(seen, 2, 1);
        let problems = diagnosis.problems.iter().map(|problem| problem.what.clone()).collect();
        (diagnosis, problems)
    }

    #[test]
    fn all_fragments_in_their_places_are_well() {
        let (diagnosis, problems) = told(&[
            primary(0, fragment(10, 0, true)),
            primary(1, fragment(10, 1, true)),
            primary(2, fragment(10, 2, true)),
        ]);
        assert!(problems.is_empty() && diagnosis.summary.starts_with("3 of 3 fragments"), "{diagnosis:?}");
    }

    #[test]
    fn what_is_lacking_or_elsewhere_is_named() {
        let (diagnosis, problems) = told(&[
            primary(0, fragment(10, 0, true)),
            primary(1, Answer::Nothing),
            primary(2, fragment(10, 1, false)),
            handoff(0, fragment(10, 1, true)),
        ]);
        assert!(diagnosis.summary.starts_with("2 of 3 fragments are there, 2 are needed"), "{diagnosis:?}");
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].contains("d1") && problems[0].contains("lacks fragment 1"), "{problems:?}");
        assert!(problems[1].contains("lacks fragment 2 and holds fragment 1"), "{problems:?}");
        assert!(problems[2].contains("h0") && problems[2].contains("belongs to a primary"), "{problems:?}");
        assert!(problems[3].contains("d2") && problems[3].contains("no durable mark"), "{problems:?}");
    }

    #[test]
    fn too_few_and_not_durable_are_told() {
        let (_, problems) =
            told(&[primary(0, fragment(10, 0, false)), primary(1, failed()), primary(2, failed())]);
        assert!(problems[0].contains("no node has the durable mark"), "{problems:?}");
        assert!(problems[1].starts_with("1 fragments do not make up"), "{problems:?}");
        assert_eq!(problems.len(), 2, "who did not answer lacks nothing that is known: {problems:?}");
    }

    #[test]
    fn a_newer_put_that_did_not_end_is_a_note() {
        let half = |index| {
            let Answer::Data(mut copy) = fragment(10, index, true) else { unreachable!() };
            let Answer::Data(newer) = fragment(20, index, false) else { unreachable!() };
            copy.data = newer.data;
            copy.fragments.extend(newer.fragments);
            Answer::Data(copy)
        };
        let (diagnosis, problems) = told(&[primary(0, half(0)), primary(1, half(1)), primary(2, half(2))]);
        assert!(problems.is_empty() && diagnosis.notes.len() == 1, "{diagnosis:?}");
    }
}
