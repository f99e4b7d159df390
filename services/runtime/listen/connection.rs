//! An accepted connection with what is known of it, and the stream of those that go to tonic.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ssync_tls::ServerStream;
use ssync_types::Identity;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, mpsc},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::{peer::PeerInfo, replay::Replay, socket::Socket};

/// A connection inside of TLS, whose first bytes were looked at inside and outside.
type Secure = Replay<ServerStream<Replay<Socket>>>;

/// An accepted connection. It counts among the port's `max_clients` until it is dropped.
#[derive(Debug)]
pub struct Connection {
    inner: Inner,
    peer: PeerInfo,
    _admitted: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Inner {
    Plain(Replay<Socket>),
    Tls(Box<Secure>),
}

impl Connection {
    pub(super) fn plain(stream: Replay<Socket>, peer: PeerInfo, admitted: OwnedSemaphorePermit) -> Self {
        Self { inner: Inner::Plain(stream), peer, _admitted: admitted }
    }

    pub(super) fn secure(
        stream: Secure,
        mut peer: PeerInfo,
        identity: Identity,
        admitted: OwnedSemaphorePermit,
    ) -> Self {
        peer.identity = Some(Arc::new(identity));
        Self { inner: Inner::Tls(Box::new(stream)), peer, _admitted: admitted }
    }

    /// The same connection, for tasks of the runtime that this is called on.
    fn here(mut self) -> io::Result<Self> {
        let socket = match &mut self.inner {
            Inner::Plain(stream) => stream.get_mut(),
            Inner::Tls(stream) => stream.get_mut().get_mut().0.get_mut(),
        };
        if let Err(error) = socket.move_here() {
            tracing::warn!(peer = %self.peer, %error, "a connection was closed: it cannot be moved to where it is served");
            return Err(error);
        }
        Ok(self)
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }
}

macro_rules! either {
    ($connection:expr, $stream:ident => $call:expr) => {
        match &mut $connection.get_mut().inner {
            Inner::Plain($stream) => $call,
            Inner::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
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
