//! The records as a table: medians, with the least and the most.

use std::fmt::Write as _;

use super::contest::Record;
use crate::spread::Spread;

/// One row for each load and server, in the order of the first round.
pub(crate) fn markdown(records: &[Record]) -> String {
    let mut keys: Vec<_> = Vec::new();
    for record in records {
        let key = (record.size, record.method, record.server.clone());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    // One load's rows stand together.
    keys.sort_by_key(|key| (key.0, key.1));
    let mut table = "| request | bytes | server | req/s, median (min-max) | MB/s | p50 ms | p99 ms | server CPU ms/req (min-max) | \
         client CPU ms/req | requests | errors |\n"
        .to_owned();
    table.push_str(&"|---".repeat(11));
    table.push_str("|\n");
    for (size, method, server) in keys {
        let mine: Vec<&Record> = records
            .iter()
            .filter(|record| (record.size, record.method, &record.server) == (size, method, &server))
            .collect();
        let spread = |value: fn(&Record) -> f64| Spread::of(mine.iter().map(|record| value(record)));
        let (rate, cpu) = (spread(Record::rate), spread(Record::server_cpu_ms));
        let (p50, p99) = (spread(|record| record.p50_ms), spread(|record| record.p99_ms));
        let total = |value: fn(&Record) -> u64| mine.iter().map(|record| value(record)).sum::<u64>();
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {method} | {size} | {server} | {:.0} ({:.0}-{:.0}) | {:.1} | {:.2} | {:.2} | {:.3} ({:.3}-{:.3}) | {:.3} | {} | {} |",
            rate.median,
            rate.least,
            rate.most,
            rate.median * size as f64 / 1e6,
            p50.median,
            p99.median,
            cpu.median,
            cpu.least,
            cpu.most,
            spread(Record::client_cpu_ms).median,
            total(|record| record.requests),
            total(|record| record.errors),
        );
    }
    table
}
