//! Heads that are read, and heads that are refused.

use super::*;

fn read(head: &[u8]) -> Result<RequestHead, HttpError> {
    assert_eq!(head_length(head)?, Some(head.len()));
    RequestHead::parse(&Bytes::copy_from_slice(head))
}

fn status(head: &[u8]) -> u16 {
    match head_length(head).and_then(|_| RequestHead::parse(&Bytes::copy_from_slice(head))) {
        Err(HttpError::Malformed { status, .. }) => status,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(head)),
    }
}

#[test]
fn keeps_the_bytes_of_names_and_values() {
    let head = read(
        b"PUT /sdb1/1/a/c/o%20 HTTP/1.1\r\nx-object-meta-t\xc3\xa8st:  v\xe4l \t\r\nX-Under_Score: 1\r\nA: 1\r\na: 2\r\nContent-Type: x\r\ncontent-type: y\r\n\r\n",
    )
    .unwrap();
    assert_eq!((&head.method[..], &head.target[..]), (&b"PUT"[..], &b"/sdb1/1/a/c/o%20"[..]));
    let fields: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    assert_eq!(
        fields,
        [
            (b"A".to_vec(), b"1,2".to_vec()),
            (b"Content-Type".to_vec(), b"x".to_vec()),
            (b"X-Object-Meta-T\xc3\xa8St".to_vec(), b"v\xe4l".to_vec()),
        ]
    );
    assert!(head.keep_alive && !head.expects_continue && head.is_http11);
    let head = read(b"GET / HTTP/1.1\r\nA:\t \x0cb\x0c\x0b \t\r\nB: \t \r\n\r\n").unwrap();
    assert_eq!(head.headers.get("A").unwrap(), &b"\x0cb\x0c\x0b"[..]);
    assert_eq!(head.headers.get("B").unwrap(), &b""[..]);
}

#[test]
fn knows_when_the_connection_ends() {
    assert!(!read(b"GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n").unwrap().keep_alive);
    assert!(!read(b"GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
    assert!(read(b"PUT / HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n").unwrap().expects_continue);
    assert!(!read(b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap().expects_continue);
}

#[test]
fn waits_for_the_whole_head() {
    let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
    for length in 0..head.len() {
        assert_eq!(head_length(&head[..length]).unwrap(), None);
    }
    assert_eq!(head_length(b"GET / HTTP/1.1\r\n\r\nGET").unwrap(), Some(18));
}

#[test]
fn refuses_what_can_be_read_in_two_ways() {
    let bad: [&[u8]; 19] = [
        b"GARBAGE\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nfoo\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: \x0c5\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 5\x0c\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 5\x0b\r\n\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\x0c\r\n\r\n",
    ];
    for head in bad {
        assert_eq!(status(head), 400, "{}", String::from_utf8_lossy(head));
    }
}

#[test]
fn refuses_other_versions() {
    assert_eq!(status(b"PRI * HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(status(b"GET / HTTP/1.10\r\n\r\n"), 505);
    assert_eq!(status(b"GET / http/1.1\r\n\r\n"), 400);
}

#[test]
fn bounds_lines_and_headers() {
    let with = |headers: &str| format!("GET / HTTP/1.1\r\n{headers}\r\n").into_bytes();
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000)).as_bytes()), 414);
    assert_eq!(status("G".repeat(REQUEST_LINE_BYTES_MAX).as_bytes()), 414);
    assert_eq!(status(&with(&format!("A: {}\r\n", "x".repeat(8192)))), 400);
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{}", "x".repeat(8193)).as_bytes()), 400);
    assert_eq!(status(&with(&format!("A: {}\r\n", "x".repeat(8000)).repeat(9))), 400);
    assert_eq!(status(&with(&"A: b\r\n".repeat(HEADERS_MAX + 1))), 431);
    assert!(read(&with(&"A: b\r\n".repeat(HEADERS_MAX))).is_ok());
}
