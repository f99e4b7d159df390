//! Tables for people: aligned, cut to the terminal's width, coloured only where a terminal shows them.

use console::{Style, measure_text_width, truncate_str};

/// What stands between two columns.
const GAP: &str = "  ";
/// Narrower than this no column is cut.
const CUT_MIN: usize = 6;
/// What a cut text ends with.
const ELLIPSIS: &str = "…";

/// Where a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// Characters in a line. `None`: nobody cuts them, as in a file or a pipe.
    pub(crate) width: Option<usize>,
    /// Whether colours are shown: on a terminal, unless `NO_COLOR` is set.
    pub(crate) colour: bool,
}

impl Page {
    /// Standard output as it is.
    pub(crate) fn stdout() -> Self {
        let terminal = console::Term::stdout();
        let shown = terminal.is_term();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal.size_checked().map(|(_, columns)| usize::from(columns));
        Self { width: width.filter(|_| shown), colour: shown && !plain && console::colors_enabled() }
    }

    /// A file or a pipe.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { width: None, colour: false };

    /// A text in its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        match tone.style().filter(|_| self.colour && !text.is_empty()) {
            Some(style) => style.force_styling(true).apply_to(text).to_string(),
            None => text.to_owned(),
        }
    }
}

/// What a text means; colours only repeat what its words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing of its own.
    #[default]
    Plain,
    /// As it has to be.
    Good,
    /// To be looked at.
    Doubtful,
    /// Wrong.
    Bad,
    /// Beside the matter.
    Faint,
    /// The names of columns.
    Head,
}

impl Tone {
    fn style(self) -> Option<Style> {
        match self {
            Self::Plain => None,
            Self::Good => Some(Style::new().green()),
            Self::Doubtful => Some(Style::new().yellow()),
            Self::Bad => Some(Style::new().red().bold()),
            Self::Faint => Some(Style::new().dim()),
            Self::Head => Some(Style::new().bold()),
        }
    }
}

/// A text in a table; it may have several lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text that means something.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// A column: its name, the side that its texts stand at, and how wide it is at least.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    right: bool,
    least: usize,
}

impl Column {
    /// Of words.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, right: false, least: 0 }
    }

    /// Of numbers, which stand at the right.
    pub(crate) const fn number(name: &'static str) -> Self {
        Self { name, right: true, least: 0 }
    }

    /// The same, at least so wide: for a table whose rows are printed as they are found.
    pub(crate) const fn least(self, least: usize) -> Self {
        Self { least, ..self }
    }
}

/// Rows below the names of their columns.
#[derive(Debug, Clone)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) const fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// All of it, each line ended; nothing where there are no rows.
    pub(crate) fn show(&self, page: Page) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths = self.fit(self.natural(), page);
        let mut text = head(&self.columns, &widths, page);
        for row in &self.rows {
            text.push_str(&lines(&self.columns, row, &widths, page));
        }
        text
    }

    /// The names of the columns, for rows that come one by one.
    pub(crate) fn header(&self, page: Page) -> String {
        head(&self.columns, &self.fit(self.natural(), page), page)
    }

    /// A row that comes by itself below [`Self::header`]: what is wider than its column moves the rest of its line.
    pub(crate) fn line(&self, row: &[Cell; N], page: Page) -> String {
        let mut widths = self.natural();
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = wide(&cell.text).max(*width);
        }
        lines(&self.columns, row, &self.fit(widths, page), page)
    }

    /// As wide as the widest of each column.
    fn natural(&self) -> [usize; N] {
        let mut widths = self.columns.map(|column| wide(column.name).max(column.least));
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = wide(&cell.text).max(*width);
            }
        }
        widths
    }

    /// Takes from the widest until all of them fit; numbers are never cut.
    fn fit(&self, mut widths: [usize; N], page: Page) -> [usize; N] {
        let Some(page) = page.width else { return widths };
        while widths.iter().sum::<usize>() + GAP.len() * N.saturating_sub(1) > page {
            let cut = widths.iter_mut().zip(&self.columns);
            let widest =
                cut.filter(|(width, column)| !column.right && **width > CUT_MIN).max_by_key(|(w, _)| **w);
            let Some((width, _)) = widest else { break };
            *width -= 1;
        }
        widths
    }
}

/// The columns that a text of one or several lines takes.
fn wide(text: &str) -> usize {
    text.lines().map(measure_text_width).max().unwrap_or(0)
}

fn head<const N: usize>(columns: &[Column; N], widths: &[usize; N], page: Page) -> String {
    let names = columns.map(|column| Cell::toned(column.name, Tone::Head));
    let line = "─".repeat(widths.iter().sum::<usize>() + GAP.len() * N.saturating_sub(1));
    let line = page.width.map_or_else(|| line.clone(), |width| truncate_str(&line, width, "").into_owned());
    format!("{}{}\n", lines(columns, &names, widths, page), page.paint(Tone::Faint, &line))
}

fn lines<const N: usize>(columns: &[Column; N], row: &[Cell; N], widths: &[usize; N], page: Page) -> String {
    let height = row.iter().map(|cell| cell.text.lines().count()).max().unwrap_or(0).max(1);
    let mut text = String::new();
    for number in 0..height {
        let mut line = String::new();
        for (place, ((cell, column), width)) in row.iter().zip(columns).zip(widths).enumerate() {
            let part = plain(cell.text.lines().nth(number).unwrap_or_default());
            let part = truncate_str(&part, *width, ELLIPSIS);
            let pad = " ".repeat(width.saturating_sub(measure_text_width(&part)));
            let gap = if place > 0 { GAP } else { "" };
            let (before, after) = if column.right { (pad.as_str(), "") } else { ("", pad.as_str()) };
            line.push_str(&format!("{gap}{before}{}{after}", page.paint(cell.tone, &part)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Control characters, as names on a disk may have, do not reach the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table =
            Table::new([Column::text("device"), Column::number("objects"), Column::text("what is wrong")]);
        table.row(["sdb1".into(), "12,345".into(), Cell::toned("nothing", Tone::Good)]);
        table.row(["a".into(), "7".into(), Cell::toned("a long story\nof two lines", Tone::Bad)]);
        table
    }

    #[test]
    fn columns_stand_below_their_names() {
        let text = table().show(Page::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "device  objects  what is wrong");
        assert!(lines[1].chars().all(|c| c == '─') && lines[1].chars().count() == 30, "{text}");
        assert_eq!(
            lines[2..],
            ["sdb1     12,345  nothing", "a             7  a long story", "                 of two lines"]
        );
    }

    #[test]
    fn a_narrow_page_cuts_words_and_no_numbers() {
        let text = table().show(Page { width: Some(24), colour: false });
        assert!(text.lines().all(|line| measure_text_width(line) <= 24), "{text}");
        assert!(text.contains("12,345") && text.contains("a long…"), "{text}");
        // Narrower than anything: it is cut no further, and nothing panics.
        assert!(table().show(Page { width: Some(1), colour: false }).contains("12,345"));
    }

    #[test]
    fn colours_are_for_terminals_and_change_no_width() {
        let page = Page { width: Some(80), colour: true };
        let (coloured, plain) = (table().show(page), table().show(Page { colour: false, ..page }));
        assert!(coloured.contains("\u{1b}[") && !plain.contains('\u{1b}'), "{coloured}");
        assert_eq!(without_colours(&coloured), plain);
    }

    fn without_colours(text: &str) -> String {
        let mut parts = text.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| all + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    #[test]
    fn rows_that_come_one_by_one_keep_the_least_width() {
        let table = Table::new([Column::text("device").least(10), Column::number("objects").least(9)]);
        let (head, line) = (table.header(Page::PLAIN), table.line(&["d1".into(), "5".into()], Page::PLAIN));
        assert_eq!(head.lines().next(), Some("device        objects"));
        assert_eq!(line, "d1                  5\n");
        let wide = table.line(&["a-device-of-a-name".into(), "5".into()], Page::PLAIN);
        assert_eq!(wide, "a-device-of-a-name          5\n");
    }

    #[test]
    fn what_is_in_names_does_not_steer_the_terminal() {
        let mut table = Table::new([Column::text("name")]);
        table.row(["a\u{1b}[31mb".into()]);
        assert!(!table.show(Page::PLAIN).contains('\u{1b}'));
    }
}
