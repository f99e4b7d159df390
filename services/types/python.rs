//! Whole numbers as Python's `int` reads them, since Swift reads names and headers with it; and what Swift takes for yes.

/// The number in `text`: spaces around it, a sign, a prefix `0x` of hex, and single `_` between digits do not matter. What
/// is larger than any time or size is the largest there is. Only ASCII digits are digits here.
#[must_use]
pub fn python_integer(text: &str, radix: u32) -> Option<i64> {
    // Of text in ASCII Python strips less.
    let wide = |c: char| !text.is_ascii() && (c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    let text = text.trim_matches(|c: char| matches!(c, ' ' | '\t'..='\r') || wide(c));
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let digits = match digits.get(..2) {
        Some("0x" | "0X") if radix == 16 => {
            let digits = digits.get(2..)?;
            digits.strip_prefix('_').unwrap_or(digits)
        }
        _ => digits,
    };
    let mut number = 0_i64;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for digit in group.chars() {
            let digit = digit.to_digit(radix)?;
            let digit = if negative { -i64::from(digit) } else { digit.into() };
            number = number.saturating_mul(radix.into()).saturating_add(digit);
        }
    }
    Some(number)
}

/// Whether an option or a header says yes (Swift: config_true_value).
#[must_use]
pub fn config_true(text: &[u8]) -> bool {
    ["true", "1", "yes", "on", "t", "y"].iter().any(|yes| text.eq_ignore_ascii_case(yes.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_python_reads() {
        for (text, number) in
            [("12", 12), (" +12\n", 12), ("-3", -3), ("1_000", 1000), ("007", 7), ("\u{a0}5\u{1c}", 5)]
        {
            assert_eq!(python_integer(text, 10), Some(number), "{text:?}");
        }
        for (text, number) in [("ff", 255), ("FF", 255), ("0xf", 15), ("0x_f", 15), ("-0", 0), (" +f_f", 255)]
        {
            assert_eq!(python_integer(text, 16), Some(number), "{text:?}");
        }
        assert_eq!(python_integer("99999999999999999999", 10), Some(i64::MAX));
        assert_eq!(python_integer("-99999999999999999999", 10), Some(i64::MIN));
    }

    #[test]
    fn refuses_what_python_refuses() {
        for text in ["", " ", "+", "+-1", "- 1", "\u{1c}1", "_1", "1_", "1__0", "1.5", "0x1", "one", "1 2"] {
            assert_eq!(python_integer(text, 10), None, "{text:?}");
        }
        for text in ["", "0x", "0x_", "0x__1", "g", "0_x1", "_0x1"] {
            assert_eq!(python_integer(text, 16), None, "{text:?}");
        }
    }

    #[test]
    fn knows_a_yes() {
        assert!(["true", "TRUE", "1", "Yes", "on", "t", "Y"].iter().all(|yes| config_true(yes.as_bytes())));
        assert!(!["", "false", "0", "tru", " true", "2"].iter().any(|no| config_true(no.as_bytes())));
    }
}
