//! A Python process with Swift in it, spoken to in lines of JSON.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

/// The process; it ends when this is dropped.
pub(super) struct Twin {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Fragments as Swift's encoder makes them, by body and index.
    pub(super) fragments: Vec<Vec<String>>,
}

impl Twin {
    pub(super) fn start() -> Self {
        let venv = std::env::var_os("SWIFT_VENV").expect(
            "SWIFT_VENV is not set: it names a virtual environment with Swift in it. Run tests/run, which makes one",
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/stock_swift.py");
        let mut child = Command::new(PathBuf::from(venv).join("bin/python"))
            .arg(script)
            // The encoding of names must not depend on who runs the tests; nor the order of what Swift keeps in sets.
            .envs([("PYTHONUTF8", "1"), ("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("SWIFT_VENV has no bin/python that can be run; tests/run makes one");
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut twin = Self { child, requests, answers, fragments: Vec::new() };
        let greeting = twin.answer();
        twin.fragments = serde_json::from_value(greeting["fragments"].clone()).unwrap();
        twin
    }

    /// Performs histories; gives the results of each.
    pub(super) fn perform(&mut self, histories: &Value) -> Vec<Vec<Value>> {
        let requests = self.requests.as_mut().unwrap();
        writeln!(requests, "{histories}").expect("the Python process ended; its words are above");
        requests.flush().unwrap();
        serde_json::from_value(self.answer()).unwrap()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the Python process ended without an answer; its words are above");
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.wait();
    }
}
