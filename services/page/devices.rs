//! The devices of this node: as the receiver finds them, and how far the pass is with each.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ssync_api::admin::{Device, DeviceStatus};

use crate::{
    chart::gauge,
    report::Report,
    table::{Column, Row, Table, beneath, nothing, number},
    units::{bytes, clipped, count, counted, in_order, percent, percent_of},
};

/// Used more than this is told as a warning.
const FULL_PERCENT: f64 = 90.0;

/// What the two know of one device.
type Known<'a> = (Option<&'a Device>, Option<&'a DeviceStatus>);

/// A row for each device; nothing where this process has neither.
pub(crate) fn table(report: &Report) -> Markup {
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for device in report.receives.iter().flat_map(|receives| &receives.devices) {
        known.entry(&device.name).or_default().0 = Some(device);
    }
    for device in report.replicates.iter().flat_map(|status| &status.devices) {
        known.entry(&device.device).or_default().1 = Some(device);
    }
    let (receives, replicates) = (report.receives.is_some(), report.replicates.is_some());
    let columns = [
        Some(Column::text("Device")),
        receives.then_some(Column::bar("Used")),
        replicates.then_some(Column::bar("Pass")),
        replicates.then_some(Column::number("Pending")),
        replicates.then_some(Column::number("Pushed")),
        Some(Column::prose("State")),
    ];
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_by_key(|(name, _)| in_order(name));
    let rows = known.into_iter().map(|(name, known)| row(name, known, receives, replicates)).collect();
    html! {
        @if receives || replicates {
            (Table {
                id: "devices",
                title: "Devices of this node",
                note: note(report),
                columns: columns.into_iter().flatten().collect(),
                rows,
                empty: "It has no device yet.",
            }.html())
        }
    }
}

/// How many can be used, and what pending means.
fn note(report: &Report) -> Markup {
    let usable =
        report.receives.iter().flat_map(|receives| &receives.devices).filter(|device| device.mounted);
    let (number, free) = usable
        .fold((0, 0_u64), |(number, free), device| (number + 1, free.saturating_add(device.free_bytes)));
    html! {
        @if let Some(receives) = &report.receives {
            (count(number)) " of " (receives.devices.len()) " in use, " (bytes(free)) " free. "
        }
        @if report.replicates.is_some() { "Pending is what they have and other nodes lack." }
    }
}

fn row(name: &str, (device, status): Known<'_>, receives: bool, replicates: bool) -> Row {
    let of_status = |cell: fn(&DeviceStatus) -> Markup| replicates.then(|| status.map_or_else(nothing, cell));
    let cells = [
        Some(html! { (name) }),
        receives.then(|| device.filter(|device| device.mounted).map_or_else(nothing, space)),
        of_status(pass),
        of_status(pending),
        of_status(pushed),
        Some(state(device, status)),
    ];
    Row { about: name.to_owned(), cells: cells.into_iter().flatten().collect() }
}

fn space(device: &Device) -> Markup {
    let used = device.total_bytes.saturating_sub(device.free_bytes);
    let share = percent_of(used, device.total_bytes);
    let told = percent(used, device.total_bytes);
    let class = if share >= FULL_PERCENT { "full" } else { "amount" };
    let numbers = html! { (bytes(device.free_bytes)) " of " (bytes(device.total_bytes)) " free" };
    gauge(share, class, &told, &numbers)
}

fn pass(status: &DeviceStatus) -> Markup {
    let (done, total) = (status.partitions_done, status.partitions_total);
    if total == 0 {
        return nothing();
    }
    let numbers = html! { (number("partitions-done", done)) " of " (number("partitions-total", total)) };
    gauge(percent_of(done, total), "", &percent(done, total), &numbers)
}

fn pending(status: &DeviceStatus) -> Markup {
    html! {
        (number("pending-objects", status.pending_objects))
        @if status.pending_objects > 0 { (beneath(&bytes(status.pending_bytes))) }
    }
}

fn pushed(status: &DeviceStatus) -> Markup {
    html! {
        (number("pushed-objects", status.objects))
        @if status.objects > 0 { (beneath(&bytes(status.bytes))) }
        @if status.released > 0 { (beneath(&format!("{} let go", count(status.released)))) }
    }
}

fn state(device: Option<&Device>, status: Option<&DeviceStatus>) -> Markup {
    let failures = status.map_or(0, |status| status.failures);
    html! {
        @match device {
            Some(device) if !device.mounted => span.bad { (clipped(problem(device))) },
            Some(_) => "in use",
            None => @if failures == 0 { "no failures" },
        }
        @if failures > 0 { span.beneath.warning { (counted(failures, "failure")) " in this pass" } }
    }
}

fn problem(device: &Device) -> &str {
    if device.problem.is_empty() { "cannot be used" } else { &device.problem }
}
