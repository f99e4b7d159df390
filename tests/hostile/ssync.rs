//! SSYNC conversations that go wrong after the `200`: what stock answers with `:ERROR:`, so do we.

use anyhow::{Context as _, Result};
use serde_json::json;
use ssync_tests::{Answer, Cluster, Connection, Node, Server, Shape, helper};

/// Longer than `network_chunk_size`.
const LINE_BYTES: usize = 70_000;

/// A session's lines, each sent as one chunk, as a stock sender does.
struct Session {
    what: &'static str,
    pieces: Vec<String>,
    /// Whether the client ends its request in order.
    ends: bool,
}

fn session(what: &'static str, pieces: &[&str]) -> Session {
    Session { what, pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect(), ends: true }
}

fn updates(what: &'static str, subrequest: &str) -> Session {
    let pieces = [
        ":MISSING_CHECK: START\r\n",
        ":MISSING_CHECK: END\r\n",
        ":UPDATES: START\r\n",
        subrequest,
        ":UPDATES: END\r\n",
    ];
    session(what, &pieces)
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn say(node: &Node, session: &Session) -> Result<Answer> {
    let mut connection = Connection::open(node.address())?;
    connection.send(
        b"SSYNC /sdb1/3 HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\nX-Backend-Storage-Policy-Index: 0\r\n\r\n",
    );
    for piece in &session.pieces {
        connection.send(chunk(piece).as_bytes());
    }
    if session.ends {
        connection.send(b"0\r\n\r\n");
    } else {
        connection.finish();
    }
    connection.answer()
}

/// The code of an answer's `:ERROR:` line.
fn error_code(answer: &Answer) -> Option<String> {
    let text = answer.text();
    let line = text.lines().find(|line| line.starts_with(":ERROR: "))?.to_owned();
    line.split(' ').nth(1).map(str::to_owned)
}

fn object(node: &Node, partition: u32) -> Result<(String, String)> {
    let found = helper(
        "locate",
        &json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": partition, "count": 1}),
    )?;
    let text = |field: &str| found[0][field].as_str().map(str::to_owned).context("nothing located");
    Ok((text("path")?, text("hash")?))
}

fn bad_sessions(path: &str) -> Vec<Session> {
    let put = |headers: &str, body: &str| format!("PUT {path}\r\n{headers}\r\n{body}");
    let good = "X-Timestamp: 1700000000.00000\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n";
    let mut cut = updates(
        "a body that is cut off",
        &put("X-Timestamp: 1700000000.00000\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n", "half"),
    );
    cut.pieces.truncate(4);
    cut.ends = false;
    vec![
        session("a greeting", &["HELLO\r\n"]),
        session("a line without end", &[&format!(":MISSING_CHECK: START{}\r\n", "x".repeat(LINE_BYTES))]),
        session(
            "updates without a start",
            &[":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n", "PUT /a/c/o\r\n"],
        ),
        updates("no length", &put("X-Timestamp: 1700000000.00000\r\nContent-Type: text/plain\r\n", "")),
        updates(
            "a length that is none",
            &put("X-Timestamp: 1700000000.00000\r\nContent-Length: five\r\n", "hello"),
        ),
        updates("an unknown method", &format!("MOVE {path}\r\n\r\n")),
        updates("a header without a colon", &put("nonsense\r\n", "")),
        updates(
            "a deletion with a body",
            &format!("DELETE {path}\r\nX-Timestamp: 1700000000.00000\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        updates("a wrong etag", &put(&format!("{good}ETag: 00000000000000000000000000000000\r\n"), "hello")),
        updates("no timestamp", &put("Content-Type: text/plain\r\nContent-Length: 5\r\n", "hello")),
        cut,
    ]
}

#[test]
fn are_answered_as_by_stock() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let (stock, ours) = (cluster.node(1), cluster.node(2));
    let _stock = stock.serve(Server::Stock)?;
    let mut serving = ours.serve(Server::Ssync(Shape::OneProcess))?;
    let (path, _) = object(ours, 3)?;
    let mut differences = Vec::new();
    for bad in bad_sessions(&path) {
        let theirs = error_code(&say(stock, &bad)?);
        match say(ours, &bad) {
            Ok(answer) if error_code(&answer) == theirs => {}
            Ok(answer) => {
                differences.push(format!("{}: stock {theirs:?}, here {:?}", bad.what, answer.text()));
            }
            Err(error) => differences.push(format!("{}: stock {theirs:?}, here {error:#}", bad.what)),
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(ours.snapshot()?.objects().is_empty(), "a bad session left something");

    let good = updates(
        "a good one",
        &format!(
            "PUT {path}\r\nX-Timestamp: 1700000000.00000\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nETag: 5d41402abc4b2a76b9719d911017c592\r\n\r\nhello"
        ),
    );
    let answer = say(ours, &good)?;
    assert!(answer.text().ends_with(":UPDATES: START\r\n:UPDATES: END\r\n"), "{:?}", answer.text());
    assert_eq!(ours.snapshot()?.objects().len(), 1);
    serving.assert_running();
    Ok(())
}

#[test]
fn offers_and_paths_that_do_not_belong_change_nothing() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let (path, hash) = object(node, 4)?;
    let offer = |hash: &str| format!("{hash} 1700000000.00000\r\n");
    let sessions = [
        session(
            "a malformed hash",
            &[":MISSING_CHECK: START\r\n", &offer("../../../etc"), ":MISSING_CHECK: END\r\n"],
        ),
        session(
            "a hash of another partition",
            &[":MISSING_CHECK: START\r\n", &offer(&hash), ":MISSING_CHECK: END\r\n"],
        ),
        session(
            "a time that is none",
            &[":MISSING_CHECK: START\r\n", &format!("{hash} soon\r\n"), ":MISSING_CHECK: END\r\n"],
        ),
        updates(
            "a path of another partition",
            &format!(
                "PUT {path}\r\nX-Timestamp: 1700000000.00000\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
            ),
        ),
        updates(
            "a path that climbs",
            "PUT /../../etc\r\nX-Timestamp: 1700000000.00000\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
        ),
    ];
    for bad in sessions {
        let answer = say(node, &bad)?;
        assert!(error_code(&answer).is_some(), "{} was taken: {:?}", bad.what, answer.text());
        assert!(node.snapshot()?.objects().is_empty(), "{} left something", bad.what);
    }
    serving.assert_running();
    Ok(())
}

#[test]
fn a_silent_sender_is_let_go_of_as_by_stock() -> Result<()> {
    for server in [Server::Stock, Server::Ssync(Shape::OneProcess), Server::Ssync(Shape::TwoOverTcp)] {
        let cluster = Cluster::of(1).setting("app:object-server", "client_timeout", "1").build()?;
        let node = cluster.node(1);
        let mut serving = node.serve(server)?;
        let mut connection = Connection::open(node.address())?;
        connection.send(b"SSYNC /sdb1/3 HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\nX-Backend-Storage-Policy-Index: 0\r\n\r\n");
        connection.send(chunk(":MISSING_CHECK: START\r\n").as_bytes());
        let answer = connection.answer()?;
        assert_eq!(error_code(&answer).as_deref(), Some("408"), "{server:?}: {:?}", answer.text());

        // The slot and the lock are free again.
        let whole = session(
            "nothing to say",
            &[
                ":MISSING_CHECK: START\r\n",
                ":MISSING_CHECK: END\r\n",
                ":UPDATES: START\r\n",
                ":UPDATES: END\r\n",
            ],
        );
        let answer = say(node, &whole)?;
        assert_eq!(error_code(&answer), None, "{server:?}: {:?}", answer.text());
        serving.assert_running();
    }
    Ok(())
}
