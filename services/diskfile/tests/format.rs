//! docs/disk-format.md is true: each of its examples is read out of it and checked, here and against stock Swift.

mod attributes;
mod device;
mod document;
mod hashes;
mod names;
mod pending;
mod rules;

use std::{
    collections::BTreeSet,
    env,
    panic::{self, AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use document::{Block, Document, columns, place};

/// A kind of example: what checks it, and in which of its columns a changed character cannot go unnoticed. (A name that
/// is refused may be refused with another letter too.)
struct Kind {
    name: &'static str,
    check: fn(&Document, &Block),
    telling: &'static [usize],
}

const fn kind(name: &'static str, check: fn(&Document, &Block), telling: &'static [usize]) -> Kind {
    Kind { name, check, telling }
}

const KINDS: [Kind; 27] = [
    kind("tree", device::tree, &[0]),
    kind("hash", names::hash, &[0, 1, 2, 3]),
    kind("timestamps", names::timestamps, &[1, 2, 3, 4, 5]),
    kind("timestamps-refused", names::timestamps_refused, &[]),
    kind("names", names::names, &[1, 2, 3, 4, 5, 6]),
    kind("names-refused", names::names_refused, &[]),
    kind("order", names::order, &[1]),
    kind("files", rules::files, &[1]),
    kind("xattr", attributes::xattr, &[0, 1]),
    kind("metadata", attributes::metadata, &[0]),
    kind("checksum", attributes::checksum, &[0]),
    kind("pieces", attributes::pieces, &[0, 1, 2, 3]),
    kind("encode", attributes::encode, &[1]),
    kind("hashes", hashes::hashes, &[0, 1]),
    kind("hashes-say", hashes::hashes_say, &[0, 1, 2]),
    kind("hashes-keys", hashes::keys, &[1]),
    kind("invalid", hashes::invalid, &[0, 1]),
    kind("notes", hashes::notes, &[1]),
    kind("suffix", rules::suffix, &[1]),
    kind("locks", device::locks, &[1]),
    kind("quarantine", device::quarantine, &[1]),
    kind("pending", pending::pending, &[0]),
    kind("power", names::power, &[2, 4]),
    kind("writes", device::writes, &[0]),
    kind("reclaim", rules::reclaim, &[3]),
    kind("partitions", names::partitions, &[2]),
    kind("suffixes", names::suffixes, &[1]),
];

/// Kinds whose first line is an example already.
const WITHOUT_HEADING: [&str; 10] =
    ["tree", "files", "xattr", "metadata", "checksum", "hashes", "invalid", "suffix", "pending", "writes"];

fn kind_of(block: &Block) -> &'static Kind {
    KINDS
        .iter()
        .find(|kind| kind.name == block.kind)
        .unwrap_or_else(|| panic!("nothing checks {}", block.kind))
}

fn kinds(document: &Document) -> BTreeSet<String> {
    document.0.iter().map(|block| block.kind.clone()).collect()
}

#[test]
fn every_example_holds() {
    let document = Document::read();
    assert_eq!(kinds(&document), KINDS.iter().map(|kind| kind.name.to_owned()).collect());
    for block in &document.0 {
        println!("{} {}", block.kind, block.args.join(" "));
        assert!(!block.lines.is_empty());
        (kind_of(block).check)(&document, block);
    }
}

/// Another character of the same sort, where the last one of a column stood that has one.
fn changed(line: &str, column: &str) -> Option<String> {
    let at = column.as_ptr() as usize - line.as_ptr() as usize;
    let (place, old) = column.char_indices().rev().find(|(_, c)| c.is_ascii_alphanumeric())?;
    let new = match old {
        '9' => '0',
        'f' | 'z' => 'a',
        other => char::from(u8::try_from(other).ok()? + 1),
    };
    let (head, tail) = (line.get(..at + place)?, line.get(at + place + 1..)?);
    Some(format!("{head}{new}{tail}"))
}

/// The lines that are examples, of this code as well as of Swift's.
fn examples(block: &Block) -> impl Iterator<Item = (usize, &String)> {
    let headings = usize::from(!WITHOUT_HEADING.contains(&block.kind.as_str()));
    let is_theirs = |line: &str| block.kind == "tree" && line.contains(" *");
    let lines = block.lines.iter().enumerate().skip(headings);
    lines.filter(move |(_, line)| !line.starts_with("# ") && !is_theirs(line))
}

#[test]
fn a_changed_character_is_noticed() {
    let document = Document::read();
    let quiet = Quiet::new();
    let mut count = 0;
    for (index, block) in document.0.iter().enumerate() {
        let Kind { check, telling, .. } = kind_of(block);
        for (number, line) in examples(block) {
            let row = columns(line);
            for other in telling.iter().filter_map(|column| changed(line, row.get(*column)?)) {
                let mut lying = document.clone();
                lying.0[index].lines[number] = other.clone();
                let noticed = catch_unwind(AssertUnwindSafe(|| check(&lying, &lying.0[index]))).is_err();
                assert!(noticed, "{} {:?}: {other:?} is believed", block.kind, block.args);
                count += 1;
            }
        }
    }
    drop(quiet);
    assert!(count > 400, "only {count} lies were told");
}

/// While it lives, this thread's panics are not printed, but for the test's own.
struct Quiet;

impl Quiet {
    fn new() -> Self {
        let (loud, here) = (panic::take_hook(), thread::current().id());
        panic::set_hook(Box::new(move |info| {
            let is_own = info.location().is_some_and(|place| place.file().ends_with("tests/format.rs"));
            if thread::current().id() != here || is_own {
                loud(info);
            }
        }));
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if !thread::panicking() {
            drop(panic::take_hook());
        }
    }
}

/// The Python of the virtual environment that has stock Swift.
fn python() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let venv = env::var_os("SWIFT_VENV").map_or_else(|| repository.join("target/swift-venv"), PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.exists(), "{} does not exist: run tests/run, or set SWIFT_VENV", python.display());
    python
}

#[test]
fn stock_swift_agrees() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/agree.py");
    let output =
        Command::new(python()).arg(script).arg(place()).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "stock Swift does not agree:\n{complaint}");
    let report = String::from_utf8_lossy(&output.stdout);
    let checked: BTreeSet<_> =
        report.lines().filter_map(|line| line.split_once(' ')).map(|(kind, _)| kind.to_owned()).collect();
    assert_eq!(checked, kinds(&Document::read()));
}
