//! How many instructions three hot paths take, which no noise of a machine changes: against regressions.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use ssync_tests::repository;
use tempfile::TempDir;

use crate::records::{Measurement, Out, Records};

/// The paths, and how many objects each is about.
const PATHS: [(&str, usize); 3] = [("missing-check", 10_000), ("receive", 1_000), ("suffix-hash", 10_000)];
/// Below the repository.
const KEPT: &str = "tests/bench/instructions.json";
/// What a path may take more than what is kept, in percent.
const MORE_MAX: f64 = 3.0;

/// Instructions of three hot paths, counted by valgrind; fails when one takes over 3 % more than what is kept.
///
/// `missing-check` of 10,000 offers, of which half are lacked; `receive` of 1,000 objects of 4 KiB in one session;
/// `suffix-hash` of a partition of 10,000 objects. Each is a program of its own (services/receiver/bench/hot_paths.rs), and
/// its start is counted too. Counts of another compiler are not compared.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the devices are made: a folder in memory.
    #[arg(long)]
    dir: PathBuf,
    /// From now on these counts are the ones to compare with.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    out: Out,
}

/// What a path takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    path: String,
    objects: usize,
    instructions: u64,
    /// What it took when that was last kept, by the same compiler.
    kept: Option<u64>,
}

impl Record {
    /// In percent of what is kept.
    fn more(&self) -> Option<f64> {
        self.kept.map(|kept| 100.0 * (self.instructions as f64 / kept as f64 - 1.0))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, objects, instructions, .. } = self;
        write!(f, "{path:<14} {objects:>6} objects {instructions:>13} instructions")?;
        self.more().map_or(Ok(()), |more| write!(f, ", {more:+.2} % against what is kept"))
    }
}

/// The counts to compare with, and whose code they are of.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    rustc: String,
    instructions: BTreeMap<String, u64>,
}

/// Counts, compares, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut out = Records::open(&options.out)?;
    let (file, rustc) = (repository().join(KEPT), rustc()?);
    let kept: Kept = match fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(_) => Kept::default(),
    };
    let mut records = Vec::new();
    for (path, objects) in PATHS {
        let instructions = count(&options.dir, path, objects)?;
        let known = kept.instructions.get(path).copied().filter(|_| kept.rustc == rustc && !options.keep);
        let record = Record { path: path.to_owned(), objects, instructions, kept: known };
        out.add(&Measurement::Instructions(record.clone()))?;
        records.push(record);
    }
    if options.keep {
        let instructions = records.iter().map(|record| (record.path.clone(), record.instructions)).collect();
        fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&Kept { rustc, instructions })?))?;
    } else if kept.rustc != rustc {
        eprintln!("{KEPT} is of {:?}, this is {rustc:?}: not compared", kept.rustc);
    }
    for record in &records {
        ensure!(record.more().is_none_or(|more| more <= MORE_MAX), "{record}: more than {MORE_MAX} %");
    }
    Ok(())
}

/// Instructions of one path, on a device of its own.
fn count(folder: &Path, path: &str, objects: usize) -> Result<u64> {
    let folder = TempDir::new_in(folder)?;
    let (devices, counts) = (folder.path().join("node"), folder.path().join("counts"));
    let program = program()?;
    let told = |path: &str| [path.to_owned(), devices.display().to_string(), objects.to_string()];
    run_quietly(Command::new(&program).args(told("prepare")))?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--fair-sched=yes"]);
    valgrind.arg(format!("--callgrind-out-file={}", counts.display())).arg(&program).args(told(path));
    // The environment lies on the stack, and moves what is there.
    valgrind.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    run_quietly(&mut valgrind)?;
    total(&fs::read_to_string(&counts)?).with_context(|| format!("{path}: no total in what callgrind wrote"))
}

/// Built beside this one.
fn program() -> Result<PathBuf> {
    let program = env::current_exe()?.with_file_name("hot_paths");
    ensure!(
        program.exists(),
        "{} does not exist: cargo build --release -p ssync-receiver --example hot_paths",
        program.display()
    );
    Ok(program)
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn rustc() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc cannot be run")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Of a file that callgrind wrote.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

/// The last count of each path.
pub(crate) fn markdown(measurements: &[Measurement]) -> String {
    let mut rows: BTreeMap<&str, &Record> = BTreeMap::new();
    for measurement in measurements {
        if let Measurement::Instructions(record) = measurement {
            rows.insert(&record.path, record);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let row = |record: &&Record| {
        let Record { path, objects, instructions, .. } = record;
        let each = instructions / (*objects as u64).max(1);
        let more = record.more().map_or_else(String::new, |more| format!("{more:+.2} %"));
        format!("| {path} | {objects} | {instructions} | {each} | {more} |\n")
    };
    let head = "| path | objects | instructions | each | against what is kept |\n|---|---|---|---|---|\n";
    head.to_owned() + &rows.values().map(row).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_counted_and_more_objects_take_more() {
        let folder = tempfile::tempdir().unwrap();
        for (path, _) in PATHS {
            let [few, many] = [10, 200].map(|objects| count(folder.path(), path, objects).unwrap());
            assert!(few > 100_000 && many > few + 100_000, "{path}: {few}, {many}");
        }
    }

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("version: 1\nsummary: 5\n\nfn=(1)\n1 5\ntotals: 17\n"), Some(17));
        assert_eq!(total("version: 1\n"), None);
    }
}
