//! The records as a table: medians, with the least and the most.

use std::fmt::Write as _;

use crate::contest::Record;

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

/// What several rounds say of one value.
#[derive(Debug, PartialEq)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let (half, last) = (sorted.len() / 2, sorted.len().saturating_sub(1));
        let median =
            if sorted.len() % 2 == 1 { at(half) } else { (at(half.saturating_sub(1)) + at(half)) / 2.0 };
        Self { least: at(0), median, most: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(
            Spread::of([4.0, 1.0, 3.0, 2.0].into_iter()),
            Spread { least: 1.0, median: 2.5, most: 4.0 }
        );
        assert_eq!(Spread::of([5.0, 9.0, 7.0].into_iter()), Spread { least: 5.0, median: 7.0, most: 9.0 });
        assert_eq!(Spread::of(std::iter::empty()).median, 0.0);
    }
}
