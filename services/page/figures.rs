//! The few large numbers beneath the sentence.

use maud::{Markup, html};
use ssync_api::admin::{Backlog, GetReplicatorStatusResponse};

use crate::{
    chart::bar,
    charts,
    report::{Receives, Report},
    table::{figure, nothing, number},
    units::{byte_rate, bytes, count, counted, percent, percent_of, rate, span, span_of_milliseconds},
};

/// The limit that says how many sessions there may be.
const SESSIONS_LIMIT: &str = "replication_concurrency";

/// The numbers of the parts that this process has.
pub(crate) fn figures(report: &Report) -> Markup {
    html! {
        @if report.replicates.is_some() || report.receives.is_some() {
            dl.figures {
                @if let Some(status) = &report.replicates {
                    @if let Some(backlog) = &status.backlog { (of_backlog(status, backlog)) }
                    (throughput(status))
                    (pass(status))
                }
                @if let Some(receives) = &report.receives {
                    (sessions(receives))
                    // Beside a replicator's figures there is no room, and the sentence says what is wrong.
                    @if report.replicates.is_none() { (devices(receives)) }
                }
            }
        }
    }
}

fn tile(name: &str, value: &Markup, note: &Markup) -> Markup {
    html! { div { dt { (name) } dd.value { (value) } dd.note { (note) } } }
}

fn of_backlog(status: &GetReplicatorStatusResponse, backlog: &Backlog) -> Markup {
    let size = html! { (figure("pending-bytes", backlog.bytes, &bytes(backlog.bytes))) (supposed(backlog)) };
    let end = match &status.forecast {
        Some(end) => html! {
            (figure("forecast", end.remaining_milliseconds, &span_of_milliseconds(end.remaining_milliseconds)))
            @if end.margin_milliseconds > 0 { small { " ± " (span_of_milliseconds(end.margin_milliseconds)) } }
        },
        None => nothing(),
    };
    let end_note = match (&status.forecast, status.running) {
        (Some(_), _) => "until this pass ends",
        (None, true) => "too little has been seen to say",
        (None, false) => "no pass is under way",
    };
    let (lag, lag_note) = lag(backlog);
    html! {
        (tile("Pending objects", &number("pending-objects", backlog.objects), &size))
        (tile("Done in", &end, &html! { (end_note) }))
        (tile("Lag", &lag, &html! { (lag_note) }))
    }
}

/// What may come on top.
fn supposed(backlog: &Backlog) -> Markup {
    let margin = match backlog.objects_margin {
        0 => String::new(),
        margin => format!(" ±\u{a0}{}", count(margin)),
    };
    html! {
        @if backlog.expected_objects > 0 {
            ", and about " (count(backlog.expected_objects)) (margin) " more expected"
        }
    }
}

fn lag(backlog: &Backlog) -> (Markup, &'static str) {
    match (backlog.oldest_seconds, backlog.in_sync_seconds) {
        (Some(oldest), _) => (figure("oldest", oldest, &span(oldest)), "since the longest pending was found"),
        (None, Some(ago)) => (figure("in-sync", ago, &span(ago)), "since all was found in its place"),
        (None, None) => (nothing(), "no whole pass has found all in its place"),
    }
}

fn throughput(status: &GetReplicatorStatusResponse) -> Markup {
    html! {
        @if let Some((objects, bytes)) = charts::now(status) {
            (tile("Pushing", &html! { (byte_rate(bytes)) }, &html! { (rate(objects).replace("/s", " objects/s")) ", in the last minute" }))
        }
    }
}

fn pass(status: &GetReplicatorStatusResponse) -> Markup {
    let (done, total) = (status.partitions_done, status.partitions_total);
    let took = span_of_milliseconds(status.elapsed_milliseconds);
    html! {
        div.pass {
            dt { "Pass " (number("pass", status.pass)) @if !status.running { ", over" } }
            dd.value {
                @if total == 0 { (nothing()) } @else { (percent(done, total)) }
                (bar(percent_of(done, total), "", &format!("{} of the partitions are done", percent(done, total))))
            }
            dd.note {
                (number("partitions-done", done)) " of " (number("partitions-total", total)) " partitions"
                @if status.elapsed_milliseconds > 0 { @if status.running { " in " } @else { ", took " } (took) }
            }
        }
    }
}

fn sessions(receives: &Receives) -> Markup {
    let limit = receives.limits.iter().find(|limit| limit.name == SESSIONS_LIMIT && limit.maximum > 0);
    let note = limit.map(|limit| format!("of {} that are admitted at once", count(limit.maximum)));
    tile(
        "Sessions from others",
        &number("sessions", receives.sessions.len() as u64),
        &html! { (note.unwrap_or_else(|| "under way".to_owned())) },
    )
}

fn devices(receives: &Receives) -> Markup {
    let all = receives.devices.len() as u64;
    let usable: Vec<_> = receives.devices.iter().filter(|device| device.mounted).collect();
    let free = usable.iter().fold(0_u64, |sum, device| sum.saturating_add(device.free_bytes));
    tile(
        "Devices in use",
        &html! { (number("devices-usable", usable.len() as u64)) small { " of " (number("devices", all)) } },
        &html! { (bytes(free)) " free on " (counted(usable.len() as u64, "device")) },
    )
}
