//! The records as tables: medians, with the least and the most; and how a drain frees space.

use std::fmt::Write as _;

use super::{
    turn::{Look, Record},
    work::{Kind, Work},
};
use crate::spread::Spread;

/// Parts of a turn's time at which a drain is looked at.
const QUARTERS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

/// One row for each work and contestant, and one more for each that drains.
pub(crate) fn markdown(records: &[Record]) -> String {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for record in records {
        let key = (record.work.as_str(), record.contestant.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let of = |key: &(&str, &str)| -> Vec<&Record> {
        records.iter().filter(|record| (record.work.as_str(), record.contestant.as_str()) == *key).collect()
    };
    let mut text = "| work | contestant | seconds, median (min-max) | objects/s | MB/s | then a flush, s | sender CPU s | servers' CPU s | passes |\n"
        .to_owned();
    text.push_str(&"|---".repeat(9));
    text.push_str("|\n");
    keys.iter().for_each(|key| row(&mut text, key, &of(key)));
    let drains: Vec<_> = keys
        .iter()
        .filter(|(work, _)| work.parse::<Work>().is_ok_and(|work| work.kind == Kind::Drain))
        .collect();
    if !drains.is_empty() {
        text.push_str("\nArrived at the slower primary / freed at the handoff, after a part of the time (first round):\n\n");
        text.push_str("| contestant | 25 % | 50 % | 75 % | 100 % |\n|---|---|---|---|---|\n");
        drains.iter().for_each(|key| drain_row(&mut text, key.1, &of(key)));
    }
    text
}

fn row(text: &mut String, (work, contestant): &(&str, &str), mine: &[&Record]) {
    let spread = |value: fn(&Record) -> f64| Spread::of(mine.iter().map(|record| value(record)));
    let seconds = spread(|record| record.seconds);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| {work} | {contestant} | {:.2} ({:.2}-{:.2}) | {:.0} | {:.1} | {:.2} | {:.2} | {:.2} | {:.0} |",
        seconds.median,
        seconds.least,
        seconds.most,
        spread(|record| record.objects as f64 / record.seconds).median,
        spread(|record| record.bytes as f64 / record.seconds / 1e6).median,
        spread(|record| record.flush_seconds).median,
        spread(|record| record.sender_cpu_seconds).median,
        spread(|record| record.server_cpu_seconds).median,
        spread(|record| f64::from(record.passes)).median,
    );
}

fn drain_row(text: &mut String, contestant: &str, mine: &[&Record]) {
    let Some(first) = mine.first() else { return };
    let cells: Vec<String> =
        QUARTERS.iter().map(|quarter| cell(&first.looks, first.seconds * quarter)).collect();
    let _ = writeln!(text, "| {contestant} | {} |", cells.join(" | "));
}

/// The last look not later than `until`, in percent of all.
fn cell(looks: &[Look], until: f64) -> String {
    let all = looks.iter().map(|look| look.left.max(look.arrived)).max().unwrap_or(0).max(1);
    let look = looks.iter().rfind(|look| look.seconds <= until);
    let percent = |part: usize| 100 * part / all;
    look.map_or_else(String::new, |look| {
        format!("{} / {} %", percent(look.arrived), percent(all - look.left.min(all)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_told_in_percent_of_what_there_was() {
        let look = |seconds, arrived, left| Look { seconds, arrived, left };
        let looks = [look(0.0, 0, 200), look(1.0, 50, 180), look(2.0, 200, 0)];
        assert_eq!(cell(&looks, 1.9), "25 / 10 %");
        assert_eq!(cell(&looks, 2.0), "100 / 100 %");
        assert_eq!(cell(&[], 2.0), "");
    }
}
