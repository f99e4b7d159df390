//! The benchmark works: every contestant does every work. Nothing is timed.

use std::env;

use clap::Parser as _;

use super::{Options, measure, table, work::Work};

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

#[test]
fn every_contestant_does_every_work() {
    let dir = env::var_os("SSYNC_TEST_DISK").map_or_else(env::temp_dir, Into::into);
    let dir = dir.to_str().unwrap();
    let alone = Alone::try_parse_from([
        "bench",
        "--dir",
        dir,
        "--rounds",
        "1",
        "--contestants",
        "stock-ssync,stock-rsync,ssync-batch",
        "--works",
        "wiped:20x1000,drain:20x1000",
    ]);
    let records = measure(&alone.unwrap().options, |_| Ok(())).unwrap();
    assert_eq!(records.len(), 3 * 2);
    for record in &records {
        assert!(record.seconds > 0.0 && record.bytes == 20_000, "{record}");
        assert!(!record.looks.is_empty());
    }
    let table = table::markdown(&records);
    assert_eq!(table.lines().count(), 2 + 6 + 3 + 2 + 3, "{table}");
}

#[test]
fn works_are_read_as_they_are_written() {
    for text in ["wiped:20000x4096", "drain:1x0"] {
        assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
    }
    for text in ["", "wiped", "wiped:1", "fill:1x1", "wiped:0x1", "wiped:1x9999999999", "drain:x1"] {
        assert!(text.parse::<Work>().is_err(), "{text}");
    }
}
