//! The client: connections with one request at a time each, on one thread, prebuilt as far as can be.

use std::{
    fmt,
    io::{self, IoSlice, Write as _},
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep_until, timeout},
};

use super::server::Running;
use crate::{cpu, placement::partition};

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A request that takes longer counts as an error.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// Errors of one connection after which it gives up.
const ERRORS_MAX: u64 = 100;
/// One body in so many is compared byte for byte; of the others length and status are checked.
const COMPARED_EVERY: u64 = 64;
/// A stride that visits stored objects in no order that the disk knows.
const STRIDE: u64 = 7919;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    Put,
    Get,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "PUT",
            Self::Get => "GET",
        })
    }
}

/// How it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    pub(crate) connections: u16,
    pub(crate) window: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) new_connections: bool,
    pub(crate) expect: bool,
}

/// The numbers of the objects that each connection has stored.
#[derive(Debug, Default)]
pub(crate) struct Stored(Vec<Vec<u64>>);

/// A load on one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) method: Method,
    pub(crate) size: usize,
    pub(crate) habits: Habits,
}

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Of each request of the window, in order of length, in microseconds.
    pub(crate) latencies: Vec<u32>,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    pub(crate) server_cpu: f64,
    pub(crate) client_cpu: f64,
}

impl Measured {
    /// In milliseconds; 0 where nothing was measured.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(0.0, |&micros| f64::from(micros) / 1000.0)
    }
}

impl Load {
    /// Runs it. PUT adds to `stored`, GET reads what is there.
    pub(crate) fn run(self, stored: &mut Stored, server: &Running) -> Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.drive(stored, server))
    }

    async fn drive(self, stored: &mut Stored, server: &Running) -> Result<Measured> {
        let (begin, end) = self.window();
        let mut clients = JoinSet::new();
        stored.0.resize(usize::from(self.habits.connections), Vec::new());
        for (number, known) in stored.0.iter_mut().enumerate() {
            ensure!(self.method == Method::Put || !known.is_empty(), "nothing was stored that could be read");
            clients.spawn(Client::new(self, number, std::mem::take(known)).run(begin, end));
        }
        sleep_until(begin.into()).await;
        let (server_before, client_before) = (server.cpu_seconds()?, cpu::own_seconds()?);
        sleep_until(end.into()).await;
        let (server_after, client_after) = (server.cpu_seconds()?, cpu::own_seconds()?);
        let mut measured = Measured {
            latencies: Vec::new(),
            errors: 0,
            seconds: self.habits.window.as_secs_f64(),
            server_cpu: server_after - server_before,
            client_cpu: client_after - client_before,
        };
        while let Some(client) = clients.join_next().await {
            let client = client?;
            measured.latencies.extend(client.latencies);
            measured.errors += client.errors;
            stored.0[client.number] = client.stored;
        }
        measured.latencies.sort_unstable();
        Ok(measured)
    }

    fn window(self) -> (Instant, Instant) {
        let begin = Instant::now() + self.habits.warm_up;
        (begin, begin + self.habits.window)
    }
}

/// One connection's worth of load.
struct Client {
    load: Load,
    number: usize,
    body: Vec<u8>,
    stored: Vec<u64>,
    requests: u64,
    stream: Option<TcpStream>,
    head: Vec<u8>,
    input: Vec<u8>,
    latencies: Vec<u32>,
    errors: u64,
}

impl Client {
    fn new(load: Load, number: usize, stored: Vec<u64>) -> Self {
        let body = b"0123456789abcdef".iter().copied().cycle().take(load.size).collect();
        Self {
            load,
            number,
            body,
            stored,
            requests: 0,
            stream: None,
            head: Vec::new(),
            input: vec![0; READ_BYTES],
            latencies: Vec::new(),
            errors: 0,
        }
    }

    /// Asks until `end`. What ends in the window is counted; where nothing does, the first that ends after it.
    async fn run(mut self, begin: Instant, end: Instant) -> Self {
        while (Instant::now() < end || self.latencies.is_empty()) && self.errors < ERRORS_MAX {
            let started = Instant::now();
            let outcome =
                timeout(REQUEST_MAX, self.request()).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
            let ended = Instant::now();
            if let Err(error) = outcome {
                if self.errors == 0 {
                    eprintln!("{} on connection {}: {error}", self.load.method, self.number);
                }
                self.errors += 1;
                self.stream = None;
            } else if ended >= begin && (ended < end || self.latencies.is_empty()) {
                let micros = ended.duration_since(started).as_micros();
                self.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
            }
        }
        self
    }

    async fn request(&mut self) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let number = self.requests;
        self.requests += 1;
        match self.load.method {
            Method::Put => self.put(&mut stream, number).await?,
            Method::Get => self.get(&mut stream, number).await?,
        }
        if !self.load.habits.new_connections {
            self.stream = Some(stream);
        }
        Ok(())
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.load.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn put(&mut self, stream: &mut TcpStream, number: u64) -> io::Result<()> {
        self.begin_head("PUT", number)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        write!(
            self.head,
            "X-Timestamp: {now:.5}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n",
            self.load.size
        )?;
        if self.load.habits.expect {
            self.head.extend_from_slice(b"Expect: 100-continue\r\n\r\n");
            stream.write_all(&self.head).await?;
            self.answer(stream, 100, 0, false).await?;
            stream.write_all(&self.body).await?;
        } else {
            self.head.extend_from_slice(b"\r\n");
            write_both(stream, &self.head, &self.body).await?;
        }
        self.answer(stream, 201, 0, false).await?;
        self.stored.push(number);
        Ok(())
    }

    async fn get(&mut self, stream: &mut TcpStream, number: u64) -> io::Result<()> {
        let index = (number * STRIDE) % self.stored.len().max(1) as u64;
        let object = usize::try_from(index).ok().and_then(|index| self.stored.get(index)).copied();
        self.begin_head("GET", object.unwrap_or_default())?;
        self.head.extend_from_slice(b"\r\n");
        stream.write_all(&self.head).await?;
        self.answer(stream, 200, self.load.size, number.is_multiple_of(COMPARED_EVERY)).await
    }

    fn begin_head(&mut self, method: &str, number: u64) -> io::Result<()> {
        let Self { head, number: connection, load, .. } = self;
        let path = format!("/AUTH_bench/c/{connection}-{number}");
        head.clear();
        write!(
            head,
            "{method} /sdb1/{}{path} HTTP/1.1\r\nHost: {}\r\n\
             X-Backend-Storage-Policy-Index: 0\r\nUser-Agent: proxy-server 1\r\nX-Trans-Id: tx{connection}-{number}\r\n",
            partition(&path),
            load.address
        )?;
        if load.habits.new_connections {
            head.extend_from_slice(b"Connection: close\r\n");
        }
        Ok(())
    }

    /// Reads a whole answer, and checks it.
    async fn answer(
        &mut self,
        stream: &mut TcpStream,
        status: u16,
        length: usize,
        compare: bool,
    ) -> io::Result<()> {
        let mut filled = 0;
        let body_at = loop {
            filled += read_some(stream, &mut self.input[filled..]).await?;
            if let Some(end) = self.input[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if filled > HEAD_BYTES_MAX {
                return Err(io::Error::other("a head without end"));
            }
        };
        let head = String::from_utf8_lossy(&self.input[..body_at]).into_owned();
        if head.get(9..12).and_then(|word| word.parse().ok()) != Some(status) {
            return Err(io::Error::other(format!("not {status}: {head:?}")));
        }
        let announced = content_length(&head);
        let expected = if status == 201 { announced } else { Some(length) };
        if status != 100 && (announced.is_none() || announced != expected) {
            return Err(io::Error::other(format!("not {length} bytes: {head:?}")));
        }
        let mut left = announced.unwrap_or(0);
        let mut piece = body_at..filled;
        loop {
            let done = length - left.min(length);
            if compare && self.body.get(done..done + piece.len()) != self.input.get(piece.clone()) {
                return Err(io::Error::other("another body than was stored"));
            }
            left =
                left.checked_sub(piece.len()).ok_or_else(|| io::Error::other("more than was announced"))?;
            if left == 0 {
                return Ok(());
            }
            piece = 0..read_some(stream, &mut self.input).await?;
        }
    }
}

async fn read_some(stream: &mut TcpStream, input: &mut [u8]) -> io::Result<usize> {
    match stream.read(input).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

/// Head and body in as few writes as the socket takes.
async fn write_both(stream: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let written = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]).await?;
    if let Some(rest) = head.get(written..) {
        stream.write_all(rest).await?;
    }
    stream.write_all(&body[written.saturating_sub(head.len())..]).await
}

fn content_length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
    })
}
