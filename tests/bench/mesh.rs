//! What a service mesh costs: the same replication with no proxy, and with Envoy and mutual TLS on both sides.

#[cfg(test)]
mod smoke;
mod table;
mod turn;

use std::{collections::BTreeMap, fmt};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    medium::Medium,
    records::{Measurement, Out, Records},
    replication::{Dataset, Kind, Work},
};
pub(crate) use table::markdown;
use turn::Turn;

/// One node is filled by another, each in a network namespace, directly and through the proxies of `deploy/envoy`.
///
/// Time counts from the start of the daemon that pushes until the other has every object; processor time is that of both
/// daemons, and of the four Envoys (two of which have nothing to do), in the same span. Ways take turns in another order
/// each round. Everything is on this machine: what is lost in throughput is what processors lack.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the devices are made: folders on the file systems to measure on.
    #[arg(long, required = true, value_delimiter = ',')]
    dir: Vec<Medium>,
    /// What is done, `wiped:COUNTxBYTES`.
    #[arg(long, value_delimiter = ',', default_values = ["wiped:20000x4096", "wiped:2000x1048576"])]
    works: Vec<Work>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    #[command(flatten)]
    out: Out,
}

/// How the nodes are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// By gRPC without TLS.
    Direct,
    /// By two Envoys, with mutual TLS between them.
    Envoy,
}

/// Whose processor time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Ssync,
    Envoy,
}

/// What one turn came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) medium: String,
    pub(crate) work: String,
    pub(crate) way: Way,
    round: u32,
    objects: usize,
    bytes: u64,
    seconds: f64,
    cpu_seconds: BTreeMap<Part, f64>,
}

impl Record {
    pub(crate) fn cpu_seconds_per_gb(&self, part: Part) -> f64 {
        self.cpu_seconds.get(&part).copied().unwrap_or_default() / (self.bytes as f64 / 1e9)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium, work, way, round, seconds, .. } = self;
        let [ssync, envoy] = [Part::Ssync, Part::Envoy].map(|part| self.cpu_seconds_per_gb(part));
        write!(
            f,
            "{medium:<6} {work:<18} {way:<7?} {round} {seconds:>7.2} s, CPU s/GB {ssync:.2} + {envoy:.2}"
        )
    }
}

/// Measures, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut out = Records::open(&options.out)?;
    let mut records = Vec::new();
    measure(options, |record| {
        out.add(&Measurement::Mesh(record.clone()))?;
        records.push(record);
        Ok(())
    })?;
    print!("{}", markdown(&records));
    Ok(())
}

fn measure(options: &Options, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
    for medium in &options.dir {
        for work in &options.works {
            ensure!(work.kind == Kind::Wiped, "{work}: wiped alone");
            let dataset = Dataset::make(medium, work.objects, work.size)?;
            for round in 1..=options.rounds {
                let mut ways = [Way::Direct, Way::Envoy];
                ways.rotate_left(round as usize % 2);
                for way in ways {
                    let turn = Turn { medium, work, dataset: &dataset, way, round };
                    each(turn.time().with_context(|| format!("{work} on {medium}, {way:?}"))?)?;
                }
            }
        }
    }
    Ok(())
}
