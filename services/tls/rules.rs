//! Which certificates count, and what for.

use ssync_types::{Identity, Role, Standing, SubjectName};

/// Patterns of names; `*` stands for any run of characters, once in a pattern. One with `://` is for URIs, one of digits, dots and
/// colons for addresses, and any other for names of hosts: none is ever taken for another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerRules {
    /// The certificates that count at all; none stands for all that the authorities have signed.
    pub allowed: Vec<String>,
    /// Clients that read.
    pub readers: Vec<String>,
    /// Clients that store and delete.
    pub pushers: Vec<String>,
    /// Clients that may have the admin service do things as well.
    pub admins: Vec<String>,
}

impl PeerRules {
    /// The holder of these names.
    #[must_use]
    pub fn identity(&self, names: Vec<SubjectName>) -> Identity {
        let standing = self.standing(&names);
        Identity { names, standing }
    }

    fn standing(&self, names: &[SubjectName]) -> Standing {
        if !self.allowed.is_empty() && !any(&self.allowed, names) {
            return Standing::Barred;
        }
        let roles =
            [(&self.admins, Role::Admin), (&self.pushers, Role::Pusher), (&self.readers, Role::Reader)];
        let role = roles.into_iter().find(|(patterns, _)| any(patterns, names)).map(|(_, role)| role);
        role.map_or(Standing::Peer, Standing::Client)
    }
}

fn any(patterns: &[String], names: &[SubjectName]) -> bool {
    patterns.iter().any(|pattern| names.iter().any(|name| matches(pattern, name)))
}

fn matches(pattern: &str, name: &SubjectName) -> bool {
    let (is_for_uris, is_for_addresses) = (pattern.contains("://"), is_of_addresses(pattern));
    match name {
        SubjectName::Uri(uri) => is_for_uris && fits(pattern, uri),
        SubjectName::Dns(name) => {
            !is_for_uris
                && !is_for_addresses
                && fits(&pattern.to_ascii_lowercase(), &name.to_ascii_lowercase())
        }
        SubjectName::Ip(ip) => {
            (is_for_addresses || pattern == "*") && fits(pattern, &ip.to_canonical().to_string())
        }
    }
}

/// No name of a host has a colon, or nothing but digits and dots.
fn is_of_addresses(pattern: &str) -> bool {
    let is_ipv4 = || {
        pattern.contains(|c: char| c.is_ascii_digit())
            && pattern.chars().all(|c| c.is_ascii_digit() || ['.', '*'].contains(&c))
    };
    !pattern.contains("://") && (pattern.contains(':') || is_ipv4())
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, end)) => {
            text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(name: &str) -> SubjectName {
        SubjectName::Dns(name.to_owned())
    }

    fn uri(name: &str) -> SubjectName {
        SubjectName::Uri(name.to_owned())
    }

    fn rules() -> PeerRules {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        PeerRules {
            allowed: list(&["*.example", "10.0.0.7", "spiffe://cluster/*"]),
            readers: list(&["*.readers.example"]),
            pushers: list(&["spiffe://cluster/push/*"]),
            admins: list(&["ops.example", "spiffe://cluster/push/boss"]),
        }
    }

    #[test]
    fn the_greatest_role_counts_and_who_is_not_allowed_has_none() {
        let cases = [
            (dns("node.example"), Standing::Peer),
            (dns("A.Readers.EXAMPLE"), Standing::Client(Role::Reader)),
            (uri("spiffe://cluster/push/x"), Standing::Client(Role::Pusher)),
            (uri("spiffe://cluster/push/boss"), Standing::Client(Role::Admin)),
            (SubjectName::Ip("::ffff:10.0.0.7".parse().unwrap()), Standing::Peer),
            (dns("example"), Standing::Barred),
            (dns("node.example.evil"), Standing::Barred),
            (uri("spiffe://other/push/x"), Standing::Barred),
        ];
        for (name, standing) in cases {
            assert_eq!(rules().identity(vec![name.clone()]).standing, standing, "{name}");
        }
        assert_eq!(rules().identity(Vec::new()).standing, Standing::Barred);
        assert_eq!(PeerRules::default().identity(Vec::new()).standing, Standing::Peer);
    }

    #[test]
    fn a_host_s_name_is_never_taken_for_a_uri_or_the_other_way_round() {
        assert!(!matches("spiffe://cluster/*", &dns("spiffe://cluster/x")));
        assert!(!matches("*.example", &uri("spiffe://x/y.example")));
        assert!(!matches("a*a", &dns("a")), "the two ends may not overlap");
        let ip = SubjectName::Ip("10.0.0.7".parse().unwrap());
        assert!(matches("10.0.0.*", &ip) && matches("*", &ip) && matches("*", &dns("a")));
        assert!(!matches("10.0.0.*", &dns("10.0.0.x.example")) && !matches("1*", &dns("1.example")));
        assert!(
            !matches("*7", &dns("host7")) && matches("fe80::*", &SubjectName::Ip("fe80::1".parse().unwrap()))
        );
    }
}
