//! What the demo prints at its end.

use std::time::Duration;

use crate::{
    demo::verify::Comparison,
    table::{Cell, Column, Page, Table},
};

/// The figures of all phases.
#[derive(Debug)]
pub(crate) struct Report {
    objects: usize,
    phases: Vec<Phase>,
    notes: Vec<String>,
    differences: Vec<String>,
}

#[derive(Debug)]
struct Phase {
    name: &'static str,
    objects: u64,
    bytes: u64,
    time: Duration,
}

impl Report {
    pub(crate) fn new(objects: usize) -> Self {
        Self { objects, phases: Vec::new(), notes: Vec::new(), differences: Vec::new() }
    }

    /// Adds a phase: replicas handled, bytes of their bodies, time taken.
    pub(crate) fn phase(&mut self, name: &'static str, objects: u64, bytes: u64, time: Duration) {
        self.phases.push(Phase { name, objects, bytes, time });
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds what the comparison found.
    pub(crate) fn compared(&mut self, comparison: &Comparison) {
        let expected = self.objects as u64 * 3;
        self.notes.push(format!(
            "{} of {expected} replicas and the suffix hashes of {} partitions are equal.",
            comparison.replicas, comparison.partitions
        ));
        self.differences = comparison.differences();
    }

    /// What was not equal.
    pub(crate) fn differences(&self) -> &[String] {
        &self.differences
    }

    /// The table, and the sentences.
    pub(crate) fn table(&self, page: Page) -> String {
        let mut table = Table::new([
            Column::text("phase"),
            Column::number("replicas"),
            Column::number("MB"),
            Column::number("seconds"),
            Column::number("replicas/s"),
            Column::number("MB/s"),
        ]);
        for phase in &self.phases {
            table.row(phase.row().map(Cell::from));
        }
        let table = table.show(page);
        let mut text = format!("{} objects, 3 replicas each\n{}", self.objects, table.trim_end());
        for note in &self.notes {
            text.push('\n');
            text.push_str(note);
        }
        text
    }
}

impl Phase {
    fn row(&self) -> [String; 6] {
        let seconds = self.time.as_secs_f64();
        let megabytes = self.bytes as f64 / 1e6;
        let rate = |amount: f64| match self.objects {
            0 => String::new(),
            _ => format!("{:.0}", amount / seconds.max(1e-3)),
        };
        [
            self.name.to_owned(),
            self.objects.to_string(),
            format!("{megabytes:.1}"),
            format!("{seconds:.2}"),
            rate(self.objects as f64),
            rate(megabytes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_each_phase_with_its_rates() {
        let mut report = Report::new(10);
        report.phase("replicate", 20, 4_000_000, Duration::from_secs(2));
        let table = report.table(Page::PLAIN);
        assert!(table.contains("10 objects"), "{table}");
        assert!(table.contains("replicate"), "{table}");
        let row: Vec<_> =
            table.lines().find(|line| line.contains("replicate ")).unwrap().split_whitespace().collect();
        assert_eq!(row, ["replicate", "20", "4.0", "2.00", "10", "2"], "{table}");
    }
}
