//! The status for people: the truth in a sentence or two, then tables.

use std::time::Duration;

use ssync_api::admin::{
    Backlog, DeviceStatus, Forecast, GetReplicatorStatusResponse, NodeWork, Session, SessionProtocol,
    TimeShare,
};
use ssync_page::{Receives, Report, Tone as Gravity, sentences};

use crate::{
    figures::{bytes, count, counted, rate, time},
    table::{Cell, Column, Page, Table, Tone},
};

/// Jobs, and objects that are parked, that are listed; the others are counted.
const LISTED_MAX: usize = 10;

/// All of it.
pub(crate) fn text(report: &Report, page: Page) -> String {
    let mut text = String::new();
    for sentence in sentences(report) {
        let tone = match sentence.tone {
            Gravity::Bad => Tone::Bad,
            Gravity::Warning => Tone::Doubtful,
            Gravity::Busy => Tone::Plain,
            Gravity::Good => Tone::Good,
        };
        text.push_str(&format!("{}.\n", page.paint(tone, &sentence.text)));
    }
    if let Some(status) = &report.replicates {
        text.push_str(&pass(status));
        status.held_up_by.iter().for_each(|share| text.push_str(&held_up(share)));
    }
    let tables = [
        devices(report).show(page),
        report.replicates.as_ref().map(|status| nodes(&status.nodes).show(page)).unwrap_or_default(),
        report.receives.as_ref().map(|receives| sessions(receives).show(page)).unwrap_or_default(),
    ];
    for table in tables.iter().filter(|table| !table.is_empty()) {
        text.push('\n');
        text.push_str(table);
    }
    if let Some(status) = &report.replicates {
        text.push_str(&jobs(status));
        text.push_str(&parked(status));
    } else {
        text.push_str("\nNo replicator answers here: what is pending elsewhere is not known.\n");
    }
    text
}

fn pass(status: &GetReplicatorStatusResponse) -> String {
    let elapsed = time(Duration::from_millis(status.elapsed_milliseconds));
    let how = match (status.running, status.pass) {
        (_, 0) => return "No pass has been made yet.\n".to_owned(),
        (true, pass) => {
            format!("Pass {pass} is under way for {elapsed}: {} of", count(status.partitions_done))
        }
        (false, pass) => format!("Pass {pass} took {elapsed}: {} of", count(status.partitions_done)),
    };
    let mut text = format!(
        "{how} {}, {} ({}) pushed",
        counted(status.partitions_total, "partition"),
        counted(status.objects, "object"),
        bytes(status.bytes)
    );
    if status.released > 0 {
        text.push_str(&format!(", {} let go here", count(status.released)));
    }
    if status.failures > 0 {
        text.push_str(&format!(", {}", counted(status.failures, "failure")));
    }
    text.push_str(".\n");
    text
}

/// A part of the workers' time, and what to do about it.
pub(crate) fn held_up(share: &TimeShare) -> String {
    format!("Held up {} by {}: {}.\n", percent(share.share), name(share), share.advice)
}

pub(crate) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// What a part of the time went to, and where.
pub(crate) fn name(share: &TimeShare) -> String {
    let what =
        share.spender().as_str_name().trim_start_matches("TIME_SPENDER_").to_lowercase().replace('_', " ");
    match (share.peer.as_str(), share.device.as_str()) {
        ("", "") => what,
        ("", device) => format!("{what} (device {device})"),
        (peer, _) => format!("{what} at {peer}"),
    }
}

fn devices(report: &Report) -> Table<6> {
    let mut table = Table::new([
        Column::text("device"),
        Column::text("state"),
        Column::number("free"),
        Column::number("done"),
        Column::number("pushed"),
        Column::number("pending"),
    ]);
    let received = report.receives.as_ref().map(|receives| receives.devices.as_slice()).unwrap_or_default();
    let pushed = report.replicates.as_ref().map(|status| status.devices.as_slice()).unwrap_or_default();
    let mut names: Vec<&str> = received.iter().map(|device| device.name.as_str()).collect();
    names.extend(pushed.iter().map(|device| device.device.as_str()));
    names.sort_unstable();
    names.dedup();
    for name in names {
        let here = received.iter().find(|device| device.name == name);
        let work = pushed.iter().find(|device| device.device == name);
        let free = here.filter(|device| device.mounted).map(|device| bytes(device.free_bytes));
        let state = match (here, work) {
            (Some(here), _) if !here.mounted => Cell::toned(problem(&here.problem), Tone::Bad),
            (Some(here), _) if here.draining => Cell::toned("drained", Tone::Doubtful),
            (_, Some(work)) if work.paused => Cell::toned("paused", Tone::Doubtful),
            (Some(_), _) => Cell::from("mounted"),
            (None, _) => Cell::from("not served here"),
        };
        let work = work.map(work_cells).unwrap_or_default();
        let [done, moved, pending] = work;
        table.row([name.into(), state, free.unwrap_or_default().into(), done, moved, pending]);
    }
    table
}

fn problem(problem: &str) -> &str {
    if problem.is_empty() { "cannot be used" } else { problem }
}

fn work_cells(work: &DeviceStatus) -> [Cell; 3] {
    [
        format!("{}/{}", count(work.partitions_done), count(work.partitions_total)).into(),
        amount(work.objects, work.bytes).into(),
        amount(work.pending_objects, work.pending_bytes).into(),
    ]
}

/// `12,345 (1.2 GiB)`, or nothing.
fn amount(objects: u64, size: u64) -> String {
    if objects == 0 { "0".to_owned() } else { format!("{} ({})", count(objects), bytes(size)) }
}

fn nodes(nodes: &[NodeWork]) -> Table<8> {
    let mut table = Table::new([
        Column::text("peer"),
        Column::number("visits"),
        Column::number("pending"),
        Column::number("oldest"),
        Column::number("in sync as of"),
        Column::number("rate"),
        Column::number("done in"),
        Column::text("trouble"),
    ]);
    for node in nodes {
        let backlog = node.backlog.unwrap_or_default();
        table.row([
            node.node.clone().into(),
            format!("{}/{}", count(node.visits_done), count(node.visits_total)).into(),
            pending(&backlog).into(),
            backlog.oldest_seconds.map(seconds).unwrap_or_default().into(),
            in_sync(&backlog),
            match node.objects_per_second {
                few if few < 0.5 && node.bytes_per_second < 1024.0 => Cell::default(),
                objects => format!("{objects:.1}/s {}", rate(node.bytes_per_second)).into(),
            },
            node.forecast.as_ref().map(done_in).unwrap_or_default().into(),
            Cell::toned(node.trouble.clone(), Tone::Bad),
        ]);
    }
    table
}

/// What is known, with what is expected on top of it; what is not known is said to be so.
fn pending(backlog: &Backlog) -> String {
    let mut text = amount(backlog.objects, backlog.bytes);
    if backlog.expected_objects > 0 || backlog.objects_margin > 0 {
        text.push_str(&format!(" +{}±{}", count(backlog.expected_objects), count(backlog.objects_margin)));
    }
    if backlog.unknown > 0 {
        text.push_str(&format!(", {} unknown", count(backlog.unknown)));
    }
    text
}

fn in_sync(backlog: &Backlog) -> Cell {
    match backlog.in_sync_seconds {
        Some(ago) => format!("{} ago", seconds(ago)).into(),
        None => Cell::toned("not yet", Tone::Doubtful),
    }
}

fn done_in(forecast: &Forecast) -> String {
    let [remaining, margin] =
        [forecast.remaining_milliseconds, forecast.margin_milliseconds].map(Duration::from_millis);
    format!("{} ± {}", time(remaining), time(margin))
}

fn seconds(seconds: u64) -> String {
    match seconds {
        // A whole number: what is shown is no stopwatch.
        0..60 => format!("{seconds} s"),
        _ => time(Duration::from_secs(seconds)),
    }
}

fn sessions(receives: &Receives) -> Table<6> {
    let mut table = Table::new([
        Column::text("session from"),
        Column::text("by"),
        Column::text("device"),
        Column::number("partition"),
        Column::number("for"),
        Column::number("stored"),
    ]);
    for session in receives.sessions.iter().take(LISTED_MAX) {
        table.row(session_cells(session));
    }
    table
}

fn session_cells(session: &Session) -> [Cell; 6] {
    let protocol = match session.protocol() {
        SessionProtocol::Grpc => "gRPC",
        SessionProtocol::Ssync => "SSYNC",
        SessionProtocol::Unspecified => "",
    };
    [
        session.peer.clone().into(),
        protocol.into(),
        session.device.clone().into(),
        session.partition.to_string().into(),
        seconds(session.age_seconds).into(),
        count(session.applied).into(),
    ]
}

fn jobs(status: &GetReplicatorStatusResponse) -> String {
    let mut text = String::new();
    for job in status.jobs.iter().take(LISTED_MAX) {
        let line =
            format!("at work: partition {} of {} (policy {})\n", job.partition, job.device, job.policy_index);
        text.push_str(&line);
    }
    match status.jobs.len().saturating_sub(LISTED_MAX) {
        0 => {}
        more => text.push_str(&format!("at work: {more} more\n")),
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn parked(status: &GetReplicatorStatusResponse) -> String {
    match status.parked.len() as u64 {
        0 => String::new(),
        objects => {
            format!("\n{} parked: ssync errors says why, and what to do.\n", counted(objects, "object"))
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
