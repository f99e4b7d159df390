//! HTTP without end, and HTTP drop by drop: the server keeps its memory, and its time for others.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use ssync_tests::{Cluster, Connection, Node, Server, Serving, Shape, exchange, helper};

/// What one flood sends at most.
const FLOOD_BYTES: usize = 48 << 20;
/// What a flood may add to a process's memory, connections beside each other and all.
const GROWTH_KIB_MAX: u64 = 24 << 10;
/// Another client waits no longer for a health check meanwhile.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Connections of the slow.
const SLOW: usize = 200;

fn peak_kib(serving: &Serving) -> Result<Vec<u64>> {
    let of = |id: u32| -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    serving.daemons.iter().map(|daemon| of(daemon.id())).collect()
}

fn assert_served(node: &Node, during: &str) -> Result<()> {
    let started = Instant::now();
    let answer =
        exchange(node.address(), b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    assert_eq!(answer.text(), "OK", "during {during}");
    assert!(started.elapsed() < OTHERS_WAIT_MAX, "others wait {:?} during {during}", started.elapsed());
    Ok(())
}

/// Sends `start`, then `drop` again and again, until the server has enough or it is all said. What was said, and the
/// answer.
fn flood(node: &Node, start: &str, drop: &[u8]) -> Result<(usize, String)> {
    let mut stream = TcpStream::connect(node.address())?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(start.as_bytes())?;
    let block = drop.repeat(65_536 / drop.len());
    let mut said = 0;
    while said < FLOOD_BYTES && stream.write_all(&block).is_ok() {
        said += block.len();
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
        if answer.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    Ok((said, String::from_utf8_lossy(&answer).into_owned()))
}

fn floods(path: &str) -> Vec<(&'static str, String, &'static [u8])> {
    let put = format!(
        "PUT {path} HTTP/1.1\r\nHost: n\r\nX-Timestamp: 1700000000\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n"
    );
    let mime = format!(
        "{put}X-Backend-Obj-Metadata-Footer: yes\r\nX-Backend-Obj-Multipart-Mime-Boundary: B\r\nX-Backend-Obj-Content-Length: 1\r\n\r\n"
    );
    let in_chunk = |text: &str| format!("{mime}fffffff\r\n{text}");
    let body = "--B\r\nX-Document: object body\r\n\r\nx\r\n--B\r\n";
    vec![
        ("a request line", "GET /".to_owned(), b"x"),
        ("spaces in the request line", "GET ".to_owned(), b" "),
        ("empty lines", String::new(), b"\n"),
        ("a header's name", "GET / HTTP/1.1\r\n".to_owned(), b"n"),
        ("a header's value", "GET / HTTP/1.1\r\nX-A: ".to_owned(), b"v"),
        ("headers", "GET / HTTP/1.1\r\n".to_owned(), b"X-A: b\r\n"),
        ("headers by line feeds", "GET / HTTP/1.1\r\n".to_owned(), b"X-A: b\n"),
        ("a chunk's size", format!("{put}\r\n"), b"0"),
        ("a chunk's extension", format!("{put}\r\n5;"), b"x"),
        ("a trailer", format!("{put}\r\n0\r\nX-A: "), b"x"),
        ("trailers", format!("{put}\r\n0\r\n"), b"X-A: b\r\n"),
        ("text before the first document", in_chunk(""), b"x"),
        ("lines before the first document", in_chunk(""), b"\r\n"),
        ("a document's header", in_chunk("--B\r\nX-A: "), b"x"),
        ("a document's headers", in_chunk("--B\r\n"), b"X-A: b\r\n"),
        ("footers", in_chunk(&format!("{body}X-Document: object metadata\r\nContent-MD5: x\r\n\r\n")), b"x"),
    ]
}

fn survive(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(shape))?;
    let arguments =
        serde_json::json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": 3, "count": 1});
    let path = format!("/sdb1/3{}", helper("locate", &arguments)?[0]["path"].as_str().unwrap_or_default());
    assert_served(node, "nothing")?;
    let before = node.snapshot()?;
    for (what, start, drop) in floods(&path) {
        let memory = peak_kib(&serving)?;
        let (said, answer) = flood(node, &start, drop)?;
        assert!(said < FLOOD_BYTES, "{what}: all of the flood was taken: {answer:?}");
        // The break of the connection may overtake the answer.
        let refused = answer.starts_with("HTTP/1.1 4") || answer.is_empty();
        assert!(refused, "{what}: {answer:?}");
        for (before, after) in memory.iter().zip(peak_kib(&serving)?) {
            assert!(after < before + GROWTH_KIB_MAX, "{what}: from {before} to {after} KiB");
        }
        assert_served(node, what)?;
    }
    before.assert_unchanged(&node.snapshot()?, "after the floods");
    serving.assert_running();
    Ok(())
}

#[test]
fn have_an_end_in_one_process() -> Result<()> {
    survive(Shape::OneProcess)
}

#[test]
fn have_an_end_in_two_processes() -> Result<()> {
    survive(Shape::TwoOverUnix)
}

/// A MIME body whose boundary never comes is the object's: as much as an object may have, streamed to disk.
#[test]
fn a_boundary_that_never_comes_leaves_nothing() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let before = node.snapshot()?;
    let arguments =
        serde_json::json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": 3, "count": 1});
    let path = format!("/sdb1/3{}", helper("locate", &arguments)?[0]["path"].as_str().unwrap_or_default());
    let memory = peak_kib(&serving)?;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: n\r\nX-Timestamp: 1700000000\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\
         X-Backend-Obj-Metadata-Footer: yes\r\nX-Backend-Obj-Multipart-Mime-Boundary: B\r\nX-Backend-Obj-Content-Length: 1\r\n\r\n"
    );
    let mut connection = Connection::open(node.address())?;
    connection.send(format!("{head}3000000\r\n--B\r\nX-Document: object body\r\n\r\n").as_bytes());
    let piece = b"\r\n--A and so on ".repeat(4096);
    for _ in 0..700 {
        connection.send(&piece);
    }
    connection.finish();
    let answer = connection.answer()?;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    for (before, after) in memory.iter().zip(peak_kib(&serving)?) {
        assert!(after < before + GROWTH_KIB_MAX, "from {before} to {after} KiB");
    }
    before.assert_unchanged(&node.snapshot()?, "after the boundary that never came");
    Ok(())
}

#[test]
fn the_slow_are_let_go_of_and_hold_up_nobody() -> Result<()> {
    let cluster = Cluster::of(1).setting("app:object-server", "client_timeout", "1").build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    assert_served(node, "nothing")?;
    let memory = peak_kib(&serving)?;
    // Each begins another request, and never ends it: within the line, a name, a value, a body, a chunk.
    let beginnings = [
        "GE",
        "GET /healthcheck HTTP/1.1\r\nX-A",
        "GET /healthcheck HTTP/1.1\r\nX-A: b",
        "GET /healthcheck HTTP/1.1\r\nX-A: b\r\n",
        "PUT /sdb1/3/a/c/o HTTP/1.1\r\nHost: n\r\nX-Timestamp: 1700000000\r\nContent-Type: a/b\r\nContent-Length: 100\r\n\r\nx",
        "PUT /sdb1/3/a/c/o HTTP/1.1\r\nHost: n\r\nX-Timestamp: 1700000000\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
    ];
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut stream = TcpStream::connect(node.address())?;
        stream.write_all(beginnings[number % beginnings.len()].as_bytes())?;
        slow.push(stream);
    }
    assert_served(node, "many that have begun")?;
    // Drop by drop: a byte now and then does not make a request of it.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        for stream in slow.iter_mut().step_by(6) {
            let _ = stream.write_all(b"x");
        }
        assert_served(node, "many that drip")?;
        std::thread::sleep(Duration::from_millis(200));
    }
    for (number, stream) in slow.iter_mut().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset),
            "{:?} is still open",
            beginnings[number % beginnings.len()]
        );
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5"),
            "{text:?}"
        );
    }
    for (before, after) in memory.iter().zip(peak_kib(&serving)?) {
        assert!(after < before + GROWTH_KIB_MAX, "from {before} to {after} KiB");
    }
    serving.assert_running();
    Ok(())
}
