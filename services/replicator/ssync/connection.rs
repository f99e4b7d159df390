//! One request on one TCP connection to a Swift server, with a chunked body when it is SSYNC.

use std::{future::Future, time::Duration};

use bytes::{Bytes, BytesMut};
use ssync_protocol::LineBuffer;
use ssync_types::{Reason, Refusal};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    answer,
    body::{ChunkState, Decoded, Framing, skip},
    peer::Limits,
};

/// Most bytes of a response's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers of a response.
const HEADERS_MAX: usize = 100;
/// Chunks are gathered to this size before they go to the socket.
const WRITE_BYTES: usize = 64 * 1024;
/// How a line begins that says that the peer has failed.
const ERROR_LINE: &[u8] = b":ERROR:";
/// After a write failed, how long to listen for the peer's reason.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// A connection whose request has been sent.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    limits: Limits,
    out: BytesMut,
    input: BytesMut,
    framing: Framing,
    lines: LineBuffer,
}

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
}

async fn within<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, Refusal> {
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(broken(what, &error)),
        Err(_) => Err(late(limit, what)),
    }
}

/// The same of what takes several reads: a peer that says one byte at a time has no more time than another.
pub(super) async fn in_all<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(late(limit, what)))
}

fn broken(what: &str, error: &std::io::Error) -> Refusal {
    Refusal::new(Reason::Unreachable, format!("{what}: {error}"))
}

fn late(limit: Duration, what: &str) -> Refusal {
    Refusal::new(Reason::IdleTimeout, format!("{} seconds: {what}", limit.as_secs_f64()))
}

impl Connection {
    /// Connects and sends the request's head.
    pub(super) async fn open(address: &str, head: &[u8], limits: Limits) -> Result<Self, Refusal> {
        let connect = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(head).await?;
            Ok(stream)
        };
        let stream = within(limits.connect, &format!("connect send to {address}"), connect).await?;
        Ok(Self {
            stream,
            limits,
            out: BytesMut::new(),
            input: BytesMut::new(),
            framing: Framing::Ended,
            lines: LineBuffer::new(),
        })
    }

    /// Reads the response's head; the body follows.
    pub(super) async fn head(&mut self, limit: Duration) -> Result<Head, Refusal> {
        const WHAT: &str = "connect receive";
        in_all(limit, WHAT, async {
            loop {
                if let Some(head) = self.parse_head()? {
                    return Ok(head);
                }
                if self.input.len() > HEAD_BYTES_MAX {
                    return Err(Refusal::new(
                        Reason::ProtocolOrder,
                        "the head of the peer's answer has no end",
                    ));
                }
                self.fill(WHAT).await?;
            }
        })
        .await
    }

    fn parse_head(&mut self) -> Result<Option<Head>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&self.input).map_err(|error| {
            Refusal::new(Reason::ProtocolOrder, format!("the peer's answer is no HTTP: {error}"))
        })?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let status = response.code.unwrap_or(0);
        let value = |name: &str| {
            response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .map(|header| header.value)
        };
        let chunked = value("transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().ends_with(b"chunked"));
        let announced =
            value("content-length").and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
        self.framing = match (chunked, announced) {
            (true, _) => Framing::Chunked(ChunkState::Size),
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Ended,
        };
        skip(&mut self.input, length);
        Ok(Some(Head { status }))
    }

    /// Whether the response's body comes in chunks, as SSYNC demands.
    pub(super) fn is_chunked(&self) -> bool {
        matches!(self.framing, Framing::Chunked(_))
    }

    async fn fill(&mut self, what: &str) -> Result<(), Refusal> {
        match self.stream.read_buf(&mut self.input).await.map_err(|error| broken(what, &error))? {
            0 => Err(Refusal::new(Reason::Unreachable, "Early disconnect")),
            _ => Ok(()),
        }
    }

    /// The next piece of the body; `None` at its end. Who calls it has a limit.
    async fn piece(&mut self, what: &str) -> Result<Option<Bytes>, Refusal> {
        loop {
            match self.framing.decode(&mut self.input)? {
                Decoded::Piece(piece) => return Ok(Some(piece)),
                Decoded::End => return Ok(None),
                Decoded::NeedMore => self.fill(what).await?,
            }
        }
    }

    /// At most `bytes_max` bytes of the body; an error when it is longer.
    pub(super) async fn whole_body(&mut self, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        in_all(self.limits.http, "read", async {
            let mut body = Vec::new();
            while let Some(piece) = self.piece("read").await? {
                if body.len() + piece.len() > bytes_max {
                    return Err(Refusal::new(
                        Reason::ProtocolOrder,
                        format!("the peer's answer has more than {bytes_max} bytes"),
                    ));
                }
                body.extend_from_slice(&piece);
            }
            Ok(body)
        })
        .await
    }

    /// The first bytes of an error's body, whatever can be had of them.
    pub(super) async fn error_body(&mut self) -> Vec<u8> {
        let (limit, mut body) = (self.limits.node, Vec::new());
        let read = async {
            while let Ok(Some(piece)) = self.piece("read").await {
                body.extend_from_slice(&piece);
                if body.len() >= answer::QUOTED_BYTES_MAX {
                    break;
                }
            }
        };
        // What came in time is quoted.
        let _ = timeout(limit, read).await;
        body
    }

    /// A line of what has come.
    fn buffered_line(&mut self) -> Result<Option<Bytes>, Refusal> {
        let line = self.lines.line();
        match line.map_err(|error| Refusal::new(Reason::ProtocolOrder, error.to_string()))? {
            Some(line) if line.len() > self.limits.line_bytes_max => {
                let problem = "the peer's line is longer than network_chunk_size";
                Err(Refusal::new(Reason::ProtocolOrder, problem))
            }
            line => Ok(line),
        }
    }

    /// The next line of the body that is not blank. Blank ones buy a peer no time.
    pub(super) async fn line(&mut self, what: &str) -> Result<Bytes, Refusal> {
        in_all(self.limits.http, what, async {
            loop {
                match self.buffered_line()? {
                    Some(line) if line.trim_ascii().is_empty() => {}
                    Some(line) => return Ok(line),
                    None => match self.piece(what).await? {
                        Some(piece) => self.lines.push(piece),
                        None => return Err(Refusal::new(Reason::Unreachable, "Early disconnect")),
                    },
                }
            }
        })
        .await
    }

    /// Fails when the peer has said that it has failed, or has hung up: it will take nothing more. It is not its turn, so
    /// what else it says is out of order. Waits for nothing.
    pub(super) fn check_alive(&mut self) -> Result<(), Refusal> {
        let mut ended = match self.stream.try_read_buf(&mut self.input) {
            Ok(count) => count == 0,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(Refusal::new(Reason::Unreachable, format!("updates: {error}"))),
        };
        loop {
            self.nothing_said()?;
            match self.framing.decode(&mut self.input)? {
                Decoded::Piece(piece) => self.lines.push(piece),
                Decoded::NeedMore => break,
                Decoded::End => {
                    ended = true;
                    break;
                }
            }
        }
        if ended {
            return Err(Refusal::new(Reason::Unreachable, "Early disconnect"));
        }
        Ok(())
    }

    fn nothing_said(&mut self) -> Result<(), Refusal> {
        while let Some(line) = self.buffered_line()? {
            if !line.trim_ascii().is_empty() {
                return Err(answer::of_line(&line));
            }
        }
        Ok(())
    }

    /// Sends bytes as one chunk, sooner or later.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if bytes.is_empty() {
            // An empty chunk would end the body.
            return Ok(());
        }
        self.out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
        if self.out.len() >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends what was gathered.
    pub(super) async fn flush(&mut self) -> Result<(), Refusal> {
        let out = self.out.split();
        let written = within(self.limits.node, "send", self.stream.write_all(&out)).await;
        match written {
            Ok(()) => Ok(()),
            Err(refusal) => Err(self.last_words().await.unwrap_or(refusal)),
        }
    }

    /// A peer that gives up says why before it hangs up, if it comes through.
    async fn last_words(&mut self) -> Option<Refusal> {
        let listen = async {
            loop {
                let line = self.line("last words").await.ok()?;
                if line.starts_with(ERROR_LINE) {
                    return Some(answer::of_line(&line));
                }
            }
        };
        timeout(LAST_WORDS_WAIT, listen).await.ok().flatten()
    }

    /// Ends the request's body and hangs up. The peer has said all that matters.
    pub(super) async fn close(mut self) {
        self.out.extend_from_slice(b"0\r\n\r\n");
        if self.flush().await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }
}
