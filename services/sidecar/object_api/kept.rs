//! Which headers become metadata, and which metadata become headers.

use bytes::Bytes;
use ssync_types::{HeaderName, Metadata};

/// Set by the store itself; never taken from a request (Swift: diskfile.py RESERVED_DATAFILE_META).
const OF_THE_STORE: [&str; 5] = ["Content-Length", "ETag", "X-Timestamp", "Deleted", "Name"];
const SYS: &str = "x-object-sysmeta-";
const USER: &str = "x-object-meta-";
const TRANSIENT: &str = "x-object-transient-sysmeta-";

/// Swift: request_helpers.py is_sys_meta.
pub(super) fn is_sys(name: &HeaderName) -> bool {
    begins(name, SYS)
}

/// User metadata, and the system metadata that a POST replaces.
fn is_user_or_transient(name: &HeaderName) -> bool {
    begins(name, USER) || begins(name, TRANSIENT)
}

/// With something behind the prefix.
fn begins(name: &HeaderName, prefix: &str) -> bool {
    name.starts_with(prefix) && name.as_bytes().len() > prefix.len()
}

fn is_of_the_store(name: &HeaderName) -> bool {
    OF_THE_STORE.iter().any(|reserved| name.is(reserved))
}

fn is_allowed(name: &HeaderName, allowed: &[String]) -> bool {
    !is_of_the_store(name) && allowed.iter().any(|allowed| name.is(allowed))
}

/// What a PUT keeps (Swift: _get_request_metadata).
pub(super) fn kept_of_put(headers: &Metadata, allowed: &[String]) -> Metadata {
    kept(headers, allowed, |name| is_sys(name) || is_user_or_transient(name) || name.is("Content-Type"))
}

/// What a PUT keeps of its footers (Swift: _apply_extra_metadata).
pub(super) fn kept_of_footers(footers: &Metadata) -> Metadata {
    let mut kept = footers.clone();
    kept.retain(|name| is_sys(name) || is_user_or_transient(name));
    kept
}

/// What a POST keeps.
pub(super) fn kept_of_post(headers: &Metadata, allowed: &[String]) -> Metadata {
    kept(headers, allowed, |name| is_user_or_transient(name) || name.is("Content-Type"))
}

fn kept(headers: &Metadata, allowed: &[String], always: impl Fn(&HeaderName) -> bool) -> Metadata {
    // Another node of the cluster may name what else belongs to the object.
    let named =
        headers.get("X-Backend-Replication-Headers").map(|names| String::from_utf8_lossy(names).into_owned());
    let named: Vec<String> = named.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let keeps = |name: &HeaderName| always(name) || is_allowed(name, allowed) || is_allowed(name, &named);
    headers
        .iter()
        .filter(|(name, _)| keeps(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What an SSYNC sub-request keeps: all that the sender's file has (Swift: ssync_receiver.py updates).
pub(crate) fn kept_of_replication(headers: &Metadata) -> Metadata {
    let mut kept = headers.clone();
    kept.retain(|name| !is_of_the_store(name) && !name.starts_with("x-backend-"));
    kept
}

/// What a GET or HEAD shows.
pub(super) fn shown<'m>(
    metadata: &'m Metadata,
    allowed: &'m [String],
) -> impl Iterator<Item = (&'m HeaderName, &'m Bytes)> {
    let shows = |name: &HeaderName| {
        is_sys(name) || is_user_or_transient(name) || name.is("Content-Encoding") || is_allowed(name, allowed)
    };
    metadata.iter().filter(move |(name, _)| shows(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SidecarConfig;

    fn request() -> Metadata {
        let fields = [
            ("Content-Type", "text/plain"),
            ("Content-Length", "5"),
            ("Etag", "x"),
            ("X-Timestamp", "1"),
            ("X-Object-Meta-A", "a"),
            ("X-Object-Meta-", "none"),
            ("X-Object-Sysmeta-S", "s"),
            ("X-Object-Transient-Sysmeta-T", "t"),
            ("Content-Encoding", "gzip"),
            ("X-Foo", "foo"),
            ("X-Backend-Replication-Headers", "x-foo etag content-length"),
        ];
        fields.into_iter().map(|(name, value)| (HeaderName::from_static(name), Bytes::from(value))).collect()
    }

    fn names(metadata: &Metadata) -> Vec<String> {
        metadata.iter().map(|(name, _)| format!("{name:?}")).collect()
    }

    #[test]
    fn keeps_what_belongs_to_the_object() {
        let allowed = SidecarConfig::default().allowed_headers;
        assert_eq!(
            names(&kept_of_put(&request(), &allowed)),
            [
                "Content-Encoding",
                "Content-Type",
                "X-Foo",
                "X-Object-Meta-A",
                "X-Object-Sysmeta-S",
                "X-Object-Transient-Sysmeta-T"
            ]
        );
        assert!(!names(&kept_of_post(&request(), &allowed)).contains(&"X-Object-Sysmeta-S".to_owned()));
        let hostile = ["etag".to_owned(), "content-length".to_owned()];
        assert!(kept_of_put(&request(), &hostile).get("ETag").is_none());
    }

    #[test]
    fn replication_keeps_all_but_what_the_store_sets() {
        let kept = kept_of_replication(&request());
        assert!(kept.get("X-Foo").is_some() && kept.get("X-Object-Meta-").is_some());
        for gone in ["ETag", "Content-Length", "X-Timestamp", "X-Backend-Replication-Headers"] {
            assert!(kept.get(gone).is_none(), "{gone}");
        }
    }

    #[test]
    fn shows_what_clients_may_see() {
        let allowed = SidecarConfig::default().allowed_headers;
        let metadata = request();
        let shown: Vec<_> = shown(&metadata, &allowed).map(|(name, _)| format!("{name:?}")).collect();
        assert_eq!(
            shown,
            ["Content-Encoding", "X-Object-Meta-A", "X-Object-Sysmeta-S", "X-Object-Transient-Sysmeta-T"]
        );
    }
}
