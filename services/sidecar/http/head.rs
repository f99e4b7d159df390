//! The head of a request: its line and its headers, as bytes.
//!
//! Written by hand because Swift's header names may hold any byte above 0x7f, which other parsers refuse. Whatever could be
//! read in two ways is refused (RFC 9112, sections 2.2, 5.1, 5.2 and 6.3).

use bytes::Bytes;
use ssync_types::{HeaderName, Metadata};

use super::{HttpError, body::Framing};

/// Longest request line, with its end (Swift: common/wsgi.py url_length_limit).
pub(crate) const REQUEST_LINE_BYTES_MAX: usize = 8192;
/// Longest header line, with its end (Swift: constraints max_header_size).
const HEADER_LINE_BYTES_MAX: usize = 8192;
/// Most bytes of all headers.
pub(crate) const HEADERS_BYTES_MAX: usize = 65_536;
/// Most headers: Swift's 126 by 1.6.
const HEADERS_MAX: usize = 201;

/// What is known of a request before its body.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// The verb, in the spelling of the peer.
    pub(crate) method: Bytes,
    /// What was asked for, as it stood in the request line.
    pub(crate) target: Bytes,
    /// HTTP/1.1, not 1.0.
    pub(crate) is_http11: bool,
    /// Headers; those of one name joined with commas, those with `_` in their name left out.
    pub(crate) headers: Metadata,
    /// How the body is delimited.
    pub(crate) framing: Framing,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// The connection may serve another request.
    pub(crate) keep_alive: bool,
}

/// Finds the end of a head in what has come: the length up to and with the empty line. `None` when more must come;
/// an error when it grows too long.
pub(crate) fn head_length(input: &[u8]) -> Result<Option<usize>, HttpError> {
    let Some(line_end) = input.iter().take(REQUEST_LINE_BYTES_MAX).position(|&b| b == b'\n') else {
        let too_long = input.len() >= REQUEST_LINE_BYTES_MAX;
        return if too_long {
            Err(HttpError::Malformed { status: 414, text: "URI too long" })
        } else {
            Ok(None)
        };
    };
    let mut start = line_end + 1;
    loop {
        let rest = input.get(start..).unwrap_or_default();
        if start - line_end > HEADERS_BYTES_MAX {
            return Err(HttpError::bad("headers too large"));
        }
        let Some(length) = rest.iter().take(HEADER_LINE_BYTES_MAX + 1).position(|&b| b == b'\n') else {
            let too_long = rest.len() > HEADER_LINE_BYTES_MAX;
            return if too_long { Err(HttpError::bad("header line too long")) } else { Ok(None) };
        };
        start += length + 1;
        if matches!(rest.get(..length), Some(b"\r" | b"")) {
            return Ok(Some(start));
        }
    }
}

impl RequestHead {
    /// Reads a whole head, of the length that [`head_length`] found.
    pub(crate) fn parse(head: &Bytes) -> Result<Self, HttpError> {
        let mut lines = head.split(|&b| b == b'\n').map(without_cr);
        let line = lines.next().ok_or(HttpError::bad("no request line"))??;
        let (method, target, is_http11) = request_line(line)?;
        let mut fields = Vec::new();
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if fields.len() == HEADERS_MAX {
                return Err(HttpError::Malformed { status: 431, text: "too many headers" });
            }
            fields.push(field(line)?);
        }
        let framing = Framing::of(&fields, is_http11)?;
        let headers = joined(head, &fields);
        let says = |name: &str, token: &str| {
            let value = headers.get(name).map(Bytes::as_ref).unwrap_or_default();
            value.split(|&b| b == b',').any(|part| without_space(part).eq_ignore_ascii_case(token.as_bytes()))
        };
        Ok(Self {
            method: head.slice_ref(method),
            target: head.slice_ref(target),
            is_http11,
            framing,
            expects_continue: is_http11 && says("Expect", "100-continue"),
            keep_alive: is_http11 && !says("Connection", "close"),
            headers,
        })
    }

    /// A header's value as text; `None` also when it is not UTF-8.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get_str(name)
    }
}

/// A line without its end. A lone line feed is no end here: some readers take it for one, some do not.
fn without_cr(line: &[u8]) -> Result<&[u8], HttpError> {
    match line {
        [line @ .., b'\r'] if !line.iter().any(|b| matches!(b, b'\r' | 0)) => Ok(line),
        _ => Err(HttpError::bad("a line does not end with CR LF, or holds CR or NUL")),
    }
}

fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], bool), HttpError> {
    let mut parts = line.split(|&b| b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HttpError::bad("bad request syntax"));
    };
    let visible = |part: &[u8]| !part.is_empty() && part.iter().all(|&b| b > b' ' && b != 0x7f);
    if !visible(target) || !method.iter().all(u8::is_ascii_alphabetic) || method.is_empty() {
        return Err(HttpError::bad("bad request syntax"));
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, true)),
        b"HTTP/1.0" => Ok((method, target, false)),
        // A later minor version is read as ours (RFC 9110, 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok((method, target, true)),
        version if version.starts_with(b"HTTP/") => {
            Err(HttpError::Malformed { status: 505, text: "invalid HTTP version" })
        }
        _ => Err(HttpError::bad("bad request syntax")),
    }
}

/// A header's name and value.
pub(super) type Field<'a> = (&'a [u8], &'a [u8]);

fn field(line: &[u8]) -> Result<Field<'_>, HttpError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HttpError::bad("a folded header line"));
    }
    let colon =
        line.iter().position(|&b| b == b':').ok_or(HttpError::bad("a header line without a colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if HeaderName::new(name).is_err() {
        return Err(HttpError::bad("a header name with white space or control characters, or none"));
    }
    Ok((name, without_space(value)))
}

/// Without the white space around it, which is spaces and tabs alone (RFC 9110, 5.6.3): what other control characters
/// stand there belongs to the value, and a reader that dropped them might see another length than its neighbour.
fn without_space(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// One value for each name. A name with `_` is left out: it could be taken for another's, with `-` (eventlet, as other
/// servers, does the same).
fn joined(head: &Bytes, fields: &[Field<'_>]) -> Metadata {
    let mut headers = Metadata::new();
    for (name, value) in fields.iter().filter(|(name, _)| !name.contains(&b'_')) {
        let known = std::str::from_utf8(name).ok().and_then(|name| headers.get(name));
        let value = match known {
            // It is no list (RFC 9110, 8.3).
            Some(_) if name.eq_ignore_ascii_case(b"Content-Type") => continue,
            Some(first) => Bytes::from([first, &b","[..], value].concat()),
            None => head.slice_ref(value),
        };
        headers.insert(HeaderName::canonical(name), value);
    }
    headers
}

#[cfg(test)]
mod tests;
