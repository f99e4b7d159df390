//! The worked session of docs/protocol.md goes as it is written.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::repository;

use crate::dev::{Dev, README_ADDRESS, paste_any};

/// How often a command is given whose partition the node's own replicator has just locked, and the time between: what the page says.
const LOCKED_TRIES_MAX: usize = 20;
const LOCKED_WAIT: Duration = Duration::from_secs(1);

/// The blocks between fences of one section: commands, and what each prints.
fn blocks(text: &str) -> Result<Vec<(String, String)>> {
    let section = text.split("\n## ").find(|section| section.starts_with("A worked session\n"));
    let fenced: Vec<&str> = section.context("no worked session")?.split("```\n").skip(1).step_by(2).collect();
    ensure!(fenced.len().is_multiple_of(2), "a command without what it prints");
    Ok(fenced.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect())
}

/// Each line of the page is in the output, in order; `...` stands for any end of a line.
fn assert_said(command: &str, said: &str, expected: &str) {
    let mut rest = said;
    for line in expected.lines().filter(|line| !line.trim().is_empty()) {
        let wanted = line.trim().trim_end_matches("...");
        let Some(place) = rest.find(wanted) else {
            panic!("{command}\nthere is no {line:?} in its place:\n{said}")
        };
        rest = &rest[place + wanted.len()..];
    }
}

#[test]
fn the_worked_session_goes_as_it_is_written() -> Result<()> {
    let dev = Dev::start()?;
    let address = dev.address()?;
    let text = fs::read_to_string(repository().join("docs/protocol.md"))?;
    let blocks = blocks(&text)?;
    assert_eq!(blocks.len(), 4, "{blocks:#?}");
    for (command, expected) in blocks {
        let command = command.replace(README_ADDRESS, &address);
        let mut said = paste_any(&command)?;
        for _ in 0..LOCKED_TRIES_MAX {
            if !said.contains("_LOCKED") {
                break;
            }
            thread::sleep(LOCKED_WAIT);
            said = paste_any(&command)?;
        }
        assert_said(&command, &said, &expected);
    }
    Ok(())
}
