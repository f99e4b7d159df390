//! The last run in docs/performance.md: its tables between marks, goals beside what was measured, and a chart.

mod chart;
mod goals;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use ssync_tests::repository;

use crate::{
    guard, instructions, memory,
    records::{Measurement, read},
    replication, requests,
};

/// Writes what was measured into docs/performance.md and draws docs/performance.svg.
///
/// A part of which there are no measurements stays as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What `--out` has kept.
    #[arg(long)]
    records: PathBuf,
    /// Where the two files are.
    #[arg(long, default_value_os_t = repository().join("docs"))]
    docs: PathBuf,
}

/// Writes both.
pub(crate) fn run(options: &Options) -> Result<()> {
    let measurements = read(&options.records)?;
    let page = options.docs.join("performance.md");
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    fs::write(&page, filled(text, &measurements)?)?;
    let groups = replication::groups(&measurements);
    if !groups.is_empty() {
        fs::write(options.docs.join("performance.svg"), chart::svg(&groups))?;
    }
    Ok(())
}

fn filled(mut text: String, measurements: &[Measurement]) -> Result<String> {
    let machine = measurements.iter().rev().find_map(|measurement| match measurement {
        Measurement::Machine(machine) => Some(machine.to_string()),
        _ => None,
    });
    for (name, part) in [
        ("machine", machine.unwrap_or_default()),
        ("goals", goals::markdown(measurements)),
        ("replication", replication::markdown(measurements)),
        ("requests", requests::markdown(measurements)),
        ("guard", guard::markdown(measurements)),
        ("memory", memory::markdown(measurements)),
        ("instructions", instructions::markdown(measurements)),
    ] {
        if !part.is_empty() {
            text = between_marks(&text, name, part.trim())?;
        }
    }
    Ok(text)
}

fn between_marks(text: &str, name: &str, part: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let parts = text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.with_context(|| format!("there is no {begin} with an end"))?;
    Ok(format!("{before}{begin}\n\n{part}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb";
        let once = between_marks(text, "x", "new").unwrap();
        assert_eq!(once, "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb");
        assert_eq!(between_marks(&once, "x", "new").unwrap(), once);
        assert!(between_marks(text, "y", "new").is_err());
    }

    #[test]
    fn the_page_has_a_place_for_each_part() {
        let page = fs::read_to_string(repository().join("docs/performance.md")).unwrap();
        for name in ["machine", "goals", "replication", "requests", "guard", "instructions"] {
            assert!(between_marks(&page, name, "x").is_ok(), "{name}");
        }
    }
}
