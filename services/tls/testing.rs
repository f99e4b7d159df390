//! An authority that signs certificates, for tests.

use std::{fmt, fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use crate::{PeerRules, Tls, TlsFiles, TlsSettings};

/// Signs certificates.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate with its key, and the authority that signed it.
#[derive(Debug, Clone)]
pub struct Issued {
    /// In PEM.
    pub certificate: String,
    /// In PEM.
    pub key: String,
    /// In PEM.
    pub authority: String,
    der: CertificateDer<'static>,
}

impl Authority {
    /// A new one, with a key of its own.
    ///
    /// # Panics
    /// When no key can be made, as everything here.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names: addresses, URIs (with `://`), and names of hosts.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.sign(names, params(names))
    }

    /// One whose time is over.
    #[must_use]
    pub fn expired(&self, names: &[&str]) -> Issued {
        let mut params = params(names);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(names, params)
    }

    fn sign(&self, names: &[&str], mut params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("nobody"));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: self.pem.clone(),
            der: certificate.der().clone(),
        }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(|name| name.contains("://"));
    let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
    let mut params = CertificateParams::new(hosts).expect("names of hosts");
    let uris = uris.into_iter().map(|uri| SanType::URI(uri.try_into().expect("a URI")));
    params.subject_alt_names.extend(uris);
    params
}

impl Issued {
    /// The certificate alone.
    #[must_use]
    pub fn certificate_der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// Believes another authority than its own.
    #[must_use]
    pub fn believing(self, other: &Authority) -> Self {
        Self { authority: other.pem.clone(), ..self }
    }

    /// As files in `folder`, each replaced at once.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> TlsFiles {
        let write = |name: &str, text: &str| {
            let (path, staging) = (folder.join(name), folder.join(format!("{name}.new")));
            fs::write(&staging, text).expect("a file");
            fs::rename(staging, &path).expect("a file");
            path
        };
        TlsFiles {
            key: write("tls.key", &self.key),
            authorities: write("ca.crt", &self.authority),
            certificate: write("tls.crt", &self.certificate),
        }
    }

    /// TLS with it, by files in `folder`.
    ///
    /// # Panics
    /// When it cannot be used.
    #[must_use]
    pub fn tls(&self, folder: &Path, rules: PeerRules, required: bool) -> Tls {
        let settings = TlsSettings { files: self.write(folder), rules, required };
        Tls::load(settings).expect("certificates that were just made")
    }
}
