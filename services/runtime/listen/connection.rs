//! An accepted connection with what is known of it, and the stream of those that go to tonic.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, mpsc},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::{peer::PeerInfo, replay::Replay, socket::Socket};

/// An accepted connection. It counts among the port's `max_clients` until it is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: Replay<Socket>,
    peer: PeerInfo,
    _admitted: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(stream: Replay<Socket>, peer: PeerInfo, admitted: OwnedSemaphorePermit) -> Self {
        Self { stream, peer, _admitted: admitted }
    }

    /// The same connection, for tasks of the runtime that this is called on.
    fn here(self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_map(Socket::here)?, ..self })
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> PeerInfo {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
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

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer
    }
}

/// The connections that go to a tonic server, on whichever runtime that is. It ends when every port that feeds it has ended.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<Connection>);

impl Incoming {
    pub(super) fn new(queue: mpsc::Receiver<Connection>) -> Self {
        Self(queue)
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|next| next.map(Connection::here))
    }
}
