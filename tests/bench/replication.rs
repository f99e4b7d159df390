//! How long replication takes until all is where it belongs: ssync beside both methods of stock Swift.

mod contestant;
mod dataset;
mod processes;
#[cfg(test)]
mod smoke;
mod table;
mod turn;
mod work;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::records::Records;
use contestant::Contestant;
use dataset::Dataset;
use turn::{Record, turn};
use work::Work;

/// One node pushes all that it has to another whose device was wiped, or a handoff brings all that it has home.
///
/// In each round every contestant has its turn with every work: nodes of its own on loopback, all servers started, then
/// passes of the one replicator, by `--once`, until nothing is missing. A turn's time is that of its passes, with the
/// start of the program. What was not on the disk by then is flushed afterwards, and that time is told by itself. All
/// configurations are the same but for what a contestant's name says; 256 partitions; the contestants take turns in
/// another order each round. Objects are read from the page cache.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the devices are made: a folder on the file system to measure on.
    #[arg(long)]
    dir: PathBuf,
    /// Who is measured: `stock-ssync`, `stock-rsync` (Swift's rsync method with `concurrency = 2`, and TCP_NODELAY at both
    /// ends: without it rsync stalls 120 ms for each partition on loopback), `ssync-D` with D ssync's durability: object,
    /// batch or none. stock-ssync flushes each object, as `object` and `batch` do; rsync flushes nothing, as `none`.
    #[arg(
        long,
        value_delimiter = ',',
        default_values = ["stock-ssync", "stock-rsync", "ssync-object", "ssync-batch"]
    )]
    contestants: Vec<Contestant>,
    /// What is done: `wiped:COUNTxBYTES` (a device is filled again) or `drain:COUNTxBYTES` (a handoff of two primaries).
    #[arg(
        long,
        value_delimiter = ',',
        default_values = ["wiped:20000x4096", "wiped:20x104857600", "drain:20000x4096"]
    )]
    works: Vec<Work>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// A file for each measurement by itself, one JSON object a line; it is appended to.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Measures, and prints the tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut out = Records::open(options.out.as_deref())?;
    let records = measure(options, |record| out.add(record))?;
    print!("{}", table::markdown(&records));
    Ok(())
}

fn measure(options: &Options, mut each: impl FnMut(&Record) -> Result<()>) -> Result<Vec<Record>> {
    ensure!(options.rounds > 0, "--rounds: at least 1");
    let mut records = Vec::new();
    for work in &options.works {
        let dataset = Dataset::make(&options.dir, work)?;
        for round in 1..=options.rounds {
            for place in 0..options.contestants.len() {
                // Who comes first in one round comes last in the next.
                let contestant =
                    &options.contestants[(place + round as usize - 1) % options.contestants.len()];
                let record = turn(&options.dir, contestant, work, &dataset, round);
                let record = record.with_context(|| format!("{contestant}, {work}, round {round}"))?;
                each(&record)?;
                records.push(record);
            }
        }
    }
    Ok(records)
}
