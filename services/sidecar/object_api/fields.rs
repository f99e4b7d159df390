//! Headers with a form of their own.

use bytes::Bytes;
use ssync_types::{Metadata, Timestamp, config_true, python_integer};

use crate::{
    placement::Refused,
    python_text::{latin1, repr},
    status::text,
};

/// An answer 400 with this text.
pub(super) fn bad(problem: impl Into<Bytes>) -> Refused {
    Box::new(text(400, problem))
}

/// The time of a change (Swift: constraints.py valid_timestamp).
pub(crate) fn timestamp(headers: &Metadata) -> Result<Timestamp, Refused> {
    let value = headers.get("X-Timestamp").ok_or_else(|| bad("Missing X-Timestamp header"))?;
    Timestamp::parse(value).map_err(|_| bad("Invalid X-Timestamp header"))
}

/// The time by which a read judges expiry (Swift: swob.py ensure_x_timestamp).
pub(super) fn read_timestamp(headers: &Metadata) -> Result<Option<Timestamp>, Refused> {
    let Some(value) = headers.get("X-Timestamp") else { return Ok(None) };
    Timestamp::parse(value)
        .map(Some)
        .map_err(|_| bad(format!("X-Timestamp should be a UNIX timestamp float value; was {}", repr(value))))
}

/// Whether a header says yes.
pub(crate) fn is_true(headers: &Metadata, name: &str) -> bool {
    headers.get(name).is_some_and(|value| config_true(value))
}

/// Whether a header is there and says something.
pub(super) fn has(headers: &Metadata, name: &str) -> bool {
    headers.get(name).is_some_and(|value| !value.is_empty())
}

/// `X-Backend-Next-Part-Power`, while the partition power is being changed.
pub(super) fn next_part_power(headers: &Metadata) -> Result<Option<u32>, Refused> {
    match headers.get_str("X-Backend-Next-Part-Power") {
        None | Some("") => Ok(None),
        Some(value) => {
            value.parse().map(Some).map_err(|_| bad(format!("Invalid X-Backend-Next-Part-Power: {value:?}")))
        }
    }
}

/// An integer as Python's `int()` reads it from a header; one beyond 64 bits is the largest, or smallest, of those.
pub(crate) fn integer(value: &[u8]) -> Option<i64> {
    python_integer(&latin1(value), 10)
}

/// A list of names; those that are empty do not count (Swift: list_from_csv).
pub(super) fn names<'h>(headers: &'h Metadata, name: &str) -> Vec<&'h str> {
    let value = headers.get_str(name).unwrap_or_default();
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// A list of etags, without quotes; `*` is kept (Swift: swob.py Match).
pub(super) fn etags(headers: &Metadata, name: &str) -> Vec<String> {
    let value =
        headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
    value.split(',').map(normal_etag).filter(|etag| !etag.is_empty()).collect()
}

/// An etag without quotes and white space (Swift: utils normalize_etag).
pub(crate) fn normal_etag(etag: &str) -> String {
    let etag = etag.trim();
    let bare = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"'));
    bare.unwrap_or(etag).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_etags_as_python_does() {
        assert_eq!(integer(b" +12 "), Some(12));
        assert_eq!(integer(b"-5"), Some(-5));
        assert_eq!(integer(b"1_0"), Some(10));
        assert_eq!(integer(b"99999999999999999999"), Some(i64::MAX));
        for bad in [&b""[..], b"x", b"1.5", b"--1", b"\xff"] {
            assert_eq!(integer(bad), None);
        }
        let mut headers = Metadata::new();
        headers.set("If-None-Match", "\"a\", b,, *");
        assert_eq!(etags(&headers, "if-none-match"), ["a", "b", "*"]);
    }
}
