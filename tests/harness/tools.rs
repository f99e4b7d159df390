//! The programs that a test runs: the binary under test, stock Swift, the Python helpers.

use std::{
    env,
    ffi::OsStr,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
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

/// A helper that works until it is told to stop.
#[derive(Debug)]
pub struct Helper {
    name: String,
    child: Child,
}

impl Helper {
    /// Starts `harness/python/NAME.py`; its arguments are the first line of what it reads.
    pub fn start(name: &str, arguments: &Value) -> Result<Self> {
        let script = repository().join("tests/harness/python").join(name).with_extension("py");
        let mut command = as_own_group(&venv_program("python")?);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.as_mut().context("no pipe to the helper")?;
        writeln!(input, "{arguments}")?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Ends what it reads, which tells it to stop, and returns its answer.
    pub fn stop(mut self) -> Result<Value> {
        drop(self.child.stdin.take());
        let mut answer = String::new();
        self.child.stdout.take().context("no pipe from the helper")?.read_to_string(&mut answer)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{}.py: {status}", self.name);
        serde_json::from_str(&answer).with_context(|| format!("{}.py gave no JSON: {answer:?}", self.name))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
