//! The server: connections, and the requests on them.

use std::{fmt, net::SocketAddr, sync::Arc};

use ssync_store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::{
    Policies, SidecarConfig,
    http::{Connection, Exchange, HttpError, Limits},
    status,
};

/// The sidecar of a store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Sidecar {
    pub(crate) shared: Arc<Shared>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: SidecarConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policies: Policies,
    drain: CancellationToken,
}

impl fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecar").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Sidecar {
    /// A sidecar of `store`. When `drain` is cancelled it takes no further requests and finishes those under way.
    pub fn new(
        config: SidecarConfig,
        store: Arc<dyn Store>,
        policies: Policies,
        drain: CancellationToken,
    ) -> Self {
        Self { shared: Arc::new(Shared { config, store, policies, drain }) }
    }

    /// Serves one connection, of whatever kind, until it ends, or is drained. How many there may be is its caller's to say.
    pub async fn serve_connection<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut connection = self.connection(stream, peer);
        match self.serve_requests(&mut connection).await {
            Ok(()) => connection.close().await,
            Err(HttpError::Malformed { status, text }) => {
                tracing::debug!(%peer, status, text, "request refused");
                let response = status::text(status, text);
                if connection.refuse(&response).await.is_ok() {
                    connection.close().await;
                }
            }
            // Nothing can be said on a connection that is gone, or within an answer that was begun.
            Err(error) => tracing::debug!(%peer, %error, "connection dropped"),
        }
    }

    fn connection<S>(&self, stream: S, peer: SocketAddr) -> Connection
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let config = &self.shared.config;
        let limits = Limits {
            read: config.client_timeout,
            write: config.write_timeout,
            head: config.keepalive_timeout,
        };
        Connection::new(Box::new(stream), peer, limits)
    }

    async fn serve_requests(&self, connection: &mut Connection) -> Result<(), HttpError> {
        loop {
            let head = tokio::select! {
                () = self.shared.drain.cancelled() => return Ok(()),
                head = connection.read_head() => head,
            };
            let mut exchange = match head {
                Ok(head) => Exchange::new(connection, head),
                Err(HttpError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.shared.drain.is_cancelled() {
                exchange.head.keep_alive = false;
            }
            self.dispatch(&mut exchange).await?;
            if !exchange.finish().await {
                return Ok(());
            }
        }
    }
}
