//! ssync beside stock Swift, on one machine, in alternation; `tests/bench/run` calls it.

mod cpu;
mod floor;
mod medium;
mod memory;
mod placement;
mod processes;
mod records;
mod replication;
mod requests;
mod spread;
mod wire;

use anyhow::Result;
use clap::Parser;

/// Measures ssync beside stock Swift.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run")]
enum Bench {
    /// PUT and GET over HTTP, straight to one object server, as a proxy would send them
    Requests(requests::Options),
    /// A wiped device is filled again, and a handoff is drained: until all is where it belongs
    Replication(replication::Options),
}

fn main() -> Result<()> {
    match Bench::parse() {
        Bench::Requests(options) => requests::run(&options),
        Bench::Replication(options) => replication::run(&options),
    }
}
