//! Who is taken without TLS.

use super::{
    network::Network,
    peer::{PeerInfo, Route},
    refuse::Answer,
    sniff::Protocol,
};

/// Who is taken without TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Plain {
    /// Everybody.
    #[default]
    Anyone,
    /// Callers of HTTP from these networks and from this host; and everybody's gRPC, where that may do without TLS.
    Http {
        /// The networks.
        from: Vec<Network>,
        /// gRPC too may do without TLS.
        grpc: bool,
    },
    /// Who has opened our Unix socket: another process of this node.
    OwnSocket,
    /// Nobody.
    Nobody,
}

impl Plain {
    /// What to answer to a caller without TLS who is not taken.
    pub(super) fn refusal(&self, protocol: Protocol, peer: &PeerInfo) -> Option<Answer> {
        let is_http = protocol == Protocol::Http;
        match self {
            Self::Anyone => None,
            Self::Http { from, .. } if is_http => (!is_from(peer, from)).then_some(Answer::NotAllowed),
            Self::Http { grpc: true, .. } => None,
            Self::OwnSocket if peer.route == Route::Unix => None,
            Self::Http { .. } | Self::OwnSocket | Self::Nobody => Some(Answer::TlsOnly),
        }
    }

    /// Whether nothing but a TLS handshake is of use to this caller.
    pub(super) fn refuses_all(&self, peer: &PeerInfo) -> bool {
        [Protocol::Grpc, Protocol::Http].iter().all(|protocol| self.refusal(*protocol, peer).is_some())
    }
}

fn is_from(peer: &PeerInfo, networks: &[Network]) -> bool {
    peer.is_local()
        || peer.remote.is_some_and(|remote| networks.iter().any(|network| network.contains(remote.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(remote: Option<&str>, route: Route) -> PeerInfo {
        PeerInfo {
            remote: remote.map(|text| text.parse().unwrap()),
            local: Some("10.0.0.7:6200".parse().unwrap()),
            route,
            trust_loopback: true,
            identity: None,
        }
    }

    #[test]
    fn http_is_taken_from_those_who_are_listed_and_from_this_host() {
        let listed = |grpc| Plain::Http { from: vec!["10.0.0.0/30".parse().unwrap()], grpc };
        let http = |remote: &str| listed(false).refusal(Protocol::Http, &peer(Some(remote), Route::Tcp));
        for taken in ["10.0.0.1:5", "10.0.0.7:5", "127.0.0.1:5", "[::ffff:10.0.0.2]:5"] {
            assert_eq!(http(taken), None, "{taken}");
        }
        assert_eq!(http("10.0.0.9:5"), Some(Answer::NotAllowed));
        // Behind a proxy on this host everybody comes from here.
        let proxied = PeerInfo { trust_loopback: false, ..peer(Some("127.0.0.1:5"), Route::Tcp) };
        assert_eq!(listed(false).refusal(Protocol::Http, &proxied), Some(Answer::NotAllowed));
        let stranger = peer(Some("10.0.0.9:5"), Route::Tcp);
        assert_eq!(listed(true).refusal(Protocol::Grpc, &stranger), None);
        assert_eq!(listed(false).refusal(Protocol::Grpc, &stranger), Some(Answer::TlsOnly));
        assert!(listed(false).refuses_all(&stranger) && !listed(true).refuses_all(&stranger));
        assert!(!listed(false).refuses_all(&peer(Some("10.0.0.1:5"), Route::Tcp)));
    }

    #[test]
    fn a_socket_of_ours_takes_our_processes_and_not_whom_they_pass_on() {
        for protocol in [Protocol::Grpc, Protocol::Http] {
            assert_eq!(Plain::OwnSocket.refusal(protocol, &peer(None, Route::Unix)), None);
            for route in [Route::Forwarded, Route::Tcp] {
                let other = peer(Some("127.0.0.1:5"), route);
                assert_eq!(Plain::OwnSocket.refusal(protocol, &other), Some(Answer::TlsOnly));
                assert_eq!(Plain::Nobody.refusal(protocol, &other), Some(Answer::TlsOnly));
                assert_eq!(Plain::Anyone.refusal(protocol, &other), None);
            }
        }
    }
}
