//! Does a peer speak gRPC, or is it still a stock Swift server?
//!
//! Both are reached at the same address: that of the ring. A gRPC server answers the HTTP/2 preface with its settings;
//! Swift's answers it with a literal `HTTP/1.1 505`, and only that marks a peer as stock; one of ours that takes nothing but TLS
//! answers `HTTP/1.1 426`. Silence, resets and anything else are errors: who can disturb a connection must not be able to
//! choose the older protocol for us.
//!
//! With certificates of our own every gRPC peer is tried by TLS. One that has none is spoken to without, but where TLS is
//! required, and but for a peer that has once spoken it: then nothing else is even tried. A certificate that is bad is never a
//! reason to do without.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ssync_tls::Tls;
use ssync_types::{Reason, Refusal};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// Most stock peers remembered: more than any ring has nodes to talk to.
pub const PEERS_MAX: usize = 4096;
/// How long a stock peer is remembered: what it takes to notice that it was replaced.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// How long connecting and the first answer may take together.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often TLS is tried with a peer that speaks gRPC without, and the time between: one that just starts or drains may break off.
const TLS_TRIES: u32 = 2;
const TLS_RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Longest status line looked at.
const LINE_BYTES_MAX: usize = 256;
/// The HTTP/2 client preface (RFC 9113, 3.4), with the empty SETTINGS frame that has to follow.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// Bytes of an HTTP/2 frame's header.
const FRAME_HEADER_BYTES: usize = 9;
const FRAME_TYPE_SETTINGS: u8 = 4;

/// What a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// HTTP/2, so gRPC.
    Grpc,
    /// The same by TLS.
    GrpcByTls,
    /// Swift's own object server: HTTP/1.1 and SSYNC.
    StockSwift,
}

/// Asks the peer at `address` (`HOST:PORT`) by connecting to it, with `tls` where this node has it.
pub async fn probe(address: &str, limit: Duration, tls: Option<&Tls>) -> Result<PeerKind, Refusal> {
    match tls {
        None => match probe_plain(address, limit).await? {
            Plainly::TlsOnly => Err(unreachable(
                address,
                "speaks to nobody without TLS (require_tls there); set tls_certificate, tls_key and tls_ca",
            )),
            Plainly::Grpc => Ok(PeerKind::Grpc),
            Plainly::StockSwift => Ok(PeerKind::StockSwift),
        },
        Some(tls) if tls.is_required() => probe_tls(address, limit, tls).await.map_err(|no| no.refusal),
        Some(tls) => match probe_plain(address, limit).await? {
            Plainly::StockSwift => Ok(PeerKind::StockSwift),
            Plainly::TlsOnly => probe_tls(address, limit, tls).await.map_err(|no| no.refusal),
            Plainly::Grpc => probe_tls_twice(address, limit, tls).await,
        },
    }
}

/// A peer that speaks gRPC without TLS does with it, too; where it does not, it gets a second chance.
async fn probe_tls_twice(address: &str, limit: Duration, tls: &Tls) -> Result<PeerKind, Refusal> {
    for tried in 1..=TLS_TRIES {
        match probe_tls(address, limit, tls).await {
            Err(no) if no.may_be_plain && tried < TLS_TRIES => sleep(TLS_RETRY_PAUSE).await,
            Err(no) if no.may_be_plain => {
                tracing::warn!(peer = address, "is spoken to without TLS: {}", no.refusal.message);
            }
            other => return other.map_err(|no| no.refusal),
        }
    }
    Ok(PeerKind::Grpc)
}

/// What a peer says that is asked without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plainly {
    Grpc,
    StockSwift,
    TlsOnly,
}

/// Why a peer is not reached by TLS.
struct NoTls {
    refusal: Refusal,
    /// It may just have none.
    may_be_plain: bool,
}

fn has_stopped(refusal: Refusal) -> Refusal {
    let message = format!(
        "{}; it has spoken TLS before, so nothing else is tried; if it has no certificates any more, restart this daemon",
        refusal.message
    );
    Refusal { message, ..refusal }
}

fn unreachable(address: &str, problem: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Unreachable, format!("{address}: {problem}"))
}

/// Ends a handshake, and waits for the first frame: only then has the peer taken our certificate.
async fn probe_tls(address: &str, limit: Duration, tls: &Tls) -> Result<PeerKind, NoTls> {
    let no = |may_be_plain, problem: String| NoTls { refusal: unreachable(address, problem), may_be_plain };
    let broken = |error: std::io::Error| no(false, format!("broke off after the handshake: {error}"));
    let asked = async {
        let connected = TcpStream::connect(address).await.map_err(|error| no(false, error.to_string()))?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let connected = tls.connect(host, connected).await;
        let mut stream = connected.map_err(|error| no(error.may_be_plain(), error.to_string()))?;
        stream.write_all(PREFACE).await.map_err(broken)?;
        match answer(&mut stream).await.map_err(broken)? {
            Ok(Plainly::Grpc) => Ok(PeerKind::GrpcByTls),
            _ => Err(no(false, "answers by TLS, but not as gRPC does".to_owned())),
        }
    };
    timeout(limit, asked).await.map_err(|_| no(false, format!("no answer by TLS within {limit:?}")))?
}

async fn probe_plain(address: &str, limit: Duration) -> Result<Plainly, Refusal> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(PREFACE).await?;
        answer(&mut stream).await
    };
    let failed = |problem: String| Err(unreachable(address, problem));
    match timeout(limit, asked).await {
        Ok(Ok(Ok(kind))) => Ok(kind),
        Ok(Ok(Err(first_bytes))) => {
            let shown = String::from_utf8_lossy(&first_bytes).escape_debug().to_string();
            failed(format!("answers HTTP/2 neither as gRPC nor as a stock object server does, but: {shown}"))
        }
        Ok(Err(error)) => failed(error.to_string()),
        Err(_) => failed(format!("no answer within {limit:?}")),
    }
}

/// What the first bytes say; those bytes, if they say nothing that is known.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Result<Plainly, Vec<u8>>> {
    let mut head = Vec::with_capacity(LINE_BYTES_MAX);
    loop {
        if let Some(verdict) = judge(&head) {
            return Ok(verdict.ok_or(head));
        }
        let mut limited = (&mut *stream).take((LINE_BYTES_MAX - head.len()) as u64);
        if limited.read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// `None`: not enough yet. `Some(None)`: nothing that is known.
fn judge(head: &[u8]) -> Option<Option<Plainly>> {
    const HTTP_1: &[u8] = b"HTTP/1.";
    let begins_as_http_1 = head.iter().zip(HTTP_1).all(|(byte, expected)| byte == expected);
    if begins_as_http_1 && !head.is_empty() {
        let line_end = head.windows(2).position(|pair| pair == b"\r\n");
        return match line_end.and_then(|end| head.get(..end)) {
            Some(line) => Some(match status(line) {
                Some(505) => Some(Plainly::StockSwift),
                Some(426) => Some(Plainly::TlsOnly),
                _ => None,
            }),
            None => (head.len() >= LINE_BYTES_MAX).then_some(None),
        };
    }
    let header: &[u8; FRAME_HEADER_BYTES] = head.get(..FRAME_HEADER_BYTES)?.try_into().ok()?;
    Some(is_settings(header).then_some(Plainly::Grpc))
}

/// The status of a line. Swift refuses version 2.0 of HTTP with 505, in words that the version of Python chooses.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, rest) = rest.split_at_checked(3)?;
    let is_whole = rest.first().is_none_or(|&next| next == b' ');
    std::str::from_utf8(digits).ok().filter(|_| is_whole)?.parse().ok()
}

/// The server's preface is a SETTINGS frame, not an acknowledgement, on stream 0, of whole settings.
fn is_settings(header: &[u8; FRAME_HEADER_BYTES]) -> bool {
    const SETTING_BYTES: u32 = 6;
    let [l0, l1, l2, kind, flags, stream @ ..] = *header;
    let length = u32::from_be_bytes([0, l0, l1, l2]);
    kind == FRAME_TYPE_SETTINGS && flags == 0 && stream == [0; 4] && length.is_multiple_of(SETTING_BYTES)
}

/// Remembers which peers are stock, so that not every session begins with a connection that is refused; and which have spoken TLS,
/// so that nobody can talk us out of it.
///
/// Other gRPC peers need no memory: they keep their connections.
#[derive(Debug)]
pub struct PeerBook {
    probe_timeout: Duration,
    remembered_for: Duration,
    stock: Mutex<HashMap<String, Instant>>,
    /// Those that have spoken TLS, for as long as this process lives.
    secure: Mutex<HashSet<String>>,
    tls: Option<Tls>,
}

impl Default for PeerBook {
    fn default() -> Self {
        Self::new(PROBE_TIMEOUT, REMEMBERED_FOR)
    }
}

impl PeerBook {
    /// A book that gives a peer `probe_timeout` to answer and asks a stock one again after `remembered_for`.
    #[must_use]
    pub fn new(probe_timeout: Duration, remembered_for: Duration) -> Self {
        Self { probe_timeout, remembered_for, stock: Mutex::default(), secure: Mutex::default(), tls: None }
    }

    /// The same for a node with certificates of its own.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// What the peer at `address` (`HOST:PORT`) speaks, from memory or by asking. A failure is never remembered.
    pub async fn kind(&self, address: &str) -> Result<PeerKind, Refusal> {
        if self.is_known_stock(address) {
            return Ok(PeerKind::StockSwift);
        }
        let kind = match &self.tls {
            Some(tls) if self.has_spoken_tls(address) => probe_tls(address, self.probe_timeout, tls)
                .await
                .map_err(|no| if no.may_be_plain { has_stopped(no.refusal) } else { no.refusal })?,
            tls => probe(address, self.probe_timeout, tls.as_ref()).await?,
        };
        match kind {
            PeerKind::StockSwift => self.remember(address),
            PeerKind::GrpcByTls => self.remember_tls(address),
            PeerKind::Grpc => {}
        }
        Ok(kind)
    }

    fn has_spoken_tls(&self, address: &str) -> bool {
        self.secure.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
    }

    fn remember_tls(&self, address: &str) {
        let mut secure = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if secure.len() < PEERS_MAX {
            secure.insert(address.to_owned());
        }
    }

    /// Forgets a peer: it answered in a way that a stock server does not.
    pub fn forget(&self, address: &str) {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }

    fn is_known_stock(&self, address: &str) -> bool {
        let stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        stock.get(address).is_some_and(|since| since.elapsed() < self.remembered_for)
    }

    fn remember(&self, address: &str) {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        if stock.len() >= PEERS_MAX {
            stock.retain(|_, since| since.elapsed() < self.remembered_for);
        }
        // Full of live entries: this one is asked again next time, which costs a connection and nothing else.
        if stock.len() < PEERS_MAX {
            stock.insert(address.to_owned(), Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
