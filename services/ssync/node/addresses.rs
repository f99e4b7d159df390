//! Where the parts of a node listen, each address by a name.

use std::{net::SocketAddr, time::Duration};

use ssync_runtime::{BindAddress, Config, ListenOptions, Origin};

use super::{Parts, settings};

/// Time to go on trying to listen on an admin address that nobody has chosen, while it is in use.
const ADMIN_DEFAULT_BIND_TIMEOUT: Duration = Duration::from_secs(1);

/// What an address is there for, which says who is taken there without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What the rings name for clients.
    Clients,
    /// What the rings name for replication; or gRPC alone.
    Replication,
    /// Between processes of this node.
    Own,
    /// Metrics, health and admin services, and no objects.
    Admin,
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// What a socket unit calls it (`FileDescriptorName=`).
    pub name: &'static str,
    /// Where.
    pub at: BindAddress,
    /// What for.
    pub purpose: Purpose,
    /// The option that says so.
    pub option: &'static str,
    /// Whether somebody has set that option, so that the daemon cannot do without.
    pub chosen: bool,
}

impl Address {
    /// How to listen there.
    pub(crate) fn options(&self, config: &Config) -> ListenOptions {
        let mut options = settings::listen(config);
        if !self.chosen {
            options.bind_timeout = options.bind_timeout.min(ADMIN_DEFAULT_BIND_TIMEOUT);
        }
        options
    }
}

/// All addresses of these parts, that of the ring first.
pub(crate) fn addresses(config: &Config, parts: Parts) -> Vec<Address> {
    let options = &config.ssync;
    let address = |name, at, option, purpose| Address { name, at, purpose, option, chosen: true };
    let mut addresses = Vec::new();
    if parts.sidecar() {
        addresses.extend(of_rings(config));
    }
    match parts {
        Parts::Node { .. } => {
            addresses.extend(options.grpc_port.map(|port| {
                let at = SocketAddr::new(config.node.bind_ip, port);
                address("grpc", at.into(), "grpc_port", Purpose::Replication)
            }));
        }
        Parts::Receiver => {
            let socket = BindAddress::Unix(options.receiver_socket.clone());
            addresses.push(address("receiver", socket, "receiver_socket", Purpose::Own));
            addresses.extend(
                options
                    .receiver_bind
                    .clone()
                    .map(|at| address("receiver-tcp", at, "receiver_bind", Purpose::Own)),
            );
        }
        Parts::Sidecar | Parts::Replicator => {}
    }
    let (admin, option) = match parts {
        Parts::Node { .. } | Parts::Receiver => (&options.admin_bind, "admin_bind"),
        Parts::Sidecar => (&options.sidecar_admin_bind, "sidecar_admin_bind"),
        Parts::Replicator => (&options.replicator_admin_bind, "replicator_admin_bind"),
    };
    let chosen = config.row("ssync", option).is_none_or(|row| row.origin != Origin::Default);
    addresses
        .extend(admin.clone().map(|at| Address { chosen, ..address("admin", at, option, Purpose::Admin) }));
    addresses
}

/// The addresses of the rings: one for both, or one for clients and one for replication.
fn of_rings(config: &Config) -> Vec<Address> {
    let address = |name, at: SocketAddr, option, purpose| Address {
        name,
        at: at.into(),
        purpose,
        option,
        chosen: true,
    };
    let bound = SocketAddr::new(config.node.bind_ip, config.node.bind_port);
    match config.ssync.replication_bind.filter(|replication| *replication != bound) {
        Some(replication) => vec![
            address("data", bound, "bind_port", Purpose::Clients),
            address("replication", replication, "replication_bind", Purpose::Replication),
        ],
        None => vec![address("data", bound, "bind_port", Purpose::Replication)],
    }
}
