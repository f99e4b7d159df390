//! Who a caller is, by the certificate that it has shown.

use std::{fmt, net::IpAddr};

/// Most names of a certificate that logs and answers show, and most characters of each.
const SHOWN_MAX: usize = 8;
const SHOWN_CHARS_MAX: usize = 256;

/// A name that a certificate gives its holder (RFC 5280, 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A host by name.
    Dns(String),
    /// A host by address.
    Ip(IpAddr),
    /// Anything else by a URI; a SPIFFE id is one.
    Uri(String),
}

/// What a client outside of the rings may do. A greater one may do all that a lesser one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read objects, hashes and what is lacking.
    Reader,
    /// Store and delete as well.
    Pusher,
    /// Have the admin service do what else only callers on the node may have it do.
    Admin,
}

/// What this node's options make of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is none of those that are allowed (`tls_allowed_peers`).
    Barred,
    /// It may do what the rings let its node do.
    Peer,
    /// It has a role as well, whatever the rings say.
    Client(Role),
}

/// The holder of a certificate that this node's authority has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its names.
    pub names: Vec<SubjectName>,
    /// What they are worth here.
    pub standing: Standing,
}

impl Identity {
    /// Its role, if it has one.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self.standing {
            Standing::Client(role) => Some(role),
            Standing::Peer | Standing::Barred => None,
        }
    }

    /// The hosts that it is, in the form of [`host_key`]. A URI names none.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        self.names.iter().filter_map(|name| match name {
            // An address stands among the addresses, or is none: who signs names need not have looked at it.
            SubjectName::Dns(name) => Some(host_key(name)).filter(|key| key.parse::<IpAddr>().is_err()),
            SubjectName::Ip(ip) => Some(ip.to_canonical().to_string()),
            SubjectName::Uri(_) => None,
        })
    }
}

/// One text for all ways to write a host: addresses by value, names in lower case without the last dot.
#[must_use]
pub fn host_key(host: &str) -> String {
    let plain = host.trim_matches(['[', ']']);
    match plain.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => plain.strip_suffix('.').unwrap_or(plain).to_ascii_lowercase(),
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Dns(name) => ("DNS", name),
            Self::Ip(ip) => return write!(f, "IP:{ip}"),
            Self::Uri(uri) => ("URI", uri),
        };
        match text.char_indices().nth(SHOWN_CHARS_MAX) {
            None => write!(f, "{kind}:{}", text.escape_default()),
            Some((end, _)) => write!(f, "{kind}:{}...", text.get(..end).unwrap_or_default().escape_default()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return f.write_str("a certificate without names");
        }
        for (place, name) in self.names.iter().take(SHOWN_MAX).enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        match self.names.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let names = vec![
            SubjectName::Dns("Node-7.Example.".into()),
            SubjectName::Ip("::ffff:10.0.0.7".parse().unwrap()),
            SubjectName::Uri("spiffe://cluster/node-7".into()),
        ];
        Identity { names, standing: Standing::Peer }
    }

    #[test]
    fn a_host_has_one_key_however_it_is_written() {
        let mut identity = identity();
        identity.names.push(SubjectName::Dns("10.0.0.8".into()));
        let hosts: Vec<String> = identity.hosts().collect();
        assert_eq!(hosts, ["node-7.example", "10.0.0.7"]);
        for (written, key) in
            [("NODE-7.example", "node-7.example"), ("[FE80:0::1]", "fe80::1"), ("10.0.0.7", "10.0.0.7")]
        {
            assert_eq!(host_key(written), key);
        }
    }

    #[test]
    fn roles_are_in_order_and_only_a_client_has_one() {
        assert!(Role::Reader < Role::Pusher && Role::Pusher < Role::Admin);
        assert_eq!(identity().role(), None);
        let admin = Identity { standing: Standing::Client(Role::Admin), ..identity() };
        assert_eq!(admin.role(), Some(Role::Admin));
    }

    #[test]
    fn logs_get_no_control_characters_from_a_name() {
        let names = vec![SubjectName::Dns("a\nb".into()), SubjectName::Uri("spiffe://x/\u{7f}".into())];
        let text = Identity { names, standing: Standing::Peer }.to_string();
        assert_eq!(text, "DNS:a\\nb, URI:spiffe://x/\\u{7f}");
        let names = vec![SubjectName::Uri("x".repeat(2000)); 64];
        let text = Identity { names, standing: Standing::Peer }.to_string();
        assert!(text.len() < 2200 && text.ends_with("... and 56 more"), "{text}");
    }
}
