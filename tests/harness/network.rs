//! A loopback network for each cluster, so that tests do not meet.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

/// Where a network says that it is taken.
const CLAIM_PORT: u16 = 6199;
const TRIES_MAX: u32 = 1000;

static CLAIMED: AtomicU32 = AtomicU32::new(0);

/// `127.x.y.0/24`, taken for as long as this is held.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: [u8; 2],
    _claim: TcpListener,
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
                return Ok(Self { prefix, _claim: claim });
            }
        }
        bail!("no free network in 127.0.0.0/8")
    }

    pub(crate) fn host(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.prefix[0], self.prefix[1], number)
    }
}
