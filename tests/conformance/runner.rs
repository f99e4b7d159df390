//! Runs of `ssync conformance`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;
use ssync_tests::{run_to_end, ssync_binary};

/// How the harness's clusters place objects.
pub(crate) const SALTED: [&str; 6] =
    ["--hash-prefix", "changeme", "--hash-suffix", "changeme", "--part-power", "3"];

/// A run, and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Value>,
    pub(crate) complaint: String,
}

fn read(text: &[u8]) -> Result<Vec<Value>> {
    let text = String::from_utf8_lossy(text).into_owned();
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn name(line: &Value) -> Option<String> {
    Some(line["name"].as_str()?.to_owned())
}

/// The names of all vectors.
pub(crate) fn vectors() -> Result<BTreeSet<String>> {
    let output = run_to_end(&ssync_binary()?, &["conformance", "--list", "--json"])?;
    Ok(read(&output.stdout)?.iter().filter_map(name).collect())
}

impl Run {
    pub(crate) fn of(address: &str, device: &str, more: &[&str]) -> Result<Self> {
        let arguments = [&["conformance", address, "--device", device, "--json"][..], more].concat();
        Self::given(&arguments)
    }

    /// One that is given so.
    pub(crate) fn given(arguments: &[&str]) -> Result<Self> {
        let output = run_to_end(&ssync_binary()?, arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Self { code: output.status.code(), lines: read(&output.stdout)?, complaint })
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.lines.iter().filter_map(name).collect()
    }

    pub(crate) fn failed(&self) -> BTreeSet<String> {
        self.lines.iter().filter(|line| line["passed"] == false).filter_map(name).collect()
    }

    pub(crate) fn differences(&self) -> impl Iterator<Item = &str> {
        let lists = self.lines.iter().filter_map(|line| line["differences"].as_array());
        lists.flatten().filter_map(Value::as_str)
    }

    /// What the last line sums up.
    pub(crate) fn total(&self) -> &Value {
        self.lines.last().expect("a last line")
    }
}
