//! The files, read: one configuration for each side.

use std::{path::Path, sync::Arc, time::SystemTime};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

use ssync_types::{Identity, Standing};

use crate::{
    certificate,
    files::{self, Stamp, TlsError, TlsFiles, content},
};

/// What is spoken inside: gRPC is HTTP/2 (RFC 7301, RFC 9113 3.2).
pub(crate) const ALPN_H2: &[u8] = b"h2";

/// What handshakes are made with.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    /// The second since 1970 at which the certificate ends.
    pub(crate) not_after: i64,
    /// A host that it names, if it names any.
    pub(crate) host: Option<String>,
    /// The files that it was read from.
    pub(crate) stamps: [Stamp; 3],
}

impl Material {
    /// Reads the files.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        // Before they are read: who replaces them meanwhile is noticed at the next look.
        let stamps = files.stamps();
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&files::read(&files.key)?)
            .map_err(|error| content(&files.key, format!("no private key in PEM: {error}")))?;
        let roots = Arc::new(roots(&files.authorities)?);
        let own = chain.first().ok_or_else(|| content(&files.certificate, "no certificate in PEM"))?;
        let own = certificate::read(own).map_err(|why| content(&files.certificate, why))?;
        let identity = Identity { names: own.names, standing: Standing::Peer };
        let provider = Arc::new(ring::default_provider());
        Ok(Self {
            server: Arc::new(server(files, &provider, &roots, chain.clone(), key.clone_key())?),
            client: Arc::new(client(files, &provider, &roots, chain, key)?),
            not_after: own.not_after,
            host: identity.hosts().next(),
            stamps,
        })
    }

    /// Whether nobody takes the certificate any more.
    pub(crate) fn is_expired(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
        u64::try_from(self.not_after).unwrap_or(0) < now
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = files::read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(read) if read.is_empty() => Err(content(path, "no certificate in PEM")),
        Ok(read) => Ok(read),
        Err(error) => Err(content(path, format!("no certificates in PEM: {error}"))),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| content(path, format!("no authority: {error}")))?;
    }
    Ok(roots)
}

fn server(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .build()
        .map_err(|error| content(&files.authorities, error.to_string()))?;
    let unusable = |error: rustls::Error| content(&files.certificate, unusable(files, &error));
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, TlsError> {
    let unusable = |error: rustls::Error| content(&files.certificate, unusable(files, &error));
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn unusable(files: &TlsFiles, error: &rustls::Error) -> String {
    format!("cannot be used with the key {}: {error}", files.key.display())
}
