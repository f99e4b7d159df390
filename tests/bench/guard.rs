//! Whether replication leaves clients in peace: GETs through a node, with and without a replication at full speed.

mod gets;
#[cfg(test)]
mod smoke;
mod table;

use std::{fmt, sync::atomic::Ordering, thread, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    cpu,
    medium::Medium,
    processes::{Processes, Role},
    records::{Measurement, Out, Records},
    replication::{Contestant, Dataset, SECOND, Scene, Turn, Work, beside, put_all},
};
use gets::{Gets, Got};
pub(crate) use table::{cases, markdown};

/// The numbers of the objects that clients read; replication has others.
const READ: std::ops::Range<usize> = 9_000_000..9_002_000;
const READ_BYTES: usize = 4096;
/// Of the rate that GETs reach alone.
const OFFERED: f64 = 0.25;
const CONNECTIONS_MAX: usize = 256;

/// Client GETs through a node while replication runs at full speed, beside each of them alone.
///
/// In each round a device is filled again twice: alone, and while GETs of 4 KiB are asked of one of the two nodes, a
/// quarter of what that node gave when it was asked as fast as it answers. A GET's time is counted from when it was due.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the devices are made: folders on the file systems to measure on.
    #[arg(long, required = true, value_delimiter = ',')]
    dir: Vec<Medium>,
    /// Who replicates, as in `replication`.
    #[arg(long, value_delimiter = ',', default_values = ["ssync-batch"])]
    contestants: Vec<Contestant>,
    /// What is replicated, as in `replication`: `wiped:COUNTxBYTES`.
    #[arg(long, value_delimiter = ',', default_values = ["wiped:40000x4096", "wiped:20x104857600"])]
    works: Vec<Work>,
    /// Which node is asked: the one that is pushed to, or the one that pushes.
    #[arg(long, value_delimiter = ',', default_values = ["receiver", "sender"])]
    asked: Vec<Asked>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds that GETs are measured without replication.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Connections of the clients, each with one request at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    #[command(flatten)]
    out: Out,
}

/// Which node is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Asked {
    Receiver,
    Sender,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// One round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) medium: String,
    pub(crate) contestant: String,
    pub(crate) work: String,
    pub(crate) asked: Asked,
    pub(crate) round: u32,
    /// GETs a second, as fast as they are answered.
    pub(crate) rate_alone: f64,
    /// GETs a second that are asked for.
    pub(crate) rate_offered: f64,
    pub(crate) quiet: Latency,
    pub(crate) busy: Latency,
    /// Processors that these GETs keep busy, clients included.
    pub(crate) get_cores: f64,
    pub(crate) cores: usize,
    /// Of the replication.
    pub(crate) seconds_alone: f64,
    pub(crate) seconds_busy: f64,
    /// GETs that failed.
    pub(crate) errors: u64,
}

impl Record {
    /// How many times as long the slowest of a hundred GETs takes.
    pub(crate) fn latency_ratio(&self) -> f64 {
        self.busy.p99 / self.quiet.p99
    }

    /// The rate of the replication, of that which is left to it by the processors that the GETs need.
    pub(crate) fn rate_ratio(&self) -> f64 {
        let left = 1.0 - self.get_cores / self.cores as f64;
        self.seconds_alone / self.seconds_busy / left
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium, contestant, work, asked, round, rate_offered, .. } = self;
        write!(
            f,
            "round {round}  {medium:<5} {work:<20} {contestant:<12} {asked:?}: {rate_offered:.0} GET/s, p99 {:.2} ms quiet, \
             {:.2} ms busy ({:.2}x); replication {:.2} s alone, {:.2} s busy ({:.2} of its share)",
            self.quiet.p99,
            self.busy.p99,
            self.latency_ratio(),
            self.seconds_alone,
            self.seconds_busy,
            self.rate_ratio(),
        )
    }
}

/// Measures, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut out = Records::open(&options.out)?;
    let mut measurements = Vec::new();
    measure(options, |record| {
        let measurement = Measurement::Guard(record);
        out.add(&measurement)?;
        measurements.push(measurement);
        Ok(())
    })?;
    print!("{}", markdown(&measurements));
    Ok(())
}

fn measure(options: &Options, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
    ensure!(options.rounds > 0 && options.seconds > 0.0, "--rounds and --seconds: more than 0");
    ensure!((1..=CONNECTIONS_MAX).contains(&options.connections), "--connections: 1 to {CONNECTIONS_MAX}");
    for medium in &options.dir {
        for work in &options.works {
            ensure!(!work.is_by_daemon() && work.moved() == work.objects, "{work}: only wiped:COUNTxBYTES");
            let dataset = Dataset::make(medium, work.objects, work.size)?;
            for round in 1..=options.rounds {
                for contestant in &options.contestants {
                    for &asked in &options.asked {
                        let turn = Turn { medium, contestant, work, dataset: &dataset, pause: 0 };
                        let record = Guarded { options, turn, asked, round }.measure();
                        each(
                            record.with_context(|| format!("{contestant}, {work} on {medium}, {asked:?}"))?,
                        )?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// One round of one case.
struct Guarded<'a> {
    options: &'a Options,
    turn: Turn<'a>,
    asked: Asked,
    round: u32,
}

impl Guarded<'_> {
    fn measure(&self) -> Result<Record> {
        let seconds_alone = self.replicate_alone()?;
        let (mut scene, gets) = self.scene()?;
        let window = Duration::from_secs_f64(self.options.seconds);
        let sleep = || thread::sleep(window);
        let alone = gets.run(None, sleep)?;
        let rate_offered = OFFERED * alone.rate();
        let before = cores_used(&scene)?;
        let quiet = gets.run(Some(rate_offered), sleep)?;
        let get_cores = (cores_used(&scene)? - before) / quiet.seconds;
        let (passed, busy) = beside(
            |ended| {
                let wait = || {
                    while !ended.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(1));
                    }
                };
                gets.run(Some(rate_offered), wait)
            },
            || scene.perform(),
        )?;
        let busy = busy?;
        scene.verify()?;
        let Turn { medium, contestant, work, .. } = self.turn;
        Ok(Record {
            medium: medium.to_string(),
            contestant: contestant.to_string(),
            work: work.to_string(),
            asked: self.asked,
            round: self.round,
            rate_alone: alone.rate(),
            rate_offered,
            quiet: latency(&quiet)?,
            busy: latency(&busy)?,
            get_cores,
            cores: thread::available_parallelism()?.get(),
            seconds_alone,
            seconds_busy: passed.seconds,
            errors: alone.errors + quiet.errors + busy.errors,
        })
    }

    fn replicate_alone(&self) -> Result<f64> {
        let (mut scene, _) = self.scene()?;
        Ok(scene.perform()?.seconds)
    }

    /// Both nodes, and the objects that are read.
    fn scene(&self) -> Result<(Scene<'_>, Gets)> {
        let scene = Scene::set(self.turn, Processes::new)?;
        let node = match self.asked {
            Asked::Receiver => scene.targets().first().copied().context("nobody is pushed to")?,
            Asked::Sender => scene.sender(),
        };
        put_all(node, READ, READ_BYTES, SECOND)?;
        let gets = Gets::of(node.address(), READ, READ_BYTES, self.options.connections);
        self.turn.medium.flush()?;
        Ok((scene, gets))
    }
}

/// Seconds of processors that the servers and this program have used.
fn cores_used(scene: &Scene<'_>) -> Result<f64> {
    let servers = scene.processes.groups().cpu_seconds()?;
    let of = |role| servers.get(&role).copied().unwrap_or_default();
    Ok(of(Role::Home) + of(Role::Receiver) + cpu::own_seconds()?)
}

fn latency(got: &Got) -> Result<Latency> {
    if got.micros.is_empty() {
        bail!("no GET was answered");
    }
    Ok(Latency { p50: got.percentile(50), p99: got.percentile(99) })
}
