//! Python's `repr()` of texts and bytes, which stands in SSYNC's error lines, and its inverse.

use std::fmt::Write as _;

/// `repr()` of a `str`.
#[must_use]
pub fn repr_str(text: &str) -> String {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    let mut repr = String::with_capacity(text.len() + 2);
    repr.push(quote);
    for character in text.chars() {
        push_escaped(&mut repr, character, quote, !is_printable(character));
    }
    repr.push(quote);
    repr
}

/// `repr()` of `bytes`.
#[must_use]
pub fn repr_bytes(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    let mut repr = String::with_capacity(bytes.len() + 3);
    repr.push('b');
    repr.push(quote);
    for &byte in bytes {
        push_escaped(&mut repr, char::from(byte), quote, !matches!(byte, b' '..=b'~'));
    }
    repr.push(quote);
    repr
}

fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn push_escaped(repr: &mut String, character: char, quote: char, by_number: bool) {
    // Writing to a String cannot fail.
    let _ = match (character, u32::from(character)) {
        ('\\', _) => repr.write_str("\\\\"),
        ('\t', _) => repr.write_str("\\t"),
        ('\n', _) => repr.write_str("\\n"),
        ('\r', _) => repr.write_str("\\r"),
        (character, _) if character == quote => write!(repr, "\\{quote}"),
        (_, code) if by_number && code < 0x100 => write!(repr, "\\x{code:02x}"),
        (_, code) if by_number && code < 0x1_0000 => write!(repr, "\\u{code:04x}"),
        (_, code) if by_number => write!(repr, "\\U{code:08x}"),
        (character, _) => repr.write_char(character),
    };
}

/// Near to Python's `str.isprintable`, which is a table: controls, separators, format characters and the private area
/// are escaped.
fn is_printable(character: char) -> bool {
    let separator = character.is_whitespace() && character != ' ';
    let format =
        matches!(u32::from(character), 0xad | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff);
    let private = matches!(u32::from(character), 0xe000..=0xf8ff | 0xf_0000..);
    !(character.is_control() || separator || format || private)
}

/// Reads the `repr()` of a `str` or of `bytes` back; the second value says which. `None` for anything else.
pub(super) fn parse_repr(repr: &str) -> Option<(Vec<u8>, bool)> {
    let (is_bytes, quoted) = match repr.strip_prefix('b') {
        Some(quoted) => (true, quoted),
        None => (false, repr),
    };
    let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut rest = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut value = Vec::with_capacity(rest.len());
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character == '\\' {
            rest = push_unescaped(&mut value, rest, is_bytes)?;
        } else if character == quote {
            return None;
        } else {
            value.extend(character.encode_utf8(&mut [0; 4]).bytes());
        }
    }
    Some((value, is_bytes))
}

/// Resolves one escape whose backslash has been read; answers with what stands behind it.
fn push_unescaped<'a>(value: &mut Vec<u8>, rest: &'a str, is_bytes: bool) -> Option<&'a str> {
    let kind = rest.chars().next()?;
    let rest = &rest[kind.len_utf8()..];
    let digits = match kind {
        'x' => 2,
        'u' if !is_bytes => 4,
        'U' if !is_bytes => 8,
        _ => 0,
    };
    if digits == 0 {
        value.push(match kind {
            't' => b'\t',
            'n' => b'\n',
            'r' => b'\r',
            '\\' | '\'' | '"' => kind as u8,
            _ => return None,
        });
        return Some(rest);
    }
    let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
    match is_bytes {
        true => value.push(u8::try_from(code).ok()?),
        false => value.extend(char::from_u32(code)?.encode_utf8(&mut [0; 4]).bytes()),
    }
    rest.get(digits..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_texts_as_python_does() {
        let pairs = [
            ("15 seconds: /srv/node/sdb1/.lock", "'15 seconds: /srv/node/sdb1/.lock'"),
            ("it's", "\"it's\""),
            ("it's \"so\"", "'it\\'s \"so\"'"),
            ("a\\b\t\n\r\0\u{7f}", "'a\\\\b\\t\\n\\r\\x00\\x7f'"),
            ("sn\u{2603}w\u{a0}\u{200b}\u{f0000}", "'sn\u{2603}w\\xa0\\u200b\\U000f0000'"),
        ];
        for (text, repr) in pairs {
            assert_eq!(repr_str(text), repr);
            assert_eq!(parse_repr(repr), Some((text.as_bytes().to_vec(), false)));
        }
    }

    #[test]
    fn writes_bytes_as_python_does() {
        let pairs: [(&[u8], &str); 3] =
            [(b"", "b''"), (b"<p>it's</p>\n", "b\"<p>it's</p>\\n\""), (b"\xc3\xa9'\"", "b'\\xc3\\xa9\\'\"'")];
        for (bytes, repr) in pairs {
            assert_eq!(repr_bytes(bytes), repr);
            assert_eq!(parse_repr(repr), Some((bytes.to_vec(), true)));
        }
    }

    #[test]
    fn reads_nothing_else() {
        for odd in [
            "",
            "b",
            "'",
            "'a",
            "a'",
            "'a'b'",
            "'\\'",
            "'\\q'",
            "'\\x4'",
            "'\\ud800'",
            "b'\\u0041'",
            "'\\x\u{e9}'",
        ] {
            assert_eq!(parse_repr(odd), None, "{odd}");
        }
    }
}
