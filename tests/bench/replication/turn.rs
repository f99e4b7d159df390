//! One contestant does one work once.

use std::{
    fmt, fs,
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use ssync_tests::{Cluster, Node};

use super::{
    contestant::Contestant,
    dataset::Dataset,
    processes::Processes,
    work::{Kind, Work},
};
use crate::{cpu, placement::PART_POWER};

/// Passes until everything must be in its place.
const PASSES_MAX: u32 = 5;
/// How often it is looked at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How far it was at a time.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Look {
    pub(crate) seconds: f64,
    /// Suffix directories at the device where most is missing.
    pub(crate) arrived: usize,
    /// Suffix directories at the device that pushes.
    pub(crate) left: usize,
}

/// What a turn came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    pub(crate) contestant: String,
    pub(crate) work: String,
    pub(crate) round: u32,
    pub(crate) objects: usize,
    pub(crate) bytes: u64,
    pub(crate) passes: u32,
    /// Of the passes.
    pub(crate) seconds: f64,
    /// Of a flush of all that was not yet on the disk.
    pub(crate) flush_seconds: f64,
    pub(crate) sender_cpu_seconds: f64,
    /// All servers together, the sender's too.
    pub(crate) server_cpu_seconds: f64,
    pub(crate) looks: Vec<Look>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contestant, work, round, passes, seconds, flush_seconds, .. } = self;
        write!(
            f,
            "round {round}  {work:<20} {contestant:<13} {seconds:>7.2} s in {passes} passes, flush {flush_seconds:.2} s, CPU {:.2} + {:.2} s",
            self.sender_cpu_seconds, self.server_cpu_seconds
        )
    }
}

/// Nodes of its own, servers, passes until all has arrived.
pub(crate) fn turn(
    folder: &Path,
    contestant: &Contestant,
    work: &Work,
    dataset: &Dataset,
    round: u32,
) -> Result<Record> {
    let builder = match work.kind {
        Kind::Wiped => Cluster::of(2),
        Kind::Drain => Cluster::of(3).handoff(3),
    };
    let builder = builder.within(folder).part_power(PART_POWER).setting("DEFAULT", "log_level", "INFO");
    let cluster = contestant.configure(builder).build()?;
    let (sender, targets) = match work.kind {
        Kind::Wiped => (cluster.node(1), vec![cluster.node(2)]),
        Kind::Drain => (cluster.node(3), vec![cluster.node(1), cluster.node(2)]),
    };
    dataset.copy_to(sender)?;
    let mut processes = Processes::new(cluster.folder().join("log/bench.log"));
    for number in 1..=cluster.size() {
        contestant.serve(&cluster, cluster.node(number), &mut processes)?;
    }
    flush(folder)?;
    let scene = Scene { contestant, work, cluster: &cluster, sender, targets };
    let record = scene.measure(&mut processes, round);
    let record = record.with_context(|| said(processes.log()))?;
    drop(processes);
    drop(cluster);
    // What is removed costs the next one nothing.
    flush(folder)?;
    Ok(record)
}

/// The end of what the programs wrote, which says why.
fn said(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Seconds that it took.
fn flush(folder: &Path) -> Result<f64> {
    let started = Instant::now();
    rustix::fs::syncfs(File::open(folder)?)?;
    Ok(started.elapsed().as_secs_f64())
}

struct Scene<'a> {
    contestant: &'a Contestant,
    work: &'a Work,
    cluster: &'a Cluster,
    sender: &'a Node,
    targets: Vec<&'a Node>,
}

impl Scene<'_> {
    fn measure(&self, processes: &mut Processes, round: u32) -> Result<Record> {
        let (own, servers) = (cpu::seconds_of_children()?, processes.cpu_seconds()?);
        let started = Instant::now();
        let ended = AtomicBool::new(false);
        let (passes, seconds, looks) = thread::scope(|scope| {
            let looking = scope.spawn(|| self.look_on(started, &ended));
            let passed = self.pass_until_done(processes, started);
            ended.store(true, Ordering::Relaxed);
            let looks = looking.join().map_err(|_| anyhow::anyhow!("the thread that looks on panicked"))?;
            let (passes, seconds) = passed?;
            anyhow::Ok((passes, seconds, looks))
        })?;
        processes.assert_alive()?;
        Ok(Record {
            contestant: self.contestant.to_string(),
            work: self.work.to_string(),
            round,
            objects: self.work.objects,
            bytes: (self.work.objects * self.work.size) as u64,
            passes,
            seconds,
            flush_seconds: flush(&self.cluster.folder())?,
            sender_cpu_seconds: cpu::seconds_of_children()? - own,
            server_cpu_seconds: processes.cpu_seconds()? - servers,
            looks,
        })
    }

    /// How many passes it took, and how long.
    fn pass_until_done(&self, processes: &Processes, started: Instant) -> Result<(u32, f64)> {
        for pass in 1..=PASSES_MAX {
            processes.run(&mut self.contestant.pass(self.cluster, self.sender)?)?;
            let seconds = started.elapsed().as_secs_f64();
            if self.is_done() {
                return Ok((pass, seconds));
            }
        }
        anyhow::bail!("not all has arrived after {PASSES_MAX} passes")
    }

    fn is_done(&self) -> bool {
        let drained = self.work.kind != Kind::Drain || objects_of(&self.sender.device()) == 0;
        drained && self.targets.iter().all(|target| objects_of(&target.device()) == self.work.objects)
    }

    fn look_on(&self, started: Instant, ended: &AtomicBool) -> Vec<Look> {
        let mut looks = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            looks.push(Look {
                seconds: started.elapsed().as_secs_f64(),
                arrived: self.targets.iter().map(|target| suffixes_of(&target.device())).min().unwrap_or(0),
                left: suffixes_of(&self.sender.device()),
            });
            thread::sleep(LOOK_EVERY);
        }
        looks
    }
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn suffix_folders(device: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let is_suffix = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 3);
    entries(&device.join("objects")).flat_map(|partition| entries(&partition)).filter(is_suffix)
}

/// One for nearly each object here, and cheap to count.
fn suffixes_of(device: &Path) -> usize {
    suffix_folders(device).count()
}

fn objects_of(device: &Path) -> usize {
    let files = suffix_folders(device).flat_map(|suffix| entries(&suffix)).flat_map(|hash| entries(&hash));
    files.filter(|file| file.extension().is_some_and(|end| end == "data")).count()
}
