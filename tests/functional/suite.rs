//! One run of Swift's functional tests against a cluster.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use ssync_tests::{Cloud, Server, as_own_group, repository, venv_program};

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Characters of a failure that are shown.
const REASON_MAX: usize = 300;

/// What is compared, in the same words for both sides.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Variant {
    /// Objects are encrypted by the proxy: each PUT has footers.
    pub(crate) encryption: bool,
    /// Objects are erasure-coded unless a test asks for another policy: each PUT has two phases.
    pub(crate) coded: bool,
}

impl Variant {
    fn cloud(self, server: Server) -> Result<Cloud> {
        let mut builder = Cloud::of(4);
        if self.encryption {
            builder = builder.encryption();
        }
        if self.coded {
            builder = builder.default_policy(2);
        }
        builder.start(server)
    }

    /// A name for files.
    pub(crate) fn name(self) -> String {
        let encryption = if self.encryption { "-encrypted" } else { "" };
        let coded = if self.coded { "-coded" } else { "" };
        format!("functional{encryption}{coded}")
    }
}

/// A line of what `record.py` writes.
#[derive(Debug, Deserialize)]
struct Report {
    test: String,
    phase: String,
    outcome: String,
    why: String,
}

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With its reason: a test that is skipped for another reason has seen another cluster.
    Skipped(String),
    /// In which phase, and why.
    Failed(String, String),
}

/// What became of each test, by its name.
pub(crate) type Outcomes = BTreeMap<String, Outcome>;

/// Where Swift's tests and what their runs leave are kept.
pub(crate) fn folder() -> PathBuf {
    env::var_os("FUNCTIONAL_DIR").map_or_else(|| repository().join("target/functional"), PathBuf::from)
}

fn suite() -> Result<PathBuf> {
    let requirements = fs::read_to_string(repository().join("tests/requirements.txt"))?;
    let version = requirements.lines().find_map(|line| line.strip_prefix("swift==")).context("no version")?;
    let suite = folder().join(format!("swift-{version}"));
    ensure!(suite.join(".complete").exists(), "{} is not there: run tests/functional/fetch", suite.display());
    Ok(suite)
}

/// Runs the tests that `arguments` name against a cluster of `server`; its log and its record are called `name`.
pub(crate) fn run(
    variant: Variant,
    server: Server,
    name: &str,
    arguments: &[String],
    longest: Duration,
) -> Result<Outcomes> {
    let suite = suite()?;
    let (record, log) = (folder().join(format!("{name}.jsonl")), folder().join(format!("{name}.log")));
    let mut cloud = variant.cloud(server)?;
    let output = File::create(&log)?;
    let mut command = as_own_group(&venv_program("python")?);
    command
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "record", "-o", "addopts="])
        .args(arguments)
        .env("PYTHONPATH", repository().join("tests/functional"))
        .env("FUNCTIONAL_RECORD", &record)
        .env("SWIFT_TEST_CONFIG_FILE", cloud.test_conf())
        .current_dir(suite)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut child = command.spawn()?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > longest {
            kill_process_group(Pid::from_child(&child), Signal::KILL)?;
            child.wait()?;
            keep_logs(&cloud, name)?;
            bail!("{name} did not end within {longest:?}; see {}", log.display());
        }
        thread::sleep(POLL_INTERVAL);
    };
    keep_logs(&cloud, name)?;
    cloud.assert_running();
    // 1 says that tests have failed; all above, that pytest itself has.
    ensure!(matches!(status.code(), Some(0 | 1)), "{name}: pytest {status}; see {}", log.display());
    outcomes(&record)
}

/// What the servers have said outlives their folder.
fn keep_logs(cloud: &Cloud, name: &str) -> Result<()> {
    let kept = folder().join(format!("{name}-servers"));
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(cloud.cluster().folder().join("log"))? {
        let path = entry?.path();
        if let Some(file) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, kept.join(file))?;
        }
    }
    Ok(())
}

/// Reads a record.
pub(crate) fn outcomes(record: &Path) -> Result<Outcomes> {
    let text = fs::read_to_string(record).with_context(|| record.display().to_string())?;
    let mut outcomes = Outcomes::new();
    for line in text.lines() {
        let report: Report = serde_json::from_str(line)?;
        let outcome = match report.outcome.as_str() {
            "passed" => Outcome::Passed,
            "skipped" => Outcome::Skipped(report.why),
            "failed" => Outcome::Failed(report.phase, last_words(&report.why)),
            other => bail!("{other:?} is no outcome: {line}"),
        };
        // Setting up, the test, tearing down: the first that is not passed says it.
        let known = outcomes.entry(report.test).or_insert(Outcome::Passed);
        if *known == Outcome::Passed {
            *known = outcome;
        }
    }
    Ok(outcomes)
}

/// pytest ends a failure with the place; the line before it says what was wrong.
fn last_words(why: &str) -> String {
    let errors: Vec<&str> = why.lines().filter_map(|line| line.strip_prefix("E ")).map(str::trim).collect();
    let text = if errors.is_empty() { why.trim().to_owned() } else { errors.join(" / ") };
    text.chars().take(REASON_MAX).collect()
}
