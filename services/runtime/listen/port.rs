//! A listening address that sends each connection where its protocol belongs.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use ssync_tls::Tls;
use ssync_types::Sparing;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};

use super::{
    address::BindAddress,
    connection::{Connection, Incoming},
    forward::forward,
    handshakes::{HandshakeLimits, Handshakes},
    listener::Listener,
    peer::{PeerInfo, Route as PeerRoute},
    plain::Plain,
    refuse::refuse,
    sniff::Protocol,
    taking::{TakeError, Taking},
};
use crate::Drain;

/// Connections on their way to a tonic server that it has not taken yet.
pub const CONNECTION_QUEUE_MAX: usize = 128;

/// Pause after the system refused to accept (no file descriptors, for example), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time that a connection has to show its protocol once the drain has begun.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Most connections that are taken from the system's queue when the drain begins, and the pause after which there are no more.
const WAITING_MAX: usize = 4096;
const WAITING_PAUSE: Duration = Duration::from_millis(10);

/// What takes a connection and lives as long as it.
pub type Handler = Arc<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Where the connections of one protocol go.
#[derive(Clone)]
pub enum Route {
    /// To a tonic server ([`connection_queue`]).
    Queue(mpsc::Sender<Connection>),
    /// To one of two tonic servers.
    Queues {
        /// For processes of ours, which bring clients' requests: those who have opened our Unix socket, and those whom nobody
        /// has passed on where peers are passed on.
        ours: mpsc::Sender<Connection>,
        /// For all others.
        peers: mpsc::Sender<Connection>,
    },
    /// To a function, in a task of its own.
    Handle(Handler),
    /// To another process, as bytes.
    Forward(BindAddress),
    /// Nowhere: they are closed, and the log says why.
    Close(&'static str),
}

/// Where the connections go that begin with TLS.
#[derive(Debug, Clone, Default)]
pub enum TlsRoute {
    /// Nowhere.
    #[default]
    Close,
    /// The handshake is ended here; what is inside goes where gRPC goes.
    Accept(Tls),
    /// To another process, as bytes: that one ends the handshake.
    Forward(BindAddress),
}

impl Route {
    /// To a function.
    pub fn handle<H, F>(handler: H) -> Self
    where
        H: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::Handle(Arc::new(move |connection| Box::pin(handler(connection))))
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(_) => f.write_str("Queue"),
            Self::Queues { .. } => f.write_str("Queues"),
            Self::Handle(_) => f.write_str("Handle"),
            Self::Forward(target) => f.debug_tuple("Forward").field(target).finish(),
            Self::Close(why) => f.debug_tuple("Close").field(why).finish(),
        }
    }
}

/// A queue from any number of ports to one tonic server.
#[must_use]
pub fn connection_queue() -> (mpsc::Sender<Connection>, Incoming) {
    let (sender, receiver) = mpsc::channel(CONNECTION_QUEUE_MAX);
    (sender, Incoming::new(receiver))
}

/// Whom a port takes, and how many.
#[derive(Debug, Clone)]
pub struct PortOptions {
    /// Most connections open at a time; further ones wait in the kernel (`max_clients`).
    pub connections_max: usize,
    /// Time for a connection to show its protocol (`client_timeout`).
    pub sniff_timeout: Duration,
    /// Connections may come from a process of ours that passes them on. They are believed on a Unix socket and from this
    /// host only.
    pub takes_forwarded: bool,
    /// Where connections by TLS go.
    pub tls: TlsRoute,
    /// Who is taken without TLS.
    pub plain: Plain,
    /// How many handshakes, and how long.
    pub handshakes: HandshakeLimits,
}

impl Default for PortOptions {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            sniff_timeout: Duration::from_secs(60),
            takes_forwarded: false,
            tls: TlsRoute::default(),
            plain: Plain::default(),
            handshakes: HandshakeLimits::default(),
        }
    }
}

/// A listening address and where its connections go.
#[derive(Debug)]
pub struct Port {
    listener: Listener,
    routes: Arc<Routes>,
    admission: Arc<Semaphore>,
}

#[derive(Debug)]
struct Routes {
    taking: Taking,
    grpc: Route,
    http: Route,
    complaints: Sparing,
}

impl Port {
    /// Sends gRPC connections of `listener` to `grpc` and HTTP ones to `http`.
    #[must_use]
    pub fn new(listener: Listener, options: PortOptions, grpc: Route, http: Route) -> Self {
        let admission = Arc::new(Semaphore::new(options.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
        let handshakes = Handshakes::new(options.handshakes.clone());
        let taking = Taking { options, handshakes };
        let complaints = Sparing::default();
        Self { listener, routes: Arc::new(Routes { taking, grpc, http, complaints }), admission }
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> &BindAddress {
        self.listener.address()
    }

    /// Accepts until the daemon drains; then the address is free again, and what was accepted goes on.
    pub async fn serve(self, drain: Drain) {
        let draining = drain.draining();
        tokio::pin!(draining);
        loop {
            tokio::select! {
                biased;
                () = &mut draining => return self.take_waiting(&drain).await,
                () = self.take_one(&drain) => {}
            }
        }
    }

    /// Those whose callers have connected already: the system would reset them with the listening socket.
    async fn take_waiting(&self, drain: &Drain) {
        for _ in 0..WAITING_MAX {
            if timeout(WAITING_PAUSE, self.take_one(drain)).await.is_err() {
                return;
            }
        }
    }

    async fn take_one(&self, drain: &Drain) {
        let Ok(admitted) = Arc::clone(&self.admission).acquire_owned().await else { return };
        match self.listener.accept().await {
            Ok((socket, peer)) => {
                let routes = Arc::clone(&self.routes);
                let (draining, later) = (drain.draining(), drain.draining());
                drain.spawn(async move {
                    let caller = peer.clone();
                    let taken = tokio::select! {
                        taken = routes.taking.take(socket, peer, admitted) => taken,
                        // It was taken before the drain began, so its first request is on its way.
                        () = after(draining, DRAIN_GRACE) => return,
                    };
                    match taken {
                        Ok((protocol, connection)) => routes.send(protocol, connection, later).await,
                        Err(error) => routes.complain(&caller, &error),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(address = %self.listener.address(), %error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn after(event: impl Future<Output = ()>, pause: Duration) {
    event.await;
    sleep(pause).await;
}

impl Routes {
    /// What is wrong with a certificate, or with a caller's patience, concerns operators. What breaks off before it has said what
    /// it is does not: balancers and scanners do nothing else.
    fn complain(&self, caller: &PeerInfo, error: &TakeError) {
        if let TakeError::Sniff(error) = error {
            tracing::debug!(peer = %caller, %error, "a connection without a protocol was closed");
        } else if let Some(unsaid) = self.complaints.say() {
            tracing::warn!(peer = %caller, %error, unsaid, "a connection by TLS was closed");
        }
    }

    fn is_ours(&self, peer: &PeerInfo) -> bool {
        match peer.route {
            PeerRoute::Unix => true,
            PeerRoute::Tcp => self.taking.options.takes_forwarded && peer.is_from_this_host(),
            PeerRoute::Forwarded => false,
        }
    }

    async fn send(&self, protocol: Protocol, connection: Connection, draining: impl Future<Output = ()>) {
        let peer = connection.peer().clone();
        if let Some(answer) = self.taking.plain_refusal(protocol, &peer) {
            if let Some(unsaid) = self.complaints.say() {
                tracing::warn!(%peer, ?protocol, unsaid, "a caller without TLS was refused: {}", answer.why());
            }
            return refuse(connection, answer).await;
        }
        let forwarded;
        let route = match (protocol, &self.taking.options.tls) {
            (Protocol::Grpc, _) => &self.grpc,
            (Protocol::Http, _) => &self.http,
            (Protocol::Tls, TlsRoute::Forward(target)) => {
                forwarded = Route::Forward(target.clone());
                &forwarded
            }
            (Protocol::Tls, _) => {
                &Route::Close("TLS is not served here; connect without it, or set tls_certificate")
            }
        };
        match route {
            Route::Queue(queue) => enqueue(queue, connection).await,
            Route::Queues { ours, .. } if self.is_ours(&peer) => enqueue(ours, connection).await,
            Route::Queues { peers, .. } => enqueue(peers, connection).await,
            Route::Handle(handler) => handler(connection).await,
            Route::Forward(target) => {
                if let Err(error) = forward(connection, target, draining).await {
                    tracing::warn!(%peer, %error, "a connection was not passed on to its end");
                }
            }
            Route::Close(why) => tracing::warn!(%peer, ?protocol, "a connection was closed: {why}"),
        }
    }
}

async fn enqueue(queue: &mpsc::Sender<Connection>, connection: Connection) {
    let peer = connection.peer().clone();
    if queue.send(connection).await.is_err() {
        tracing::info!(%peer, "a connection was closed: the gRPC server has ended");
    }
}

#[cfg(test)]
mod secure;
#[cfg(test)]
mod tests;
