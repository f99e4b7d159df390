//! Who calls: some requests are answered to callers on this node only.

use ssync_api::status::to_status;
use ssync_types::{Reason, Refusal};
use tonic::{Extensions, Request, Status, metadata::KeyRef};

/// Whether the caller of a request runs on this node, by the extensions of its connection.
pub type IsLocal = fn(&Extensions) -> bool;

/// What proxies put into the calls that they pass on, and what begins the names of others.
const PASSED_ON: [&str; 3] = ["x-forwarded-for", "via", "forwarded"];
const PASSED_ON_PREFIXES: [&str; 2] = ["x-envoy-", "l5d-"];

/// Whether a request was made on this node. Its connection says so; and nothing in it says that a proxy has passed it on,
/// for behind a proxy of this node every caller comes from here.
pub(crate) fn is_local<T>(request: &Request<T>, connection_is_local: IsLocal) -> bool {
    connection_is_local(request.extensions()) && !was_passed_on(request)
}

fn was_passed_on<T>(request: &Request<T>) -> bool {
    request.metadata().keys().any(|key| {
        let name = match key {
            KeyRef::Ascii(key) => key.as_str(),
            KeyRef::Binary(key) => key.as_str(),
        };
        PASSED_ON.contains(&name) || PASSED_ON_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Refuses who is not on this node; `what` may be done by whom.
pub fn only_local<T>(request: &Request<T>, connection_is_local: IsLocal, what: &str) -> Result<(), Status> {
    match is_local(request, connection_is_local) {
        true => Ok(()),
        false => Err(to_status(&not_local(request, what))),
    }
}

/// For a caller that is not; `what` may be done by whom.
pub(crate) fn not_local<T>(request: &Request<T>, what: &str) -> Refusal {
    let from = request.remote_addr().map_or_else(|| "elsewhere".to_owned(), |address| address.to_string());
    let via = if was_passed_on(request) { ", passed on by a proxy" } else { "" };
    Refusal::new(Reason::NotLocal, format!("{what}, not a caller from {from}{via}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(names: &[&'static str]) -> Request<()> {
        let mut request = Request::new(());
        for name in names {
            if name.ends_with("-bin") {
                let value = tonic::metadata::MetadataValue::from_bytes(b"x");
                request.metadata_mut().insert_bin(*name, value);
            } else {
                request.metadata_mut().insert(*name, "x".parse().unwrap());
            }
        }
        request
    }

    #[test]
    fn a_call_that_a_proxy_passed_on_is_not_local() {
        for names in [&[][..], &["traceparent", "x-request-id", "x-forwarded-proto-like", "user-agent"]] {
            assert!(is_local(&request(names), |_| true), "{names:?}");
            assert!(!is_local(&request(names), |_| false), "{names:?}");
        }
        let marks = [
            "x-forwarded-for",
            "via",
            "forwarded",
            "x-envoy-external-address",
            "x-envoy-peer-metadata-bin",
            "l5d-client-id",
        ];
        for mark in marks {
            assert!(!is_local(&request(&["traceparent", mark]), |_| true), "{mark}");
        }
    }

    #[test]
    fn the_refusal_names_the_caller_and_what_passed_it_on() {
        let refusal = not_local(&request(&["via"]), "only operators of this node may drain it");
        assert_eq!(refusal.reason, Reason::NotLocal);
        assert_eq!(
            refusal.message,
            "only operators of this node may drain it, not a caller from elsewhere, passed on by a proxy"
        );
    }
}
