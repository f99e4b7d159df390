//! Both ways carry everything. Nothing is timed.

use std::env;

use clap::Parser as _;
use ssync_tests::Switch;

use super::{Options, Part, Way, markdown, measure};

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

#[test]
fn both_ways_are_measured() {
    if let Err(error) = Switch::try_out() {
        eprintln!("SKIPPED: no network namespaces here, so this checks nothing: {error:#}");
        return;
    }
    let dir = env::var_os("SSYNC_TEST_DISK").map_or_else(env::temp_dir, Into::into);
    let quick = ["bench", "--dir", dir.to_str().unwrap(), "--works", "wiped:40x65536", "--rounds", "1"];
    let mut records = Vec::new();
    let measured = measure(&Alone::try_parse_from(quick).unwrap().options, |record| {
        records.push(record);
        Ok(())
    });
    measured.unwrap();
    let ways: Vec<Way> = records.iter().map(|record| record.way).collect();
    assert_eq!(ways, [Way::Envoy, Way::Direct]);
    assert!(
        records[0].cpu_seconds[&Part::Envoy] >= 0.0 && !records[1].cpu_seconds.contains_key(&Part::Envoy)
    );
    assert_eq!(markdown(&records).lines().count(), 3);
}
