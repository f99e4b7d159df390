//! Handshakes under way: a bounded number, of one address and of all, each for a bounded time. Who never ends his keeps
//! nobody else out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::peer::PeerInfo;

/// Bits of an IPv6 address that one caller can choose as it likes.
const IPV6_HOST_BITS: u32 = 64;

/// How many, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Time for a handshake, and for the first bytes of HTTP/2 behind it.
    pub timeout: Duration,
    /// Most under way at a time.
    pub pending_max: usize,
    /// Most of them from one address.
    pub per_address_max: usize,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), pending_max: 512, per_address_max: 128 }
    }
}

/// Those of a port.
#[derive(Debug)]
pub(super) struct Handshakes {
    limits: HandshakeLimits,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    total: usize,
    /// No more entries than `total`.
    by_address: HashMap<IpAddr, usize>,
}

/// One that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Handshaking {
    of: Arc<Handshakes>,
    address: Option<IpAddr>,
}

impl Handshakes {
    pub(super) fn new(limits: HandshakeLimits) -> Arc<Self> {
        Arc::new(Self { limits, pending: Mutex::default() })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// A place for one more; `None` when there are as many as there may be.
    pub(super) fn begin(self: &Arc<Self>, peer: &PeerInfo) -> Option<Handshaking> {
        let address = peer.remote.map(|remote| whole(remote.ip()));
        let mut pending = self.lock();
        if pending.total >= self.limits.pending_max {
            return None;
        }
        if let Some(address) = address {
            let count = pending.by_address.get(&address).copied().unwrap_or(0);
            if count >= self.limits.per_address_max {
                return None;
            }
            pending.by_address.insert(address, count + 1);
        }
        pending.total += 1;
        Some(Handshaking { of: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        let mut pending = self.of.lock();
        pending.total = pending.total.saturating_sub(1);
        let Some(address) = self.address else { return };
        match pending.by_address.get(&address).copied() {
            Some(count) if count > 1 => {
                pending.by_address.insert(address, count - 1);
            }
            _ => {
                pending.by_address.remove(&address);
            }
        }
    }
}

/// The address, less what one caller can vary.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() >> IPV6_HOST_BITS << IPV6_HOST_BITS).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::PeerRoute;

    fn peer(remote: &str) -> PeerInfo {
        let remote = Some(remote.parse().unwrap());
        PeerInfo { remote, local: None, route: PeerRoute::Tcp, trust_loopback: true, identity: None }
    }

    #[test]
    fn one_address_cannot_take_all_places_and_a_place_is_given_back() {
        let limits = HandshakeLimits { pending_max: 3, per_address_max: 2, ..HandshakeLimits::default() };
        let handshakes = Handshakes::new(limits);
        let begin = |remote: &str| handshakes.begin(&peer(remote));
        let first = begin("10.0.0.1:1").unwrap();
        let _second = begin("[::ffff:10.0.0.1]:2").unwrap();
        assert!(begin("10.0.0.1:3").is_none(), "two are the most of one address");
        let other = begin("[fd00::1]:1").unwrap();
        assert!(begin("10.0.0.2:1").is_none(), "three are the most");
        drop(first);
        let _again = begin("[fd00::2]:1").unwrap();
        drop(other);
        assert!(begin("10.0.0.2:1").is_some());
        assert_eq!(handshakes.lock().by_address.len(), 2);
    }
}
