//! The benchmark works: every load reaches every kind of server, and what goes wrong is counted. Nothing is timed.

use std::env;

use clap::Parser as _;

use super::{Options, contest::Record, load::Method, markdown, server::Contestant};
use crate::records::Measurement;

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

fn options(more: &[&str]) -> Options {
    let dir = env::var_os("SSYNC_TEST_DISK").map_or_else(env::temp_dir, Into::into);
    let dir = dir.to_str().unwrap();
    let quick =
        ["bench", "--dir", dir, "--rounds", "1", "--seconds", "0.1", "--warm-up", "0", "--connections", "3"];
    Alone::try_parse_from(quick.iter().chain(more)).unwrap().options
}

#[test]
fn every_load_reaches_every_kind_of_server() {
    let servers = "stock-1,node-object,two-batch";
    let contest = options(&["--servers", servers, "--sizes", "10,300000", "--expect"]).contest().unwrap();
    let mut records: Vec<Record> = Vec::new();
    let ran = contest.run(|record| {
        records.push(record);
        Ok(())
    });
    ran.unwrap();
    assert_eq!(records.len(), 3 * 2 * 2);
    for record in &records {
        assert!(record.requests > 0 && record.errors == 0, "{record}");
        assert!(record.p99_ms >= record.p50_ms && record.p50_ms > 0.0, "{record}");
        assert!(record.server_peak_bytes > 1 << 20, "{record:?}");
    }
    assert!(records.iter().any(|record| record.method == Method::Get && record.size == 300_000));
    let measurements: Vec<Measurement> = records.into_iter().map(Measurement::Requests).collect();
    let table = markdown(&measurements);
    assert_eq!(table.lines().count(), 2 + measurements.len(), "{table}");
}

#[test]
fn what_the_server_refuses_is_counted() {
    // No object has a device of this name.
    let contest = options(&["--servers", "node-object", "--sizes", "10"]).contest().unwrap();
    let running = contest.servers[0].start(&contest.media[0]).unwrap();
    std::fs::remove_dir_all(running.device()).unwrap();
    let load = super::load::Load {
        address: running.address(),
        method: Method::Put,
        size: 10,
        habits: contest.habits,
    };
    let measured = load.run(&mut super::load::Stored::default(), &running).unwrap();
    assert!(measured.errors > 0 && measured.latencies.is_empty(), "{measured:?}");
}

#[test]
fn names_are_read_as_they_are_written() {
    for name in ["stock-1", "stock-64", "node-object", "node-none", "two-batch"] {
        assert_eq!(name.parse::<Contestant>().unwrap().to_string(), name);
    }
    for name in ["", "stock", "stock-0", "stock-65", "stock-x", "node", "node-soon", "three-batch"] {
        assert!(name.parse::<Contestant>().is_err(), "{name}");
    }
    for wrong in [["--seconds", "0"], ["--connections", "0"], ["--rounds", "0"], ["--warm-up", "1e9"]] {
        let mut all = vec!["bench", "--dir", "."];
        all.extend(wrong);
        assert!(Alone::try_parse_from(all).unwrap().options.contest().is_err(), "{wrong:?}");
    }
}
