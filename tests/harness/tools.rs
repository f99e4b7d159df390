//! The programs that a test runs: the binary under test, stock Swift, the Python helpers.

use std::{
    env,
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::daemon::as_own_group;

/// Longest that a program which should end by itself may take.
const PROGRAM_WAIT_MAX: Duration = Duration::from_secs(120);

/// The top of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// The binary under test.
pub fn ssync_binary() -> Result<PathBuf> {
    let binary =
        env::var_os("SSYNC_BIN").map_or_else(|| repository().join("target/release/ssync"), PathBuf::from);
    ensure!(binary.exists(), "{} does not exist: run tests/run, or set SSYNC_BIN", binary.display());
    Ok(binary)
}

/// A program of the virtual environment, for example `swift-object-server`.
pub fn venv_program(name: &str) -> Result<PathBuf> {
    let venv =
        env::var_os("SWIFT_VENV").map_or_else(|| repository().join("target/swift-venv"), PathBuf::from);
    let program = venv.join("bin").join(name);
    ensure!(program.exists(), "{} does not exist: run tests/run, or set SWIFT_VENV", program.display());
    Ok(program)
}

/// Runs `harness/python/NAME.py`, gives it `arguments`, returns its answer.
pub fn helper(name: &str, arguments: &Value) -> Result<Value> {
    let script = repository().join("tests/harness/python").join(name).with_extension("py");
    let mut child = Command::new(venv_program("python")?)
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no pipe to the helper")?;
    input.write_all(arguments.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}.py: {}: {complaint}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name}.py gave no JSON"))
}

/// Runs a program that should end by itself; kills it and fails when it does not.
pub fn run_to_end<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<Output> {
    let mut command = as_own_group(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    let id = rustix::process::Pid::from_child(&child);
    // The pipes must be read while it runs, else a talkative program waits for ever.
    let reader = thread::spawn(move || child.wait_with_output());
    let started = Instant::now();
    while !reader.is_finished() {
        if started.elapsed() > PROGRAM_WAIT_MAX {
            rustix::process::kill_process_group(id, rustix::process::Signal::KILL)?;
            let Ok(Ok(output)) = reader.join() else { bail!("{} hung", program.display()) };
            bail!("{} hung: {}", program.display(), String::from_utf8_lossy(&output.stderr));
        }
        thread::sleep(Duration::from_millis(20));
    }
    match reader.join() {
        Ok(output) => Ok(output?),
        Err(_) => bail!("the thread that read the output of {} died", program.display()),
    }
}
