//! Rounds in which each server has its turn with each load, and what came out of each turn.

use std::fmt;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{
    load::{Habits, Load, Method, Stored},
    server::Contestant,
};
use crate::medium::Medium;

/// What is measured.
#[derive(Debug)]
pub(crate) struct Contest {
    pub(crate) media: Vec<Medium>,
    pub(crate) servers: Vec<Contestant>,
    pub(crate) sizes: Vec<usize>,
    /// Connections, each with one request at a time.
    pub(crate) connections: Vec<u16>,
    pub(crate) rounds: u32,
    pub(crate) habits: Habits,
}

/// One load on one server in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) medium: String,
    pub(crate) server: String,
    pub(crate) method: Method,
    pub(crate) size: usize,
    pub(crate) connections: u16,
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
    /// Of all processes of the server together, since they were started.
    pub(crate) server_peak_bytes: u64,
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
        let Self {
            medium, server, method, size, connections, round, requests, errors, p50_ms, p99_ms, ..
        } = self;
        write!(
            f,
            "round {round}  {medium:<5} {method} {size:>8} x {connections:<3} {server:<12} {:>8.0} req/s  p50 {p50_ms:>7.2} ms  p99 {p99_ms:>7.2} ms  \
             {:>6.3} CPU ms  {requests} requests, {errors} errors",
            self.rate(),
            self.server_cpu_ms()
        )
    }
}

impl Contest {
    /// Runs all rounds; `each` hears of each record as it comes.
    pub(crate) fn run(&self, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
        for medium in &self.media {
            for round in 1..=self.rounds {
                for &size in &self.sizes {
                    for place in 0..self.servers.len() {
                        // Who comes first in one round comes last in the next.
                        let server = &self.servers[(place + round as usize - 1) % self.servers.len()];
                        let turn = Turn { contest: self, medium, server, size, round };
                        let records = turn.take();
                        let records = records
                            .with_context(|| format!("{server}, {size} bytes on {medium}, round {round}"))?;
                        records.into_iter().try_for_each(&mut each)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A server with objects of one size.
struct Turn<'a> {
    contest: &'a Contest,
    medium: &'a Medium,
    server: &'a Contestant,
    size: usize,
    round: u32,
}

impl Turn<'_> {
    /// An empty device; then for each number of connections PUTs, and GETs of what these stored.
    fn take(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for &connections in &self.contest.connections {
            let running = self.server.start(self.medium)?;
            let mut stored = Stored::default();
            for method in [Method::Put, Method::Get] {
                let habits = Habits { connections, ..self.contest.habits };
                let load = Load { address: running.address(), method, size: self.size, habits };
                let measured = load.run(&mut stored, &running)?;
                records.push(Record {
                    medium: self.medium.to_string(),
                    server: self.server.to_string(),
                    method,
                    size: self.size,
                    connections,
                    round: self.round,
                    requests: measured.latencies.len() as u64,
                    errors: measured.errors,
                    seconds: measured.seconds,
                    p50_ms: measured.percentile(50),
                    p99_ms: measured.percentile(99),
                    server_cpu_seconds: measured.server_cpu,
                    client_cpu_seconds: measured.client_cpu,
                    server_peak_bytes: running.peak_bytes(),
                });
            }
            running.end()?;
            // What is removed costs the next one nothing.
            self.medium.flush()?;
        }
        Ok(records)
    }
}
