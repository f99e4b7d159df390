//! Performs histories on both sides, and compares.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{exceptions, generate::History, ours::Ours, snapshot, twin::Twin};

/// What came of a history.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Same,
    /// The two differ there as they should: in which part, at which operation, and why.
    LeftOut {
        second: bool,
        at: usize,
        reason: &'static str,
    },
    /// What differs.
    Differs(String),
}

/// Both sides, and where their trees are.
pub(super) struct Pair {
    root: TempDir,
    pub(super) twin: Twin,
}

type Snapshot = Vec<(String, Value)>;

impl Pair {
    pub(super) fn new() -> Self {
        Self { root: place(), twin: Twin::start() }
    }

    /// What comes of some histories.
    pub(super) fn run(&mut self, histories: &[History]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Same; histories.len()];
        // Swift's tree and ours, and then the other way around: each reads what the other wrote.
        for second in [false, true] {
            let sides = if second { ["ours", "swift"] } else { ["swift", "ours"] };
            let requests = histories.iter().enumerate().map(|(index, history)| {
                let mut request = history.settings.clone();
                request["devices"] = json!(self.directory(index, sides[0]));
                request["ops"] = json!(part(history, second));
                request
            });
            let requests: Value = requests.collect();
            let theirs = self.twin.perform(&requests);
            for (index, history) in histories.iter().enumerate() {
                if outcomes[index] != Outcome::Same {
                    continue;
                }
                let ops = part(history, second);
                let mut ours = Ours::new(&history.settings, &self.directory(index, sides[1]));
                let results = ours.perform_all(ops);
                let other = Ours::new(&history.settings, &self.directory(index, sides[0]));
                let (found, expected) = (snapshot::of(&ours), snapshot::of(&other));
                outcomes[index] = compare(ops, &theirs[index], &results, second, &expected, &found);
            }
        }
        for index in 0..histories.len() {
            fs::remove_dir_all(self.root.path().join(index.to_string())).unwrap();
        }
        outcomes
    }

    /// As [`run`](Self::run) for one history, without the operations at which the two differ as they should; gives the
    /// reasons.
    pub(super) fn run_one(&mut self, mut history: History) -> (Outcome, Vec<&'static str>) {
        let mut reasons = Vec::new();
        loop {
            match self.run(std::slice::from_ref(&history)).remove(0) {
                Outcome::LeftOut { second, at, reason } => {
                    let ops = if second { &mut history.second } else { &mut history.first };
                    ops.remove(at);
                    reasons.push(reason);
                }
                outcome => return (outcome, reasons),
            }
        }
    }

    fn directory(&self, index: usize, side: &str) -> std::path::PathBuf {
        self.root.path().join(index.to_string()).join(side)
    }
}

fn part(history: &History, second: bool) -> &[Value] {
    if second { &history.second } else { &history.first }
}

fn compare(
    ops: &[Value],
    theirs: &[Value],
    ours: &[Value],
    second: bool,
    expected: &Snapshot,
    found: &Snapshot,
) -> Outcome {
    let mut difference = String::new();
    for (at, ((op, theirs), ours)) in ops.iter().zip(theirs).zip(ours).enumerate() {
        if let Some(reason) = exceptions::left_out(theirs) {
            return Outcome::LeftOut { second, at, reason };
        }
        if !exceptions::same_result(op, theirs, ours) {
            writeln!(difference, "operation {at} {op}\n  Swift: {theirs}\n  ours:  {ours}").unwrap();
            break;
        }
    }
    let (expected, found) = (exceptions::comparable(expected.clone()), exceptions::comparable(found.clone()));
    for (path, value) in &expected {
        if !found.iter().any(|entry| entry.0 == *path && entry.1 == *value) {
            writeln!(difference, "Swift has {path}: {value}").unwrap();
        }
    }
    for (path, value) in &found {
        if !expected.iter().any(|entry| entry.0 == *path && entry.1 == *value) {
            writeln!(difference, "ours has  {path}: {value}").unwrap();
        }
    }
    if difference.is_empty() && found.len() != expected.len() {
        writeln!(difference, "{} entries in Swift's tree, {} in ours", expected.len(), found.len()).unwrap();
    }
    if difference.is_empty() {
        Outcome::Same
    } else {
        let part = if second { "second (trees exchanged)" } else { "first" };
        Outcome::Differs(format!("{part} part\n{difference}"))
    }
}

/// A directory in memory if that takes extended attributes, else on the test disk.
fn place() -> TempDir {
    let disk = std::env::var_os("SSYNC_TEST_DISK");
    let candidates = [Some("/dev/shm".into()), disk, Some(std::env::temp_dir().into_os_string())];
    for candidate in candidates.into_iter().flatten() {
        let Ok(directory) = TempDir::with_prefix_in("ssync-differential-", Path::new(&candidate)) else {
            continue;
        };
        if takes_large_attributes(directory.path()) {
            return directory;
        }
    }
    panic!(
        "no directory takes extended attributes of 64 KiB: set SSYNC_TEST_DISK to one on XFS, or run tests/run"
    );
}

fn takes_large_attributes(directory: &Path) -> bool {
    let file = directory.join("try");
    let value = vec![b'x'; 65_536];
    let set = |name| rustix::fs::setxattr(&file, name, &value, rustix::fs::XattrFlags::empty());
    let takes = fs::write(&file, "").is_ok() && set("user.a").is_ok() && set("user.b").is_ok();
    let _ = fs::remove_file(&file);
    takes
}
