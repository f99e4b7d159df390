//! Which certificates count, and what for.

use ssync_types::{Identity, Role, Standing, SubjectName};

/// Patterns of names; `*` stands for any run of characters, once in a pattern. One with `://` is for URIs, and any other for
/// names and addresses of hosts: neither is ever taken for the other.
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
    let is_for_uris = pattern.contains("://");
    match name {
        SubjectName::Uri(uri) => is_for_uris && fits(pattern, uri),
        SubjectName::Dns(name) => {
            !is_for_uris && fits(&pattern.to_ascii_lowercase(), &name.to_ascii_lowercase())
        }
        SubjectName::Ip(ip) => !is_for_uris && fits(pattern, &ip.to_canonical().to_string()),
    }
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
    }
}
