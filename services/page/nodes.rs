//! The nodes that this one pushes to: how far, what is pending, how fast, and what is wrong.

use std::cmp::Reverse;

use maud::{Markup, html};
use ssync_api::admin::{Backlog, GetReplicatorStatusResponse, NodeWork, PeerBackoff};

use crate::{
    chart::gauge,
    sentence::expected,
    table::{Column, Row, Table, beneath, nothing, number},
    units::{
        byte_rate, bytes, clipped, count, counted, forecast, in_order, percent, percent_of, rate, span,
        span_of_milliseconds,
    },
};

/// Each node's row, those in trouble first, then those with the most to get; and who else is left alone.
pub(crate) fn table(status: &GetReplicatorStatusResponse) -> Markup {
    let mut nodes: Vec<&NodeWork> = status.nodes.iter().collect();
    nodes.sort_by_key(|node| {
        let pending = node.backlog.as_ref().map_or(0, expected);
        (node.trouble.is_empty(), Reverse(pending), in_order(&node.node))
    });
    let of_none = |peer: &&PeerBackoff| !status.nodes.iter().any(|node| is_at(peer, &node.node));
    let rows = nodes.into_iter().map(|node| row(node, &status.peers));
    let rows: Vec<Row> = rows.chain(status.peers.iter().filter(of_none).map(left_alone)).collect();
    let columns = vec![
        Column::text("Node"),
        Column::bar("Compared"),
        Column::number("Pending"),
        Column::number("Lag"),
        Column::number("Stores"),
        Column::number("Done in"),
        Column::prose("State"),
    ];
    let note = html! { "Who is to get objects from this node; compared are the partitions' devices there, in this pass" };
    let empty = "No other node has been looked at yet.";
    Table { id: "nodes", title: "Other nodes", note, columns, rows, empty }.html()
}

fn row(node: &NodeWork, backoffs: &[PeerBackoff]) -> Row {
    let backlog = node.backlog.unwrap_or_default();
    let cells = vec![
        html! { (clipped(&node.node)) },
        visits(node),
        pending(&backlog),
        lag(&backlog),
        stores(node),
        node.forecast.as_ref().map_or_else(nothing, |end| html! { (forecast(end)) }),
        state(node, backoffs),
    ];
    Row { about: node.node.clone(), cells }
}

fn visits(node: &NodeWork) -> Markup {
    let (done, total) = (node.visits_done, node.visits_total);
    let numbers = html! { (number("visits-done", done)) " of " (number("visits-total", total)) };
    gauge(percent_of(done, total), "", &percent(done, total), &numbers)
}

fn pending(backlog: &Backlog) -> Markup {
    html! {
        @if expected(backlog) == 0 && backlog.unknown > 0 { "not known" } @else { (number("pending-objects", backlog.objects)) }
        @if backlog.objects > 0 { (beneath(&bytes(backlog.bytes))) }
        @if backlog.expected_objects > 0 { (beneath(&format!("+ about {}", count(backlog.expected_objects)))) }
        @if backlog.unknown > 0 { span.beneath { (number("unknown", backlog.unknown)) " failed" } }
    }
}

fn lag(backlog: &Backlog) -> Markup {
    match (backlog.oldest_seconds, backlog.in_sync_seconds) {
        (Some(oldest), _) => html! { (span(oldest)) },
        (None, Some(ago)) => html! { (span(ago)) (beneath("all in place")) },
        (None, None) => nothing(),
    }
}

fn stores(node: &NodeWork) -> Markup {
    if node.bytes_per_second <= 0.0 && node.objects_per_second <= 0.0 {
        return nothing();
    }
    html! { (byte_rate(node.bytes_per_second)) (beneath(&rate(node.objects_per_second).replace("/s", " objects/s"))) }
}

fn state(node: &NodeWork, backoffs: &[PeerBackoff]) -> Markup {
    let last = match (node.visits_under_way, node.last_success_seconds) {
        (0, Some(seconds)) => format!("last did its part {} ago", span(seconds)),
        (0, None) => "has not done its part yet".to_owned(),
        (visits, _) => format!("{} under way", counted(visits, "comparison")),
    };
    let backoffs: Vec<&PeerBackoff> = backoffs.iter().filter(|peer| is_at(peer, &node.node)).collect();
    html! {
        @if node.trouble.is_empty() && backoffs.is_empty() {
            "takes part"
        } @else if !node.trouble.is_empty() {
            span.bad { (clipped(&node.trouble)) }
        }
        @for backoff in backoffs {
            span.beneath {
                // Of the node itself the cause has been told.
                @if backoff.peer != node.node || node.trouble.is_empty() { (clipped(&backoff.peer)) ": " (clipped(&backoff.cause)) ", " }
                (again(backoff))
            }
        }
        (beneath(&last))
    }
}

/// A peer that is left alone, and of whose work nothing is told.
fn left_alone(peer: &PeerBackoff) -> Row {
    let state = html! { span.bad { (clipped(&peer.cause)) } span.beneath { (again(peer)) } };
    let mut cells = vec![html! { (clipped(&peer.peer)) }];
    cells.extend(std::iter::repeat_with(nothing).take(5));
    cells.push(state);
    Row { about: peer.peer.clone(), cells }
}

fn again(peer: &PeerBackoff) -> String {
    format!("asked again in {}", span_of_milliseconds(peer.remaining_milliseconds))
}

/// Whether it is that node, or a device of it.
fn is_at(peer: &PeerBackoff, node: &str) -> bool {
    peer.peer.strip_prefix(node).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
