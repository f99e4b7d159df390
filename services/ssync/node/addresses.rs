//! Where the parts of a node listen, each address by a name.

use std::time::Duration;

use ssync_runtime::{BindAddress, Config, ListenOptions, Origin};

use super::{Parts, settings};

/// Time to go on trying to listen on an admin address that nobody has chosen, while it is in use.
const ADMIN_DEFAULT_BIND_TIMEOUT: Duration = Duration::from_secs(1);

const ADMIN: &str = "admin";

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// What a socket unit calls it (`FileDescriptorName=`).
    pub name: &'static str,
    /// Where.
    pub at: BindAddress,
    /// The option that says so.
    pub option: &'static str,
    /// Whether somebody has set that option, so that the daemon cannot do without.
    pub chosen: bool,
}

impl Address {
    /// Whether metrics, health and admin services are there, and no objects.
    pub(crate) fn is_admin(&self) -> bool {
        self.name == ADMIN
    }

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
    let address = |name, at, option| Address { name, at, option, chosen: true };
    let mut addresses = Vec::new();
    if parts.sidecar() {
        addresses.push(address("data", settings::data_address(config), "bind_port"));
    }
    match parts {
        Parts::Node { .. } => {
            addresses.extend(options.grpc_port.map(|port| {
                address("grpc", BindAddress::Tcp((config.node.bind_ip, port).into()), "grpc_port")
            }))
        }
        Parts::Receiver => {
            let socket = BindAddress::Unix(options.receiver_socket.clone());
            addresses.push(address("receiver", socket, "receiver_socket"));
            addresses
                .extend(options.receiver_bind.clone().map(|at| address("receiver-tcp", at, "receiver_bind")));
        }
        Parts::Sidecar | Parts::Replicator => {}
    }
    let (admin, option) = match parts {
        Parts::Node { .. } | Parts::Receiver => (&options.admin_bind, "admin_bind"),
        Parts::Sidecar => (&options.sidecar_admin_bind, "sidecar_admin_bind"),
        Parts::Replicator => (&options.replicator_admin_bind, "replicator_admin_bind"),
    };
    let chosen = config.row("ssync", option).is_none_or(|row| row.origin != Origin::Default);
    addresses.extend(admin.clone().map(|at| Address { chosen, ..address(ADMIN, at, option) }));
    addresses
}
