//! How a remote store connects, and how long it waits for what.

use std::time::Duration;

use ssync_tls::Tls;
use ssync_types::Invalid;
use tonic::transport::{Channel, Endpoint};

use super::secure::{HANDSHAKE_TIMEOUT, Secure};
use crate::StoreAddress;

/// Settings of a [`RemoteStore`](super::RemoteStore). The defaults are those that were measured or are known to matter.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// Longest time that an idle sender says nothing. Meshes close streams that are idle for longer than a minute or so.
    pub heartbeat_interval: Duration,
    /// Longest time that a peer may say nothing at all: it is gone.
    pub silence_timeout: Duration,
    /// Longest time that a peer may owe something without any progress, however alive it is.
    pub progress_timeout: Duration,
    /// Longest time that a call with one small answer may take.
    pub unary_timeout: Duration,
    /// How often an HTTP/2 ping is sent, to find half-open connections.
    pub keepalive_interval: Duration,
    /// How long the answer to a ping may take.
    pub keepalive_timeout: Duration,
    /// Most bytes under way to us on one stream.
    pub stream_window_bytes: u32,
    /// Likewise on a stream with an object's body. Small, for a stalled reader holds this much.
    pub object_window_bytes: u32,
    /// Most bytes under way to us on one connection.
    pub connection_window_bytes: u32,
    /// Largest HTTP/2 frame that we take.
    pub frame_bytes_max: u32,
    /// Most connections for calls with small answers. A server takes only so many calls at a time on each.
    pub control_connections_max: usize,
    /// Most connections for checks and releases, which are long and never wait for a body.
    pub check_connections_max: usize,
    /// Most connections for sessions. Further sessions share; three stalled ones fill less than a connection's window.
    pub session_connections_max: usize,
    /// Most connections for objects' bodies. With [`object_streams_max`](Self::object_streams_max) on each, a sidecar has
    /// room for more bodies than clients (`max_clients`), so slow ones keep nobody waiting.
    pub object_connections_max: usize,
    /// Most bodies at a time on one such connection: no more than a server of ours takes.
    pub object_streams_max: usize,
    /// Longest time that a body waits for one of these places; then the receiver counts as busy.
    pub object_wait_timeout: Duration,
    /// Connect by TLS. A Unix socket is never left, so it does without.
    pub tls: Option<Tls>,
    /// The name that the other end's certificate has to have, where it is not the host that is called.
    pub tls_name: Option<String>,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        const MIB: u32 = 1024 * 1024;
        Self {
            connect_timeout: Duration::from_secs(5),
            heartbeat_interval: Duration::from_secs(15),
            silence_timeout: Duration::from_secs(60),
            progress_timeout: Duration::from_secs(300),
            unary_timeout: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            stream_window_bytes: 8 * MIB,
            object_window_bytes: MIB / 2,
            connection_window_bytes: 32 * MIB,
            frame_bytes_max: 64 * 1024,
            control_connections_max: 4,
            check_connections_max: 4,
            session_connections_max: 8,
            object_connections_max: 80,
            object_streams_max: 15,
            object_wait_timeout: Duration::from_secs(5),
            tls: None,
            tls_name: None,
        }
    }
}

impl RemoteSettings {
    /// A channel to the receiver at `address`, for other services than the store's. Does not connect yet.
    pub fn channel(&self, address: &StoreAddress) -> Result<Channel, Invalid> {
        Ok(self.dialer(address, self.stream_window_bytes)?.dial())
    }

    pub(super) fn dialer(&self, address: &StoreAddress, stream_window: u32) -> Result<Dialer, Invalid> {
        let endpoint = self.endpoint(address, stream_window)?;
        let secure = match (&self.tls, address) {
            (Some(tls), StoreAddress::Tcp(_)) => {
                Some(Secure::new(tls.clone(), self.tls_name.clone(), self.connect_timeout))
            }
            _ => None,
        };
        Ok(Dialer { endpoint, secure })
    }

    fn endpoint(&self, address: &StoreAddress, stream_window: u32) -> Result<Endpoint, Invalid> {
        const USER_AGENT: &str = concat!("ssync/", env!("CARGO_PKG_VERSION"));
        let invalid = |error: tonic::transport::Error| Invalid::new("address", format!("{address}: {error}"));
        let endpoint = Endpoint::from_shared(address.to_string()).map_err(invalid)?;
        let mut endpoint = endpoint.user_agent(USER_AGENT).map_err(invalid)?;
        let handshake = if self.tls.is_some() { HANDSHAKE_TIMEOUT } else { Duration::ZERO };
        if let (Some(_), StoreAddress::Tcp(authority)) = (&self.tls, address) {
            // What is called, as requests name it; how it is reached is the dialer's to know.
            let origin = format!("https://{authority}").parse::<http::Uri>();
            let origin = origin.map_err(|error| Invalid::new("address", format!("{address}: {error}")))?;
            endpoint = endpoint.origin(origin);
        }
        Ok(endpoint
            .connect_timeout(self.connect_timeout + handshake)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(self.keepalive_interval))
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .keep_alive_while_idle(true)
            .http2_adaptive_window(false)
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(self.connection_window_bytes)
            .max_frame_size(self.frame_bytes_max))
    }
}

/// How connections to one address are made.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    endpoint: Endpoint,
    secure: Option<Secure>,
}

impl Dialer {
    /// A channel that connects when it is first used, and again when its connection broke.
    pub(super) fn dial(&self) -> Channel {
        match &self.secure {
            Some(secure) => self.endpoint.connect_with_connector_lazy(secure.clone()),
            None => self.endpoint.connect_lazy(),
        }
    }
}

#[cfg(test)]
impl Dialer {
    /// To an address that nobody connects to.
    pub(super) fn to_nobody() -> Self {
        Self { endpoint: Endpoint::from_static("http://127.0.0.1:1"), secure: None }
    }
}
