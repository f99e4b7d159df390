//! What comes of a handshake.

use std::{io, sync::Arc};

use rustls::{CommonState, pki_types::ServerName};
use ssync_types::{Identity, Standing, host_key};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::{Tls, certificate, material::ALPN_H2};

/// A connection that was accepted by TLS.
pub type ServerStream<S> = server::TlsStream<S>;
/// A connection that was made by TLS.
pub type ClientStream<S> = client::TlsStream<S>;

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The other end's certificate is not believed, or there is none.
    #[error("the certificate of the other end is refused: {0}")]
    Certificate(String),
    /// The other end refuses ours, or our terms.
    #[error("the other end refuses: {0}; its log says why")]
    Refused(String),
    /// The other end does not speak TLS.
    #[error("no TLS comes from the other end: {0}")]
    NoTls(String),
    /// It does, but not so that the two could agree.
    #[error("the two ends do not agree: {0}")]
    Terms(String),
    /// It does not want HTTP/2 inside.
    #[error("the other end does not ask for HTTP/2 (ALPN h2), so it does not want gRPC")]
    NotHttp2,
    /// The host has no name that a certificate could have.
    #[error("{0:?} is no host that a certificate can name")]
    Host(String),
    /// The connection broke off.
    #[error("the connection broke off in the handshake: {0}")]
    Broken(#[source] io::Error),
}

impl HandshakeError {
    /// Whether the other end may simply have no TLS: it has said nothing that only TLS says.
    #[must_use]
    pub fn may_be_plain(&self) -> bool {
        matches!(self, Self::NoTls(_) | Self::Broken(_))
    }

    pub(crate) fn of(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(
                why @ (rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented
                | rustls::Error::UnsupportedNameType
                | rustls::Error::InvalidCertRevocationList(_)),
            ) => Self::Certificate(why.to_string()),
            Some(rustls::Error::NoApplicationProtocol) => Self::NotHttp2,
            Some(why @ rustls::Error::AlertReceived(_)) => Self::Refused(why.to_string()),
            Some(why @ rustls::Error::InvalidMessage(_)) => Self::NoTls(why.to_string()),
            Some(why) => Self::Terms(why.to_string()),
            None => Self::Broken(error),
        }
    }
}

impl Tls {
    /// Ends a handshake as the server: the connection, and who is at its other end. The caller bounds the time.
    pub async fn accept<S>(&self, stream: S) -> Result<(ServerStream<S>, Identity), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accepted = self.accept_uncounted(stream).await;
        self.count_handshake(accepted.is_ok());
        accepted
    }

    async fn accept_uncounted<S>(&self, stream: S) -> Result<(ServerStream<S>, Identity), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.material().server));
        let stream = acceptor.accept(stream).await.map_err(HandshakeError::of)?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(ALPN_H2) {
            return Err(HandshakeError::NotHttp2);
        }
        let identity = self.identity(session)?;
        Ok((stream, identity))
    }

    /// Ends a handshake as the client of `host`, whose certificate has to name it, as the ring does, and to be one that counts
    /// (`tls_allowed_peers`). That the server has taken our certificate shows in its first answer, not here (RFC 8446, 4.4).
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<ClientStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host_key(host)).map_err(|_| HandshakeError::Host(host.to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&self.material().client));
        let stream = connector.connect(name, stream).await.map_err(HandshakeError::of)?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(ALPN_H2) {
            return Err(HandshakeError::NotHttp2);
        }
        let identity = self.identity(session)?;
        if identity.standing == Standing::Barred {
            let why = format!("{identity} is none of those that are allowed (tls_allowed_peers)");
            return Err(HandshakeError::Certificate(why));
        }
        Ok(stream)
    }

    /// Who is at the other end. The verifier has refused whoever has no certificate.
    fn identity(&self, session: &CommonState) -> Result<Identity, HandshakeError> {
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let shown = shown.ok_or_else(|| HandshakeError::Certificate("there is none".to_owned()))?;
        let read = certificate::read(shown).map_err(HandshakeError::Certificate)?;
        Ok(self.rules().identity(read.names))
    }
}
