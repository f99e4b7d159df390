//! All rounds of a contestant with a work on a medium, as one.

use std::collections::BTreeMap;

use super::record::{Look, Record, Usage, Watched};
use crate::{processes::Role, records::Measurement, spread::Spread};

/// Whom all others are compared with.
const MEASURE: &str = "stock-ssync";

/// The records of one contestant.
#[derive(Debug, Default)]
pub(crate) struct Summary<'a> {
    rounds: Vec<&'a Record>,
    watched: Option<&'a Watched>,
}

/// The contestants of one work on one medium, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) work: &'a str,
    pub(crate) medium: &'a str,
    pub(crate) contestants: Vec<(&'a str, Summary<'a>)>,
}

/// All that was measured, works and media in the order in which they came.
pub(crate) fn groups(measurements: &[Measurement]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for measurement in measurements {
        let (work, medium, contestant) = match measurement {
            Measurement::Replication(record) => (&record.work, &record.medium, &record.contestant),
            Measurement::Watched(watched) => (&watched.work, &watched.medium, &watched.contestant),
            _ => continue,
        };
        let summary = summary_of(&mut groups, work, medium, contestant);
        match measurement {
            Measurement::Replication(record) => summary.rounds.push(record),
            Measurement::Watched(watched) => summary.watched = Some(watched),
            _ => {}
        }
    }
    groups
}

fn summary_of<'g, 'a>(
    groups: &'g mut Vec<Group<'a>>,
    work: &'a str,
    medium: &'a str,
    contestant: &'a str,
) -> &'g mut Summary<'a> {
    let at = groups.iter().position(|group| group.work == work && group.medium == medium);
    let at = at.unwrap_or_else(|| {
        groups.push(Group { work, medium, contestants: Vec::new() });
        groups.len() - 1
    });
    let contestants = &mut groups[at].contestants;
    let at = contestants.iter().position(|known| known.0 == contestant);
    let at = at.unwrap_or_else(|| {
        contestants.push((contestant, Summary::default()));
        contestants.len() - 1
    });
    &mut contestants[at].1
}

impl<'a> Group<'a> {
    /// One contestant.
    pub(crate) fn of(&self, contestant: &str) -> Option<&Summary<'a>> {
        self.contestants.iter().find(|known| known.0 == contestant).map(|known| &known.1)
    }

    /// How many times as fast as stock ssync one is.
    pub(crate) fn times(&self, summary: &Summary<'_>) -> Option<f64> {
        let measure = self.of(MEASURE)?.seconds().median;
        let seconds = summary.seconds().median;
        (measure > 0.0 && seconds > 0.0).then(|| measure / seconds)
    }

    /// The quickest of the floors.
    pub(crate) fn floor(&self) -> Option<f64> {
        let floors = self.contestants.iter().filter(|known| known.0.starts_with("floor-"));
        floors.map(|known| known.1.seconds().median).min_by(f64::total_cmp)
    }
}

impl Summary<'_> {
    /// What the rounds say of one value.
    pub(crate) fn spread(&self, value: impl Fn(&Record) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(|record| value(record)))
    }

    pub(crate) fn seconds(&self) -> Spread {
        self.spread(|record| record.seconds)
    }

    /// Processor time of a role, and the most memory of any round.
    pub(crate) fn usage(&self, role: Role) -> Usage {
        Usage {
            cpu_seconds: self.spread(|record| record.usage(role).cpu_seconds).median,
            peak_bytes: self.rounds.iter().map(|record| record.usage(role).peak_bytes).max().unwrap_or(0),
        }
    }

    /// What had to be moved, and in how many bytes.
    pub(crate) fn moved(&self) -> (usize, u64) {
        self.rounds.first().map_or((0, 0), |record| (record.objects, record.bytes))
    }

    /// Where they were counted.
    pub(crate) fn wire_bytes(&self) -> Option<f64> {
        let counted: Option<Vec<u64>> = self.rounds.iter().map(|record| record.wire_bytes).collect();
        Some(Spread::of(counted?.into_iter().map(|bytes| bytes as f64)).median)
    }

    /// Where they were counted.
    pub(crate) fn flushes(&self) -> Option<&BTreeMap<Role, u64>> {
        self.watched.map(|watched| &watched.flushes)
    }

    /// How far it was at what time.
    pub(crate) fn looks(&self) -> &[Look] {
        self.watched.map_or(&[], |watched| &watched.looks)
    }
}
