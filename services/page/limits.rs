//! The limits in force, and how far they are used.

use maud::{Markup, html};
use ssync_api::admin::Limit;

use crate::{
    chart::gauge,
    report::Receives,
    table::{Column, Row, Table, number},
    units::percent_of,
};

/// A row for each limit.
pub(crate) fn table(receives: &Receives) -> Markup {
    Table {
        id: "limits",
        title: "Limits",
        note: html! { "By the options that set them" },
        columns: vec![
            Column::text("Limit"),
            Column::number("In use"),
            Column::number("Most"),
            Column::bar("Used"),
        ],
        rows: receives.limits.iter().map(row).collect(),
        empty: "None.",
    }
    .html()
}

fn row(limit: &Limit) -> Row {
    let most = html! { @if limit.maximum == 0 { "no limit" } @else { (number("maximum", limit.maximum)) } };
    let share = percent_of(limit.used, limit.maximum);
    let class = if limit.maximum > 0 && limit.used >= limit.maximum { "full" } else { "amount" };
    let used = html! {
        @if limit.maximum > 0 { (gauge(share, class, &format!("{share:.0} %"), &html! {})) }
    };
    Row {
        about: limit.name.clone(),
        cells: vec![html! { (limit.name) }, number("used", limit.used), most, used],
    }
}
