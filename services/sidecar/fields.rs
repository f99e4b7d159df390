//! Headers with a form of their own.

use bytes::Bytes;
use ssync_types::{FragmentIndex, Metadata, Timestamp, config_true, python_integer};

use crate::{
    http::Response,
    python_text::{latin1, repr},
    status::{HTML, Refused, text},
};

/// An answer 400 with this text.
pub(crate) fn bad(problem: impl Into<Bytes>) -> Refused {
    Box::new(text(400, problem))
}

/// The time of a change (Swift: constraints.py valid_timestamp).
pub(crate) fn timestamp(headers: &Metadata) -> Result<Timestamp, Refused> {
    let value = headers.get("X-Timestamp").ok_or_else(|| bad("Missing X-Timestamp header"))?;
    Timestamp::parse(value).map_err(|_| bad("Invalid X-Timestamp header"))
}

/// The time by which a read judges expiry (Swift: swob.py ensure_x_timestamp).
pub(crate) fn read_timestamp(headers: &Metadata) -> Result<Option<Timestamp>, Refused> {
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
pub(crate) fn has(headers: &Metadata, name: &str) -> bool {
    headers.get(name).is_some_and(|value| !value.is_empty())
}

/// `X-Backend-Next-Part-Power`, while the partition power is being changed.
pub(crate) fn next_part_power(headers: &Metadata) -> Result<Option<u32>, Refused> {
    let Some(value) = headers.get("X-Backend-Next-Part-Power").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let power = integer(value).and_then(|power| u32::try_from(power).ok());
    power.map(Some).ok_or_else(|| bad(format!("Invalid X-Backend-Next-Part-Power {}", repr(value))))
}

/// Which fragment an SSYNC sender or a reconstructor is about; it names none when it has only tombstones. What is no index
/// is a 400, as Swift's SSYNC says (ssync_receiver.py initialize_request); its PUT stumbles over it (diskfile.py
/// validate_fragment_index).
pub(crate) fn fragment_index(headers: &Metadata) -> Result<Option<FragmentIndex>, Refused> {
    let Some(value) = headers.get("X-Backend-Ssync-Frag-Index").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match integer(value).map(u16::try_from) {
        Some(Ok(index)) => Ok(Some(FragmentIndex::new(index))),
        _ => {
            let problem = format!("Invalid X-Backend-Ssync-Frag-Index {}", repr(value));
            Err(Box::new(Response::new(400, HTML, problem)))
        }
    }
}

/// An integer as Python's `int()` reads it from a header; one beyond 64 bits is the largest, or smallest, of those.
pub(crate) fn integer(value: &[u8]) -> Option<i64> {
    python_integer(&latin1(value), 10)
}

/// A list of names; those that are empty do not count (Swift: list_from_csv).
pub(crate) fn names<'h>(headers: &'h Metadata, name: &str) -> Vec<&'h str> {
    let value = headers.get_str(name).unwrap_or_default();
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// A list of etags, without quotes; `*` is kept (Swift: swob.py Match).
pub(crate) fn etags(headers: &Metadata, name: &str) -> Vec<String> {
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
    use crate::http::ResponseBody;

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

    #[test]
    fn reads_the_next_part_power() {
        let power = |value: &'static str| {
            let mut headers = Metadata::new();
            headers.set("X-Backend-Next-Part-Power", value);
            next_part_power(&headers).map_err(|refused| refused.status)
        };
        assert_eq!((power(""), power("11"), power(" 1_1")), (Ok(None), Ok(Some(11)), Ok(Some(11))));
        assert_eq!((power("x"), power("-1"), power("4294967296")), (Err(400), Err(400), Err(400)));
    }

    #[test]
    fn reads_which_fragment_it_is() {
        let index = |value: &'static [u8]| {
            let mut headers = Metadata::new();
            headers.set("X-Backend-Ssync-Frag-Index", value);
            fragment_index(&headers).map(|index| index.map(FragmentIndex::get)).map_err(|refused| {
                match refused.body {
                    ResponseBody::Full(text) => (refused.status, String::from_utf8(text.to_vec()).unwrap()),
                    other => panic!("{other:?}"),
                }
            })
        };
        assert_eq!(fragment_index(&Metadata::new()).unwrap(), None);
        assert_eq!(index(b""), Ok(None));
        for (value, number) in [(&b"4"[..], 4), (b"+4", 4), (b" 1_0 ", 10), (b"\xa07", 7)] {
            assert_eq!(index(value), Ok(Some(number)));
        }
        for (value, shown) in
            [(&b"x"[..], "'x'"), (b"-1", "'-1'"), (b"65536", "'65536'"), (b"\xe4'", "\"\u{e4}'\"")]
        {
            assert_eq!(index(value), Err((400, format!("Invalid X-Backend-Ssync-Frag-Index {shown}"))));
        }
    }
}
