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

/// The one refusal of ours that has names in it says all but them.
fn without_names(cause: &str) -> String {
    match cause.split_once(" belongs to ") {
        Some((place, rest)) => {
            let way_out = rest.rsplit_once("; ").map_or("", |(_, way_out)| way_out);
            format!("{place} belongs to another object; {way_out}")
        }
        None => cause.to_owned(),
    }
}

fn row(object: &ParkedObject) -> Row {
    let place = format!("{}, partition {}, policy {}", object.device, object.partition, object.policy_index);
    let at = if object.peer.is_empty() { "this node" } else { &object.peer };
    let cells = vec![
        html! { code { (clipped(&object.object_hash)) } (beneath(&place)) },
        html! { (clipped(at)) },
        number("failures", u64::from(object.failures)),
        html! { (span_of_milliseconds(object.remaining_milliseconds)) },
        html! { (clipped(&without_names(&object.cause))) },
    ];
    Row { about: object.object_hash.clone(), cells }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_with_names_in_it_is_told_without_them() {
        let told = "device d1: /srv/node/d1/objects/1/abc/ff belongs to /AUTH_a/c/secret, not to /AUTH_b/c/other; check \
                    swift_hash_path_prefix and _suffix";
        let shown = without_names(told);
        assert!(!shown.contains("AUTH"), "{shown}");
        let end = "ff belongs to another object; check swift_hash_path_prefix and _suffix";
        assert!(shown.ends_with(end), "{shown}");
        assert_eq!(without_names("input/output error"), "input/output error");
    }
}
