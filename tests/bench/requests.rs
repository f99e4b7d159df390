//! Requests per second of one object server, ssync beside stock Swift.

mod contest;
mod load;
mod server;
#[cfg(test)]
mod smoke;
mod table;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    medium::Medium,
    records::{Measurement, Records},
};
use contest::Contest;
pub(crate) use contest::Record;
use server::Contestant;
pub(crate) use table::markdown;

/// Longest window that one load may have.
const SECONDS_MAX: f64 = 600.0;
const CONNECTIONS_MAX: u16 = 1024;
const SIZE_MAX: usize = 1 << 30;

/// PUT and GET over HTTP, straight to one object server, as a proxy would send them.
///
/// In each round every server has its turn with every size: an empty device, a start, PUTs of new objects, GETs of
/// those, a stop. The servers take turns in another order each round. Objects are read from the page cache. Every
/// server writes its access log to a file. The client is one thread, on the same cores as the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the devices are made: folders on the file systems to measure on.
    #[arg(long, required = true, value_delimiter = ',')]
    dir: Vec<Medium>,
    /// Who is measured: `stock-N` (stock Swift with N workers), `node-D` (`ssync node`), `two-D` (`ssync receiver` and
    /// `ssync sidecar` over a Unix socket); D is ssync's durability: object, batch or none. Stock Swift flushes each
    /// object, as `object` does; `batch` gives the same promise, and shares flushes.
    #[arg(
        long,
        value_delimiter = ',',
        default_values = ["stock-1", "stock-2", "node-object", "node-batch", "two-batch"]
    )]
    servers: Vec<Contestant>,
    /// Bytes of an object.
    #[arg(long, value_delimiter = ',', default_values_t = [4096, 1_048_576])]
    sizes: Vec<usize>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds that each load is measured for, after its warm-up.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Seconds of warm-up before each load.
    #[arg(long, default_value_t = 0.4)]
    warm_up: f64,
    /// Connections, each with one request at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    connections: Vec<u16>,
    /// A connection for each request, as Swift's proxy has it, in place of connections that are kept.
    #[arg(long)]
    new_connections: bool,
    /// PUTs send `Expect: 100-continue` and wait, as Swift's proxy does.
    #[arg(long)]
    expect: bool,
    #[command(flatten)]
    out: crate::records::Out,
}

impl Options {
    /// The contest that is asked for, if it is a sensible one.
    pub(crate) fn contest(&self) -> Result<Contest> {
        let in_range = |seconds: f64| (0.0..=SECONDS_MAX).contains(&seconds);
        ensure!(
            in_range(self.seconds) && self.seconds > 0.0,
            "--seconds: more than 0, at most {SECONDS_MAX}"
        );
        ensure!(in_range(self.warm_up), "--warm-up: 0 to {SECONDS_MAX}");
        let in_bounds = |count: &u16| (1..=CONNECTIONS_MAX).contains(count);
        ensure!(self.connections.iter().all(in_bounds), "--connections: 1 to {CONNECTIONS_MAX}");
        ensure!(self.sizes.iter().all(|&size| size <= SIZE_MAX), "--sizes: at most {SIZE_MAX} bytes");
        ensure!(self.rounds > 0, "--rounds: at least 1");
        Ok(Contest {
            media: self.dir.clone(),
            servers: self.servers.clone(),
            sizes: self.sizes.clone(),
            connections: self.connections.clone(),
            rounds: self.rounds,
            habits: load::Habits {
                connections: 1,
                window: Duration::from_secs_f64(self.seconds),
                warm_up: Duration::from_secs_f64(self.warm_up),
                new_connections: self.new_connections,
                expect: self.expect,
            },
        })
    }
}

/// Measures, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut out = Records::open(&options.out)?;
    let (mut measurements, mut errors) = (Vec::new(), 0);
    options.contest()?.run(|record| {
        errors += record.errors;
        let measurement = Measurement::Requests(record);
        out.add(&measurement)?;
        measurements.push(measurement);
        Ok(())
    })?;
    print!("{}", markdown(&measurements));
    ensure!(errors == 0, "{errors} requests failed: what the table says of them is no measure");
    Ok(())
}
