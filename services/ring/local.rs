//! Which of the ring's devices are this node's.

use std::{
    collections::{BTreeSet, HashSet},
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _},
    path::Path,
};

use crate::RingDevice;

const IPV4_TABLE: &str = "/proc/net/fib_trie";
const IPV6_TABLE: &str = "/proc/net/if_inet6";

/// The addresses by which the ring knows this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddresses {
    ips: HashSet<IpAddr>,
    port: Option<u16>,
}

/// As Swift's replicator names them.
impl fmt::Display for LocalAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ips: BTreeSet<String> = self.ips.iter().map(ToString::to_string).collect();
        let ips: Vec<String> = ips.into_iter().collect();
        let port = self.port.map_or_else(|| "None".to_owned(), |port| port.to_string());
        write!(f, "ips {} and with port {port}", ips.join(", "))
    }
}

impl LocalAddresses {
    /// The addresses of a node that listens at `ip`: that one, or all of the machine's if it is a wildcard, a name or none
    /// (Swift: common/utils/ipaddrs.py whataremyips). Without a port any port is ours, as with servers_per_port.
    pub fn new(ip: Option<&str>, port: Option<u16>) -> io::Result<Self> {
        let bound = ip.and_then(|ip| ip.trim().parse::<IpAddr>().ok()).filter(|ip| !ip.is_unspecified());
        let ips = match bound {
            Some(ip) => HashSet::from([ip]),
            None => machine_addresses()?,
        };
        Ok(Self { ips, port })
    }

    /// Whether the device's address for replication is ours. A host name is looked up, which may take a while.
    #[must_use]
    pub fn replicates(&self, device: &RingDevice) -> bool {
        self.is_ours(&device.replication_ip, device.replication_port)
    }

    /// Whether any address of the device is ours, be it for clients or for replication.
    #[must_use]
    pub fn hosts(&self, device: &RingDevice) -> bool {
        self.replicates(device) || self.is_ours(&device.ip, device.port)
    }

    fn is_ours(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|ours| ours != port) {
            return false;
        }
        match host.parse::<IpAddr>() {
            Ok(ip) => self.ips.contains(&ip),
            Err(_) => (host, port)
                .to_socket_addrs()
                .is_ok_and(|mut found| found.any(|found| self.ips.contains(&found.ip()))),
        }
    }
}

/// All addresses of this machine, as the kernel lists them. The standard library has no call for that.
fn machine_addresses() -> io::Result<HashSet<IpAddr>> {
    let read = |path: &str| {
        fs::read_to_string(Path::new(path)).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{path}: {error}; set ring_ip to this node's address in the ring"),
            )
        })
    };
    let mut addresses: HashSet<IpAddr> = ipv4_addresses(&read(IPV4_TABLE)?).map(IpAddr::V4).collect();
    // A kernel without IPv6 has no such table.
    if let Ok(table) = read(IPV6_TABLE) {
        addresses.extend(ipv6_addresses(&table).map(IpAddr::V6));
    }
    Ok(addresses)
}

/// An address is ours if the line after it says `/32 host LOCAL`.
fn ipv4_addresses(table: &str) -> impl Iterator<Item = Ipv4Addr> {
    let following = table.lines().skip(1);
    table
        .lines()
        .zip(following)
        .filter(|(_, next)| next.trim() == "/32 host LOCAL")
        .filter_map(|(line, _)| line.trim().strip_prefix("|-- ")?.parse().ok())
}

/// Each line begins with an address of 32 hex digits.
fn ipv6_addresses(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    let digits = table.lines().filter_map(|line| line.split_whitespace().next());
    digits.filter_map(|digits| u128::from_str_radix(digits, 16).ok()).map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(ip: &str, port: u16, replication_ip: &str, replication_port: u16) -> RingDevice {
        let local = RingDevice::local(0, 1, ([127, 0, 0, 1], port).into(), "sdb1").unwrap();
        RingDevice { ip: ip.to_owned(), replication_ip: replication_ip.to_owned(), replication_port, ..local }
    }

    #[test]
    fn a_bound_address_is_the_only_one() {
        let ours = LocalAddresses::new(Some("127.0.0.21"), Some(6411)).unwrap();
        assert!(ours.replicates(&device("10.0.0.1", 6410, "127.0.0.21", 6411)));
        for (ip, port) in
            [("127.0.0.22", 6411), ("127.0.0.21", 6410), ("localhost", 6411), ("no.such.host.invalid", 6411)]
        {
            assert!(!ours.replicates(&device("127.0.0.21", 6411, ip, port)), "{ip}:{port}");
        }
        assert!(ours.hosts(&device("127.0.0.21", 6411, "10.0.0.1", 6411)));
        assert!(!ours.hosts(&device("127.0.0.21", 6410, "10.0.0.1", 6411)));
        let any_port = LocalAddresses::new(Some("127.0.0.21"), None).unwrap();
        assert!(any_port.replicates(&device("127.0.0.21", 1, "127.0.0.21", 2)));
    }

    #[test]
    fn ipv6_is_compared_by_value() {
        let ours = LocalAddresses::new(Some("fe80::1"), None).unwrap();
        assert!(ours.replicates(&device("x", 1, "FE80:0:0::0:1", 1)));
    }

    #[test]
    fn a_wildcard_is_every_address() {
        for wildcard in [Some("0.0.0.0"), Some("::"), None] {
            let ours = LocalAddresses::new(wildcard, Some(6200)).unwrap();
            assert!(ours.replicates(&device("x", 1, "127.0.0.1", 6200)), "{wildcard:?}");
            assert!(ours.replicates(&device("x", 1, "localhost", 6200)), "{wildcard:?}");
            assert!(!ours.replicates(&device("x", 1, "192.0.2.254", 6200)), "{wildcard:?}");
        }
    }

    #[test]
    fn reads_the_kernels_tables() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 127.0.0.0\n        \
                    /8 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.1.2.3\n        /32 host LOCAL\n     \
                    |-- 10.1.2.255\n        /32 link BROADCAST\n";
        assert_eq!(
            ipv4_addresses(trie).collect::<Vec<_>>(),
            [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(10, 1, 2, 3)]
        );
        let inet6 = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n00000000000000000000000000000001 01 80 10 80 lo\n";
        assert_eq!(ipv6_addresses(inet6).last(), Some(Ipv6Addr::LOCALHOST));
        assert_eq!(ipv6_addresses(inet6).count(), 2);
    }
}
