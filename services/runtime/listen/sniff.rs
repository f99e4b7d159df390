//! Which protocol does a new connection speak? Its first bytes say.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

use super::{
    preamble::{MAGIC, PREAMBLE_MAX, Preamble, PreambleError},
    replay::Replay,
};

/// What every HTTP/2 client with prior knowledge sends first (RFC 9113, 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a TLS handshake record (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/2 with prior knowledge: gRPC.
    Grpc,
    /// TLS.
    Tls,
    /// Anything else is for the HTTP object API to judge.
    Http,
}

/// A connection whose protocol is known. Nothing of it is lost: the bytes that were looked at are read again.
#[derive(Debug)]
pub struct Sniffed<S> {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it came from, if a process of ours passed it on.
    pub preamble: Option<Preamble>,
    /// The connection.
    pub stream: Replay<S>,
}

/// Why a connection's protocol stays unknown.
#[derive(Debug, thiserror::Error)]
pub enum SniffError {
    /// It ended before it had said enough.
    #[error("the connection ended after {0} bytes")]
    Closed(usize),
    /// It did not say enough in time.
    #[error("the connection sent {0} bytes in {1:?}, not enough to tell its protocol (client_timeout)")]
    Timeout(usize, Duration),
    /// It was broken off.
    #[error("the connection was broken off")]
    Io(#[from] io::Error),
    /// The line of a process that passes it on is not of its form.
    #[error(transparent)]
    Preamble(#[from] PreambleError),
}

/// Looks at the first bytes: at most those of [`PREFACE`], and of a preamble where one may come. It decides at the first
/// byte that can be only one thing, so an HTTP client never waits for bytes that it does not send.
pub async fn sniff<S: AsyncRead + Unpin>(
    mut stream: S,
    may_be_forwarded: bool,
    patience: Duration,
) -> Result<Sniffed<S>, SniffError> {
    let mut seen = Vec::with_capacity(PREFACE.len());
    match timeout(patience, look(&mut stream, &mut seen, may_be_forwarded)).await {
        Ok(Ok((protocol, preamble))) => Ok(Sniffed { protocol, preamble, stream: Replay::new(seen, stream) }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(SniffError::Timeout(seen.len(), patience)),
    }
}

async fn look<S: AsyncRead + Unpin>(
    stream: &mut S,
    seen: &mut Vec<u8>,
    may_be_forwarded: bool,
) -> Result<(Protocol, Option<Preamble>), SniffError> {
    let mut preamble = None;
    loop {
        match verdict(seen, may_be_forwarded && preamble.is_none()) {
            Verdict::Is(protocol) => return Ok((protocol, preamble)),
            Verdict::Preamble { length } => {
                let line: Vec<u8> = seen.drain(..length).collect();
                preamble = Some(Preamble::parse(line.strip_suffix(b"\r\n").unwrap_or(&line))?);
            }
            Verdict::BadPreamble => {
                return Err(Preamble::parse(seen).err().map_or(SniffError::Closed(seen.len()), Into::into));
            }
            Verdict::More(most) => {
                // Never more than may belong to the line, so that what is looked at stays small.
                let before = seen.len();
                if (&mut *stream).take(most as u64).read_buf(seen).await? == 0 {
                    return Err(SniffError::Closed(before));
                }
            }
        }
    }
}

enum Verdict {
    Is(Protocol),
    Preamble {
        length: usize,
    },
    BadPreamble,
    /// So many more bytes may be read.
    More(usize),
}

fn verdict(seen: &[u8], may_be_forwarded: bool) -> Verdict {
    if may_be_forwarded && let Some(verdict) = preamble_verdict(seen) {
        return verdict;
    }
    match seen {
        [] => Verdict::More(PREFACE.len()),
        [TLS_HANDSHAKE, ..] => Verdict::Is(Protocol::Tls),
        _ if seen.starts_with(PREFACE) => Verdict::Is(Protocol::Grpc),
        _ if PREFACE.starts_with(seen) => Verdict::More(PREFACE.len() - seen.len()),
        _ => Verdict::Is(Protocol::Http),
    }
}

/// `None` when the bytes are no preamble. `SSYNC` alone may still become one, or the verb.
fn preamble_verdict(seen: &[u8]) -> Option<Verdict> {
    if seen.starts_with(MAGIC) {
        return Some(match seen.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => Verdict::Preamble { length: end + 2 },
            None if seen.len() >= PREAMBLE_MAX => Verdict::BadPreamble,
            None => Verdict::More(PREAMBLE_MAX - seen.len()),
        });
    }
    (!seen.is_empty() && MAGIC.starts_with(seen)).then(|| Verdict::More(MAGIC.len() - seen.len()))
}

#[cfg(test)]
mod tests;
