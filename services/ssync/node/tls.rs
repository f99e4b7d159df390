//! Certificates of a process, and who is taken without.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use ssync_ring::{Policies, PolicyKind};
use ssync_runtime::{BindAddress, Config, CredentialPath, Plain, TlsRoute};
use ssync_tls::{PeerRules, Tls, TlsFiles, TlsSettings, credential};

use super::addresses::Purpose;
use crate::exit::Unusable;

const UNUSABLE: Unusable = Unusable("TLS cannot be had (tls_certificate, tls_key, tls_ca)");

/// TLS as the file says; `None` where it says nothing of it.
pub(crate) fn tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    let options = &config.ssync;
    let path = |path: &CredentialPath| credential(&path.0);
    let files = match (&options.tls_certificate, &options.tls_key, &options.tls_ca) {
        (None, None, None) if options.require_tls => {
            bail!(Unusable("require_tls needs a certificate: set tls_certificate, tls_key and tls_ca"));
        }
        (None, None, None) => return Ok(None),
        (Some(certificate), Some(key), Some(authorities)) => {
            let path = |at| path(at).context(UNUSABLE);
            TlsFiles { certificate: path(certificate)?, key: path(key)?, authorities: path(authorities)? }
        }
        _ => bail!(Unusable("tls_certificate, tls_key and tls_ca belong together: set all of them, or none")),
    };
    let rules = PeerRules {
        allowed: options.tls_allowed_peers.clone(),
        readers: options.tls_readers.clone(),
        pushers: options.tls_pushers.clone(),
        admins: options.tls_admins.clone(),
    };
    let settings = TlsSettings { files, rules, required: options.require_tls };
    Tls::load(settings).map(Some).context(UNUSABLE)
}

/// Who is taken without TLS.
pub(super) fn plain(config: &Config, purpose: Purpose) -> Plain {
    let options = &config.ssync;
    match purpose {
        Purpose::Own if options.require_tls => Plain::OwnSocket,
        // Probes do without TLS wherever they are.
        Purpose::Own | Purpose::Admin => Plain::Anyone,
        Purpose::Replication if options.require_tls => Plain::Nobody,
        Purpose::Clients if options.require_tls => {
            Plain::Http { from: options.http_allow.clone(), grpc: false }
        }
        _ if options.http_allow.is_empty() => Plain::Anyone,
        _ => Plain::Http { from: options.http_allow.clone(), grpc: true },
    }
}

/// Where connections by TLS go on a port of this process, which ends their handshakes if it has gRPC itself.
pub(super) fn route(tls: Option<&Tls>, receiver_elsewhere: Option<BindAddress>) -> TlsRoute {
    match (receiver_elsewhere, tls) {
        (Some(receiver), _) => TlsRoute::Forward(receiver),
        (None, Some(tls)) => TlsRoute::Accept(tls.clone()),
        (None, None) => TlsRoute::Close,
    }
}

/// Says loudly what everybody can do who reaches an address.
pub(super) fn warn_of_plain(address: &BindAddress, purpose: Purpose, plain: &Plain) {
    let is_reachable = address.socket_addr().is_some_and(|address: SocketAddr| !address.ip().is_loopback());
    match plain {
        _ if purpose == Purpose::Admin && is_reachable => tracing::warn!(
            %address,
            "listens without TLS: whoever reaches this address can read metrics, configuration and sessions; keep it to probes"
        ),
        Plain::Anyone if is_reachable => tracing::warn!(
            %address,
            "listens without TLS: whoever reaches this address can read, store and delete objects; keep it to the storage \
             network, or set tls_certificate, tls_key, tls_ca and require_tls"
        ),
        Plain::Http { grpc: true, .. } if is_reachable => tracing::warn!(
            %address,
            "serves gRPC without TLS: whoever reaches this address can read, store and delete objects by it; set require_tls"
        ),
        Plain::Http { grpc: false, from } if is_reachable && !from.is_empty() => tracing::warn!(
            %address,
            "serves HTTP without TLS: whoever can come from a network in http_allow can read, store and delete objects"
        ),
        _ => {}
    }
}

/// Says what `require_tls` takes from a cluster that needs stock Swift for part of its work.
pub(super) fn warn_of_coding(tls: Option<&Tls>, policies: &Policies) {
    let coded = policies.iter().find(|policy| matches!(policy.kind, PolicyKind::ErasureCoding { .. }));
    if let (Some(tls), Some(policy)) = (tls, coded)
        && tls.is_required()
    {
        tracing::error!(
            "require_tls: no fragment of policy {} ({}) is rebuilt here by Swift's object-reconstructor, which has no TLS;              unset it while there are policies of erasure coding",
            policy.index,
            policy.name
        );
    }
}
