//! Clients that write and read without a pause, and do not forgive a refused connection or a broken answer.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::json;
use ssync_tests::{Connection, DEVICE, Node, exchange, helper};

use crate::told::until;

const CLIENTS: usize = 4;
const PARTITION: u32 = 3;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(2);

/// The paths of objects that lie in [`PARTITION`], as Swift places them.
pub(crate) fn objects(node: &Node, count: usize) -> Result<Vec<String>> {
    let arguments =
        json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": PARTITION, "count": count});
    let found = helper("locate", &arguments)?;
    let path = |value: &serde_json::Value| value["path"].as_str().map(str::to_owned);
    found.as_array().context("no list")?.iter().map(|found| path(found).context("no path")).collect()
}

/// The head of a request for an object.
pub(crate) fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} /{DEVICE}/{PARTITION}{path} HTTP/1.1\r\nHost: node\r\n{headers}\r\n")
}

pub(crate) fn put(path: &str, tick: u64, body: &str) -> Vec<u8> {
    let headers = format!(
        "X-Timestamp: 1700000000.{tick:05}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n",
        body.len()
    );
    format!("{}{body}", head("PUT", path, &headers)).into_bytes()
}

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) broken: Vec<String>,
    /// The last version of each object that was answered with success.
    pub(crate) stored: BTreeMap<String, u64>,
}

/// Clients at work. They end when this is asked for the outcome, or dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Outcome>>,
    answered: Arc<AtomicU64>,
}

impl Load {
    /// Each client has an object of its own, and for each request either a connection of its own or the one that it had.
    pub(crate) fn on(node: &Node) -> Result<Self> {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |path: String| {
            let (address, stop, answered) = (node.address(), Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || client(address, &path, &stop, &answered))
        };
        let clients = objects(node, CLIENTS)?.into_iter().map(client).collect();
        Ok(Self { stop, clients, answered })
    }

    /// Returns when so many further requests have been answered.
    pub(crate) fn go_on_for(&self, requests: u64) -> Result<()> {
        let wanted = self.answered.load(Ordering::Relaxed) + requests;
        until("requests are answered", || Ok(self.answered.load(Ordering::Relaxed) >= wanted))
    }

    pub(crate) fn outcome(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Outcome::default();
        for outcome in self.clients.drain(..).filter_map(|client| client.join().ok()) {
            sum.answered += outcome.answered;
            sum.refused += outcome.refused;
            sum.broken.extend(outcome.broken);
            sum.stored.extend(outcome.stored);
        }
        sum
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn client(address: SocketAddr, path: &str, stop: &AtomicBool, all_answered: &AtomicU64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut tick = 0;
    while !stop.load(Ordering::Relaxed) {
        tick += 1;
        match one(address, path, tick, &mut outcome.stored) {
            Ok(true) => {
                outcome.answered += 1;
                all_answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(false) => outcome.refused += 1,
            Err(error) => outcome.broken.push(format!("{path} {tick}: {error:#}")),
        }
        thread::sleep(PAUSE);
    }
    outcome
}

/// Writes a version and reads it back; false when nobody listens.
fn one(address: SocketAddr, path: &str, tick: u64, acknowledged: &mut BTreeMap<String, u64>) -> Result<bool> {
    match TcpStream::connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(false),
        other => drop(other?),
    }
    let body = format!("version {tick}");
    let stored = exchange(address, &put(path, tick, &body)).context("PUT")?;
    anyhow::ensure!(stored.status == 201, "PUT: {}", stored.head);
    acknowledged.insert(path.to_owned(), tick);
    let mut connection = Connection::open(address)?;
    connection.send(head("GET", path, "").as_bytes());
    let found = connection.answer().context("GET")?;
    anyhow::ensure!(found.status == 200 && found.text() == body, "GET: {}{}", found.head, found.text());
    Ok(true)
}

/// An upload that has begun and waits for the test to go on.
pub(crate) struct Upload {
    connection: Connection,
    path: String,
}

impl Upload {
    const BODY: &'static str = "the first half, and the second half";

    /// Half of it is sent, and the server has begun to take it.
    pub(crate) fn begin(node: &Node, path: &str) -> Result<Self> {
        let headers = format!(
            "X-Timestamp: 1700000001.00000\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: {}\r\n",
            Self::BODY.len()
        );
        let mut connection = Connection::open(node.address())?;
        connection.send(head("PUT", path, &headers).as_bytes());
        connection.wait_for("100 Continue")?;
        connection.send(&Self::BODY.as_bytes()[..15]);
        Ok(Self { connection, path: path.to_owned() })
    }

    /// The other half is sent, and taken by a server that answers nobody else any more.
    pub(crate) fn finish_unread(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.connection.send(&Self::BODY.as_bytes()[15..]);
        self.connection.wait_for("201 Created").map(drop)
    }

    /// The other half is sent, and the whole is there.
    pub(crate) fn finish(mut self, node: &Node) -> Result<()> {
        self.end()?;
        let found = exchange(node.address(), head("GET", &self.path, "").as_bytes())?;
        anyhow::ensure!(found.status == 200 && found.text() == Self::BODY, "{}{}", found.head, found.text());
        Ok(())
    }
}
