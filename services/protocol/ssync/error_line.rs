//! The line by which a receiver ends a conversation that went wrong.

use std::fmt;

use super::py_repr::{parse_repr, repr_bytes, repr_str};

const PREFIX: &str = ":ERROR: ";

/// `:ERROR: <code> <text>`. Code 0 stands for all that is no HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLine {
    /// An HTTP status, or 0.
    pub code: u16,
    /// What went wrong.
    pub text: ErrorText,
}

/// Swift writes messages as texts, and the bodies of HTTP errors as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorText {
    /// A message.
    Text(String),
    /// The body of an HTTP error.
    Body(Vec<u8>),
}

impl ErrorLine {
    /// A line with a message.
    pub fn text(code: u16, text: impl Into<String>) -> Self {
        Self { code, text: ErrorText::Text(text.into()) }
    }

    /// A line with the body of an HTTP error.
    pub fn body(code: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { code, text: ErrorText::Body(body.into()) }
    }

    /// As it is sent: it ends with a bare line feed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let repr = match &self.text {
            ErrorText::Text(text) => repr_str(text),
            ErrorText::Body(body) => repr_bytes(body),
        };
        format!("{PREFIX}{} {repr}\n", self.code).into_bytes()
    }

    /// Reads a line; `None` for any other. A text that is no `repr()` is taken as it stands, so that a person sees it.
    #[must_use]
    pub fn decode(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line.trim_ascii());
        let (code, repr) = line.strip_prefix(PREFIX)?.split_once(' ')?;
        let code = code.parse().ok()?;
        let text = match parse_repr(repr) {
            Some((body, true)) => ErrorText::Body(body),
            Some((text, false)) => ErrorText::Text(String::from_utf8_lossy(&text).into_owned()),
            None => ErrorText::Text(repr.to_owned()),
        };
        Some(Self { code, text })
    }
}

/// Code and text, for a log.
impl fmt::Display for ErrorLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            ErrorText::Text(text) => write!(f, "{} {text}", self.code),
            ErrorText::Body(body) => write!(f, "{} {}", self.code, String::from_utf8_lossy(body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_what_swift_writes() {
        let vectors: [(ErrorLine, &[u8]); 3] = [
            (
                ErrorLine::text(0, "15 seconds: /srv/node/sdb1/objects/1/.lock-replication"),
                b":ERROR: 0 '15 seconds: /srv/node/sdb1/objects/1/.lock-replication'\n",
            ),
            (ErrorLine::body(503, b"<html>isn't</html>".to_vec()), b":ERROR: 503 b\"<html>isn't</html>\"\n"),
            (
                ErrorLine::text(408, "60.0 seconds: updates line"),
                b":ERROR: 408 '60.0 seconds: updates line'\n",
            ),
        ];
        for (line, wire) in vectors {
            assert_eq!(line.encode(), wire);
            assert_eq!(ErrorLine::decode(wire), Some(line));
        }
    }

    #[test]
    fn is_read_by_people_too() {
        assert_eq!(ErrorLine::body(503, "busy").to_string(), "503 busy");
        assert_eq!(ErrorLine::text(0, "no").to_string(), "0 no");
    }

    #[test]
    fn reads_a_text_in_no_known_form_and_no_other_line() {
        assert_eq!(ErrorLine::decode(b":ERROR: 0 oops\r\n"), Some(ErrorLine::text(0, "oops")));
        assert_eq!(ErrorLine::decode(b":ERROR: 0 \xff"), Some(ErrorLine::text(0, "\u{fffd}")));
        for other in [&b""[..], b":ERROR:", b":ERROR: x 'y'", b":ERROR: -1 'y'", b":UPDATES: START"] {
            assert_eq!(ErrorLine::decode(other), None);
        }
    }
}
