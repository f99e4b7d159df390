//! How a connection is taken: its protocol is found out, and its handshake ended where it begins with one.

use std::{sync::Arc, time::Duration};

use ssync_tls::{HandshakeError, Tls};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{
    connection::Connection,
    handshakes::{Handshakes, Handshaking},
    peer::{PeerInfo, Route as PeerRoute},
    port::{PortOptions, TlsRoute},
    refuse::Answer,
    replay::Replay,
    sniff::{Protocol, SniffError, sniff},
    socket::Socket,
};

/// Why a connection was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    /// It does not say what it speaks.
    #[error(transparent)]
    Sniff(#[from] SniffError),
    /// Too many are on their way.
    #[error("too many handshakes are under way, from this address or from all")]
    TooMany,
    /// It came to nothing.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It did not end.
    #[error("the handshake did not end within {0:?}")]
    Slow(Duration),
    /// There is something else inside.
    #[error("inside of TLS there is no gRPC: {0}")]
    NoGrpc(String),
}

/// What a port needs to know to take a connection.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) options: PortOptions,
    pub(super) handshakes: Arc<Handshakes>,
}

impl Taking {
    /// The connection, and what it speaks: what is inside, where a handshake was ended.
    pub(super) async fn take(
        &self,
        socket: Socket,
        peer: PeerInfo,
        admitted: OwnedSemaphorePermit,
    ) -> Result<(Protocol, Connection), TakeError> {
        // Where nothing but a handshake is of use, silence before it counts as part of it.
        let early = match self.options.plain.refuses_all(&peer) {
            true => Some(self.begin(&peer)?),
            false => None,
        };
        let patience = match &early {
            Some(_) => self.options.sniff_timeout.min(self.handshakes.timeout()),
            None => self.options.sniff_timeout,
        };
        let believed = peer.route == PeerRoute::Unix || peer.is_from_this_host();
        let sniffed = sniff(socket, self.options.takes_forwarded && believed, patience).await?;
        let peer = match sniffed.preamble {
            Some(preamble) => peer.passed_on(preamble),
            None => peer,
        };
        match (sniffed.protocol, &self.options.tls) {
            (Protocol::Tls, TlsRoute::Accept(tls)) => {
                let under_way = match early {
                    Some(under_way) => under_way,
                    None => self.begin(&peer)?,
                };
                self.handshake(tls, under_way, sniffed.stream, peer, admitted).await
            }
            (protocol, _) => Ok((protocol, Connection::plain(sniffed.stream, peer, admitted))),
        }
    }

    /// What to answer to a caller who is not taken as it has come.
    pub(super) fn plain_refusal(&self, protocol: Protocol, peer: &PeerInfo) -> Option<Answer> {
        match (protocol, &peer.identity) {
            (Protocol::Tls, _) | (_, Some(_)) => None,
            (protocol, None) => self.options.plain.refusal(protocol, peer),
        }
    }

    fn begin(&self, peer: &PeerInfo) -> Result<Handshaking, TakeError> {
        let begun = self.handshakes.begin(peer);
        if let (None, TlsRoute::Accept(tls)) = (&begun, &self.options.tls) {
            tls.count_broken_off();
        }
        begun.ok_or(TakeError::TooMany)
    }

    async fn handshake(
        &self,
        tls: &Tls,
        _under_way: Handshaking,
        stream: Replay<Socket>,
        peer: PeerInfo,
        admitted: OwnedSemaphorePermit,
    ) -> Result<(Protocol, Connection), TakeError> {
        let patience = self.handshakes.timeout();
        let deadline = Instant::now() + patience;
        let Ok(accepted) = timeout_at(deadline, tls.accept(stream)).await else {
            tls.count_broken_off();
            return Err(TakeError::Slow(patience));
        };
        let (stream, identity) = accepted?;
        // Who has shown a certificate and then says nothing holds a place as well.
        let inside = timeout_at(deadline, sniff(stream, false, patience)).await;
        let inside = inside.map_err(|_| TakeError::Slow(patience))?;
        let inside = inside.map_err(|error| TakeError::NoGrpc(error.to_string()))?;
        match inside.protocol {
            Protocol::Grpc => {
                Ok((Protocol::Grpc, Connection::secure(inside.stream, peer, identity, admitted)))
            }
            other => Err(TakeError::NoGrpc(format!("it begins as {other:?}"))),
        }
    }
}
