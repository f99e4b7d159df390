//! Objects that fail again and again. By their hashes: whose names they are is their tenants' business.

use maud::{Markup, html};
use ssync_api::admin::{GetReplicatorStatusResponse, ParkedObject};

use crate::{
    table::{Column, Row, Table, beneath, number},
    units::{clipped, span_of_milliseconds},
};

/// A row for each object.
pub(crate) fn table(status: &GetReplicatorStatusResponse) -> Markup {
    let columns = vec![
        Column::text("Object"),
        Column::text("Failed at"),
        Column::number("Times"),
        Column::number("Again in"),
        Column::prose("Cause"),
    ];
    Table {
        id: "parked",
        title: "Parked objects",
        note: html! { "Left alone for a while; " code { "ssync object HASH" } " says where each one is" },
        columns,
        rows: status.parked.iter().map(row).collect(),
        empty: "None: no object fails again and again.",
    }
    .html()
}

fn row(object: &ParkedObject) -> Row {
    let place = format!("{}, partition {}, policy {}", object.device, object.partition, object.policy_index);
    let at = if object.peer.is_empty() { "this node" } else { &object.peer };
    let cells = vec![
        html! { code { (clipped(&object.object_hash)) } (beneath(&place)) },
        html! { (clipped(at)) },
        number("failures", u64::from(object.failures)),
        html! { (span_of_milliseconds(object.remaining_milliseconds)) },
        html! { (clipped(&object.cause)) },
    ];
    Row { about: object.object_hash.clone(), cells }
}
