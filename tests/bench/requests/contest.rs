//! Rounds in which each server has its turn with each load, and what came out of each turn.

use std::{fmt, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    load::{Habits, Load, Method, Stored},
    server::Contestant,
};

/// What is measured.
#[derive(Debug)]
pub(crate) struct Contest {
    pub(crate) folder: PathBuf,
    pub(crate) servers: Vec<Contestant>,
    pub(crate) sizes: Vec<usize>,
    pub(crate) rounds: u32,
    pub(crate) habits: Habits,
}

/// One load on one server in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    pub(crate) server: String,
    pub(crate) method: Method,
    pub(crate) size: usize,
    pub(crate) round: u32,
    pub(crate) requests: u64,
    /// Answers that were not what they should be, the warm-up's too.
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// All processes of the server together.
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_cpu_seconds: f64,
}

impl Record {
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// The server's milliseconds of processor time for each request.
    pub(crate) fn server_cpu_ms(&self) -> f64 {
        1000.0 * self.server_cpu_seconds / self.requests.max(1) as f64
    }

    pub(crate) fn client_cpu_ms(&self) -> f64 {
        1000.0 * self.client_cpu_seconds / self.requests.max(1) as f64
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, method, size, round, requests, errors, p50_ms, p99_ms, .. } = self;
        write!(
            f,
            "round {round}  {method} {size:>8}  {server:<12} {:>8.0} req/s  p50 {p50_ms:>7.2} ms  p99 {p99_ms:>7.2} ms  \
             {:>6.3} CPU ms  {requests} requests, {errors} errors",
            self.rate(),
            self.server_cpu_ms()
        )
    }
}

impl Contest {
    /// Runs all rounds; `each` hears of each record as it comes.
    pub(crate) fn run(&self, mut each: impl FnMut(&Record) -> Result<()>) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for round in 1..=self.rounds {
            for &size in &self.sizes {
                for turn in 0..self.servers.len() {
                    // Who comes first in one round comes last in the next.
                    let server = &self.servers[(turn + round as usize - 1) % self.servers.len()];
                    let turn = self.turn(server, size, round);
                    for record in turn.with_context(|| format!("{server}, {size} bytes, round {round}"))? {
                        each(&record)?;
                        records.push(record);
                    }
                }
            }
        }
        Ok(records)
    }

    /// An empty device, PUTs, and GETs of what they stored.
    fn turn(&self, server: &Contestant, size: usize, round: u32) -> Result<[Record; 2]> {
        let running = server.start(&self.folder)?;
        let mut stored = Stored::default();
        let mut measure = |method| -> Result<Record> {
            let load = Load { address: running.address(), method, size, habits: self.habits };
            let measured = load.run(&mut stored, &running)?;
            Ok(Record {
                server: server.to_string(),
                method,
                size,
                round,
                requests: measured.latencies.len() as u64,
                errors: measured.errors,
                seconds: measured.seconds,
                p50_ms: measured.percentile(50),
                p99_ms: measured.percentile(99),
                server_cpu_seconds: measured.server_cpu,
                client_cpu_seconds: measured.client_cpu,
            })
        };
        let records = [measure(Method::Put)?, measure(Method::Get)?];
        running.end()?;
        Ok(records)
    }
}
