//! Percent-encoding of bytes, as Python's `urllib.parse.quote` and `unquote` do it.

/// Escapes all but letters, digits, `_`, `.`, `-`, `~` and `/`.
#[must_use]
pub fn quote(raw: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut quoted = Vec::with_capacity(raw.len());
    for &byte in raw {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'~' | b'/') {
            quoted.push(byte);
        } else {
            quoted.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    quoted
}

/// Resolves `%XX`; a `%` without two hex digits stays as it is.
#[must_use]
pub fn unquote(quoted: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match tail {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                raw.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                raw.push(byte);
                rest = tail;
            }
        }
    }
    raw
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_swift_does() {
        // The names of the recorded conversations.
        let pairs: [(&[u8], &[u8]); 3] = [
            ("/AUTH_cap/c/sn\u{2603}w man".as_bytes(), b"/AUTH_cap/c/sn%E2%98%83w%20man"),
            (b"/AUTH_cap/c/a b+c%20\"d&e?f", b"/AUTH_cap/c/a%20b%2Bc%2520%22d%26e%3Ff"),
            (b"/a/c/\x00\xff~_.-", b"/a/c/%00%FF~_.-"),
        ];
        for (raw, quoted) in pairs {
            assert_eq!(quote(raw), quoted);
            assert_eq!(unquote(quoted), raw);
        }
    }

    #[test]
    fn leaves_a_lone_percent_sign() {
        for odd in [&b"%"[..], b"%4", b"%zz", b"100%", b"a%%b"] {
            assert_eq!(unquote(odd), odd);
        }
        assert_eq!(unquote(b"%2f%2F%%41"), b"//%A");
    }
}
