//! The records as a table: medians, with the least and the most of what there are goals for.

use std::fmt::Write as _;

use super::Record;
use crate::{records::Measurement, spread::Spread};

const HEAD: [&str; 9] = [
    "on",
    "work",
    "who",
    "node asked",
    "GET/s offered, of alone",
    "p50 / p99 ms, quiet",
    "p50 / p99 ms, busy",
    "p99, times (min-max)",
    "replication's rate, of its share (min-max)",
];

/// The rounds of each case.
pub(crate) fn cases(measurements: &[Measurement]) -> Vec<Vec<&Record>> {
    let mut cases: Vec<Vec<&Record>> = Vec::new();
    let key = |record: &Record| {
        (record.medium.clone(), record.work.clone(), record.contestant.clone(), record.asked as u8)
    };
    for measurement in measurements {
        let Measurement::Guard(record) = measurement else { continue };
        match cases.iter_mut().find(|rounds| key(rounds[0]) == key(record)) {
            Some(rounds) => rounds.push(record),
            None => cases.push(vec![record]),
        }
    }
    cases
}

/// One row for each case.
pub(crate) fn markdown(measurements: &[Measurement]) -> String {
    let cases = cases(measurements);
    if cases.is_empty() {
        return String::new();
    }
    let mut table = format!("| {} |\n{}|\n", HEAD.join(" | "), "|---".repeat(HEAD.len()));
    cases.iter().for_each(|rounds| row(&mut table, rounds));
    table
}

fn row(table: &mut String, rounds: &[&Record]) {
    let Record { medium, work, contestant, asked, .. } = rounds[0];
    let spread = |value: fn(&Record) -> f64| Spread::of(rounds.iter().map(|record| value(record)));
    let (latency, rate) = (spread(Record::latency_ratio), spread(Record::rate_ratio));
    // Writing to a string cannot fail.
    let _ = writeln!(
        table,
        "| {medium} | {work} | {contestant} | {asked:?} | {:.0} of {:.0} | {:.2} / {:.2} | {:.2} / {:.2} | \
         {:.2} ({:.2}-{:.2}) | {:.2} ({:.2}-{:.2}) |",
        spread(|record| record.rate_offered).median,
        spread(|record| record.rate_alone).median,
        spread(|record| record.quiet.p50).median,
        spread(|record| record.quiet.p99).median,
        spread(|record| record.busy.p50).median,
        spread(|record| record.busy.p99).median,
        latency.median,
        latency.least,
        latency.most,
        rate.median,
        rate.least,
        rate.most,
    );
}
