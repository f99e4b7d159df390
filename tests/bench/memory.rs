//! What replication holds in memory while one partition is pushed, however many objects it has.

mod partition;
mod peaks;
#[cfg(test)]
mod smoke;

use std::{collections::BTreeMap, fmt, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use ssync_tests::{Cluster, Node};

use crate::{
    medium::Medium,
    processes::{Call, Processes, Role},
    records::{Measurement, Out, Records},
    replication::{self, Kind, SwiftLike, Work},
};
pub(crate) use peaks::{peaks_of_groups, peaks_until};

/// What each process may hold.
const MIB_MAX: u64 = 64;
const MIB: f64 = 1024.0 * 1024.0;

/// One partition of very many small objects is pushed, and each process has a bound on what it holds; fails where one holds
/// more.
///
/// The objects are written straight to the disk of the node that pushes, all of them in the first of two partitions. Then
/// `ssync replicator --once` pushes them to one primary that is empty (`wiped`), or, as a handoff, to two, and lets go of
/// them (`drain`). Told is the most that each process has held at any time (`VmHWM`): the one that pushes, its node's
/// server, and the servers that it pushes to, of which the largest counts. A tmpfs takes some 7 KB for an object of a few
/// bytes, and has to have inodes enough: four for each object of `wiped`, six of `drain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the devices are made: folders on the file systems to measure on.
    #[arg(long, required = true, value_delimiter = ',')]
    dir: Vec<Medium>,
    /// What is done, `KIND:COUNTxBYTES`: `wiped` or `drain`.
    #[arg(
        long,
        value_delimiter = ',',
        default_values = ["wiped:5000x8", "wiped:50000x8", "wiped:1000000x8", "drain:50000x8", "drain:500000x8"]
    )]
    works: Vec<Work>,
    /// ssync's `durability`.
    #[arg(long, default_value = "batch")]
    durability: String,
    /// MiB that each process may hold.
    #[arg(long, default_value_t = MIB_MAX)]
    mib_max: u64,
    #[command(flatten)]
    out: Out,
}

/// What one work came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) medium: String,
    pub(crate) work: String,
    seconds: f64,
    /// The most that a process of each role has held.
    peak_bytes: BTreeMap<Role, u64>,
}

impl Record {
    pub(crate) fn mib(&self, role: Role) -> f64 {
        self.peak_bytes.get(&role).copied().unwrap_or_default() as f64 / MIB
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium, work, seconds, .. } = self;
        let [sender, home, receiver] = [Role::Sender, Role::Home, Role::Receiver].map(|role| self.mib(role));
        write!(f, "{medium:<6} {work:<18} {seconds:>7.1} s {sender:>6.1} MiB, at home {home:>6.1}, ")?;
        write!(f, "receiver {receiver:>6.1}")
    }
}

/// Measures, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut out = Records::open(&options.out)?;
    let mut measurements = Vec::new();
    measure(options, |record| {
        let measurement = Measurement::Memory(record);
        out.add(&measurement)?;
        measurements.push(measurement);
        Ok(())
    })?;
    print!("{}", markdown(&measurements));
    let most = |measurement: &Measurement| match measurement {
        Measurement::Memory(record) => record.peak_bytes.values().copied().max(),
        _ => None,
    };
    let most = measurements.iter().filter_map(most).max().unwrap_or_default();
    let max = options.mib_max;
    ensure!(most <= max << 20, "{:.1} MiB were held, which is more than {max}", most as f64 / MIB);
    Ok(())
}

fn measure(options: &Options, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
    for medium in &options.dir {
        for work in &options.works {
            let record = push(medium, work, &options.durability);
            each(record.with_context(|| format!("{work} on {medium}"))?)?;
        }
    }
    Ok(())
}

fn push(medium: &Medium, work: &Work, durability: &str) -> Result<Record> {
    let (builder, sender, targets) = match work.kind {
        Kind::Wiped => (Cluster::of(2), 1, 2..=2),
        Kind::Drain => (Cluster::of(3).handoff(3), 3, 1..=2),
        _ => anyhow::bail!("{work}: wiped or drain"),
    };
    let ssync = SwiftLike::Ssync { durability: durability.to_owned() };
    let builder = builder.within(medium.folder()).part_power(partition::PART_POWER);
    let cluster = ssync.configure(builder).build()?;
    let (sender, targets): (&Node, Vec<&Node>) =
        (cluster.node(sender), targets.map(|number| cluster.node(number)).collect());
    partition::make(&sender.device(), work.objects, work.size)?;
    let mut processes = Processes::new(&cluster.folder().join("log"));
    ssync.serve(&cluster, sender, Role::Home, &mut processes)?;
    for target in &targets {
        ssync.serve(&cluster, target, Role::Receiver, &mut processes)?;
    }
    let (groups, pass) = (processes.groups(), ssync.pass(&cluster, sender)?);
    let once = || timed(&mut processes, &pass);
    let (seconds, peak_bytes) = replication::beside(|ended| peaks_until(&groups, ended, u64::max), once)?;
    processes.assert_alive()?;
    let left = replication::files_of(&sender.device());
    ensure!(left == if work.kind == Kind::Drain { 0 } else { work.objects }, "{left} objects are left");
    for target in targets {
        let arrived = replication::files_of(&target.device());
        ensure!(arrived == work.objects, "only {arrived} have arrived: {}", processes.said());
    }
    Ok(Record { medium: medium.to_string(), work: work.to_string(), seconds, peak_bytes })
}

fn timed(processes: &mut Processes, pass: &Call) -> Result<f64> {
    let started = Instant::now();
    processes.run(Role::Sender, pass)?;
    Ok(started.elapsed().as_secs_f64())
}

/// A row for each.
pub(crate) fn markdown(measurements: &[Measurement]) -> String {
    let rows: String = measurements
        .iter()
        .filter_map(|measurement| match measurement {
            Measurement::Memory(record) => Some(row(record)),
            _ => None,
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let head = "| file system | work | seconds | pushes, MiB | its node's server, MiB | receiver, MiB |\n\
                |---|---|---|---|---|---|\n";
    head.to_owned() + &rows
}

fn row(record: &Record) -> String {
    let Record { medium, work, seconds, .. } = record;
    let [sender, home, receiver] = [Role::Sender, Role::Home, Role::Receiver].map(|role| record.mib(role));
    format!("| {medium} | {work} | {seconds:.1} | {sender:.1} | {home:.1} | {receiver:.1} |\n")
}
