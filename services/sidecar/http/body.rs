//! How a request's body is delimited (RFC 9112, section 6).

use super::{HttpError, chunked::Chunked, head::Field};

/// Swift's answer to more than one coding (common/swob.py message_length).
const CODINGS_TEXT: &str = "Unsupported Transfer-Coding header value specified in Transfer-Encoding header";

/// Where the body ends, and how far it has been read.
#[derive(Debug)]
pub(crate) enum Framing {
    /// Neither length nor chunks: no body.
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
}

impl Framing {
    /// What the headers say. Both a length and chunks, two lengths, and all that is not plain digits are refused: the
    /// next reader might cut the stream elsewhere (request smuggling).
    pub(super) fn of(fields: &[Field<'_>], is_http11: bool) -> Result<Self, HttpError> {
        let named = |wanted: &'static str| {
            fields
                .iter()
                .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
                .map(|(_, value)| *value)
        };
        // `_` would be taken for `-` further on, so that a second length could slip by unseen.
        if fields.iter().any(|(name, _)| is_disguised(name)) {
            return Err(HttpError::bad("a framing header with an underscore"));
        }
        let mut lengths = named("content-length");
        let mut encodings = named("transfer-encoding");
        match (lengths.next(), encodings.next()) {
            (None, None) => Ok(Self::None),
            (Some(_), Some(_)) => Err(HttpError::bad("both Content-Length and Transfer-Encoding")),
            (Some(length), None) => {
                if lengths.any(|other| other != length) {
                    return Err(HttpError::bad("more than one Content-Length"));
                }
                decimal(length).map(Self::Length)
            }
            (None, Some(encoding)) => {
                let alone = encodings.next().is_none() && !encoding.contains(&b',');
                match (alone, encoding.eq_ignore_ascii_case(b"chunked") && is_http11) {
                    (true, true) => Ok(Self::Chunked(Chunked::new())),
                    (true, false) => Err(HttpError::bad("Invalid Transfer-Encoding header value")),
                    (false, _) => Err(HttpError::Malformed { status: 501, text: CODINGS_TEXT }),
                }
            }
        }
    }

    /// Whether the whole body has been read.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::None => true,
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// Bytes of the body, where the head says.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Length(length) => Some(*length),
            Self::None | Self::Chunked(_) => None,
        }
    }
}

fn is_disguised(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content_length") || name.eq_ignore_ascii_case(b"transfer_encoding")
}

fn decimal(value: &[u8]) -> Result<u64, HttpError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::bad("invalid Content-Length"));
    }
    let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    number.ok_or(HttpError::Malformed { status: 413, text: "Your request is too large." })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &str)]) -> Result<Framing, HttpError> {
        let fields: Vec<Field<'_>> =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        Framing::of(&fields, true)
    }

    #[test]
    fn reads_lengths_and_chunks() {
        assert!(matches!(of(&[]), Ok(Framing::None)));
        assert!(matches!(of(&[("content-LENGTH", "12")]), Ok(Framing::Length(12))));
        assert!(matches!(of(&[("Content-Length", "12"), ("content-length", "12")]), Ok(Framing::Length(12))));
        assert!(matches!(of(&[("Transfer-Encoding", "Chunked")]), Ok(Framing::Chunked(_))));
    }

    #[test]
    fn says_what_it_cannot_do() {
        let status = |fields: &[(&str, &str)]| match of(fields) {
            Err(HttpError::Malformed { status, .. }) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(&[("Transfer-Encoding", "gzip, chunked")]), 501);
        assert_eq!(status(&[("Transfer-Encoding", "gzip")]), 400);
        assert_eq!(status(&[("Content-Length", "99999999999999999999")]), 413);
    }

    #[test]
    fn refuses_what_smuggles() {
        let bad: [&[(&str, &str)]; 13] = [
            &[("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
            &[("Content-Length", "1"), ("Content-Length", "2")],
            &[("Content-Length", "1, 1")],
            &[("Content-Length", "+1")],
            &[("Content-Length", "-1")],
            &[("Content-Length", "0x1")],
            &[("Content-Length", "")],
            &[("Content-Length", "99999999999999999999")],
            &[("Content_Length", "1")],
            &[("Transfer_Encoding", "chunked")],
            &[("Transfer-Encoding", "gzip, chunked")],
            &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
            &[("Transfer-Encoding", "xchunked")],
        ];
        for fields in bad {
            assert!(of(fields).is_err(), "{fields:?}");
        }
        assert!(Framing::of(&[(b"Transfer-Encoding", b"chunked")], false).is_err());
    }
}
