//! The conditions of a GET or HEAD (Swift: common/swob.py Match and `_get_conditional_response_status`).

use ssync_types::{Metadata, ObjectInfo};

use crate::fields::{etags, names, normal_etag};
use crate::http::parse_date;

/// The four conditions, each as far as the request has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conditions<'h> {
    none_match: Option<Vec<String>>,
    matches: Option<Vec<String>>,
    modified_since: Option<u64>,
    unmodified_since: Option<u64>,
    /// Metadata that may hold the etag that the client knows; the first that is there counts.
    etag_is_at: Vec<&'h str>,
}

impl<'h> Conditions<'h> {
    /// The conditions of a request; `None` when it has none. A date that is none is passed over (RFC 9110, 13.1.3).
    pub(super) fn of(headers: &'h Metadata) -> Option<Self> {
        let list = |name: &str| headers.get(name).map(|_| etags(headers, name));
        let date = |name: &str| headers.get_str(name).and_then(parse_date);
        let conditions = Self {
            none_match: list("If-None-Match"),
            matches: list("If-Match"),
            modified_since: date("If-Modified-Since"),
            unmodified_since: date("If-Unmodified-Since"),
            etag_is_at: names(headers, "X-Backend-Etag-Is-At"),
        };
        let Self { none_match, matches, modified_since, unmodified_since, .. } = &conditions;
        let any = none_match.is_some() || matches.is_some();
        (any || modified_since.is_some() || unmodified_since.is_some()).then_some(conditions)
    }

    /// The status that a condition asks for instead of the object: 304 or 412. In Swift's order.
    pub(super) fn verdict(&self, info: &ObjectInfo) -> Option<u16> {
        let etag = self.etag(&info.metadata);
        let is_in = |list: &Vec<String>| list.iter().any(|wanted| *wanted == etag || wanted == "*");
        let has_etag = !etag.is_empty();
        let last_modified = info.timestamp.seconds_ceiling();
        if has_etag && self.none_match.as_ref().is_some_and(is_in) {
            return Some(304);
        }
        if has_etag && self.matches.as_ref().is_some_and(|list| !is_in(list)) {
            return Some(412);
        }
        if self.modified_since.is_some_and(|since| last_modified <= since) {
            return Some(304);
        }
        self.unmodified_since.is_some_and(|since| last_modified > since).then_some(412)
    }

    /// Whether there must be an object, whichever.
    pub(super) fn wants_any(&self) -> bool {
        self.matches.as_ref().is_some_and(|list| list.iter().any(|wanted| wanted == "*"))
    }

    /// Swift: request_helpers.py resolve_etag_is_at_header.
    fn etag(&self, metadata: &Metadata) -> String {
        let elsewhere = self.etag_is_at.iter().find_map(|name| metadata.get(name));
        let etag = elsewhere.or_else(|| metadata.get("ETag"));
        etag.map(|etag| normal_etag(&String::from_utf8_lossy(etag))).unwrap_or_default()
    }
}
