//! What holds the workers up, and what to do about it.

use maud::{Markup, html};
use ssync_api::admin::{GetReplicatorStatusResponse, TimeShare, TimeSpender};

use crate::{
    chart::gauge,
    table::{Column, Row, Table, beneath},
    units::clipped,
};

/// A row for each share; nothing where nobody has measured.
pub(crate) fn table(status: &GetReplicatorStatusResponse) -> Markup {
    html! {
        @if !status.held_up_by.is_empty() {
            (Table {
                id: "held-up",
                title: "What holds it up",
                note: html! { "Shares of the workers' time in the last minutes" },
                columns: vec![Column::text("Time goes to"), Column::bar("Share"), Column::prose("What it means, and what to do")],
                rows: status.held_up_by.iter().map(row).collect(),
                empty: "",
            }.html())
        }
    }
}

fn row(share: &TimeShare) -> Row {
    let name = name(share.spender());
    let of_all = if share.share.is_finite() { share.share } else { 0.0 };
    let percent = (of_all * 100.0).clamp(0.0, 100.0);
    let told = format!("{percent:.0} %");
    let place = match (share.peer.as_str(), share.device.as_str()) {
        ("", "") => String::new(),
        ("", device) => format!("device {device}"),
        (peer, "") => format!("at {peer}"),
        (peer, device) => format!("{device} to {peer}"),
    };
    let cells = vec![
        html! { (name) (beneath(&clipped(&place))) },
        gauge(percent, "amount", &told, &html! {}),
        html! { (clipped(&share.advice)) },
    ];
    Row { about: share.spender().as_str_name().to_owned(), cells }
}

/// In words; the advice says more.
fn name(spender: TimeSpender) -> &'static str {
    match spender {
        TimeSpender::Unspecified => "Something that this version does not know",
        TimeSpender::Hashing => "Hashing suffixes here",
        TimeSpender::Reading => "Reading disks here",
        TimeSpender::Comparing => "Comparing with the peer",
        TimeSpender::Window => "Connection takes no more",
        TimeSpender::Storing => "Peer storing objects",
        TimeSpender::PeerQueue => "Queue of the peer's device",
        TimeSpender::PeerWriting => "Peer writing files",
        TimeSpender::PeerFlushing => "Peer flushing its disk",
        TimeSpender::Admission => "Peer admits no more sessions",
        TimeSpender::Lock => "Lock held by another",
        TimeSpender::Unreachable => "Peer does not answer",
        TimeSpender::OwnLimit => "This node's own limit",
        TimeSpender::NothingLeft => "Nothing left to begin",
        TimeSpender::Releasing => "Letting go of handoffs' objects",
    }
}
