//! A parameter within a content type (Swift: common/utils parse_content_type, extract_swift_bytes).

/// The value of `swift_bytes`, the last one of several; empty when it has none.
pub(super) fn swift_bytes(content_type: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut rest = content_type;
    while let Some(at) = rest.iter().position(|&b| b == b';') {
        rest = rest.get(at + 1..).unwrap_or_default().trim_ascii_start();
        let (name, after) = token(rest);
        if name.is_empty() {
            continue;
        }
        rest = after;
        let mut value = &b""[..];
        if let Some(after) = after.trim_ascii_start().strip_prefix(b"=") {
            let after = after.trim_ascii_start();
            let (own, behind) = quoted(after).unwrap_or_else(|| token(after));
            if !own.is_empty() {
                (value, rest) = (own, behind);
            }
        }
        if name == b"swift_bytes" {
            found = Some(value);
        }
    }
    found
}

/// A token and what is behind it (RFC 2616, 2.2).
fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let ends = |&b: &u8| b <= b' ' || b == 0x7f || b"()<>@,;:\"/[]?={}".contains(&b);
    text.split_at(text.iter().position(ends).unwrap_or(text.len()))
}

/// A string in quotes, with them, and what is behind it.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 1;
    text.first().filter(|&&b| b == b'"')?;
    loop {
        match text.get(at)? {
            b'"' => return text.split_at_checked(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_parameter_as_swift_does() {
        let found = |text: &'static str| swift_bytes(text.as_bytes()).map(String::from_utf8_lossy);
        assert_eq!(found("text/plain"), None);
        assert_eq!(found("text/plain;swift_bytes=5").unwrap(), "5");
        assert_eq!(found("text/plain; charset=UTF-8 ; swift_bytes = 5;x").unwrap(), "5");
        assert_eq!(found("a/b;swift_bytes=5;swift_bytes=6").unwrap(), "6");
        assert_eq!(found("a/b;x=\"a;swift_bytes=7\\\";swift_bytes=8\"").as_deref(), None);
        assert_eq!(found("a/b;;=;swift_bytes").unwrap(), "");
        assert_eq!(found("a/b;swift_bytes=5/6").unwrap(), "5");
        assert_eq!(found("a/b;swift_bytes=\"5").unwrap(), "");
        assert_eq!(found("swift_bytes=5"), None);
    }
}
