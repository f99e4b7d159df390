//! The servers that take part: stock Swift and ssync, each alone on one device.

use std::{
    fmt,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use ssync_tests::{Cluster, Shape, as_own_group, exchange, repository, ssync_binary, venv_program};

use crate::{
    cpu,
    placement::{PART_POWER, partition},
};

/// Asked for until it is answered that there is none.
const NOTHING: &str = "/AUTH_bench/c/nothing";
/// Longest that a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(40);
/// Lines of its log that an error shows.
const SAID_LINES_MAX: usize = 10;
const POLL: Duration = Duration::from_millis(20);

/// Workers of one stock server at the most.
const WORKERS_MAX: u8 = 64;

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// `swift-object-server` with so many workers.
    Stock { workers: u8 },
    /// ssync with this `durability`.
    Ssync { shape: Shape, durability: String },
}

impl FromStr for Contestant {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let durable = |word: &str| ["object", "batch", "none"].contains(&word).then(|| word.to_owned());
        match name.split_once('-') {
            Some(("stock", workers)) => match workers.parse() {
                Ok(workers @ 1..=WORKERS_MAX) => Ok(Self::Stock { workers }),
                _ => bail!("{name}: 1 to {WORKERS_MAX} workers"),
            },
            Some((shape @ ("node" | "two"), word)) => match durable(word) {
                Some(durability) => {
                    let shape = if shape == "node" { Shape::OneProcess } else { Shape::TwoOverUnix };
                    Ok(Self::Ssync { shape, durability })
                }
                None => bail!("{name}: durability is object, batch or none"),
            },
            _ => bail!("{name}: give stock-N, node-D or two-D"),
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stock { workers } => write!(f, "stock-{workers}"),
            Self::Ssync { shape: Shape::OneProcess, durability } => write!(f, "node-{durability}"),
            Self::Ssync { durability, .. } => write!(f, "two-{durability}"),
        }
    }
}

impl Contestant {
    /// Starts it on a new, empty device below `folder`. All read the same configuration but for what their names say.
    pub(crate) fn start(&self, folder: &Path) -> Result<Running> {
        let builder = Cluster::of(1)
            .within(folder)
            .part_power(PART_POWER)
            .setting("DEFAULT", "log_level", "INFO")
            .setting("DEFAULT", "disable_fallocate", "false");
        let cluster = match self {
            Self::Stock { workers } => builder.setting("DEFAULT", "workers", &workers.to_string()),
            Self::Ssync { durability, .. } => builder.setting("ssync", "durability", durability),
        }
        .build()?;
        let mut running = Running { processes: Vec::new(), cluster };
        match self {
            Self::Stock { .. } => running.start_stock()?,
            Self::Ssync { shape: Shape::OneProcess, .. } => {
                running.start_ssync("node", &["--no-replicator"])?;
            }
            Self::Ssync { .. } => {
                running.start_ssync("receiver", &[])?;
                running.start_ssync("sidecar", &[])?;
            }
        }
        running.wait_until_it_answers()?;
        Ok(running)
    }
}

/// A server at work, with its device.
#[derive(Debug)]
pub(crate) struct Running {
    processes: Vec<Child>,
    cluster: Cluster,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.cluster.node(1).address()
    }

    #[cfg(test)]
    pub(crate) fn device(&self) -> PathBuf {
        self.cluster.node(1).device()
    }

    fn start_stock(&mut self) -> Result<()> {
        let node = self.cluster.node(1);
        let mut command = as_own_group(&venv_program("python")?);
        command.arg(repository().join("tests/harness/python/run.py")).arg(node.swift_dir());
        self.spawn(command.arg("swift-object-server").arg(self.cluster.node(1).conf()))
    }

    fn start_ssync(&mut self, part: &str, more: &[&str]) -> Result<()> {
        let mut command = as_own_group(&ssync_binary()?);
        self.spawn(command.arg(part).arg("--conf").arg(self.cluster.node(1).conf()).args(more))
    }

    fn log(&self) -> PathBuf {
        self.cluster.folder().join("log/bench.log")
    }

    fn spawn(&mut self, command: &mut Command) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.processes.push(child);
        Ok(())
    }

    /// A receiver that is not up yet is a 5xx of its sidecar.
    fn wait_until_it_answers(&mut self) -> Result<()> {
        let started = Instant::now();
        let at = partition(NOTHING);
        let request = format!("GET /sdb1/{at}{NOTHING} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        loop {
            if let Ok(answer) = exchange(self.address(), request.as_bytes())
                && answer.status == 404
            {
                return Ok(());
            }
            for process in &mut self.processes {
                if let Some(status) = process.try_wait()? {
                    bail!("the server has ended ({status}): {}", self.said());
                }
            }
            ensure!(started.elapsed() < START_MAX, "the server does not answer: {}", self.said());
            thread::sleep(POLL);
        }
    }

    /// The beginning of what it has written, which says why.
    fn said(&self) -> String {
        fs::read_to_string(self.log())
            .unwrap_or_default()
            .lines()
            .take(SAID_LINES_MAX)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Processor time that all of its processes have used.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let groups: Vec<u32> = self.processes.iter().map(Child::id).collect();
        cpu::seconds_of_groups(&groups)
    }

    /// Stops it, removes its device, and waits until the disk is quiet, so that it costs the next one nothing.
    pub(crate) fn end(mut self) -> Result<()> {
        for process in &mut self.processes {
            ensure!(process.try_wait()?.is_none(), "the server did not live to the end");
        }
        let folder = self.cluster.folder();
        let disk = File::open(folder.parent().unwrap_or(&folder))?;
        drop(self);
        Ok(rustix::fs::syncfs(&disk)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Stock Swift's workers are of its group. It may have ended by itself.
            let _ = kill_process_group(Pid::from_child(process), Signal::KILL);
            let _ = process.wait();
        }
    }
}
