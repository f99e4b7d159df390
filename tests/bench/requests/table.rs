//! The records as a table: medians, with the least and the most.

use std::fmt::Write as _;

use super::contest::Record;
use crate::{records::Measurement, spread::Spread};

const HEAD: [&str; 12] = [
    "on",
    "request",
    "bytes x connections",
    "server",
    "req/s, median (min-max)",
    "MB/s",
    "p50 ms",
    "p99 ms",
    "server CPU ms/req (min-max)",
    "client CPU ms/req",
    "server peak MiB",
    "requests / errors",
];

/// One row for each load and server.
pub(crate) fn markdown(measurements: &[Measurement]) -> String {
    let key = |record: &Record| (record.medium.clone(), record.size, record.method, record.connections);
    let records: Vec<&Record> = measurements
        .iter()
        .filter_map(|measurement| match measurement {
            Measurement::Requests(record) => Some(record),
            _ => None,
        })
        .collect();
    let mut rows: Vec<(&Record, Vec<&Record>)> = Vec::new();
    for record in records {
        match rows.iter_mut().find(|row| key(row.0) == key(record) && row.0.server == record.server) {
            Some(row) => row.1.push(record),
            None => rows.push((record, vec![record])),
        }
    }
    // One load's rows stand together; servers in the order in which they came.
    rows.sort_by_key(|row| key(row.0));
    if rows.is_empty() {
        return String::new();
    }
    let mut table = format!("| {} |\n{}|\n", HEAD.join(" | "), "|---".repeat(HEAD.len()));
    rows.iter().for_each(|(first, rounds)| row(&mut table, first, rounds));
    table
}

fn row(table: &mut String, first: &Record, rounds: &[&Record]) {
    let spread = |value: fn(&Record) -> f64| Spread::of(rounds.iter().map(|record| value(record)));
    let (rate, cpu) = (spread(Record::rate), spread(Record::server_cpu_ms));
    let (p50, p99) = (spread(|record| record.p50_ms), spread(|record| record.p99_ms));
    let total = |value: fn(&Record) -> u64| rounds.iter().map(|record| value(record)).sum::<u64>();
    let peak = rounds.iter().map(|record| record.server_peak_bytes).max().unwrap_or(0);
    let Record { medium, method, size, connections, server, .. } = first;
    // Writing to a string cannot fail.
    let _ = writeln!(
        table,
        "| {medium} | {method} | {size} x {connections} | {server} | {:.0} ({:.0}-{:.0}) | {:.1} | {:.2} | {:.2} | \
         {:.3} ({:.3}-{:.3}) | {:.3} | {} | {} / {} |",
        rate.median,
        rate.least,
        rate.most,
        rate.median * *size as f64 / 1e6,
        p50.median,
        p99.median,
        cpu.median,
        cpu.least,
        cpu.most,
        spread(Record::client_cpu_ms).median,
        peak >> 20,
        total(|record| record.requests),
        total(|record| record.errors),
    );
}
