//! What is to be reached, beside what was measured.

use std::fmt::Write as _;

use crate::{
    guard,
    processes::Role,
    records::Measurement,
    replication::{Group, Summary, groups},
    requests,
    spread::Spread,
};

/// What is shipped, and durable.
const OURS: &str = "ssync-batch";
/// The same as a server.
const OUR_NODE: &str = "node-batch";
const CONNECTIONS: u16 = 16;
const MEMORY_MIB_MAX: f64 = 64.0;
const MIB: f64 = (1 << 20) as f64;

/// A figure that is to be large, or small.
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

struct Goal {
    what: String,
    found: f64,
    bound: Bound,
}

impl Goal {
    fn row(&self) -> String {
        let (word, bound, met) = match self.bound {
            Bound::AtLeast(least) => ("at least", least, self.found >= least),
            Bound::AtMost(most) => ("at most", most, self.found <= most),
        };
        let met = if met { "yes" } else { "**no**" };
        format!("| {} | {word} {bound} | {:.3} | {met} |\n", self.what, self.found)
    }
}

/// A row for each goal of which there is a measurement.
pub(super) fn markdown(measurements: &[Measurement]) -> String {
    let groups = groups(measurements);
    let mut goals = Vec::new();
    for group in &groups {
        of_work(group, &mut goals);
    }
    of_requests(measurements, &mut goals);
    of_guard(measurements, &mut goals);
    of_memory(measurements, &mut goals);
    if goals.is_empty() {
        return String::new();
    }
    let mut text = "| goal | wanted | measured | met |\n|---|---|---|---|\n".to_owned();
    for goal in &goals {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", goal.row());
    }
    text
}

fn of_work(group: &Group<'_>, goals: &mut Vec<Goal>) {
    let Some(ours) = group.of(OURS) else { return };
    let (work, medium) = (group.work, group.medium);
    let mut add = |what: &str, found: Option<f64>, bound: Bound| {
        goals.extend(found.map(|found| Goal { what: format!("{work}, {medium}: {what}"), found, bound }));
    };
    let times_as_fast_as = |other: &str| Some(group.of(other)?.seconds().median / ours.seconds().median);
    let ssync = "times as fast as stock-ssync";
    let bare = "times as fast as rsync -aX";
    match (work, medium) {
        ("wiped:20000x4096", "tmpfs") => {
            add(ssync, group.times(ours), Bound::AtLeast(20.0));
            add(bare, times_as_fast_as("rsync"), Bound::AtLeast(1.0));
            add("receiver CPU ms an object", Some(receiver_ms(ours)), Bound::AtMost(0.06));
        }
        ("wiped:5000x4096", "xfs") => {
            add(ssync, group.times(ours), Bound::AtLeast(20.0));
            let slower = times_as_fast_as("rsync").map(|times| 1.0 / times);
            add("times the time of rsync -aX, which is not durable", slower, Bound::AtMost(1.5));
            add("receiver CPU ms an object", Some(receiver_ms(ours)), Bound::AtMost(0.12));
        }
        ("wiped:5000x4096", "ext4") => {
            let over = group.floor().map(|floor| ours.seconds().median / floor);
            add("times the time of the best floor", over, Bound::AtMost(1.3));
        }
        ("wiped:2000x1048576", "tmpfs") => {
            add(ssync, group.times(ours), Bound::AtLeast(3.0));
            add(bare, times_as_fast_as("rsync"), Bound::AtLeast(1.0));
        }
        ("wiped:20x104857600", "tmpfs") => {
            add(ssync, group.times(ours), Bound::AtLeast(3.0));
            add("times as fast as stock-rsync", times_as_fast_as("stock-rsync"), Bound::AtLeast(1.0));
        }
        ("drain:20000x4096" | "drain:5000x4096", "xfs") => {
            add(ssync, group.times(ours), Bound::AtLeast(15.0));
        }
        ("changed:20000x4096", _) => add(ssync, group.times(ours), Bound::AtLeast(10.0)),
        // Of the hash trees that are to come.
        ("warm:20000x4096", _) => {
            add(ssync, group.times(ours), Bound::AtLeast(50.0));
            let measure = group.of("stock-ssync").and_then(Summary::wire_bytes);
            let bytes = measure.zip(ours.wire_bytes()).map(|(measure, ours)| ours / measure);
            add("of the bytes of stock-ssync", bytes, Bound::AtMost(0.001));
        }
        _ => {}
    }
    if work.starts_with("wiped:") && medium == "xfs" {
        for (role, what) in [(Role::Sender, "sender's peak MiB"), (Role::Receiver, "receiver's peak MiB")] {
            add(what, Some(ours.usage(role).peak_bytes as f64 / MIB), Bound::AtMost(MEMORY_MIB_MAX));
        }
    }
}

fn receiver_ms(summary: &Summary<'_>) -> f64 {
    1000.0 * summary.usage(Role::Receiver).cpu_seconds / summary.moved().0.max(1) as f64
}

fn of_requests(measurements: &[Measurement], goals: &mut Vec<Goal>) {
    let mut add = |method: &str, size, what: &str, value: fn(&requests::Record) -> f64, bound| {
        let is_asked = |record: &&requests::Record| {
            (record.server.as_str(), record.medium.as_str(), record.connections)
                == (OUR_NODE, "tmpfs", CONNECTIONS)
                && record.method.to_string() == method
                && record.size == size
        };
        let records = measurements.iter().filter_map(|measurement| match measurement {
            Measurement::Requests(record) => Some(record),
            _ => None,
        });
        let values: Vec<f64> = records.filter(is_asked).map(value).collect();
        if !values.is_empty() {
            let what = format!("{method} of {size}, {CONNECTIONS} connections, tmpfs: {what}");
            goals.push(Goal { what, found: Spread::of(values.into_iter()).median, bound });
        }
    };
    let (cpu, small, large) = ("server CPU ms", 4096, 1 << 20);
    add("PUT", small, cpu, requests::Record::server_cpu_ms, Bound::AtMost(0.1));
    add("GET", small, cpu, requests::Record::server_cpu_ms, Bound::AtMost(0.06));
    add("GET", large, "a second", requests::Record::rate, Bound::AtLeast(1000.0));
    add("GET", large, "p99 ms", |record| record.p99_ms, Bound::AtMost(30.0));
}

fn of_guard(measurements: &[Measurement], goals: &mut Vec<Goal>) {
    for rounds in guard::cases(measurements) {
        let guard::Record { work, medium, contestant, asked, .. } = rounds[0];
        let case = format!("{contestant}, {work}, {medium}, {asked:?} asked");
        let median =
            |value: fn(&guard::Record) -> f64| Spread::of(rounds.iter().map(|record| value(record))).median;
        goals.push(Goal {
            what: format!("{case}: p99 of GETs beside replication, times"),
            found: median(guard::Record::latency_ratio),
            bound: Bound::AtMost(1.5),
        });
        goals.push(Goal {
            what: format!("{case}: rate of replication beside GETs, of its share"),
            found: median(guard::Record::rate_ratio),
            bound: Bound::AtLeast(0.7),
        });
    }
}

fn of_memory(measurements: &[Measurement], goals: &mut Vec<Goal>) {
    let records = measurements.iter().filter_map(|measurement| match measurement {
        Measurement::Memory(record) => Some(record),
        _ => None,
    });
    for record in records {
        for (role, who) in [(Role::Sender, "sender"), (Role::Receiver, "receiver")] {
            goals.push(Goal {
                what: format!("{} in one partition, {}: {who}'s peak MiB", record.work, record.medium),
                found: record.mib(role),
                bound: Bound::AtMost(MEMORY_MIB_MAX),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_on_its_own_side_of_the_bound() {
        for (bound, met) in [
            (Bound::AtLeast(2.0), "yes"),
            (Bound::AtLeast(2.1), "**no**"),
            (Bound::AtMost(2.0), "yes"),
            (Bound::AtMost(1.9), "**no**"),
        ] {
            let row = Goal { what: "it".to_owned(), found: 2.0, bound }.row();
            assert!(row.ends_with(&format!("| 2.000 | {met} |\n")), "{row}");
        }
    }
}
