//! The binary's commands, as an operator gives them.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use ssync_tests::{Node, run_to_end, ssync_binary};

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) error: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), output: text(&output.stdout), error: text(&output.stderr) }
    }

    /// Its output, one JSON value a line.
    pub(crate) fn json(&self) -> Result<Vec<Value>> {
        let lines =
            self.output.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{line:?}")));
        lines.collect::<Result<_>>().with_context(|| self.error.clone())
    }

    /// The last line of its output.
    pub(crate) fn last_json(&self) -> Result<Value> {
        let all = self.json()?;
        ensure!(!all.is_empty(), "it said nothing: {}", self.error);
        Ok(all.last().cloned().unwrap_or_default())
    }
}

/// Runs `ssync` with these arguments, and the node's configuration.
pub(crate) fn ssync(node: &Node, arguments: &[&str]) -> Result<Said> {
    let conf = node.conf().display().to_string();
    let all: Vec<&str> = arguments.iter().copied().chain(["--conf", &conf]).collect();
    let said = Said::of(&run_to_end(&ssync_binary()?, &all)?);
    eprintln!("--- ssync {} ({:?})\n{}{}", arguments.join(" "), said.code, said.output, said.error);
    Ok(said)
}
