//! How long replication takes until all is where it belongs: ssync beside both methods of stock Swift, and beside what
//! copying and publishing cost at the least.

mod contestant;
mod dataset;
mod inventory;
mod record;
mod scene;
#[cfg(test)]
mod smoke;
mod summary;
mod swift_like;
mod table;
mod turn;
mod work;

use anyhow::{Context as _, Result, ensure};

use crate::{
    medium::Medium,
    records::{Measurement, Records},
};
pub(crate) use contestant::Contestant;
pub(crate) use dataset::{Dataset, SECOND, object_name, put_all};
pub(crate) use record::{Record, Watched};
pub(crate) use scene::Scene;
pub(crate) use summary::{Group, Summary, groups};
pub(crate) use swift_like::SwiftLike;
pub(crate) use table::markdown;
pub(crate) use turn::{Turn, beside};
pub(crate) use work::{Kind, Work};

/// What one node has that another lacks is pushed there, until all is where it belongs.
///
/// In each round every contestant has its turn with every work: nodes of its own on loopback, all servers started, then
/// passes of the one replicator until nothing is missing. `wiped` and `drain` are passes by `--once`, whose time is that of
/// the program, its start too; `changed`, `warm` and `cold` are a pass of a daemon that has made one before, as it tells in
/// the cache for swift-recon. What was not on the disk by then is flushed afterwards, and that time is told by itself. All
/// configurations are the same but for what a contestant's name says; 256 partitions; the contestants take turns in
/// another order each round. Objects are read from the page cache. Every byte and the metadata of what has arrived are
/// compared. Flushes are counted in one more turn, under strace, that is not timed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the devices are made: folders on the file systems to measure on.
    #[arg(long, required = true, value_delimiter = ',')]
    dir: Vec<Medium>,
    /// Who is measured: `stock-ssync`, `stock-rsync` (Swift's rsync method with `concurrency = 2`, and TCP_NODELAY at both
    /// ends: without it rsync stalls 120 ms for each partition on loopback), `stock-rsync-fsync` (the same with `--fsync`),
    /// `ssync-D` with D ssync's durability: object, batch or none; the floors `rsync` (`rsync -aX` from folder to folder),
    /// `cp` (`cp -a`), and `floor-MODE-THREADSxBATCH`, which publishes as many files as are wanted and nothing else: mode
    /// object, batch, syncfs or none. stock-ssync flushes each object, as `object` and `batch` do; stock-rsync, rsync and
    /// cp flush nothing, as `none`.
    #[arg(
        long,
        value_delimiter = ',',
        default_values = [
            "stock-ssync", "stock-rsync", "stock-rsync-fsync", "ssync-object", "ssync-batch", "ssync-none", "rsync", "cp",
            "floor-object-16x1", "floor-object-64x1", "floor-batch-16x64", "floor-syncfs-2x512"
        ]
    )]
    contestants: Vec<Contestant>,
    /// What is done, `KIND:COUNTxBYTES`: `wiped` (a device is filled again), `drain` (a handoff of two primaries),
    /// `changed` (one object in a hundred is), `warm` (nothing is to be done) or `cold` (the same, and no suffix hashes).
    #[arg(
        long,
        value_delimiter = ',',
        default_values = [
            "wiped:20000x4096", "wiped:5000x4096", "drain:20000x4096", "changed:20000x4096", "warm:20000x4096",
            "cold:20000x4096", "wiped:2000x1048576", "wiped:20x104857600"
        ]
    )]
    works: Vec<Work>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds between two passes of a daemon, in which objects are changed.
    #[arg(long, default_value_t = 6)]
    pause: u32,
    /// No turn in which flushes are counted.
    #[arg(long)]
    no_flushes: bool,
    #[command(flatten)]
    out: crate::records::Out,
}

/// Measures, and prints the tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut out = Records::open(&options.out)?;
    let mut measurements = Vec::new();
    measure(options, |measurement| {
        out.add(&measurement)?;
        measurements.push(measurement);
        Ok(())
    })?;
    print!("{}", markdown(&measurements));
    Ok(())
}

fn measure(options: &Options, mut each: impl FnMut(Measurement) -> Result<()>) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds: at least 1");
    for medium in &options.dir {
        let mut kept: Option<((usize, usize), Dataset)> = None;
        for work in &options.works {
            let amount = (work.objects, work.size);
            // Works with the same objects that follow each other share them.
            if kept.as_ref().is_none_or(|(of, _)| *of != amount) {
                kept = None;
            }
            let (_, dataset) = match &mut kept {
                Some(kept) => kept,
                none => none.insert((amount, Dataset::make(medium, work.objects, work.size)?)),
            };
            let dataset = &*dataset;
            let contestants: Vec<&Contestant> =
                options.contestants.iter().filter(|contestant| contestant.does(work)).collect();
            for round in 1..=options.rounds {
                for place in 0..contestants.len() {
                    // Who comes first in one round comes last in the next.
                    let contestant = contestants[(place + round as usize - 1) % contestants.len()];
                    let turn = Turn { medium, contestant, work, dataset, pause: options.pause };
                    let record = turn.time(round);
                    let record =
                        record.with_context(|| format!("{contestant}, {work} on {medium}, round {round}"))?;
                    each(Measurement::Replication(record))?;
                }
            }
            for contestant in contestants.iter().filter(|_| !options.no_flushes) {
                let watched = Turn { medium, contestant, work, dataset, pause: options.pause }.watch();
                let watched =
                    watched.with_context(|| format!("{contestant}, {work} on {medium}, watched"))?;
                each(Measurement::Watched(watched))?;
            }
        }
    }
    Ok(())
}

/// How many files objects are on a device.
pub(crate) fn files_of(device: &std::path::Path) -> usize {
    inventory::files(device).len()
}
