//! The server: connections, and the requests on them.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use ssync_statsd::Statsd;
use ssync_store::Store;
use ssync_types::HashPathConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::{
    Policies, SidecarConfig,
    container_updates::{Deliveries, ExpirerQueue, Limits as UpdateLimits, Updates},
    filters::Filters,
    http::{Connection, Exchange, HttpError, Limits},
    status,
};

/// Most container updates under way.
const DELIVERIES_MAX: usize = 1024;
/// Most of them that are for one server.
const HOST_DELIVERIES_MAX: usize = 128;
/// Time after the drain has begun in which a connection that was open by then may bring another request: the one that was on
/// its way. It gets its answer, and the connection's end is announced with it.
const DRAIN_QUIET: Duration = Duration::from_millis(500);
/// How long the store may be away before a container update is lost.
const KEEP_MAX: Duration = Duration::from_secs(30);

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
    pub(crate) updates: Updates,
    pub(crate) statsd: Statsd,
    pub(crate) filters: Filters,
    drain: CancellationToken,
}

impl fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecar").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Sidecar {
    /// A sidecar of `store`. When `drain` is cancelled it takes no further requests and finishes those under way. The
    /// cluster's salt of hashes places entries in the expirer's queue.
    pub fn new(
        config: SidecarConfig,
        store: Arc<dyn Store>,
        policies: Policies,
        hash_path: HashPathConfig,
        statsd: Statsd,
        drain: CancellationToken,
    ) -> Self {
        let filters = Filters::new(&config.filters);
        let updates = updates(&config, &store, hash_path, &drain);
        Self { shared: Arc::new(Shared { config, store, policies, updates, statsd, filters, drain }) }
    }

    /// Waits until every container update that goes on in the background is delivered, or kept for the updater. It does
    /// not take long once the drain has begun; a connection that ends after that has waited as well.
    pub async fn finish_updates(&self) {
        self.shared.updates.finish().await;
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
        if self.shared.drain.is_cancelled() {
            self.finish_updates().await;
        }
    }

    /// Ends when no client can have taken the connection for a good one any more.
    async fn drained_for_a_while(&self) {
        self.shared.drain.cancelled().await;
        tokio::time::sleep(DRAIN_QUIET).await;
    }

    fn connection<S>(&self, stream: S, peer: SocketAddr) -> Connection
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let config = &self.shared.config;
        let limits = Limits {
            read: config.client_timeout,
            write: config.write_timeout,
            idle: config
                .keepalive_timeout
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(config.client_timeout),
        };
        Connection::new(Box::new(stream), peer, limits)
    }

    async fn serve_requests(&self, connection: &mut Connection) -> Result<(), HttpError> {
        loop {
            let head = tokio::select! {
                biased;
                head = connection.read_head() => head,
                () = self.drained_for_a_while() => return Ok(()),
            };
            let mut exchange = match head {
                Ok(head) => Exchange::new(connection, head),
                Err(HttpError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            let one_only = self.shared.config.keepalive_timeout.is_some_and(|timeout| timeout.is_zero());
            if one_only || self.shared.drain.is_cancelled() {
                exchange.head.keep_alive = false;
            }
            self.dispatch(&mut exchange).await?;
            if !exchange.finish().await {
                return Ok(());
            }
        }
    }
}

fn updates(
    config: &SidecarConfig,
    store: &Arc<dyn Store>,
    hash_path: HashPathConfig,
    drain: &CancellationToken,
) -> Updates {
    let limits = UpdateLimits {
        deliveries: DELIVERIES_MAX,
        host_deliveries: HOST_DELIVERIES_MAX,
        connect: config.conn_timeout,
        answer: config.node_timeout,
        wait: config.container_update_timeout,
        grace: config.update_grace,
        keep: KEEP_MAX,
        keep_grace: config.update_keep_grace,
    };
    let queue = ExpirerQueue::new(
        &config.expiring_objects_account_name,
        config.expiring_objects_container_divisor,
        hash_path,
    );
    Updates::new(queue, Deliveries::new(Arc::clone(store), limits, drain.clone()))
}
