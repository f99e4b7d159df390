//! Who pushes to this node.

use maud::{Markup, html};
use ssync_api::{
    admin::{Session, SessionProtocol},
    v1::Job,
};

use crate::{
    report::Receives,
    table::{Column, Row, Table, beneath, number},
    units::{clipped, span},
};

/// A row for each session, oldest first.
pub(crate) fn table(receives: &Receives) -> Markup {
    let columns = vec![
        Column::text("From"),
        Column::text("To"),
        Column::text("Why"),
        Column::number("Age"),
        Column::number("Stored"),
        Column::number("Had already"),
        Column::number("Failed"),
    ];
    Table {
        id: "sessions",
        title: "Sessions from other nodes",
        note: html! { "Updates of objects, since each session began; oldest first" },
        columns,
        rows: receives.sessions.iter().map(row).collect(),
        empty: "Nobody pushes to this node now.",
    }
    .html()
}

fn row(session: &Session) -> Row {
    let from = if session.peer.is_empty() { "somebody who does not say" } else { &session.peer };
    let protocol = match session.protocol() {
        SessionProtocol::Unspecified => "",
        SessionProtocol::Grpc => "gRPC",
        SessionProtocol::Ssync => "SSYNC",
    };
    let why = match session.job() {
        Job::Unspecified => "not said",
        Job::Sync => "brings it up to date",
        Job::Revert => "handoff's copy comes home",
        Job::Client => "client stores objects",
    };
    let cells = vec![
        html! { (clipped(from)) (beneath(protocol)) },
        html! { (session.device) (beneath(&format!("partition {}, policy {}", session.partition, session.policy_index))) },
        html! { (why) },
        html! { (span(session.age_seconds)) },
        number("applied", session.applied),
        number("confirmed", session.confirmed.saturating_add(session.superseded)),
        html! {
            @if session.failed > 0 { span.bad { (number("failed", session.failed)) } } @else { (number("failed", 0)) }
        },
    ];
    Row { about: session.session_id.to_string(), cells }
}
