//! HTTP that could be read in two ways, or is none: refused, once, and the connection closed.

use std::time::Duration;

use anyhow::{Result, ensure};
use ssync_tests::{Cluster, Connection, Node, Server, Shape, exchange, helper};

/// An answer takes no longer, and neither does the close of the connection after it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What follows each shape on its connection. It must not be answered.
const SMUGGLED: &str = "GET /healthcheck HTTP/1.1\r\nHost: smuggled\r\n\r\n";

/// The head of a PUT that would be stored, without its end.
fn put(path: &str) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: node\r\nX-Timestamp: 1700000000\r\nContent-Type: text/plain\r\n")
}

/// Bytes, one character each.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

/// Headers that make it unclear where a body ends, or what a header is.
const HEADS: &[(&str, &str)] = &[
    ("length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
    ("two lengths in one", "Content-Length: 5, 6\r\n"),
    ("the same length twice in one", "Content-Length: 5, 5\r\n"),
    ("a signed length", "Content-Length: +5\r\n"),
    ("a negative length", "Content-Length: -5\r\n"),
    ("a length in hexadecimal", "Content-Length: 0x5\r\n"),
    ("a length with a space within", "Content-Length: 1 5\r\n"),
    ("a length with an underscore", "Content-Length: 1_5\r\n"),
    ("a length beyond all numbers", "Content-Length: 18446744073709551621\r\n"),
    ("an empty length", "Content-Length:\r\n"),
    ("a vertical tab before a length", "Content-Length: \u{b}5\r\n"),
    ("a length by an underscore", "Content_Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("chunks by an underscore", "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n"),
    ("an unknown coding", "Transfer-Encoding: xchunked\r\n"),
    ("a coding before chunks", "Transfer-Encoding: gzip, chunked\r\n"),
    ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("chunks and identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    ("a vertical tab before chunks", "Transfer-Encoding: \u{b}chunked\r\n"),
    ("chunks in quotes", "Transfer-Encoding: \"chunked\"\r\n"),
    ("no coding at all", "Transfer-Encoding:\r\n"),
    ("a space before the colon", "Content-Length : 5\r\n"),
    ("a tab before the colon", "Transfer-Encoding\t: chunked\r\n"),
    ("a folded line", "Content-Length: 5\r\nX-Folded: a\r\n b\r\n"),
    ("a folded coding", "Transfer-Encoding:\r\n chunked\r\n"),
    ("a first line that is folded", " Content-Length: 5\r\n"),
    ("a lone line feed", "Content-Length: 5\nX-A: b\r\n"),
    ("a lone carriage return", "Content-Length: 5\rX-A: b\r\n"),
    ("two carriage returns", "Content-Length: 5\r\r\n"),
    ("a zero byte in a value", "Content-Length: 5\r\nX-A: a\0b\r\n"),
    ("a zero byte in a name", "Content-Length: 5\r\nX\0A: b\r\n"),
    ("no colon", "Content-Length: 5\r\nnonsense\r\n"),
    ("no name", "Content-Length: 5\r\n: b\r\n"),
    ("a name with a space", "Content-Length: 5\r\nX A: b\r\n"),
    ("a control character in a name", "Content-Length: 5\r\nX\u{1}A: b\r\n"),
];

/// Request lines that are none. The headers that follow are good.
const LINES: &[(&str, &str)] = &[
    ("two spaces", "PUT  {path} HTTP/1.1"),
    ("a tab", "PUT\t{path}\tHTTP/1.1"),
    ("four words", "PUT {path} x HTTP/1.1"),
    ("no version", "PUT {path}"),
    ("no target", "PUT HTTP/1.1"),
    ("HTTP/2.0", "PUT {path} HTTP/2.0"),
    ("HTTP/0.9", "PUT {path} HTTP/0.9"),
    ("HTTP/1.", "PUT {path} HTTP/1."),
    ("HTTP/1.1x", "PUT {path} HTTP/1.1x"),
    ("http/1.1", "PUT {path} http/1.1"),
    ("a space in front", " PUT {path} HTTP/1.1"),
    ("a space behind", "PUT {path} HTTP/1.1 "),
    ("a zero byte in the target", "PUT {path}\0 HTTP/1.1"),
    ("a control character in the target", "PUT {path}\u{1} HTTP/1.1"),
    ("a lone carriage return in the line", "PUT {path}\r HTTP/1.1"),
    ("a method that is none", "PU{T {path} HTTP/1.1"),
    ("an empty line of spaces", "   "),
    ("words", "hello, is anybody there"),
];

/// Bodies in chunks that are none.
const CHUNKS: &[(&str, &str)] = &[
    ("a size that is none", "zz\r\nhello\r\n0\r\n\r\n"),
    ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
    ("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("a size of 64 bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    ("a size that overflows to 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a size with many zeros", "00000000000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("two sizes", "5 5\r\nhello\r\n0\r\n\r\n"),
    ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that is longer", "3\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that is shorter", "7\r\nhello\r\n0\r\n\r\n"),
    ("a lone line feed after the size", "5\nhello\r\n0\r\n\r\n"),
    ("a lone line feed after the data", "5\r\nhello\n0\r\n\r\n"),
    ("a lone carriage return after the size", "5\rhello\r\n0\r\n\r\n"),
    ("a carriage return in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("a zero byte in an extension", "5;a\0b\r\nhello\r\n0\r\n\r\n"),
    ("a lone line feed in a trailer", "5\r\nhello\r\n0\r\nX-A: b\n\r\n"),
    ("a zero byte in a trailer", "5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n"),
];

fn located(node: &Node) -> Result<String> {
    let arguments =
        serde_json::json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": 3, "count": 1});
    let located = helper("locate", &arguments)?;
    Ok(format!("/sdb1/3{}", located[0]["path"].as_str().unwrap_or_default()))
}

fn shapes(path: &str) -> Vec<(String, Vec<u8>)> {
    let heads = HEADS.iter().map(|(what, headers)| {
        // Good for whoever takes the header: only a refusal is right.
        let chunked = headers.to_ascii_lowercase().contains("encoding");
        let body = if chunked { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" };
        ((*what).to_owned(), bytes(&format!("{}{headers}\r\n{body}", put(path))))
    });
    let lines = LINES.iter().map(|(what, line)| {
        let line = line.replace("{path}", path);
        ((*what).to_owned(), bytes(&format!("{line}\r\nHost: node\r\nX-Timestamp: 1700000000\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n")))
    });
    let chunks = CHUNKS.iter().map(|(what, body)| {
        ((*what).to_owned(), bytes(&format!("{}Transfer-Encoding: chunked\r\n\r\n{body}", put(path))))
    });
    let old = bytes(&put(path).replace("HTTP/1.1", "HTTP/1.0"));
    let chunked_by_old =
        [old, b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()].concat();
    heads.chain(lines).chain(chunks).chain([("chunks of HTTP/1.0".to_owned(), chunked_by_old)]).collect()
}

/// What came back until the connection was closed.
fn until_closed(node: &Node, request: &[u8]) -> Result<String> {
    let mut connection = Connection::open(node.address())?;
    connection.wait_at_most(PATIENCE)?;
    connection.send(request);
    connection.send(SMUGGLED.as_bytes());
    // Words that no server says: this reads to the end.
    match connection.wait_for("\u{1}never\u{1}") {
        Err(error) if error.to_string().starts_with("closed before") => Ok(connection.received_text()),
        Err(error) => Err(error.context("it was not closed")),
        Ok(()) => unreachable!("words that no server says"),
    }
}

fn refused_and_closed(server: Server) -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(server)?;
    let path = located(node)?;
    let before = node.snapshot()?;
    let mut wrong = Vec::new();
    for (what, request) in shapes(&path) {
        match judge(node, &request) {
            Ok(()) => {}
            Err(error) => wrong.push(format!("{what}: {error:#}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    before.assert_unchanged(&node.snapshot()?, "after all of it");
    serving.assert_running();
    let good = format!("{}Content-Length: 5\r\n\r\nhello", put(&path));
    assert_eq!(exchange(node.address(), good.as_bytes())?.status, 201, "a good request after the bad ones");
    Ok(())
}

fn judge(node: &Node, request: &[u8]) -> Result<()> {
    let said = until_closed(node, request)?;
    let status = said.split(' ').nth(1).unwrap_or_default();
    ensure!(said.matches("HTTP/1.1 ").count() == 1, "not one answer: {said:?}");
    ensure!(status.starts_with('4') || ["501", "505"].contains(&status), "the answer is {status}");
    ensure!(said.to_ascii_lowercase().contains("connection: close"), "nobody is told that it ends: {said:?}");
    Ok(())
}

#[test]
fn are_refused_by_one_process() -> Result<()> {
    refused_and_closed(Server::Ssync(Shape::OneProcess))
}

#[test]
fn are_refused_by_two_processes() -> Result<()> {
    refused_and_closed(Server::Ssync(Shape::TwoOverUnix))
}

#[test]
fn a_body_that_is_refused_is_no_request() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let _serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let path = located(node)?;
    let inner = format!("DELETE {path} HTTP/1.1\r\nHost: x\r\nX-Timestamp: 1800000000\r\n\r\n");
    let kept = format!("{}Content-Length: 5\r\n\r\nhello", put(&path));
    assert_eq!(exchange(node.address(), kept.as_bytes())?.status, 201);
    // Each is refused before its body is read; the body looks like a request.
    let refusals = [
        ("a conflict", "", 409),
        ("no type", "", 400),
        ("an unknown policy", "X-Backend-Storage-Policy-Index: 77\r\n", 503),
        ("a conflict, with patience", "Expect: 100-continue\r\n", 409),
    ];
    for (what, header, status) in refusals {
        for body in [
            format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
        ] {
            let content_type = if what == "no type" { "" } else { "Content-Type: a/b\r\n" };
            let head = put(&path).replace("Content-Type: text/plain\r\n", content_type);
            let mut connection = Connection::open(node.address())?;
            connection.send(format!("{head}{header}{body}").as_bytes());
            connection.send(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let _ = connection.wait_for("\u{1}never\u{1}");
            let said = connection.received_text();
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {said:?}");
            let further: Vec<&str> = said.matches("HTTP/1.1 ").collect();
            assert!(
                further.len() == 1 || said.ends_with("\r\n\r\nOK"),
                "{what}: the body was answered: {said:?}"
            );
        }
    }
    let left = exchange(
        node.address(),
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    assert_eq!(left.text(), "hello", "a body deleted it");
    Ok(())
}
