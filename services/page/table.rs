//! Tables that are read on a wide screen, on a telephone and by a screen reader.
//!
//! On a narrow screen the style sheet makes a card of each row. That takes a browser's own roles away, so each part states
//! its own.

use maud::{Markup, html};

use crate::units::count;

/// Most rows of a table; a page has to end.
pub(crate) const ROWS_MAX: usize = 200;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    class: &'static str,
}

impl Column {
    /// Of words.
    pub(crate) const fn text(title: &'static str) -> Self {
        Self { title, class: "text" }
    }

    /// Of numbers, which stand right.
    pub(crate) const fn number(title: &'static str) -> Self {
        Self { title, class: "number" }
    }

    /// Of bars.
    pub(crate) const fn bar(title: &'static str) -> Self {
        Self { title, class: "wide" }
    }

    /// Of sentences, which get what room there is.
    pub(crate) const fn prose(title: &'static str) -> Self {
        Self { title, class: "prose" }
    }
}

/// A row: what it is about, by which tests and links find it, and its cells.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) about: String,
    pub(crate) cells: Vec<Markup>,
}

/// A table under its caption. The first cell of a row is its header.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    /// Beneath the title.
    pub(crate) note: Markup,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// In place of rows, where there are none.
    pub(crate) empty: &'a str,
}

impl Table<'_> {
    /// Draws it.
    pub(crate) fn html(&self) -> Markup {
        let more = self.rows.len().saturating_sub(ROWS_MAX);
        html! {
            section id=(self.id) aria-labelledby={ (self.id) "-title" } {
                @if self.rows.is_empty() {
                    h2 id={ (self.id) "-title" } { (self.title) }
                    p.empty { (self.empty) }
                } @else {
                    table role="table" {
                        caption {
                            h2 id={ (self.id) "-title" } { (self.title) }
                            p.note { (self.note) }
                        }
                        (self.head())
                        tbody role="rowgroup" {
                            @for row in self.rows.iter().take(ROWS_MAX) { (self.row(row)) }
                        }
                    }
                    @if more > 0 { p.note { "and " (count(more as u64)) " more" } }
                }
            }
        }
    }

    fn head(&self) -> Markup {
        html! {
            thead role="rowgroup" {
                tr role="row" {
                    @for column in &self.columns {
                        th scope="col" role="columnheader" class=(column.class) { (column.title) }
                    }
                }
            }
        }
    }

    fn row(&self, row: &Row) -> Markup {
        let mut cells = self.columns.iter().zip(&row.cells);
        html! {
            tr role="row" data-row=(row.about) {
                @if let Some((column, cell)) = cells.next() {
                    th scope="row" role="rowheader" class=(column.class) { (cell) }
                }
                @for (column, cell) in cells {
                    td role="cell" class=(column.class) data-label=(column.title) { div { (cell) } }
                }
            }
        }
    }
}

/// A number, as people read it and as programs do.
pub(crate) fn figure(name: &str, value: u64, text: &str) -> Markup {
    html! { data data-figure=(name) value=(value) { (text) } }
}

/// A number with commas.
pub(crate) fn number(name: &str, value: u64) -> Markup {
    figure(name, value, &count(value))
}

/// Something that stands beneath something else.
pub(crate) fn beneath(text: &str) -> Markup {
    html! { @if !text.is_empty() { span.beneath { (text) } } }
}

/// There is nothing to tell.
pub(crate) fn nothing() -> Markup {
    html! { span.nothing { span aria-hidden="true" { "–" } span.unseen { "none" } } }
}
