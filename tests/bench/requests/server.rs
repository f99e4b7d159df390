//! The servers that take part: stock Swift and ssync, each alone on one device.

use std::{
    fmt,
    net::SocketAddr,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use ssync_tests::{Cluster, Shape, exchange, repository, ssync_binary, venv_program};

use crate::{
    medium::Medium,
    placement::{PART_POWER, partition},
    processes::{Call, Processes, Role},
};

/// Asked for until it is answered that there is none.
const NOTHING: &str = "/AUTH_bench/c/nothing";
/// Longest that a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(40);
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
    /// Starts it on a new, empty device. All read the same configuration but for what their names say.
    pub(crate) fn start(&self, medium: &Medium) -> Result<Running> {
        let builder = Cluster::of(1)
            .within(medium.folder())
            .part_power(PART_POWER)
            .setting("DEFAULT", "log_level", "INFO")
            .setting("DEFAULT", "disable_fallocate", "false");
        let cluster = match self {
            Self::Stock { workers } => builder.setting("DEFAULT", "workers", &workers.to_string()),
            Self::Ssync { durability, .. } => builder.setting("ssync", "durability", durability),
        }
        .build()?;
        let mut processes = Processes::new(&cluster.folder().join("log"));
        for call in self.calls(&cluster)? {
            processes.begin(Role::Receiver, &call)?;
        }
        let mut running = Running { processes, cluster };
        running.wait_until_it_answers()?;
        Ok(running)
    }

    fn calls(&self, cluster: &Cluster) -> Result<Vec<Call>> {
        let node = cluster.node(1);
        let ssync = |part: &str| Ok(Call::of(ssync_binary()?).arg(part).arg("--conf").arg(node.conf()));
        match self {
            Self::Stock { .. } => {
                let run = repository().join("tests/harness/python/run.py");
                let stock = Call::of(venv_program("python")?).arg(run).arg(node.swift_dir());
                Ok(vec![stock.arg("swift-object-server").arg(node.conf())])
            }
            Self::Ssync { shape: Shape::OneProcess, .. } => Ok(vec![ssync("node")?.arg("--no-replicator")]),
            Self::Ssync { .. } => ["receiver", "sidecar"].into_iter().map(ssync).collect(),
        }
    }
}

/// A server at work, with its device.
#[derive(Debug)]
pub(crate) struct Running {
    // The first of the two to go.
    processes: Processes,
    cluster: Cluster,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.cluster.node(1).address()
    }

    #[cfg(test)]
    pub(crate) fn device(&self) -> std::path::PathBuf {
        self.cluster.node(1).device()
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
            self.processes.assert_alive()?;
            ensure!(started.elapsed() < START_MAX, "the server does not answer: {}", self.processes.said());
            thread::sleep(POLL);
        }
    }

    /// Processor time that all of its processes have used.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        Ok(self.processes.groups().cpu_seconds()?.get(&Role::Receiver).copied().unwrap_or_default())
    }

    /// What all of its processes held at their highest.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.processes
            .groups()
            .peak_bytes(u64::saturating_add)
            .get(&Role::Receiver)
            .copied()
            .unwrap_or_default()
    }

    /// Fails unless it has lived to the end; stops it and removes its device.
    pub(crate) fn end(mut self) -> Result<()> {
        self.processes.assert_alive()
    }
}
