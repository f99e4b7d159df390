//! Texts as Swift's Python writes them into its answers: a header's bytes are Latin-1 to it, and what it says is UTF-8.

use ssync_protocol::repr_str;

/// What Swift says of a header's value.
pub(crate) fn latin1(value: &[u8]) -> String {
    value.iter().copied().map(char::from).collect()
}

/// The same within quotes.
pub(crate) fn repr(value: &[u8]) -> String {
    repr_str(&latin1(value))
}

/// Why a value is no timestamp (Swift: utils/timestamp.py Timestamp).
pub(crate) fn timestamp_problem(value: &[u8]) -> String {
    let text = latin1(value);
    let (seconds, offset) = match text.split_once('_') {
        Some((seconds, offset)) => (seconds, offset),
        None => (text.as_str(), ""),
    };
    let number: Option<f64> = seconds.trim().parse().ok();
    let is_hex = !offset.is_empty() && offset.bytes().all(|b| b.is_ascii_hexdigit());
    match number {
        None => format!("could not convert string to float: {}", repr_str(seconds)),
        Some(_) if is_hex && offset.len() > 16 => format!("hex part too long: {}", repr_str(offset)),
        Some(_) if !offset.is_empty() && !is_hex => {
            format!("invalid literal for int() with base 16: {}", repr_str(offset))
        }
        Some(number) if number.is_nan() => "cannot convert float NaN to integer".to_owned(),
        Some(number) if number < 0.0 => "timestamp cannot be negative".to_owned(),
        Some(_) => "timestamp too large".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_latin1() {
        assert_eq!(latin1(b"\xe4\xc3\xa4"), "\u{e4}\u{c3}\u{a4}");
        assert_eq!(repr(b"a'\xe4\xa0"), "\"a'\u{e4}\\xa0\"");
    }

    #[test]
    fn says_why_a_value_is_no_timestamp() {
        let vectors = [
            ("zz", "could not convert string to float: 'zz'"),
            ("", "could not convert string to float: ''"),
            ("1_x", "invalid literal for int() with base 16: 'x'"),
            ("1_2_3", "invalid literal for int() with base 16: '2_3'"),
            ("1_12345678901234567", "hex part too long: '12345678901234567'"),
            ("nan", "cannot convert float NaN to integer"),
            ("-1", "timestamp cannot be negative"),
            ("99999999999", "timestamp too large"),
        ];
        for (value, text) in vectors {
            assert_eq!(timestamp_problem(value.as_bytes()), text, "{value}");
        }
    }
}
