//! What was looked at, what was found, and what cannot be seen from outside.

use serde_json::{Value, json};

use super::{DeviceReport, Findings, Judged, Severity};
use crate::{
    figures,
    table::{Cell, Column, Page, Table, Tone},
};

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) devices: Vec<DeviceReport>,
    pub(crate) removals: Judged,
    pub(crate) findings: Findings,
    /// What the sample was taken by; `None`: everything was looked at.
    pub(crate) seed: Option<u64>,
    /// Whether other nodes were asked.
    pub(crate) peers_asked: bool,
}

/// What is left to other means, rule by rule.
const BEYOND: [(&str, &str); 6] = [
    ("S1", "whether it would survive a power cut; bodies are not read (swift-object-auditor does)"),
    ("S2", "removals without a record: older than removal_log_age, or counted by removals_unrecorded"),
    ("S3", "what was removed before this look"),
    ("S4", "what other nodes took for in sync: ssync partition N compares"),
    ("S5", "deletions of which no node has the tombstone any more"),
    ("S6", "what handoffs on other nodes did: ask there, too"),
];

/// For people.
pub(crate) fn print(report: &Report, page: Page) {
    println!("{}", devices(report).show(page));
    println!("{}", rules(report).show(page));
    let mut told: Vec<_> = report.findings.told.iter().collect();
    told.sort();
    for finding in &told {
        let (tone, word) = match finding.severity {
            Severity::Wrong => (Tone::Bad, "wrong"),
            Severity::Notice => (Tone::Doubtful, "notice"),
        };
        let head = page.paint(tone, &format!("{} {word}", finding.rule));
        println!("* {head}: {}\n    {}\n    {}", finding.path, finding.what, finding.remedy);
    }
    let untold = report.findings.wrong + report.findings.notices - told.len() as u64;
    if untold > 0 {
        println!("And {} more of the kind.", figures::count(untold));
    }
    let unjudged: u64 = report.devices.iter().map(|device| device.unjudged).sum();
    if unjudged > 0 {
        println!(
            "{} of suffixes were too many to be looked at again.",
            figures::counted(unjudged, "suspicion")
        );
    }
    if let Some(seed) = report.seed {
        println!("A sample (--seed {seed}); --all looks at everything.");
    }
    match report.findings.wrong {
        0 => println!("{}", page.paint(Tone::Good, "Nothing that was looked at breaks a rule.")),
        wrong => println!(
            "{}",
            page.paint(
                Tone::Bad,
                &format!(
                    "{} wrong.",
                    figures::counted(wrong, "thing") + if wrong == 1 { " is" } else { " are" }
                )
            )
        ),
    }
}

fn devices(report: &Report) -> Table<8> {
    let mut table = Table::new([
        Column::text("device"),
        Column::number("partitions"),
        Column::number("looked into"),
        Column::number("as handoff"),
        Column::number("suffixes"),
        Column::number("objects"),
        Column::number("tombstones"),
        Column::text("found"),
    ]);
    for device in &report.devices {
        let found = match (device.findings.wrong, device.findings.notices) {
            (0, 0) => Cell::toned("nothing", Tone::Good),
            (0, notices) => Cell::toned(figures::counted(notices, "notice"), Tone::Doubtful),
            (wrong, _) => Cell::toned(format!("{} wrong", figures::count(wrong)), Tone::Bad),
        };
        let number = |number: u64| Cell::from(figures::count(number));
        table.row([
            device.device.clone().into(),
            number(device.partitions),
            number(device.partitions_visited),
            number(device.handoffs),
            number(device.suffixes),
            number(device.objects),
            number(device.tombstones),
            found,
        ]);
    }
    table
}

fn rules(report: &Report) -> Table<4> {
    let mut table = Table::new([
        Column::text("rule"),
        Column::text("looked at"),
        Column::text("found"),
        Column::text("what this cannot tell"),
    ]);
    for (rule, beyond) in BEYOND {
        let of_rule = |severity| {
            let all = report.findings.told.iter();
            all.filter(|finding| finding.rule == rule && finding.severity == severity).count() as u64
        };
        let found = match (of_rule(Severity::Wrong), of_rule(Severity::Notice)) {
            (0, 0) => Cell::toned("nothing", Tone::Good),
            (0, notices) => Cell::toned(figures::counted(notices, "notice"), Tone::Doubtful),
            (wrong, _) => Cell::toned(format!("{} wrong", figures::count(wrong)), Tone::Bad),
        };
        table.row([rule.into(), checked(rule, report).into(), found, beyond.into()]);
    }
    table
}

/// What was looked at.
fn checked(rule: &str, report: &Report) -> String {
    let sum = |of: fn(&DeviceReport) -> u64| report.devices.iter().map(of).sum::<u64>();
    let removals = &report.removals;
    match rule {
        "S1" => format!(
            "{} by their own word; hashes of {} against what is there",
            figures::counted(sum(|device| device.objects + device.tombstones), "file"),
            figures::counted(sum(|device| device.compared), "suffix")
        ),
        "S2" => {
            let asked = match report.peers_asked {
                true => format!("; primaries were asked for {} of them", figures::count(removals.asked)),
                false => "; nobody was asked".to_owned(),
            };
            format!("{} on record{asked}", figures::counted(removals.recorded, "removal"))
        }
        "S3" => format!(
            "{}, {} of them beyond the ring",
            figures::counted(sum(|device| device.partitions), "partition"),
            figures::count(sum(|device| device.outside))
        ),
        "S4" => format!("{} read", figures::counted(sum(|device| device.suffixes), "suffix")),
        "S5" => format!(
            "{}; {} due to be reclaimed",
            figures::counted(report.devices.len() as u64, "device"),
            figures::counted(sum(|device| device.reclaimable), "tombstone")
        ),
        _ => format!("{} by another ring than now", figures::counted(removals.other_ring, "removal")),
    }
}

/// For programs.
pub(crate) fn to_json(report: &Report) -> Value {
    json!({
        "healthy": report.findings.wrong == 0,
        "wrong": report.findings.wrong,
        "notices": report.findings.notices,
        "seed": report.seed,
        "devices": report.devices.iter().map(|device| json!({
            "device": device.device,
            "partitions": device.partitions,
            "partitions_visited": device.partitions_visited,
            "handoff_partitions": device.handoffs,
            "partitions_outside": device.outside,
            "suffixes": device.suffixes,
            "suffixes_compared": device.compared,
            "objects": device.objects,
            "tombstones": device.tombstones,
            "tombstones_reclaimable": device.reclaimable,
            "unjudged": device.unjudged,
        })).collect::<Vec<_>>(),
        "removals": {
            "recorded": report.removals.recorded,
            "other_ring": report.removals.other_ring,
            "asked": report.removals.asked,
            "unasked": report.removals.unasked,
        },
        "findings": report.findings.told.iter().map(|finding| json!({
            "rule": finding.rule,
            "severity": match finding.severity { Severity::Wrong => "wrong", Severity::Notice => "notice" },
            "path": finding.path,
            "what": finding.what,
            "remedy": finding.remedy,
        })).collect::<Vec<_>>(),
    })
}
