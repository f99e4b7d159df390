//! The records as tables: medians, with the least and the most; and how a drain frees space.

use std::fmt::Write as _;

use super::{
    record::Look,
    summary::{Group, Summary, groups},
};
use crate::{processes::Role, records::Measurement};

/// Parts of a turn's time at which a drain is looked at.
const QUARTERS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];
const HEAD: [&str; 12] = [
    "contestant",
    "seconds, median (min-max)",
    "x stock-ssync",
    "objects/s",
    "MB/s",
    "then a flush, s",
    "CPU s, sender",
    "its server",
    "receivers",
    "peak MiB, sender / receivers",
    "MB on the wire",
    "flushes, sender's node / receivers",
];

/// A table for each work on each medium, and one of the drains.
pub(crate) fn markdown(measurements: &[Measurement]) -> String {
    let groups = groups(measurements);
    let mut text = String::new();
    for group in &groups {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n**{}, {}**\n\n| {} |", group.work, group.medium, HEAD.join(" | "));
        text.push_str(&"|---".repeat(HEAD.len()));
        text.push_str("|\n");
        group.contestants.iter().for_each(|(name, summary)| row(&mut text, group, name, summary));
    }
    let watched = |group: &&Group<'_>| group.contestants.iter().any(|known| !known.1.looks().is_empty());
    let drains = groups.iter().filter(|group| group.work.starts_with("drain:"));
    let drains: Vec<&Group<'_>> = drains.filter(watched).collect();
    if !drains.is_empty() {
        text.push_str(
            "\nArrived at the slower primary / freed at the handoff, after a part of the time (in the turn that counts flushes):\n\n",
        );
        text.push_str("| drain | contestant | 25 % | 50 % | 75 % | 100 % |\n|---|---|---|---|---|---|\n");
        drains.iter().for_each(|group| drain_rows(&mut text, group));
    }
    text
}

fn row(text: &mut String, group: &Group<'_>, name: &str, summary: &Summary<'_>) {
    let seconds = summary.seconds();
    let (objects, bytes) = summary.moved();
    let rate =
        |amount: f64| if amount > 0.0 { format!("{:.0}", amount / seconds.median) } else { String::new() };
    let or_nothing = |value: Option<String>| value.unwrap_or_default();
    let [sender, home, receiver] = [Role::Sender, Role::Home, Role::Receiver].map(|role| summary.usage(role));
    let mib = |bytes: u64| if bytes > 0 { (bytes >> 20).to_string() } else { "-".to_owned() };
    let of = |role| summary.flushes().map_or(0, |flushes| flushes.get(&role).copied().unwrap_or(0));
    let flushes =
        summary.flushes().map(|_| format!("{} / {}", of(Role::Sender) + of(Role::Home), of(Role::Receiver)));
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| {name} | {:.3} ({:.3}-{:.3}) | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} / {} | {} | {} |",
        seconds.median,
        seconds.least,
        seconds.most,
        or_nothing(group.times(summary).map(|times| format!("{times:.1}"))),
        rate(objects as f64),
        rate(bytes as f64 / 1e6),
        summary.spread(|record| record.flush_seconds).median,
        sender.cpu_seconds,
        home.cpu_seconds,
        receiver.cpu_seconds,
        mib(sender.peak_bytes),
        mib(receiver.peak_bytes),
        or_nothing(summary.wire_bytes().map(|bytes| format!("{:.3}", bytes / 1e6))),
        or_nothing(flushes),
    );
}

fn drain_rows(text: &mut String, group: &Group<'_>) {
    for (name, summary) in &group.contestants {
        let looks = summary.looks();
        let end = looks.last().map_or(0.0, |look| look.seconds);
        let cells: Vec<String> = QUARTERS.iter().map(|quarter| cell(looks, end * quarter)).collect();
        let _ = writeln!(text, "| {}, {} | {name} | {} |", group.work, group.medium, cells.join(" | "));
    }
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
