//! The table of docs/mesh.md.

use std::collections::BTreeMap;

use super::{Part, Record, Way};
use crate::spread::Spread;

/// A row for each work: medians of the rounds.
pub(crate) fn markdown(records: &[Record]) -> String {
    let mut works: BTreeMap<(&str, &str), Vec<&Record>> = BTreeMap::new();
    for record in records {
        works.entry((&record.medium, &record.work)).or_default().push(record);
    }
    let mut text = "| file system | work | MB/s, no proxy | MB/s, Envoy | of it | ssync, CPU s/GB, no proxy | ssync, Envoy | Envoy |\n\
                    |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for ((medium, work), records) in works {
        let median = |way, of: &dyn Fn(&Record) -> f64| {
            Spread::of(records.iter().filter(|record| record.way == way).map(|record| of(record))).median
        };
        let rate = |way| median(way, &|record| record.bytes as f64 / 1e6 / record.seconds);
        let cpu = |way, part| median(way, &|record| record.cpu_seconds_per_gb(part));
        let (direct, envoy) = (rate(Way::Direct), rate(Way::Envoy));
        text.push_str(&format!(
            "| {medium} | {work} | {direct:.1} | {envoy:.1} | {:.0} % | {:.2} | {:.2} | {:.2} |\n",
            100.0 * envoy / direct,
            cpu(Way::Direct, Part::Ssync),
            cpu(Way::Envoy, Part::Ssync),
            cpu(Way::Envoy, Part::Envoy),
        ));
    }
    text
}
