//! Answers, as the handlers give them.

use std::{borrow::Cow, time::SystemTime};

use bytes::Bytes;
use ssync_store::Body;
use ssync_types::Timestamp;

use super::{http_date, reason::reason_phrase};

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// Headers in their order, without those of the framing and the date.
    pub(crate) headers: Vec<(Cow<'static, [u8]>, Bytes)>,
    /// The body.
    pub(crate) body: ResponseBody,
    /// How many of the headers stand before Content-Length.
    pub(crate) length_at: usize,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// None, and no length: 204 and what is like it.
    None,
    /// These bytes, which a check of the request had to say.
    Full(Bytes),
    /// Swift's page for the status. The answer to HEAD, which has no page, does not tell its length either.
    Page(Bytes),
    /// None, but this length: the answer to HEAD.
    LengthOnly(u64),
    /// This many bytes, as they come.
    Stream(u64, Body),
    /// Bytes as they come, between others.
    Parts(Vec<Part>, Body),
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// What comes first.
    pub(crate) head: Bytes,
    /// How many bytes of the stream follow.
    pub(crate) bytes: u64,
}

impl ResponseBody {
    /// The length of the answer to a request of this method; `None` for one that has none.
    pub(super) fn length(&self, is_head: bool) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Page(_) if is_head => None,
            Self::Full(bytes) | Self::Page(bytes) => Some(bytes.len() as u64),
            Self::LengthOnly(length) | Self::Stream(length, _) => Some(*length),
            Self::Parts(parts, _) => Some(parts.iter().map(|part| part.head.len() as u64 + part.bytes).sum()),
        }
    }
}

impl Response {
    /// An answer with this body.
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::bare(status, ResponseBody::Full(body.into())).with("Content-Type", content_type)
    }

    /// An answer without headers yet.
    pub(crate) fn bare(status: u16, body: ResponseBody) -> Self {
        Self { status, headers: Vec::new(), body, length_at: usize::MAX }
    }

    /// With Content-Length here, not behind all other headers.
    pub(crate) fn with_length(mut self) -> Self {
        self.length_at = self.headers.len();
        self
    }

    /// With a header that stands in this program's text.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.headers.push((Cow::Borrowed(name.as_bytes()), value.into()));
        self
    }

    /// With a header whose name is an object's.
    pub(crate) fn with_name(mut self, name: &[u8], value: Bytes) -> Self {
        self.headers.push((Cow::Owned(name.to_vec()), value));
        self
    }

    /// With another value of a header that is there.
    pub(crate) fn replacing(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        if let Some((_, old)) = self.headers.iter_mut().find(|(known, _)| *known == name.as_bytes()) {
            *old = value.into();
        }
        self
    }

    /// The head, as it is sent. `connection` are the headers that have to do with the connection alone.
    pub(super) fn head(&self, length: Option<u64>, connection: &[(&str, &str)]) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status)).into_bytes();
        let mut field = |name: &[u8], value: &[u8]| {
            for part in [name, b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        let length = length.map(|length| length.to_string());
        let mut length = length.as_ref().map(|length| (&b"Content-Length"[..], length.as_bytes()));
        for (index, (name, value)) in self.headers.iter().enumerate() {
            if index == self.length_at
                && let Some((name, value)) = length.take()
            {
                field(name, value);
            }
            // What stands on a disk may hold anything; a line break must not become a header of its own.
            if is_one_line(name) && is_one_line(value) {
                field(name, value);
            }
        }
        if let Some((name, value)) = length {
            field(name, value);
        }
        let now = Timestamp::from_system_time(SystemTime::now()).seconds();
        field(b"Date", http_date(now).as_bytes());
        for (name, value) in connection {
            field(name.as_bytes(), value.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Whether a name or value of a header can stand in a head and adds nothing else to it.
pub(crate) fn is_one_line(text: &[u8]) -> bool {
    !text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}
