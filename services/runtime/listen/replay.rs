//! A stream whose first bytes were looked at, and are read again.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives the bytes that were looked at, then the rest of the stream.
#[derive(Debug)]
pub struct Replay<S> {
    seen: Vec<u8>,
    given: usize,
    stream: S,
}

impl<S> Replay<S> {
    /// `seen` was read from `stream` and comes first again.
    pub fn new(seen: Vec<u8>, stream: S) -> Self {
        Self { seen, given: 0, stream }
    }

    /// The stream beneath, to be changed but neither read nor written.
    pub(super) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream beneath. Bytes that were looked at and not read again are not in it.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What was looked at and not read again yet.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.seen.get(self.given..).unwrap_or_default()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replay<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pending = self.pending();
        if pending.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let (now, _) = pending.split_at(pending.len().min(buffer.remaining()));
        buffer.put_slice(now);
        let length = now.len();
        self.given += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replay<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
