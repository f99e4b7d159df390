//! What an object may be called, how large it may be, how much metadata it may have (Swift: common/constraints.py).

use bytes::Bytes;
use ssync_types::{Metadata, ObjectPath, Timestamp};

use crate::fields::{bad, integer, is_true};
use crate::{
    Constraints,
    status::{Refused, text},
};

const META_PREFIX: &str = "x-object-meta-";
/// Swift knows no later time.
const SECONDS_MAX: i64 = 9_999_999_999;

/// What is known of a body before it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// So many bytes.
    Known(u64),
    /// It comes in chunks.
    Chunked,
    /// The request does not say that it has one.
    Missing,
}

/// Checks a new object, in Swift's order (check_object_creation). Turns X-Delete-After into X-Delete-At.
pub(crate) fn check_creation(
    headers: &mut Metadata,
    path: &ObjectPath,
    length: BodyLength,
    now: Timestamp,
    limits: &Constraints,
) -> Result<(), Refused> {
    match length {
        BodyLength::Known(bytes) if bytes > limits.max_file_size => {
            return Err(Box::new(text(413, "Your request is too large.")));
        }
        BodyLength::Missing => return Err(Box::new(text(411, "Missing Content-Length header."))),
        BodyLength::Known(_) | BodyLength::Chunked => {}
    }
    let (_, _, name) = path.parts();
    // Swift counts characters.
    let name_length = String::from_utf8_lossy(name).chars().count();
    if name_length > limits.max_object_name_length {
        let longest = limits.max_object_name_length;
        return Err(bad(format!("Object name length of {name_length} longer than {longest}")));
    }
    settle_expiry(headers, now)?;
    let has_type = headers.get("Content-Type").is_some_and(is_plain_utf8);
    if !has_type {
        return Err(bad("Invalid Content-Type"));
    }
    check_metadata(headers, limits)
}

fn is_plain_utf8(value: &Bytes) -> bool {
    !value.is_empty() && !value.contains(&0) && std::str::from_utf8(value).is_ok()
}

/// Swift: check_delete_headers. A replicated object may have expired.
fn settle_expiry(headers: &mut Metadata, now: Timestamp) -> Result<(), Refused> {
    let now = now.seconds() as i64;
    if let Some(after) = headers.remove("X-Delete-After") {
        let after = integer(&after).ok_or_else(|| bad("Non-integer X-Delete-After"))?;
        let at = now.saturating_add(after).clamp(0, SECONDS_MAX);
        if at <= now {
            return Err(bad("X-Delete-After in past"));
        }
        headers.set("X-Delete-At", format!("{at:010}"));
    }
    if let Some(at) = headers.get("X-Delete-At") {
        let at = integer(at).ok_or_else(|| bad("Non-integer X-Delete-At"))?;
        if at.clamp(0, SECONDS_MAX) <= now && !is_true(headers, "X-Backend-Replication") {
            return Err(bad("X-Delete-At in past"));
        }
    }
    Ok(())
}

/// Checks the size of headers, and the names and sizes of user metadata (Swift: check_metadata).
pub(crate) fn check_metadata(headers: &Metadata, limits: &Constraints) -> Result<(), Refused> {
    let (mut count, mut size) = (0, 0);
    for (name, value) in headers.iter() {
        if value.len() > limits.max_header_size {
            let name = name.as_bytes();
            let start = &name[..name.len().min(limits.max_meta_name_length)];
            return Err(bad([b"Header value too long: ", start].concat()));
        }
        if !name.starts_with(META_PREFIX) {
            continue;
        }
        let key = &name.as_bytes()[META_PREFIX.len()..];
        count += 1;
        size += key.len() + value.len();
        if key.is_empty() {
            return Err(bad("Metadata name cannot be empty"));
        }
        if key.len() > limits.max_meta_name_length {
            let problem = format!("Metadata name too long: {META_PREFIX}");
            return Err(bad([problem.as_bytes(), key].concat()));
        }
        if value.len() > limits.max_meta_value_length {
            let longest = limits.max_meta_value_length;
            let problem = format!("Metadata value longer than {longest}: {META_PREFIX}");
            return Err(bad([problem.as_bytes(), key].concat()));
        }
        if count > limits.max_meta_count {
            return Err(bad(format!("Too many metadata items; max {}", limits.max_meta_count)));
        }
        if size > limits.max_meta_overall_size {
            return Err(bad(format!("Total metadata too large; max {}", limits.max_meta_overall_size)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ssync_types::HeaderName;

    use super::*;
    use crate::http::ResponseBody;

    fn headers(fields: &[(&str, &str)]) -> Metadata {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::new(name.as_bytes()).unwrap(), Bytes::copy_from_slice(value.as_bytes()))
        };
        fields.iter().map(field).collect()
    }

    fn check(fields: &[(&str, &str)], name: &str, length: BodyLength) -> Result<Metadata, (u16, String)> {
        let mut headers = headers(fields);
        if headers.get("Content-Type").is_none() {
            headers.set("Content-Type", "x");
        }
        let path = ObjectPath::of("a", "c", name).unwrap();
        let now = Timestamp::from_seconds(100);
        match check_creation(&mut headers, &path, length, now, &Constraints::default()) {
            Ok(()) => Ok(headers),
            Err(refused) => match refused.body {
                ResponseBody::Full(body) => Err((refused.status, String::from_utf8(body.to_vec()).unwrap())),
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn says_what_swift_says() {
        let known = BodyLength::Known(0);
        let long = "a".repeat(129);
        let long_name = format!("X-Object-Meta-{long}");
        let long_value = "x".repeat(257);
        type Vector<'a> = (&'a [(&'a str, &'a str)], &'a str, BodyLength, u16, &'a str);
        let vectors: [Vector<'_>; 12] = [
            (&[], "o", BodyLength::Known(5_368_709_123), 413, "Your request is too large."),
            (&[], "o", BodyLength::Missing, 411, "Missing Content-Length header."),
            (&[], &"x".repeat(1025), known, 400, "Object name length of 1025 longer than 1024"),
            (&[("Content-Type", "")], "o", known, 400, "Invalid Content-Type"),
            (&[("X-Delete-At", "5")], "o", known, 400, "X-Delete-At in past"),
            (&[("X-Delete-At", "x")], "o", known, 400, "Non-integer X-Delete-At"),
            (&[("X-Delete-After", "x")], "o", known, 400, "Non-integer X-Delete-After"),
            (&[("X-Delete-After", "-5")], "o", known, 400, "X-Delete-After in past"),
            (&[("X-Object-Meta-", "x")], "o", known, 400, "Metadata name cannot be empty"),
            (
                &[(&long_name, "x")],
                "o",
                known,
                400,
                &format!("Metadata name too long: x-object-meta-A{}", &long[1..]),
            ),
            (
                &[("X-Object-Meta-A", &long_value)],
                "o",
                known,
                400,
                "Metadata value longer than 256: x-object-meta-A",
            ),
            (&[("X-Foo", &"x".repeat(8193))], "o", known, 400, "Header value too long: X-Foo"),
        ];
        for (fields, name, length, status, text) in vectors {
            assert_eq!(check(fields, name, length), Err((status, text.to_owned())));
        }
    }

    #[test]
    fn bounds_all_metadata_together() {
        let many: Vec<_> = (0..91).map(|n| (format!("X-Object-Meta-{n}"), "x".to_owned())).collect();
        let large: Vec<_> = (0..20).map(|n| (format!("X-Object-Meta-{n}"), "x".repeat(250))).collect();
        let text = |fields: &[(String, String)]| {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            check(&fields, "o", BodyLength::Chunked).map_err(|(_, text)| text)
        };
        assert_eq!(text(&many).unwrap_err(), "Too many metadata items; max 90");
        assert_eq!(text(&large).unwrap_err(), "Total metadata too large; max 4096");
        assert!(text(&many[..90]).is_ok());
    }

    #[test]
    fn settles_when_an_object_expires() {
        let at = |fields: &[(&str, &str)]| {
            let headers = check(fields, "\u{2603}".repeat(1024).as_str(), BodyLength::Chunked).unwrap();
            (headers.get_str("X-Delete-At").map(str::to_owned), headers.get("X-Delete-After").is_some())
        };
        assert_eq!(at(&[("X-Delete-After", "50")]), (Some("0000000150".into()), false));
        assert_eq!(at(&[("X-Delete-At", "101")]), (Some("101".into()), false));
        assert_eq!(at(&[("X-Delete-At", "5"), ("X-Backend-Replication", "True")]), (Some("5".into()), false));
    }
}
