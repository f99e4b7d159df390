//! Ranges and conditions, compared with what a stock server answered to the same requests.

use bytes::Bytes;
use ssync_types::Timestamp;

use super::{Lab, request, with_body};

const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";
const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";
const NOT_THERE: &str =
    "<html><h1>Requested Range Not Satisfiable</h1><p>The Range requested is not available.</p></html>";

/// With `/a/c/o`, which says hello, and `/a/c/empty`.
async fn lab() -> Lab {
    let lab = Lab::new();
    let fields = "Content-Type: text/plain\r\nX-Timestamp: 10\r\n";
    for (name, more, body) in
        [("o", "X-Object-Sysmeta-Other-Etag: \"alt\"\r\n", &b"hello"[..]), ("empty", "", b"")]
    {
        let put = with_body(&format!("PUT /sdb1/839/a/c/{name}"), &format!("{fields}{more}"), body);
        assert!(lab.say(&put).await.contains(" 201 "));
    }
    lab
}

async fn ask(lab: &Lab, method: &str, name: &str, headers: &str) -> String {
    lab.say(&request(&format!("{method} /sdb1/839/a/c/{name}"), headers)).await
}

/// The answer with the object's headers: those of hello, or of the empty object. Content-Length stands where Swift has it.
fn answer(status: &str, name: &str, more: &str, length: usize, body: &str) -> String {
    let length = format!("Content-Length: {length}\r\n");
    let is_success = status.starts_with('2');
    let (first, middle) = if is_success { ("", length.as_str()) } else { (length.as_str(), "") };
    object(status, name, [first, middle, more], body)
}

/// The answer to a HEAD of hello.
fn head(status: &str, length: usize) -> String {
    object(status, "o", ["", "", &format!("Content-Length: {length}\r\n")], "")
}

fn object(status: &str, name: &str, [first, middle, last]: [&str; 3], body: &str) -> String {
    let (etag, meta) = match name {
        "o" => (HELLO, "X-Object-Sysmeta-Other-Etag: \"alt\"\r\n"),
        _ => (EMPTY, ""),
    };
    let at = "0000000010.00000";
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{first}{meta}Etag: \"{etag}\"\r\n\
        Last-Modified: Thu, 01 Jan 1970 00:00:10 GMT\r\n{middle}X-Timestamp: {at}\r\nX-Backend-Timestamp: {at}\r\n\
        X-Backend-Data-Timestamp: {at}\r\nX-Backend-Durable-Timestamp: {at}\r\n{last}\r\n{body}"
    )
}

fn partial(range: &str, body: &str) -> String {
    answer("206 Partial Content", "o", &format!("Content-Range: bytes {range}\r\n"), body.len(), body)
}

fn not_satisfiable(name: &str, length: usize) -> String {
    let status = "416 Requested Range Not Satisfiable";
    answer(status, name, &format!("Content-Range: bytes */{length}\r\n"), NOT_THERE.len(), NOT_THERE)
}

#[tokio::test]
async fn one_range_is_sent() {
    let lab = lab().await;
    let whole = answer("200 OK", "o", "", 5, "hello");
    let vectors = [
        ("bytes=1-2", partial("1-2/5", "el")),
        ("bytes=2-", partial("2-4/5", "llo")),
        ("bytes=-2", partial("3-4/5", "lo")),
        ("bytes=-9", partial("0-4/5", "hello")),
        ("bytes=3-99", partial("3-4/5", "lo")),
        ("bytes=0-1,7-", partial("0-1/5", "he")),
        ("bytes=5-", not_satisfiable("o", 5)),
        ("bytes=-0", not_satisfiable("o", 5)),
        ("bytes=9-,8-", not_satisfiable("o", 5)),
        ("bytes=3-2", whole.clone()),
        ("octets=0-1", whole.clone()),
    ];
    for (range, expected) in vectors {
        assert_eq!(ask(&lab, "GET", "o", &format!("Range: {range}\r\n")).await, expected, "{range}");
    }
    assert_eq!(ask(&lab, "HEAD", "o", "Range: bytes=9-\r\n").await, head("200 OK", 5));
    let nothing = answer("200 OK", "empty", "", 0, "");
    assert_eq!(ask(&lab, "GET", "empty", "Range: bytes=-2\r\n").await, nothing);
    for range in ["bytes=0-", "bytes=-0"] {
        let answer = ask(&lab, "GET", "empty", &format!("Range: {range}\r\n")).await;
        assert_eq!(answer, not_satisfiable("empty", 0), "{range}");
    }
    for range in ["bytes=0-", "bytes=-1", "bytes=0-0,1-1"] {
        let answer = ask(&lab, "GET", "none", &format!("Range: {range}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}

/// A multipart answer, with its boundary made known.
fn parted(answer: &str) -> String {
    let boundary = answer.split_once("boundary=").map(|(_, rest)| &rest[..32]).unwrap();
    assert!(boundary.bytes().all(|b| b.is_ascii_hexdigit()), "{boundary}");
    answer.replace(boundary, "BOUNDARY")
}

#[tokio::test]
async fn several_ranges_are_sent_in_parts() {
    let lab = lab().await;
    let part = |range: &str, bytes: &str| {
        format!("--BOUNDARY\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/5\r\n\r\n{bytes}\r\n")
    };
    let vectors: [(&str, &[(&str, &str)]); 3] = [
        ("bytes=0-1,3-3", &[("0-1", "he"), ("3-3", "l")]),
        ("bytes=-1,0-3,9-", &[("4-4", "o"), ("0-3", "hell")]),
        ("bytes=0-,0-", &[("0-4", "hello"), ("0-4", "hello")]),
    ];
    let mut boundaries = std::collections::BTreeSet::new();
    for (ranges, parts) in vectors {
        let got = ask(&lab, "GET", "o", &format!("Range: {ranges}\r\n")).await;
        boundaries.insert(got.split_once("boundary=").unwrap().1[..32].to_owned());
        let body: String = parts.iter().map(|(range, bytes)| part(range, bytes)).collect();
        let body = format!("{body}--BOUNDARY--");
        let length = body.len() + (parts.len() + 1) * (32 - "BOUNDARY".len());
        let expected = answer("206 Partial Content", "o", "", length, &body).replacen(
            "text/plain",
            "multipart/byteranges;boundary=BOUNDARY",
            1,
        );
        assert_eq!(parted(&got), expected, "{ranges}");
    }
    assert_eq!(boundaries.len(), vectors.len(), "a boundary can be guessed");
    assert_eq!(ask(&lab, "HEAD", "o", "Range: bytes=0-1,3-3\r\n").await, head("200 OK", 5));
    let many = "Range: bytes=0-2,1-3,2-4\r\n";
    assert_eq!(ask(&lab, "GET", "o", many).await, not_satisfiable("o", 5));
}

#[tokio::test]
async fn parts_that_the_store_does_not_fill_break_the_connection() {
    let lab = lab().await;
    lab.store.state().shorten_body = true;
    let got = ask(&lab, "GET", "o", "Range: bytes=0-1,3-3\r\n").await;
    assert!(!got.ends_with("--"), "{got}");
}

#[tokio::test]
async fn a_caller_names_metadata_that_makes_an_object_whole() {
    let lab = lab().await;
    let ask = async |names: &str| {
        let names = format!("X-Backend-Ignore-Range-If-Metadata-Present: {names}\r\n");
        ask(&lab, "GET", "o", &format!("Range: bytes=1-2\r\n{names}")).await
    };
    assert_eq!(ask("x-foo, x-object-sysmeta-OTHER-etag").await, answer("200 OK", "o", "", 5, "hello"));
    assert_eq!(ask("x-foo,").await, partial("1-2/5", "el"));
}

#[tokio::test]
async fn bytes_of_another_object_are_not_sent_as_those_that_were_measured() {
    for (replacement, expected) in
        [("HELLO WORLD", "9-10/11\r\n"), ("HI", "0-1/2\r\n"), ("", "HTTP/1.1 200 OK\r\n")]
    {
        let lab = lab().await;
        let at = Timestamp::from_seconds(11);
        lab.store.state().replace_after_head.push((at, Bytes::from_static(replacement.as_bytes())));
        let answer = ask(&lab, "GET", "o", "Range: bytes=-2\r\n").await;
        let last = &replacement[replacement.len().saturating_sub(2)..];
        assert!(answer.contains(expected) && answer.ends_with(&format!("\r\n\r\n{last}")), "{answer}");
    }
}

#[tokio::test]
async fn an_object_that_is_never_the_same_is_a_503() {
    let lab = lab().await;
    let replacements = (0..9).map(|n| (Timestamp::from_seconds(20 - n), Bytes::from(format!("hello {n}"))));
    lab.store.state().replace_after_head.extend(replacements);
    let answer = ask(&lab, "GET", "o", "Range: bytes=-2\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("is being replaced"), "{answer}");
}

#[tokio::test]
async fn conditions_are_kept() {
    let lab = lab().await;
    let at = |field: &str, second: u8| format!("{field}: Thu, 01 Jan 1970 00:00:{second:02} GMT\r\n");
    let elsewhere = "X-Backend-Etag-Is-At: X-Object-Sysmeta-None, x-object-sysmeta-other-etag\r\n";
    let vectors = [
        (format!("If-None-Match: {HELLO}\r\n"), 304),
        (format!("If-None-Match: \"x\", \"{HELLO}\"\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"x\"\r\n".to_owned(), 200),
        (format!("If-Match: \"{HELLO}\"\r\n"), 200),
        ("If-Match: *\r\n".to_owned(), 200),
        ("If-Match: x\r\n".to_owned(), 412),
        ("If-Match: \r\n".to_owned(), 412),
        (format!("If-Match: x\r\nIf-None-Match: {HELLO}\r\n"), 304),
        (at("If-Modified-Since", 10), 304),
        (at("If-Modified-Since", 9), 200),
        ("If-Modified-Since: zz\r\n".to_owned(), 200),
        (at("If-Unmodified-Since", 9), 412),
        (at("If-Unmodified-Since", 10), 200),
        (at("If-Modified-Since", 10) + &at("If-Unmodified-Since", 9), 304),
        (at("If-Modified-Since", 10) + "If-None-Match: x\r\n", 304),
        (format!("{elsewhere}If-None-Match: alt\r\n"), 304),
        (format!("{elsewhere}If-None-Match: {HELLO}\r\n"), 200),
        (format!("{elsewhere}If-Match: {HELLO}\r\n"), 412),
        ("If-Match: x\r\nRange: bytes=9-\r\n".to_owned(), 412),
    ];
    for (headers, status) in vectors {
        let (line, length, body) = match status {
            304 => ("304 Not Modified", 0, ""),
            412 => ("412 Precondition Failed", 0, ""),
            _ => ("200 OK", 5, "hello"),
        };
        assert_eq!(ask(&lab, "GET", "o", &headers).await, answer(line, "o", "", length, body), "{headers}");
        assert_eq!(ask(&lab, "HEAD", "o", &headers).await, head(line, length), "{headers}");
    }
    let both = format!("If-Match: {HELLO}\r\nRange: bytes=1-2\r\n");
    assert_eq!(ask(&lab, "GET", "o", &both).await, partial("1-2/5", "el"));
}

#[tokio::test]
async fn what_must_be_there_and_is_not_is_a_412() {
    let lab = lab().await;
    let delete = request("DELETE /sdb1/839/a/c/empty", "X-Timestamp: 20\r\n");
    assert!(lab.say(&delete).await.contains(" 204 "));
    let failed = |more: &str| {
        format!(
            "HTTP/1.1 412 Precondition Failed\r\nContent-Type: text/html; charset=UTF-8\r\n{more}Content-Length: 0\r\n\r\n"
        )
    };
    for method in ["GET", "HEAD"] {
        assert_eq!(ask(&lab, method, "none", "If-Match: *\r\n").await, failed(""));
        let deleted = failed("X-Backend-Timestamp: 0000000020.00000\r\n");
        assert_eq!(ask(&lab, method, "empty", "If-Match: *\r\n").await, deleted);
        for other in ["If-Match: x\r\n", "If-None-Match: *\r\n"] {
            assert!(ask(&lab, method, "none", other).await.starts_with("HTTP/1.1 404 "), "{other}");
        }
    }
}
