//! The server: connections, and the requests on them.

use std::{fmt, net::SocketAddr, sync::Arc};

use ssync_store::Store;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
    clients: Arc<Semaphore>,
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
        let clients = Arc::new(Semaphore::new(config.max_clients));
        Self { shared: Arc::new(Shared { config, store, policies, drain, clients }) }
    }

    /// Serves what comes to `listener` until drained; returns when the last request under way has ended.
    pub async fn serve(&self, listener: TcpListener) {
        let tasks = TaskTracker::new();
        loop {
            // A connection that there is no room for waits in the kernel's queue.
            let Ok(permit) = Arc::clone(&self.shared.clients).acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = self.shared.drain.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Each answer is written at once; waiting for more would only delay it.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
                    }
                    let sidecar = self.clone();
                    tasks.spawn(async move { sidecar.serve_admitted(stream, peer, permit).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Serves one connection, of whatever kind, until it ends. One too many (`max_clients`) is answered 503.
    pub async fn serve_connection<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match Arc::clone(&self.shared.clients).try_acquire_owned() {
            Ok(permit) => self.serve_admitted(stream, peer, permit).await,
            Err(_) => {
                tracing::warn!(%peer, max_clients = self.shared.config.max_clients, "connection turned away");
                let mut connection = self.connection(stream, peer);
                let response =
                    status::text(503, "every connection is taken (max_clients); come back in a moment");
                if connection.refuse(&response).await.is_ok() {
                    connection.close().await;
                }
            }
        }
    }

    async fn serve_admitted<S>(&self, stream: S, peer: SocketAddr, permit: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let _permit = permit;
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
