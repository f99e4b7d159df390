//! Clients that PUT, POST and DELETE through the servers of a device.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use ssync_tests::{Chance, Node, exchange, helper};

use crate::ledger::{Kind, Ledger};

/// Longest body of most objects; one in [`LARGE_EVERY`] is so many times as long.
const BODY_BYTES: usize = 4096;
const LARGE: usize = 60;
const LARGE_EVERY: usize = 20;
/// Writers of other kinds use the ticks between.
const TICKS: u64 = 10;

static LAST: AtomicU64 = AtomicU64::new(0);

/// A timestamp that is newer than all before, in Swift's own form.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ticks = u64::try_from(since.as_micros() / 10).unwrap_or_default() / TICKS * TICKS;
    let next = |last: u64| Some(ticks.max(last + TICKS));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
    let ticks = ticks.max(last + TICKS);
    format!("{:010}.{:05}", ticks / 100_000, ticks % 100_000)
}

/// An object, and the partition that it lies in.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) path: String,
    pub(crate) partition: u32,
    /// Its number among those that were located with it.
    pub(crate) number: usize,
    /// The end of its hash.
    pub(crate) suffix: String,
}

impl Object {
    /// Objects of a partition, as Swift hashes them.
    pub(crate) fn located(node: &Node, partition: u32, count: usize, prefix: &str) -> Result<Vec<Self>> {
        let arguments = json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": partition, "count": count,
                               "prefix": prefix});
        let found = helper("locate", &arguments)?;
        let object = |(number, found): (usize, &Value)| {
            let hash = found["hash"].as_str()?;
            let suffix = hash.get(hash.len().checked_sub(3)?..)?.to_owned();
            Some(Self { path: found["path"].as_str()?.to_owned(), partition, number, suffix })
        };
        let found = found.as_array().context("no list")?.iter().enumerate();
        found.map(|found| object(found).context("no object")).collect()
    }

    /// Whether it is written all the time.
    pub(crate) fn is_hot(&self) -> bool {
        self.path.contains("/hot-")
    }
}

/// How often each method got each status.
pub(crate) type Statuses = BTreeMap<(&'static str, u16), usize>;

/// The bytes of a request.
pub(crate) fn request(
    method: &str,
    (device, object): (&str, &Object),
    timestamp: &str,
    headers: &str,
    body: &[u8],
) -> Vec<u8> {
    let Object { path, partition, .. } = object;
    let head = format!(
        "{method} /{device}/{partition}{path} HTTP/1.1\r\nHost: node\r\nX-Timestamp: {timestamp}\r\n\
         Content-Type: text/plain\r\nX-Backend-Storage-Policy-Index: 0\r\nContent-Length: {}\r\n\
         Connection: close\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends one request; returns the status.
pub(crate) fn ask(
    server: SocketAddr,
    method: &str,
    at: (&str, &Object),
    timestamp: &str,
    headers: &str,
    body: &[u8],
) -> Result<u16> {
    Ok(exchange(server, &request(method, at, timestamp, headers, body))?.status)
}

/// Writes until it is told to stop, through `ours` and another server of the same device. Returns what was written, and how often each method got each status.
pub(crate) fn write(
    [ours, other]: [SocketAddr; 2],
    device: &str,
    objects: &Vec<Object>,
    seed: u64,
    stop: &AtomicBool,
) -> Result<(Ledger, Statuses)> {
    let hot: Vec<Object> = objects.iter().filter(|object| object.is_hot()).cloned().collect();
    let (mut chance, mut ledger, mut statuses) = (Chance::new(seed), Ledger::default(), BTreeMap::new());
    while !stop.load(Ordering::Relaxed) {
        let from = if chance.below(5) < 2 && !hot.is_empty() { &hot } else { objects };
        let (server, object, timestamp) = (*chance.of(&[ours, other]), chance.of(from), now());
        let kept = object.path.contains("-kept-");
        let (method, kind, headers, body) = match chance.below(10) {
            0..=1 => ("POST", Kind::Post, format!("X-Object-Meta-Posted: {timestamp}\r\n"), Vec::new()),
            2..=3 if !kept => ("DELETE", Kind::Tombstone, String::new(), Vec::new()),
            _ => {
                let large = if chance.below(LARGE_EVERY) == 0 { LARGE } else { 1 };
                let length = chance.below(BODY_BYTES) * large;
                let body: Vec<u8> = timestamp.bytes().cycle().take(length).collect();
                ("PUT", Kind::Data(length), format!("X-Object-Meta-Written: {timestamp}\r\n"), body)
            }
        };
        let status = ask(server, method, (device, object), &timestamp, &headers, &body)?;
        *statuses.entry((method, status)).or_default() += 1;
        match status {
            // Older than what is there, not there, or changed while the request was at it.
            200..=299 | 404 | 409 | 503 => {}
            // Stock's answer when hashing took away the suffix that it had just made; its log is looked at.
            500 if server != ours => {}
            status => bail!("{method} {} at {server}: {status}", object.path),
        }
        ledger.note(&object.path, &timestamp, kind, (200..300).contains(&status));
    }
    Ok((ledger, statuses))
}
