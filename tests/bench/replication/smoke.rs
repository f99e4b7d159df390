//! The benchmark works: every contestant does every work. Nothing is timed.

use std::{env, process::Command};

use clap::Parser as _;

use super::{Options, contestant::Contestant, markdown, measure, work::Work};
use crate::{processes::Role, records::Measurement};

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

fn measured(contestants: &str, works: &str, more: &[&str]) -> Vec<Measurement> {
    let dir = env::var_os("SSYNC_TEST_DISK").map_or_else(env::temp_dir, Into::into);
    let dir = dir.to_str().unwrap();
    let quick = [
        "bench",
        "--dir",
        dir,
        "--rounds",
        "1",
        "--pause",
        "2",
        "--contestants",
        contestants,
        "--works",
        works,
    ];
    let options = Alone::try_parse_from(quick.iter().chain(more)).unwrap().options;
    let mut measurements = Vec::new();
    let kept = measure(&options, |measurement| {
        measurements.push(measurement);
        Ok(())
    });
    kept.unwrap();
    measurements
}

#[test]
fn every_contestant_does_every_work() {
    let contestants = "stock-ssync,stock-rsync,ssync-batch,rsync,cp,floor-object-2x1";
    let measurements = measured(contestants, "wiped:20x1000,drain:20x1000", &["--no-flushes"]);
    assert_eq!(measurements.len(), 6 + 3);
    for measurement in &measurements {
        let Measurement::Replication(record) = measurement else { panic!("{measurement}") };
        assert!(record.seconds > 0.0 && record.bytes == 20_000, "{record}");
        let by_network = record.contestant.contains("ssync");
        assert!(!by_network || record.usage(Role::Receiver).peak_bytes > 1 << 20, "{record:?}");
        assert!(!by_network || record.wire_bytes.is_none_or(|bytes| bytes > 20_000), "{record:?}");
    }
    let table = markdown(&measurements);
    assert_eq!(table.lines().count(), 5 + 5 + 9, "{table}");
}

#[test]
fn a_daemon_passes_over_what_has_changed_and_what_has_not() {
    let works = "changed:200x1000,cold:200x1000";
    let measurements = measured("stock-ssync,ssync-batch,rsync", works, &["--no-flushes"]);
    assert_eq!(measurements.len(), 3 + 2);
    for measurement in &measurements {
        let Measurement::Replication(record) = measurement else { panic!("{measurement}") };
        let moved = if record.work.starts_with("changed") { 2 } else { 0 };
        assert!(record.seconds > 0.0 && record.objects == moved, "{record}");
    }
}

#[test]
fn flushes_are_counted() {
    if Command::new("strace").args(["-qq", "true"]).status().is_ok_and(|status| !status.success()) {
        eprintln!("SKIPPED: nothing can be traced here, so this checks nothing");
        return;
    }
    for measurement in measured("ssync-object,ssync-none,cp,stock-rsync-fsync", "wiped:20x1000", &[]) {
        let Measurement::Watched(watched) = measurement else { continue };
        let flushes = watched.flushes.get(&Role::Receiver).copied().unwrap_or(0);
        match watched.contestant.as_str() {
            // A file and its folder at the least, of each object.
            "ssync-object" => assert!(flushes >= 40, "{watched}"),
            "stock-rsync-fsync" => assert!(flushes >= 20, "{watched}"),
            "cp" => assert_eq!(flushes, 0, "{watched}"),
            _ => assert!(flushes < 10, "{watched}"),
        }
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for text in ["wiped:20000x4096", "drain:1x0", "changed:2x2", "warm:1x1", "cold:1x1"] {
        assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
    }
    for text in ["", "wiped", "wiped:1", "fill:1x1", "wiped:0x1", "wiped:1x9999999999", "drain:x1"] {
        assert!(text.parse::<Work>().is_err(), "{text}");
    }
    for name in
        ["stock-ssync", "stock-rsync", "stock-rsync-fsync", "ssync-none", "rsync", "cp", "floor-batch-2x8"]
    {
        assert_eq!(name.parse::<Contestant>().unwrap().to_string(), name);
    }
    for name in ["", "stock", "ssync", "ssync-soon", "floor", "floor-object", "tar"] {
        assert!(name.parse::<Contestant>().is_err(), "{name}");
    }
}
