//! Does a peer speak gRPC, or is it still a stock Swift server?
//!
//! Both are reached at the same address: that of the ring. A gRPC server answers the HTTP/2 preface with its settings;
//! Swift's answers it with a literal `HTTP/1.1 505`, and only that marks a peer as stock. Silence, resets and anything
//! else are errors: who can disturb a connection must not be able to choose the older protocol for us.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ssync_types::{Reason, Refusal};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

/// Most stock peers remembered: more than any ring has nodes to talk to.
pub const PEERS_MAX: usize = 4096;
/// How long a stock peer is remembered: what it takes to notice that it was replaced.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// How long connecting and the first answer may take together.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
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
    /// Swift's own object server: HTTP/1.1 and SSYNC.
    StockSwift,
}

/// Asks the peer at `address` (`HOST:PORT`) by connecting to it.
pub async fn probe(address: &str, limit: Duration) -> Result<PeerKind, Refusal> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(PREFACE).await?;
        answer(&mut stream).await
    };
    let failed = |problem: String| Err(Refusal::new(Reason::Unreachable, format!("{address}: {problem}")));
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
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Result<PeerKind, Vec<u8>>> {
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
fn judge(head: &[u8]) -> Option<Option<PeerKind>> {
    const HTTP_1: &[u8] = b"HTTP/1.";
    let begins_as_http_1 = head.iter().zip(HTTP_1).all(|(byte, expected)| byte == expected);
    if begins_as_http_1 && !head.is_empty() {
        let line_end = head.windows(2).position(|pair| pair == b"\r\n");
        return match line_end.and_then(|end| head.get(..end)) {
            Some(line) => Some(is_stock_answer(line).then_some(PeerKind::StockSwift)),
            None => (head.len() >= LINE_BYTES_MAX).then_some(None),
        };
    }
    let header: &[u8; FRAME_HEADER_BYTES] = head.get(..FRAME_HEADER_BYTES)?.try_into().ok()?;
    Some(is_settings(header).then_some(PeerKind::Grpc))
}

/// Swift refuses version 2.0 of HTTP, in words that the version of Python chooses.
fn is_stock_answer(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"HTTP/1.1 505").or_else(|| line.strip_prefix(b"HTTP/1.0 505"));
    rest.is_some_and(|rest| rest.first().is_none_or(|&next| next == b' '))
}

/// The server's preface is a SETTINGS frame, not an acknowledgement, on stream 0, of whole settings.
fn is_settings(header: &[u8; FRAME_HEADER_BYTES]) -> bool {
    const SETTING_BYTES: u32 = 6;
    let [l0, l1, l2, kind, flags, stream @ ..] = *header;
    let length = u32::from_be_bytes([0, l0, l1, l2]);
    kind == FRAME_TYPE_SETTINGS && flags == 0 && stream == [0; 4] && length.is_multiple_of(SETTING_BYTES)
}

/// Remembers which peers are stock, so that not every session begins with a connection that is refused.
///
/// gRPC peers need no memory: they keep their connections.
#[derive(Debug)]
pub struct PeerBook {
    probe_timeout: Duration,
    remembered_for: Duration,
    stock: Mutex<HashMap<String, Instant>>,
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
        Self { probe_timeout, remembered_for, stock: Mutex::default() }
    }

    /// What the peer at `address` (`HOST:PORT`) speaks, from memory or by asking. A failure is never remembered.
    pub async fn kind(&self, address: &str) -> Result<PeerKind, Refusal> {
        if self.is_known_stock(address) {
            return Ok(PeerKind::StockSwift);
        }
        let kind = probe(address, self.probe_timeout).await?;
        if kind == PeerKind::StockSwift {
            self.remember(address);
        }
        Ok(kind)
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
