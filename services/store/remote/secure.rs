//! Connections by TLS, for the gRPC library: it has one way to load certificates, and that is once.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use ssync_tls::{ClientStream, Tls};
use tokio::{net::TcpStream, time::timeout};
use tonic::codegen::Service;

/// Time for a handshake, beside that for the connection: both sides calculate, and may have much to do.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the host and port of an address, whose certificate has to name that host, or `name`. The library bounds the whole.
#[derive(Debug, Clone)]
pub(super) struct Secure {
    tls: Tls,
    name: Option<String>,
    connect_timeout: Duration,
}

impl Secure {
    pub(super) fn new(tls: Tls, name: Option<String>, connect_timeout: Duration) -> Self {
        Self { tls, name, connect_timeout }
    }
}

/// A connection as the gRPC library takes it.
type Connected = TokioIo<ClientStream<TcpStream>>;

impl Service<Uri> for Secure {
    type Response = Connected;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, name, patience) = (self.tls.clone(), self.name.clone(), self.connect_timeout);
        Box::pin(async move {
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            let stream = timeout(patience, TcpStream::connect(&authority)).await??;
            stream.set_nodelay(true)?;
            let host = name.as_deref().or(uri.host()).unwrap_or_default();
            let secure = tls.connect(host, stream).await;
            secure.map(TokioIo::new).map_err(|error| io::Error::other(format!("{authority}: {error}")))
        })
    }
}
