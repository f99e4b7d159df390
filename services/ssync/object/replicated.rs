//! What is wrong with whole copies.

use ssync_types::Timestamp;

use super::{
    Answer, Seen,
    diagnosis::{Diagnosis, Place, left_at_handoff, mixed_etags, push_remedy},
};

/// The newest version is a body of the time `at`.
pub(super) fn stored(place: &Place, seen: &[Seen], at: Timestamp) -> Diagnosis {
    let metadata = seen.iter().filter_map(|seen| metadata_of(seen, at)).max().unwrap_or(at);
    let is_whole = |seen: &&Seen| metadata_of(seen, at) == Some(metadata);
    let primaries = || seen.iter().filter(|seen| seen.site.is_primary());
    let have = primaries().filter(|seen| metadata_of(seen, at).is_some()).count();
    let source = primaries().find(is_whole).or_else(|| seen.iter().find(is_whole));
    let mut diagnosis = Diagnosis::new(format!(
        "{have} of {} primaries have it, stored at {} ({at})",
        primaries().count(),
        at.utc()
    ));
    if have == 0 {
        let handoffs: Vec<String> = seen
            .iter()
            .filter(|seen| metadata_of(seen, at).is_some())
            .map(|seen| seen.site.to_string())
            .collect();
        diagnosis.problem(
            format!("only {} holds the newest version, and no primary does", handoffs.join(" and ")),
            push_remedy(place, source, None),
        );
    }
    for Seen { site, answer } in seen {
        match (site.is_primary(), lack(answer, at, metadata)) {
            (true, Some(lack)) => {
                diagnosis.problem(
                    format!("{site} ({}) {lack}", site.role),
                    push_remedy(place, source, Some(site)),
                );
            }
            (false, None) if matches!(answer, Answer::Data(_)) => {
                left_at_handoff(&mut diagnosis, place, site, "a copy");
            }
            // A handoff has nothing to hold.
            (false, Some(_)) if *answer != Answer::Nothing => {
                left_at_handoff(&mut diagnosis, place, site, "an older version");
            }
            _ => {}
        }
    }
    mixed_etags(&mut diagnosis, seen, at);
    diagnosis
}

/// What a device lacks of the body of the time `at` with this metadata, as far as it is known.
fn lack(answer: &Answer, at: Timestamp, metadata: Timestamp) -> Option<String> {
    match answer {
        Answer::Nothing => Some(format!("lacks it since it was stored at {}", at.utc())),
        Answer::Tombstone(older) => Some(format!("has the older tombstone of {} in its place", older.utc())),
        Answer::Data(copy) if copy.data < at => Some(format!("has an older version, of {}", copy.data.utc())),
        Answer::Data(copy) if copy.newest < metadata => {
            Some(format!("lacks the metadata of the POST at {} ({metadata})", metadata.utc()))
        }
        Answer::Data(_) | Answer::Failed(_) => None,
    }
}

/// The time of the newest metadata of those who have the body of the time `at`.
fn metadata_of(seen: &Seen, at: Timestamp) -> Option<Timestamp> {
    match &seen.answer {
        Answer::Data(copy) if copy.data == at => Some(copy.newest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{
        diagnose,
        testing::{at, data, failed, handoff, place, posted, primary, tombstone, with_etag},
    };

    fn told(seen: &[Seen]) -> Diagnosis {
        diagnose(&place(), seen, at(1000))
    }

    #[test]
    fn three_equal_copies_are_well() {
        let seen =
            [primary(0, data(10)), primary(1, data(10)), primary(2, data(10)), handoff(0, Answer::Nothing)];
        let diagnosis = told(&seen);
        assert!(diagnosis.is_healthy(), "{diagnosis:?}");
        assert!(diagnosis.summary.starts_with("3 of 3 primaries have it, stored at "), "{diagnosis:?}");
    }

    #[test]
    fn who_lacks_it_is_named_with_the_command_that_mends_it() {
        let seen = [primary(0, data(10)), primary(1, Answer::Nothing), primary(2, failed())];
        let diagnosis = told(&seen);
        assert!(diagnosis.summary.starts_with("1 of 3"), "{diagnosis:?}");
        assert_eq!(diagnosis.problems.len(), 2, "{diagnosis:?}");
        assert!(
            diagnosis.problems[0].what.contains("d1 of 10.0.0.1:6200 (primary 1) lacks it"),
            "{diagnosis:?}"
        );
        assert_eq!(
            diagnosis.problems[0].remedy,
            "on the node of d0 of 10.0.0.0:6200: ssync push --device d0 --partition 7 --policy 0 --to 10.0.0.1:6200/d1"
        );
    }

    #[test]
    fn older_versions_and_older_metadata_differ() {
        let seen =
            [primary(0, posted(10, 20)), primary(1, data(10)), primary(2, data(5)), primary(3, tombstone(7))];
        let problems: Vec<String> = told(&seen).problems.into_iter().map(|problem| problem.what).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].contains("d1") && problems[0].contains("lacks the metadata of the POST"),
            "{problems:?}"
        );
        assert!(problems[1].contains("d2") && problems[1].contains("has an older version"), "{problems:?}");
        assert!(problems[2].contains("d3") && problems[2].contains("older tombstone"), "{problems:?}");
    }

    #[test]
    fn a_handoff_may_be_the_only_one_that_has_it() {
        let diagnosis = told(&[primary(0, data(5)), handoff(0, data(10))]);
        assert!(
            diagnosis.problems[0].what.starts_with("only h0 of 10.0.1.0:6200 holds the newest version"),
            "{diagnosis:?}"
        );
        assert!(diagnosis.problems.iter().any(|problem| problem.what.contains("has an older version")));
        let diagnosis = told(&[primary(0, data(10)), handoff(0, data(10)), handoff(1, data(5))]);
        assert_eq!(diagnosis.problems.len(), 2, "{diagnosis:?}");
        assert!(diagnosis.problems[0].remedy.contains("--device h0 --partition 7"), "{diagnosis:?}");
    }

    #[test]
    fn two_bodies_of_one_time_are_told() {
        let diagnosis = told(&[primary(0, data(10)), primary(1, with_etag(10, "other"))]);
        let what = &diagnosis.problems[0].what;
        assert!(
            what.starts_with("mixed etags at the same timestamp: ") && what.contains("other (5 bytes) on d1"),
            "{what}"
        );
    }
}
