//! The head of a change: a request line without version, headers, an empty line (Swift: send_subrequest, updates).

use bytes::Bytes;
use ssync_types::{Invalid, ObjectPath};

use super::{quote, unquote};

/// Most headers of a sub-request: Swift's limit on metadata items (90), with room for clusters that raised it.
pub const SUBREQUEST_HEADERS_MAX: usize = 1024;

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
    const ALL: [Self; 3] = [Self::Put, Self::Post, Self::Delete];

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

/// The head of a sub-request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubRequest {
    /// What to do.
    pub method: SubMethod,
    /// The object.
    pub path: ObjectPath,
    /// Headers, in their order; received names are as spelled by the peer.
    pub headers: Vec<HeaderField>,
}

impl SubRequest {
    /// A request without headers yet.
    #[must_use]
    pub fn new(method: SubMethod, path: ObjectPath) -> Self {
        Self { method, path, headers: Vec::new() }
    }

    /// Reads the request line.
    pub fn from_request_line(line: &[u8]) -> Result<Self, Invalid> {
        let line = line.trim_ascii();
        let shown = || String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned();
        let space = line.iter().position(|&b| b == b' ');
        let (method, path) = space
            .map(|at| (&line[..at], &line[at + 1..]))
            .ok_or_else(|| Invalid::new("subrequest", format!("{:?} is no request line", shown())))?;
        let method =
            SubMethod::ALL.into_iter().find(|known| known.name().as_bytes() == method).ok_or_else(|| {
                Invalid::new(
                    "subrequest",
                    format!("Invalid subrequest method {}", String::from_utf8_lossy(method)),
                )
            })?;
        // Quoting leaves neither; unquoted they would begin a query or a fragment, so that part of a name was lost.
        if path.iter().any(|b| matches!(b, b'?' | b'#')) {
            return Err(Invalid::new("subrequest", format!("{:?} has a path that is not quoted", shown())));
        }
        Ok(Self::new(method, ObjectPath::parse(unquote(path))?))
    }

    /// Reads one header line and keeps it; false for the empty line that ends the head.
    pub fn push_header_line(&mut self, line: &[u8]) -> Result<bool, Invalid> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(false);
        }
        if self.headers.len() >= SUBREQUEST_HEADERS_MAX {
            return Err(Invalid::new("subrequest", format!("more than {SUBREQUEST_HEADERS_MAX} headers")));
        }
        let shown = || String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned();
        let colon = line.iter().position(|&b| b == b':');
        let (name, value) = colon
            .map(|at| (line[..at].trim_ascii(), line[at + 1..].trim_ascii()))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Invalid::new("subrequest", format!("{:?} is no header", shown())))?;
        self.headers.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
        Ok(true)
    }

    /// The value of a header; the last one counts, as in Swift.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        let is_it = |field: &&HeaderField| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().rev().find(is_it).map(|(_, value)| value)
    }

    /// Bytes of the body, which the method demands or excludes.
    pub fn content_length(&self) -> Result<u64, Invalid> {
        let announced = match self.header("content-length") {
            None => None,
            Some(value) => Some(decimal(value).ok_or_else(|| {
                Invalid::new(
                    "subrequest",
                    format!("{:?} is no content-length", String::from_utf8_lossy(value)),
                )
            })?),
        };
        match (self.method, announced) {
            (SubMethod::Put, Some(length)) => Ok(length),
            (SubMethod::Put, None) => {
                Err(Invalid::new("subrequest", format!("No content-length sent for PUT {}", self.path)))
            }
            (_, None | Some(0)) => Ok(0),
            (method, Some(_)) => Err(Invalid::new(
                "subrequest",
                format!("{} subrequest with content-length {}", method.name(), self.path),
            )),
        }
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

fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from a stock sender.
    const PUT: &[u8] = b"PUT /AUTH_cap/c/sn%E2%98%83w%20man\r\n\
        Content-Length: 6\r\n\
        Content-Type: application/octet-stream\r\n\
        ETag: 55b78ed14bc43bc5fa0bd69406c65efc\r\n\
        X-Object-Meta-Sn\xc3\x96: fl\xc3\xb6ckchen\r\n\
        X-Timestamp: 1795248859.00000\r\n\
        \r\n";

    fn read(head: &[u8]) -> Result<SubRequest, Invalid> {
        let mut lines = head.split_inclusive(|&b| b == b'\n');
        let mut request = SubRequest::from_request_line(lines.next().unwrap())?;
        while request.push_header_line(lines.next().unwrap())? {}
        Ok(request)
    }

    #[test]
    fn writes_and_reads_what_swift_writes() {
        let request = read(PUT).unwrap();
        assert_eq!(request.method, SubMethod::Put);
        assert_eq!(request.path.as_bytes(), "/AUTH_cap/c/sn\u{2603}w man".as_bytes());
        assert_eq!(request.header("etag").unwrap(), "55b78ed14bc43bc5fa0bd69406c65efc");
        assert_eq!(request.headers[3].0, &b"X-Object-Meta-Sn\xc3\x96"[..]);
        assert_eq!(request.content_length(), Ok(6));
        assert_eq!(request.encode(), PUT);

        let mut shuffled = request;
        shuffled.headers.reverse();
        assert_eq!(shuffled.encode(), PUT);
    }

    #[test]
    fn takes_a_value_with_colons_and_white_space_around_it() {
        let request = read(b"POST /a/c/o\nX-Object-Meta-A :  b:c \n\n").unwrap();
        assert_eq!(request.header("x-object-meta-a").unwrap(), "b:c");
        assert_eq!(request.content_length(), Ok(0));
    }

    #[test]
    fn refuses_what_swift_refuses_and_what_could_mislead() {
        for bad in [
            "PUT\r\n",
            "GET /a/c/o\r\n",
            "PUT /a/c\r\n",
            "PUT /a/c/o?x\r\n",
            "PUT a/c/o\r\n",
            "put /a/c/o\r\n",
            "\r\n",
        ] {
            assert!(SubRequest::from_request_line(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let mut request = SubRequest::from_request_line(b"PUT /a/c/o\r\n").unwrap();
        assert!(request.push_header_line(b"no colon\r\n").is_err());
        assert!(request.push_header_line(b": value\r\n").is_err());
        assert!(request.content_length().is_err());
        for length in ["-1", "+1", "1_0", "", "99999999999999999999"] {
            let mut request = request.clone();
            request.push_header_line(format!("Content-Length: {length}\r\n").as_bytes()).unwrap();
            assert!(request.content_length().is_err(), "{length}");
        }
        assert!(read(b"DELETE /a/c/o\r\nContent-Length: 1\r\n\r\n").unwrap().content_length().is_err());
    }

    #[test]
    fn bounds_the_headers() {
        let mut request = SubRequest::from_request_line(b"POST /a/c/o\r\n").unwrap();
        for _ in 0..SUBREQUEST_HEADERS_MAX {
            assert_eq!(request.push_header_line(b"a: b\r\n"), Ok(true));
        }
        assert!(request.push_header_line(b"a: b\r\n").is_err());
    }
}
