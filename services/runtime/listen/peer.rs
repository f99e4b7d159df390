//! Who is at the other end of a connection.

use std::{fmt, net::SocketAddr, sync::Arc};

use ssync_types::Identity;

use super::preamble::Preamble;

/// How a connection reached this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// By TCP, straight from the caller.
    Tcp,
    /// By a Unix socket, straight from the caller.
    Unix,
    /// Through another process of ours, which told where it came from.
    Forwarded,
}

/// Who is at the other end. An extension of every gRPC request ([`crate::GrpcServer`] adds tonic's own
/// `TcpConnectInfo`, so that `Request::remote_addr` answers too).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// The caller's address; `None` for a Unix socket.
    pub remote: Option<SocketAddr>,
    /// The address that it called; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// How it reached this process.
    pub route: Route,
    /// Callers by TCP from this host count as local (`trust_loopback`).
    pub trust_loopback: bool,
    /// Whose certificate it has shown; `None` without TLS.
    pub identity: Option<Arc<Identity>>,
}

impl PeerInfo {
    /// Whether the caller runs on this host: it has opened our Unix socket, or comes from the address that it called or
    /// from loopback. A connection that was passed on is never local, whatever it says.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.route {
            Route::Unix => true,
            Route::Forwarded => false,
            Route::Tcp => self.trust_loopback && self.is_from_this_host(),
        }
    }

    /// A TCP connection whose two ends have one address never left the host: no other host could have completed the
    /// handshake.
    pub(super) fn is_from_this_host(&self) -> bool {
        let Some(remote) = self.remote.map(|address| address.ip().to_canonical()) else { return false };
        remote.is_loopback() || self.local.is_some_and(|local| local.ip().to_canonical() == remote)
    }

    /// The same peer when `preamble` says where the connection came from.
    #[must_use]
    pub(super) fn passed_on(self, preamble: Preamble) -> Self {
        let (remote, local) = match preamble {
            Preamble::Tcp { remote, local } => (Some(remote), Some(local)),
            Preamble::Unix => (None, None),
        };
        Self { remote, local, route: Route::Forwarded, ..self }
    }

    /// What to tell the process that the connection is passed on to.
    #[must_use]
    pub fn preamble(&self) -> Preamble {
        match (self.remote, self.local) {
            (Some(remote), Some(local)) => Preamble::Tcp { remote, local },
            _ => Preamble::Unix,
        }
    }
}

impl fmt::Display for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remote {
            Some(remote) => write!(f, "{remote}"),
            None => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(remote: &str, local: &str) -> PeerInfo {
        let address = |text: &str| Some(text.parse().unwrap());
        PeerInfo {
            remote: address(remote),
            local: address(local),
            route: Route::Tcp,
            trust_loopback: true,
            identity: None,
        }
    }

    #[test]
    fn local_is_who_never_left_the_host() {
        assert!(tcp("127.0.0.1:5", "127.0.0.1:6200").is_local());
        assert!(tcp("10.0.0.7:5", "10.0.0.7:6200").is_local());
        assert!(tcp("[::ffff:10.0.0.7]:5", "10.0.0.7:6200").is_local());
        assert!(!tcp("10.0.0.8:5", "10.0.0.7:6200").is_local());
        assert!(!PeerInfo { trust_loopback: false, ..tcp("127.0.0.1:5", "127.0.0.1:6200") }.is_local());
    }

    #[test]
    fn nobody_becomes_local_by_being_passed_on() {
        let unix =
            PeerInfo { remote: None, local: None, route: Route::Unix, trust_loopback: true, identity: None };
        assert!(unix.is_local());
        assert!(!unix.clone().passed_on(Preamble::Unix).is_local());
        assert!(!unix.passed_on(tcp("127.0.0.1:5", "127.0.0.1:6200").preamble()).is_local());
    }
}
