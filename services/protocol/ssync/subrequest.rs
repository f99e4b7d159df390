//! The head of a change as it is sent: a request line without version, headers, an empty line (Swift: ssync_sender.py
//! send_subrequest).

use bytes::Bytes;
use ssync_types::ObjectPath;

use super::quote;

/// What a sub-request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubMethod {
    /// Stores a body, which follows.
    Put,
    /// Replaces the metadata.
    Post,
    /// Leaves a tombstone.
    Delete,
}

impl SubMethod {
    pub(super) const ALL: [Self; 3] = [Self::Put, Self::Post, Self::Delete];

    /// Its HTTP name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A name and its value, bytes as they are.
pub type HeaderField = (Bytes, Bytes);

/// The head of a sub-request that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubRequest {
    /// What to do.
    pub method: SubMethod,
    /// The object.
    pub path: ObjectPath,
    /// Headers, in any order.
    pub headers: Vec<HeaderField>,
}

impl SubRequest {
    /// A request without headers yet.
    #[must_use]
    pub fn new(method: SubMethod, path: ObjectPath) -> Self {
        Self { method, path, headers: Vec::new() }
    }

    /// The whole head as it is sent, headers in the order of their names.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut fields: Vec<&HeaderField> = self.headers.iter().collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let mut head = [self.method.name().as_bytes(), b" ", &quote(self.path.as_bytes()), b"\r\n"].concat();
        for (name, value) in fields {
            for part in [name, &b": "[..], value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_swift_writes() {
        let name = ObjectPath::parse("/AUTH_cap/c/sn\u{2603}w man").unwrap();
        let mut request = SubRequest::new(SubMethod::Put, name);
        for (name, value) in [
            (&b"X-Timestamp"[..], &b"1795248859.00000"[..]),
            (b"X-Object-Meta-Sn\xc3\x96", b"fl\xc3\xb6ckchen"),
            (b"ETag", b"55b78ed14bc43bc5fa0bd69406c65efc"),
            (b"Content-Type", b"application/octet-stream"),
            (b"Content-Length", b"6"),
        ] {
            request.headers.push((Bytes::from_static(name), Bytes::from_static(value)));
        }
        assert_eq!(request.encode(), super::super::subhead::RECORDED_PUT);
    }
}
