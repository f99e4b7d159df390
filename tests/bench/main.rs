//! ssync beside stock Swift, on one machine, in alternation; `tests/bench/run` calls it.

mod cpu;
mod floor;
mod guard;
mod instructions;
mod machine;
mod medium;
mod memory;
mod mesh;
mod placement;
mod processes;
mod records;
mod replication;
mod report;
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
    /// What one node lacks is pushed there: until all is where it belongs
    Replication(replication::Options),
    /// GETs through a node while replication runs, beside each of them alone
    Guard(guard::Options),
    /// Instructions of three hot paths, against what is kept
    Instructions(instructions::Options),
    /// What processes hold while one partition of very many objects is pushed, within bounds
    Memory(memory::Options),
    /// The same replication with no proxy, and with Envoy on both sides
    Mesh(mesh::Options),
    /// What machine this is
    Machine(machine::Options),
    /// The page and the chart of what was measured
    Report(report::Options),
}

fn main() -> Result<()> {
    match Bench::parse() {
        Bench::Requests(options) => requests::run(&options),
        Bench::Replication(options) => replication::run(&options),
        Bench::Guard(options) => guard::run(&options),
        Bench::Instructions(options) => instructions::run(&options),
        Bench::Memory(options) => memory::run(&options),
        Bench::Mesh(options) => mesh::run(&options),
        Bench::Machine(options) => machine::run(&options),
        Bench::Report(options) => report::run(&options),
    }
}
