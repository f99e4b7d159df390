//! The clients: threads with a connection each, that ask when it is time to.
//!
//! They block, since the timers of an asynchronous runtime are too coarse for what is measured here. They stand for other
//! machines, which would not wait for this one's processors: where that is allowed they have a real-time priority.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Range,
    process::Command,
    sync::{Barrier, OnceLock},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use ssync_tests::DEVICE;

use crate::{placement::partition, replication::object_name};

/// Longest that an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A stride that visits objects in no order that the disk knows.
const STRIDE: usize = 7919;

/// GETs of one node's objects.
#[derive(Debug)]
pub(super) struct Gets {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    size: usize,
    connections: usize,
}

/// What came of them.
#[derive(Debug, Default)]
pub(super) struct Got {
    /// Of each, from when it was due, in order of length.
    pub(super) micros: Vec<u32>,
    pub(super) errors: u64,
    pub(super) seconds: f64,
}

impl Got {
    /// A second.
    pub(super) fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.seconds
    }

    /// In milliseconds.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let index = (self.micros.len() * percent / 100).min(self.micros.len().saturating_sub(1));
        self.micros.get(index).map_or(0.0, |&micros| f64::from(micros) / 1000.0)
    }
}

impl Gets {
    /// Of the objects of these numbers, of one size.
    pub(super) fn of(address: SocketAddr, numbers: Range<usize>, size: usize, connections: usize) -> Self {
        let request = |number| {
            let path = object_name(number);
            format!(
                "GET /{DEVICE}/{}{path} HTTP/1.1\r\nHost: node\r\nX-Backend-Storage-Policy-Index: 0\r\n\r\n",
                partition(&path)
            )
            .into_bytes()
        };
        Self { address, requests: numbers.map(request).collect(), size, connections }
    }

    /// Asks until `wait` returns: so many a second, or as fast as they are answered.
    pub(super) fn run(&self, rate: Option<f64>, wait: impl FnOnce()) -> Result<Got> {
        let (ready, ended, began) = (Barrier::new(self.connections + 1), OnceLock::new(), OnceLock::new());
        let start = || {
            ready.wait();
            *began.get_or_init(Instant::now)
        };
        let mut got = thread::scope(|scope| {
            let clients: Vec<_> = (0..self.connections)
                .map(|number| {
                    let (ended, start) = (&ended, &start);
                    scope.spawn(move || {
                        come_first();
                        self.ask(number, rate, start(), ended)
                    })
                })
                .collect();
            start();
            wait();
            // Nobody else sets it.
            let _ = ended.set(Instant::now());
            clients.into_iter().try_fold(Got::default(), |mut all, client| {
                let one = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
                all.micros.extend(one.micros);
                all.errors += one.errors;
                anyhow::Ok(all)
            })
        })?;
        got.seconds = began.get_or_init(Instant::now).elapsed().as_secs_f64();
        got.micros.sort_unstable();
        Ok(got)
    }

    /// What was due before the end is asked, however late: those that waited longest are not left out.
    fn ask(&self, number: usize, rate: Option<f64>, started: Instant, ended: &OnceLock<Instant>) -> Got {
        let (mut got, mut stream, mut buffer) = (Got::default(), None, vec![0; HEAD_BYTES_MAX + self.size]);
        for turn in (number..).step_by(self.connections) {
            let due =
                rate.map_or_else(Instant::now, |rate| started + Duration::from_secs_f64(turn as f64 / rate));
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if ended.get().is_some_and(|end| due > *end) {
                return got;
            }
            let request = &self.requests[turn * STRIDE % self.requests.len()];
            match self.get(&mut stream, request, &mut buffer) {
                Ok(()) => got.micros.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX)),
                Err(error) => {
                    if got.errors == 0 {
                        eprintln!("a GET: {error}");
                    }
                    got.errors += 1;
                    stream = None;
                }
            }
        }
        got
    }

    fn get(&self, kept: &mut Option<TcpStream>, request: &[u8], buffer: &mut [u8]) -> io::Result<()> {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream
            }
        };
        stream.write_all(request)?;
        let mut filled = 0;
        loop {
            match stream.read(&mut buffer[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
            if let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n")
                && filled >= end + 4 + self.size
            {
                break;
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 200") {
            let head = String::from_utf8_lossy(&buffer[..filled.min(200)]).into_owned();
            return Err(io::Error::other(head));
        }
        *kept = Some(stream);
        Ok(())
    }
}

/// Gives this thread a real-time priority. There is no safe call for it.
fn come_first() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let changed = Command::new("chrt").args(["--fifo", "--pid", "1", &thread]).status();
    if !changed.is_ok_and(|status| status.success()) {
        eprintln!(
            "a client waits for processors as the servers do: chrt cannot give it a real-time priority"
        );
    }
}
