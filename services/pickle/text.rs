//! Pickle's ways to write text and byte strings.

use std::borrow::Cow;

/// Whether this is UTF-8 in which surrogates may stand for themselves (Python's surrogatepass, which BINUNICODE uses).
pub(crate) fn is_text(mut bytes: &[u8]) -> bool {
    loop {
        let Err(error) = std::str::from_utf8(bytes) else { return true };
        match bytes.get(error.valid_up_to()..) {
            Some([0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..]) => bytes = rest,
            _ => return false,
        }
    }
}

/// The characters of a text as one byte each; `None` if one is beyond U+00FF.
pub(crate) fn to_latin1(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if text.is_ascii() {
        return Some(Cow::Borrowed(text));
    }
    let text = std::str::from_utf8(text).ok()?;
    text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>().map(Cow::Owned)
}

/// Each byte as the character of that number, in UTF-8.
pub(crate) fn from_latin1(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.is_ascii() {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(bytes.iter().copied().map(char::from).collect::<String>().into_bytes())
}

/// The text of UNICODE: Latin-1 with `\uXXXX` and `\UXXXXXXXX` (Python's raw-unicode-escape).
pub(crate) fn from_raw_unicode_escape(line: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    loop {
        rest = match rest {
            [] => return Some(text),
            [b'\\', b'u', tail @ ..] => push_escaped(&mut text, tail, 4)?,
            [b'\\', b'U', tail @ ..] => push_escaped(&mut text, tail, 8)?,
            // A backslash that escapes nothing stands for itself, and so does the one after it.
            [b'\\', next, tail @ ..] => {
                text.push(b'\\');
                text.extend_from_slice(&from_latin1(&[*next]));
                tail
            }
            [byte, tail @ ..] => {
                text.extend_from_slice(&from_latin1(&[*byte]));
                tail
            }
        };
    }
}

/// Appends the character of the first `count` hex digits; gives what is after them.
fn push_escaped<'a>(text: &mut Vec<u8>, bytes: &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (digits, rest) = bytes.split_at_checked(count)?;
    let code = digits.iter().try_fold(0_u32, |code, &d| Some((code << 4) | char::from(d).to_digit(16)?))?;
    match (char::from_u32(code), u16::try_from(code)) {
        (Some(character), _) => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        // A surrogate: the three bytes that UTF-8 would give it.
        (None, Ok(unit)) => {
            let [high, low] = unit.to_be_bytes();
            text.extend_from_slice(&[
                0xe0 | (high >> 4),
                0x80 | ((high & 0xf) << 2) | (low >> 6),
                0x80 | (low & 0x3f),
            ]);
        }
        (None, Err(_)) => return None,
    }
    Some(rest)
}

/// The byte string of STRING: what Python's `repr` of a byte string gives, with its quotes.
pub(crate) fn from_repr(line: &[u8]) -> Option<Vec<u8>> {
    let (&quote, rest) = line.split_first()?;
    let (&last, mut rest) = rest.split_last()?;
    if quote != last || !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut bytes = Vec::with_capacity(rest.len());
    loop {
        rest = match rest {
            [] => return Some(bytes),
            [b'\\', tail @ ..] => push_unescaped(&mut bytes, tail)?,
            [byte, tail @ ..] => {
                bytes.push(*byte);
                tail
            }
        };
    }
}

/// Appends what a backslash and the bytes after it stand for; gives what is after them (Python: codecs.escape_decode).
fn push_unescaped<'a>(bytes: &mut Vec<u8>, escape: &'a [u8]) -> Option<&'a [u8]> {
    let (&kind, rest) = escape.split_first()?;
    let plain = match kind {
        b'\\' | b'\'' | b'"' => kind,
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'v' => 0x0b,
        b'x' => {
            let (digits, rest) = rest.split_at_checked(2)?;
            bytes.push(number(digits, 16)?);
            return Some(rest);
        }
        b'0'..=b'7' => {
            let count = escape.iter().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            let (digits, rest) = escape.split_at_checked(count)?;
            bytes.push(number(digits, 8)?);
            return Some(rest);
        }
        _ => {
            bytes.push(b'\\');
            kind
        }
    };
    bytes.push(plain);
    Some(rest)
}

/// A byte written in digits.
fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let value =
        digits.iter().try_fold(0, |value, &d| Some(value * radix + char::from(d).to_digit(radix)?))?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf8_and_surrogates() {
        for good in [&b""[..], b"a\xc3\xa9", b"\xed\xb2\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80x"] {
            assert!(is_text(good), "{good:?}");
        }
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xb2", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\xed\xb2\x80\xff"]
        {
            assert!(!is_text(bad), "{bad:?}");
        }
    }

    #[test]
    fn latin1_goes_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(to_latin1(&from_latin1(&all)).unwrap(), all);
        assert_eq!(to_latin1("\u{20ac}".as_bytes()), None);
        assert_eq!(to_latin1(b"\xed\xb2\x80"), None);
    }

    #[test]
    fn raw_unicode_escapes_are_pythons() {
        let decoded = |line: &[u8]| from_raw_unicode_escape(line);
        assert_eq!(
            decoded(b"\\u20ac\\U0001f600\\\\x\xff").unwrap(),
            "\u{20ac}\u{1f600}\\\\x\u{ff}".as_bytes()
        );
        assert_eq!(decoded(b"\\\\u20ac").unwrap(), b"\\\\u20ac");
        assert_eq!(decoded(b"\\udc80\\ud83d").unwrap(), b"\xed\xb2\x80\xed\xa0\xbd");
        assert_eq!(decoded(b"\\").unwrap(), b"\\");
        for bad in [&b"\\u12"[..], b"\\u12g4", b"\\U00110000", b"\\u+123"] {
            assert_eq!(decoded(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn string_escapes_are_pythons() {
        assert_eq!(from_repr(br#"'\n\t\'\\\x41\101\0\08\q"'"#).unwrap(), b"\n\t'\\AA\0\08\\q\"");
        assert_eq!(from_repr(br#""it's""#).unwrap(), b"it's");
        for bad in [&b""[..], b"'", b"'a", b"a'", b"'a\"", b"'\\'", b"'\\x4'", b"'\\xzz'", b"'\\400'"] {
            assert_eq!(from_repr(bad), None, "{bad:?}");
        }
    }
}
