//! A connection: bounded buffers in front of any stream, with a time limit on every read and write.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

use super::{HttpError, RequestHead, Response, ResponseBody, head};

/// How much is read at once: Swift's network_chunk_size.
const READ_BYTES: usize = 65_536;
/// Small writes are gathered up to this.
const GATHER_BYTES_MAX: usize = 16_384;
/// How much is read and dropped, so that a peer which still sends sees the answer before the connection breaks.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// And for how long.
const LINGER: Duration = Duration::from_millis(500);

/// What a connection can be made of.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For each read, and from the first byte of a head to its last (`client_timeout`).
    pub(crate) read: Duration,
    /// For each write.
    pub(crate) write: Duration,
    /// Until the next request begins (`keepalive_timeout`).
    pub(crate) idle: Duration,
}

/// A peer's connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    peer: SocketAddr,
    limits: Limits,
    /// Read, not yet taken.
    input: BytesMut,
    /// Written, not yet sent.
    output: BytesMut,
    /// Something is being sent. Where that is so when the next is to be sent, it stopped half-way: whoever waited for it
    /// has given up, and what follows would be taken for its rest.
    sending: bool,
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Stream>, peer: SocketAddr, limits: Limits) -> Self {
        Self { stream, peer, limits, input: BytesMut::new(), output: BytesMut::new(), sending: false }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// The next head. Empty lines before it are passed over (RFC 9112, 2.2).
    pub(crate) async fn read_head(&mut self) -> Result<RequestHead, HttpError> {
        let mut deadline = Instant::now() + self.limits.idle;
        let mut begun = false;
        loop {
            while self.input.starts_with(b"\r\n") {
                let _ = self.input.split_to(2);
            }
            if !self.input.is_empty()
                && let Some(length) = head::head_length(&self.input)?
            {
                return RequestHead::parse(&self.input.split_to(length).freeze());
            }
            let idle = self.input.is_empty();
            if !idle && !begun {
                (begun, deadline) = (true, Instant::now() + self.limits.read);
            }
            match timeout_at(deadline, self.read_more()).await {
                Err(_) if idle => return Err(HttpError::Closed),
                Err(_) => return Err(HttpError::Timeout),
                Ok(Ok(0)) if idle => return Err(HttpError::Closed),
                Ok(Ok(0)) => return Err(HttpError::Disconnected),
                Ok(Err(error)) if idle && error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(HttpError::Closed);
                }
                Ok(Err(error)) => return Err(error.into()),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Reads what there is; 0 at the end of the stream. Nothing is lost when it is dropped half-way.
    pub(super) async fn fill(&mut self) -> Result<usize, HttpError> {
        within(self.limits.read, self.read_more()).await
    }

    /// As [`fill`](Self::fill), for as long as it takes.
    async fn read_more(&mut self) -> io::Result<usize> {
        self.input.reserve(READ_BYTES.saturating_sub(self.input.len()).max(1));
        self.stream.read_buf(&mut self.input).await
    }

    /// Gathers bytes to be sent; sends them when they are many.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if self.output.len() + bytes.len() <= GATHER_BYTES_MAX {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        self.send_gathered().await?;
        self.send(bytes).await
    }

    /// Bytes that were gathered and are not sent yet.
    pub(super) fn unsent(&self) -> u64 {
        self.output.len() as u64
    }

    /// Sends what was gathered.
    pub(crate) async fn flush(&mut self) -> Result<(), HttpError> {
        self.send_gathered().await?;
        within(self.limits.write, self.stream.flush()).await
    }

    async fn send_gathered(&mut self) -> Result<(), HttpError> {
        if self.output.is_empty() {
            return Ok(());
        }
        let gathered: Bytes = self.output.split().freeze();
        self.send(&gathered).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if self.sending {
            return Err(HttpError::Disconnected);
        }
        self.sending = true;
        within(self.limits.write, self.stream.write_all(bytes)).await?;
        self.sending = false;
        Ok(())
    }

    /// Answers outside of any request, and says that the connection ends.
    pub(crate) async fn refuse(&mut self, response: &Response) -> Result<(), HttpError> {
        let body = match &response.body {
            ResponseBody::Full(bytes) | ResponseBody::Page(bytes) => bytes.as_ref(),
            _ => &b""[..],
        };
        self.write(&response.head(Some(body.len() as u64), &[("Connection", "close")])).await?;
        self.write(body).await
    }

    /// Says that nothing more is sent, and reads what the peer still has under way for a moment: closing with unread
    /// input would break the connection before the peer has read the answer.
    pub(crate) async fn close(mut self) {
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let linger = async {
            let mut dropped = 0;
            while dropped < LINGER_BYTES_MAX {
                self.input.clear();
                match self.fill().await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => dropped += length,
                }
            }
        };
        // Whether the peer closes in time is its own affair.
        let _ = timeout(LINGER, linger).await;
    }
}

async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> Result<T, HttpError> {
    match timeout(limit, step).await {
        Ok(done) => done.map_err(HttpError::Io),
        Err(_) => Err(HttpError::Timeout),
    }
}
