//! A network for each cluster, so that tests do not meet: of loopback addresses, or of namespaces.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

use crate::namespace::Switch;

/// The address of all that is no object node.
pub(crate) const SERVICES: u8 = 210;
/// Where a network says that it is taken.
const CLAIM_PORT: u16 = 6199;
const TRIES_MAX: u32 = 1000;

static CLAIMED: AtomicU32 = AtomicU32::new(0);

/// Addresses, one for each number.
#[derive(Debug)]
pub(crate) enum Network {
    /// `127.x.y.0/24`, taken for as long as this is held.
    Loopback { prefix: [u8; 2], _claim: TcpListener },
    /// Each host has a network stack of its own.
    Apart(Switch),
}

impl Network {
    /// A network that no other test uses at this time.
    pub(crate) fn claim() -> Result<Self> {
        for _ in 0..TRIES_MAX {
            let number = CLAIMED.fetch_add(1, Ordering::Relaxed);
            let mixed = (process::id().wrapping_mul(2_654_435_761)).wrapping_add(number.wrapping_mul(40_503));
            let [_, second, third, _] = mixed.to_be_bytes();
            // 127.0.0.0/20 is what people use by hand.
            let prefix = [second | 16, third];
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, prefix[0], prefix[1], 254), CLAIM_PORT))
            {
                return Ok(Self::Loopback { prefix, _claim: claim });
            }
        }
        bail!("no free network in 127.0.0.0/8")
    }

    /// So many nodes, and a host for the services, in namespaces.
    pub(crate) fn apart(nodes: u8) -> Result<Self> {
        Ok(Self::Apart(Switch::of((1..=nodes).chain([SERVICES]))?))
    }

    pub(crate) fn host(&self, number: u8) -> Ipv4Addr {
        match self {
            Self::Loopback { prefix, .. } => Ipv4Addr::new(127, prefix[0], prefix[1], number),
            Self::Apart(_) => Switch::address(number),
        }
    }

    /// Its switch, if it has one.
    pub(crate) fn switch(&self) -> Option<&Switch> {
        match self {
            Self::Loopback { .. } => None,
            Self::Apart(switch) => Some(switch),
        }
    }

    /// The namespace of a host, if it has one of its own.
    pub(crate) fn namespace(&self, number: u8) -> Result<Option<PathBuf>> {
        self.switch().map(|switch| switch.path(number)).transpose()
    }
}
