//! Answers, as the handlers give them.

use std::{borrow::Cow, time::SystemTime};

use bytes::Bytes;
use ssync_store::Body;
use ssync_types::Timestamp;

use super::http_date;
use crate::status::reason_phrase;

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// Headers in their order, without those of the framing and the date.
    pub(crate) headers: Vec<(Cow<'static, [u8]>, Bytes)>,
    /// The body.
    pub(crate) body: ResponseBody,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// None, and no length: 204 and what is like it.
    None,
    /// These bytes.
    Full(Bytes),
    /// None, but this length: the answer to HEAD.
    LengthOnly(u64),
    /// This many bytes, as they come.
    Stream(u64, Body),
}

impl Response {
    /// An answer with this body.
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::bare(status, ResponseBody::Full(body.into())).with("Content-Type", content_type)
    }

    /// An answer without headers yet.
    pub(crate) fn bare(status: u16, body: ResponseBody) -> Self {
        Self { status, headers: Vec::new(), body }
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

    /// The head, as it is sent. `connection` are the headers that have to do with the connection alone.
    pub(super) fn head(&self, length: Option<u64>, connection: &[(&str, &str)]) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status)).into_bytes();
        let mut field = |name: &[u8], value: &[u8]| {
            for part in [name, b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        for (name, value) in &self.headers {
            // What stands on a disk may hold anything; a line break must not become a header of its own.
            if !value.iter().chain(name.iter()).any(|b| matches!(b, b'\r' | b'\n' | 0)) {
                field(name, value);
            }
        }
        if let Some(length) = length {
            field(b"Content-Length", length.to_string().as_bytes());
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
