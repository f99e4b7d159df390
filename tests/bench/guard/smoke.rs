//! The measurement works: GETs are answered while replication runs, at both nodes. Nothing is timed.

use std::env;

use clap::Parser as _;

use super::{Options, measure};

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

#[test]
fn clients_are_answered_while_replication_runs() {
    let dir = env::var_os("SSYNC_TEST_DISK").map_or_else(env::temp_dir, Into::into);
    let dir = dir.to_str().unwrap();
    let quick = ["bench", "--dir", dir, "--rounds", "1", "--seconds", "0.2", "--works", "wiped:500x1000"];
    let mut records = Vec::new();
    let measured = measure(&Alone::try_parse_from(quick).unwrap().options, |record| {
        records.push(record);
        Ok(())
    });
    measured.unwrap();
    assert_eq!(records.len(), 2);
    for record in &records {
        assert!(record.errors == 0 && record.rate_alone > 0.0 && record.get_cores > 0.0, "{record:?}");
        assert!(record.busy.p99 >= record.busy.p50 && record.busy.p50 > 0.0, "{record:?}");
        assert!(record.seconds_alone > 0.0 && record.seconds_busy > 0.0, "{record:?}");
    }
}
