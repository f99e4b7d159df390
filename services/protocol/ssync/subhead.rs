//! The head of a change as it is received (Swift: ssync_receiver.py updates). What is wrong with it is said in Python's words.

use bytes::Bytes;
use ssync_types::{Invalid, ObjectPath};

use super::{HeaderField, SubMethod, repr_str, unquote};

/// Most headers of a sub-request: Swift's limit on metadata items (90), with room for clusters that raised it.
pub const SUBREQUEST_HEADERS_MAX: usize = 1024;

/// What Python says of a line in which the separator is lacking.
const NOT_TWO: &str = "not enough values to unpack (expected 2, got 1)";

/// The head of a sub-request. It is judged when it is whole, as in Swift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubHead {
    method: Bytes,
    path: Bytes,
    headers: Vec<HeaderField>,
}

impl SubHead {
    /// Reads the request line.
    pub fn from_request_line(line: &[u8]) -> Result<Self, Invalid> {
        let line = line.trim_ascii();
        let space = line.iter().position(|&b| b == b' ').ok_or_else(|| invalid(NOT_TWO))?;
        Ok(Self {
            method: Bytes::copy_from_slice(&line[..space]),
            path: Bytes::copy_from_slice(&line[space + 1..]),
            headers: Vec::new(),
        })
    }

    /// Reads one header line and keeps it; false for the empty line that ends the head.
    pub fn push_header_line(&mut self, line: &[u8]) -> Result<bool, Invalid> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(false);
        }
        if self.headers.len() >= SUBREQUEST_HEADERS_MAX {
            return Err(invalid(format!("more than {SUBREQUEST_HEADERS_MAX} headers")));
        }
        let colon = line.iter().position(|&b| b == b':').ok_or_else(|| invalid(NOT_TWO))?;
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        self.headers.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
        Ok(true)
    }

    /// Method and path as they were sent, for messages.
    #[must_use]
    pub fn context(&self) -> String {
        format!("{} {}", latin1(&self.method), latin1(&self.path))
    }

    /// Headers, in their order; names are as spelled by the peer.
    #[must_use]
    pub fn headers(&self) -> &[HeaderField] {
        &self.headers
    }

    /// The value of a header; the last one counts, as in Swift.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        let is_it = |field: &&HeaderField| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().rev().find(is_it).map(|(_, value)| value)
    }

    /// What to do, and bytes of the body, which the method demands or excludes. An error is the end of the conversation: nobody
    /// knows where the next head begins.
    pub fn method(&self) -> Result<(SubMethod, u64), Invalid> {
        let announced = match self.header("content-length") {
            None => None,
            Some(value) => Some(decimal(value).ok_or_else(|| {
                invalid(format!("invalid literal for int() with base 10: {}", repr_str(&latin1(value))))
            })?),
        };
        let method = SubMethod::ALL.into_iter().find(|known| known.name().as_bytes() == self.method);
        match (method, announced) {
            (None, _) => Err(invalid(format!("Invalid subrequest method {}", latin1(&self.method)))),
            (Some(SubMethod::Put), Some(length)) => Ok((SubMethod::Put, length)),
            (Some(SubMethod::Put), None) => {
                Err(invalid(format!("No content-length sent for {}", self.context())))
            }
            (Some(method), None | Some(0)) => Ok((method, 0)),
            (Some(method), Some(_)) => {
                let path = latin1(&self.path);
                Err(invalid(format!("{} subrequest with content-length {path}", method.name())))
            }
        }
    }

    /// The object. An error is that of this request alone.
    pub fn path(&self) -> Result<ObjectPath, Invalid> {
        // Quoting leaves neither; unquoted they would begin a query or a fragment, so that part of a name was lost.
        if self.path.iter().any(|b| matches!(b, b'?' | b'#')) {
            return Err(invalid(format!("{:?} is not quoted", latin1(&self.path))));
        }
        ObjectPath::parse(unquote(&self.path))
    }
}

fn invalid(problem: impl Into<String>) -> Invalid {
    Invalid::new("subrequest", problem)
}

/// Bytes as the text that Python makes of them in a header.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// Of a stock sender.
#[cfg(test)]
pub(super) const RECORDED_PUT: &[u8] = b"PUT /AUTH_cap/c/sn%E2%98%83w%20man\r\n\
    Content-Length: 6\r\n\
    Content-Type: application/octet-stream\r\n\
    ETag: 55b78ed14bc43bc5fa0bd69406c65efc\r\n\
    X-Object-Meta-Sn\xc3\x96: fl\xc3\xb6ckchen\r\n\
    X-Timestamp: 1795248859.00000\r\n\
    \r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &[u8]) -> Result<SubHead, Invalid> {
        let mut lines = head.split_inclusive(|&b| b == b'\n');
        let mut request = SubHead::from_request_line(lines.next().unwrap())?;
        while request.push_header_line(lines.next().unwrap())? {}
        Ok(request)
    }

    #[test]
    fn reads_what_swift_writes() {
        let request = read(RECORDED_PUT).unwrap();
        assert_eq!(request.method(), Ok((SubMethod::Put, 6)));
        assert_eq!(request.path().unwrap().as_bytes(), "/AUTH_cap/c/sn\u{2603}w man".as_bytes());
        assert_eq!(request.context(), "PUT /AUTH_cap/c/sn%E2%98%83w%20man");
        assert_eq!(request.header("etag").unwrap(), "55b78ed14bc43bc5fa0bd69406c65efc");
        assert_eq!(request.headers()[3].0, &b"X-Object-Meta-Sn\xc3\x96"[..]);
    }

    #[test]
    fn takes_a_value_with_colons_and_white_space_around_it() {
        let request = read(b"POST /a/c/o\nX-Object-Meta-A :  b:c \n\n").unwrap();
        assert_eq!(request.header("x-object-meta-a").unwrap(), "b:c");
        assert_eq!(request.method(), Ok((SubMethod::Post, 0)));
    }

    #[test]
    fn says_what_python_says() {
        let vectors = [
            ("PUT\r\n\r\n", NOT_TWO),
            ("\r\n\r\n", NOT_TWO),
            ("PUT /a/c/o\r\nno colon\r\n\r\n", NOT_TWO),
            ("GET /a/c/o\r\n\r\n", "Invalid subrequest method GET"),
            ("put /a/c/o\r\n\r\n", "Invalid subrequest method put"),
            ("PUT /a/c/%C3%A9\r\n\r\n", "No content-length sent for PUT /a/c/%C3%A9"),
            ("DELETE /a/c/o\r\nContent-Length: 1\r\n\r\n", "DELETE subrequest with content-length /a/c/o"),
            ("PUT /a/c/o\r\nContent-Length: x\r\n\r\n", "invalid literal for int() with base 10: 'x'"),
        ];
        for (head, problem) in vectors {
            let read = read(head.as_bytes()).and_then(|head| head.method());
            assert_eq!(read.map_err(|invalid| invalid.problem), Err(problem.to_owned()), "{head:?}");
        }
    }

    #[test]
    fn refuses_what_could_mislead() {
        for length in ["-1", "+1", "1_0", "", "99999999999999999999"] {
            let head = format!("PUT /a/c/o\r\nContent-Length: {length}\r\n\r\n");
            assert!(read(head.as_bytes()).unwrap().method().is_err(), "{length}");
        }
        for path in ["/a/c", "/a/c/o?x", "/a/c/o#x", "a/c/o", ""] {
            let head = SubHead::from_request_line(format!("X {path}\r\n").as_bytes());
            assert!(head.and_then(|head| head.path()).is_err(), "{path}");
        }
    }

    #[test]
    fn bounds_the_headers() {
        let mut request = SubHead::from_request_line(b"POST /a/c/o\r\n").unwrap();
        for _ in 0..SUBREQUEST_HEADERS_MAX {
            assert_eq!(request.push_header_line(b"a: b\r\n"), Ok(true));
        }
        assert!(request.push_header_line(b"a: b\r\n").is_err());
    }
}
