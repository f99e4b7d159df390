//! Requests, as the access log and StatsD tell of them.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Cluster, DEVICE, Node, Server, Serving};

use crate::told::{SERVERS, ask, assert_same, wipe};

/// Every field, the anonymous ones too. What differs from run to run stands behind `=`.
const FORMAT: &str = "LINE {remote_addr} {remote_addr.anonymized} {method} {path} {path.anonymized} {disk:>6} {partition} \
     {account} {container} {object} {object.anonymized} {status} {content_length} \"{referer}\" \"{txn_id}\" \
     \"{user_agent}\" {user_agent.anonymized} {{{policy_index}}} {additional_info} took={trans_time:.4f} pid={pid} \
     date={time.iso8601}.{time.us}";
/// How long to wait for a packet, or a line, that must come.
const TOLD_WAIT_MAX: Duration = Duration::from_secs(20);

/// What is asked after each request, and fails as no other does. A server tells of requests in their order.
const MARK: &str = "/gone/0/mark/c/o";
/// Its last packet.
const MARK_PACKET: &str = "DELETE.errors.timing";

/// A request: its method, its path, its headers and the size of its body.
type Request = (&'static str, &'static str, &'static [(&'static str, &'static str)], usize);

const OBJECT: &str = "/sdb1/0/a/c/o";
const ROTTEN: &str = "/sdb1/0/a/c/rotten";

/// In this order: each finds what those before it have left.
const REQUESTS: &[Request] = &[
    (
        "PUT",
        OBJECT,
        &[
            ("X-Timestamp", "10"),
            ("Content-Type", "a/b"),
            ("X-Trans-Id", "tx1"),
            ("User-Agent", "proxy-server 7"),
            ("Referer", "PUT http://localhost/v1/a/c/o"),
            ("X-Backend-Storage-Policy-Index", "0"),
        ],
        200_000,
    ),
    ("PUT", "/sdb1/0/a/c/empty", &[("X-Timestamp", "10"), ("Content-Type", "a/b")], 0),
    ("GET", OBJECT, &[("X-Trans-Id", "tx2")], 0),
    ("GET", OBJECT, &[("Range", "bytes=5-11")], 0),
    ("GET", OBJECT, &[("If-None-Match", "*")], 0),
    ("HEAD", OBJECT, &[], 0),
    ("HEAD", "/sdb1/0/a/c/nothing", &[], 0),
    ("GET", "/sdb1/0/a/c/nothing%20at%C3%A9%20all", &[], 0),
    ("POST", OBJECT, &[("X-Timestamp", "20"), ("X-Object-Meta-A", "b")], 0),
    ("PUT", OBJECT, &[("X-Timestamp", "5"), ("Content-Type", "a/b")], 3),
    ("PUT", OBJECT, &[("X-Timestamp", "no"), ("Content-Type", "a/b")], 3),
    ("PUT", "/gone/0/a/c/o", &[("X-Timestamp", "30"), ("Content-Type", "a/b")], 3),
    ("GET", OBJECT, &[("X-Backend-Replication", "false")], 0),
    ("GET", OBJECT, &[("X-Backend-Storage-Policy-Index", "77")], 0),
    ("GET", "/sdb1/0/a", &[], 0),
    ("GET", "/sdb1/0/a/c/%ff", &[], 0),
    ("COPY", OBJECT, &[], 0),
    ("OPTIONS", "/", &[], 0),
    ("GET", "/healthcheck", &[], 0),
    ("REPLICATE", "/sdb1/0", &[("X-Trans-Id", "tx3")], 0),
    ("REPLICATE", "/sdb1/0/abc-def", &[], 0),
    ("REPLICATE", "/gone/0", &[], 0),
    ("SSYNC", "/sdb1/0", &[("X-Trans-Id", "tx4"), ("X-Backend-Storage-Policy-Index", "1")], 3),
    ("SSYNC", "/gone/0", &[], 3),
    (
        "DELETE",
        OBJECT,
        &[
            ("X-Timestamp", "40"),
            ("X-Container-Host", "127.0.0.1:1"),
            ("X-Container-Device", "sdb1"),
            ("X-Container-Partition", "1"),
        ],
        0,
    ),
    ("DELETE", OBJECT, &[("X-Timestamp", "50")], 0),
    ("PUT", ROTTEN, &[("X-Timestamp", "10"), ("Content-Type", "a/b")], 1000),
    ("GET", ROTTEN, &[], 0),
    ("GET", ROTTEN, &[], 0),
];

/// What a server has said of all requests.
struct Said {
    /// One for each line of the log.
    lines: Vec<String>,
    /// One for each request: its packets, less their numbers.
    packets: Vec<String>,
}

/// Rows 88 to 90, 74, 77.
#[test]
fn the_log_and_statsd_tell_of_requests_as_stock_does() -> Result<()> {
    let statsd = UdpSocket::bind("127.0.0.1:0")?;
    statsd.set_read_timeout(Some(TOLD_WAIT_MAX))?;
    let cluster = Cluster::of(1)
        // All objects lie in one partition.
        .part_power(0)
        .setting("app:object-server", "log_format", FORMAT)
        .setting("app:object-server", "log_anonymization_salt", "pepper")
        .setting("app:object-server", "log_anonymization_method", "SHA256")
        .setting("DEFAULT", "log_statsd_host", "127.0.0.1")
        .setting("DEFAULT", "log_statsd_port", &statsd.local_addr()?.port().to_string())
        // Each rate becomes one or more, so that nothing is left to chance.
        .setting("DEFAULT", "log_statsd_sample_rate_factor", "10")
        .setting("DEFAULT", "log_statsd_metric_prefix", "dc1")
        .setting("DEFAULT", "statsd_label_mode", "graphite")
        .setting("DEFAULT", "statsd_user_label_rack", "r7")
        .build()?;
    let mut stock: Option<Said> = None;
    for server in SERVERS {
        let said = tell(cluster.node(1), server, &statsd)?;
        match &stock {
            None => {
                assert!(said.lines.len() > 20, "{:#?}", said.lines);
                stock = Some(said);
            }
            Some(stock) => {
                assert_same("line", server, &stock.lines, &said.lines);
                assert_same("packets of request", server, &stock.packets, &said.packets);
            }
        }
    }
    Ok(())
}

fn tell(node: &Node, server: Server, statsd: &UdpSocket) -> Result<Said> {
    wipe(node)?;
    let serving = node.serve(server)?;
    packets(node, statsd)?;
    let mut heard = Vec::new();
    for (number, (method, path, headers, size)) in REQUESTS.iter().enumerate() {
        if number > 0 && *path == ROTTEN && *method == "GET" {
            shorten_files(&node.device().join("objects"), 1000)?;
        }
        let answer = ask(node.address(), method, path, headers, &vec![b'x'; *size])?;
        heard.push(format!("{method} {path} {}: {}", answer.status, packets(node, statsd)?.join(" ")));
    }
    let lines = lines(&serving, REQUESTS.len() + 1)?;
    Ok(Said { lines, packets: heard })
}

/// The packets that have come, or are on their way, less their numbers.
fn packets(node: &Node, statsd: &UdpSocket) -> Result<Vec<String>> {
    ask(node.address(), "DELETE", MARK, &[("X-Timestamp", "60")], &[])?;
    let mut buffer = [0; 2048];
    let mut packets = Vec::new();
    loop {
        let length = statsd.recv(&mut buffer).context("a packet is lost")?;
        let packet = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if packet.contains(MARK_PACKET) {
            // Those of a request and of what it left to others come in any order.
            packets.sort();
            return Ok(packets);
        }
        // Its other packets name its account.
        if packet.contains("mark") {
            continue;
        }
        let number =
            packet.rsplit_once(':').and_then(|(_, value)| value.split('|').next()).unwrap_or_default();
        let is_float = number.contains('.') && number.parse::<f64>().is_ok();
        packets.push(packet.replace(number, if is_float { "FLOAT" } else { number }));
    }
}

/// The lines of the access log, less the marks, once it has so many of them.
fn lines(serving: &Serving, marks: usize) -> Result<Vec<String>> {
    let began = Instant::now();
    loop {
        let log = serving.log();
        let (marked, lines): (Vec<_>, Vec<_>) =
            log.lines().filter_map(line).partition(|line| line.contains(MARK));
        if marked.len() >= marks {
            return Ok(lines);
        }
        ensure!(began.elapsed() < TOLD_WAIT_MAX, "the log has {} of {marks} marks", marked.len());
        thread::sleep(Duration::from_millis(20));
    }
}

/// A line of the access log, less what differs from run to run.
fn line(line: &str) -> Option<String> {
    let (_, line) = line.split_once("LINE ")?;
    let mask = |word: &str| match word.split_once('=') {
        Some((name @ ("took" | "pid" | "date"), _)) => format!("{name}="),
        _ => word.to_owned(),
    };
    Some(line.split(' ').map(mask).collect::<Vec<_>>().join(" "))
}

/// Cuts a byte off each data file of this size.
fn shorten_files(folder: &Path, size: u64) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            shorten_files(&entry.path(), size)?;
        } else if entry.file_name().to_string_lossy().ends_with(".data") && entry.metadata()?.len() == size {
            fs::File::options().write(true).open(entry.path())?.set_len(size - 1)?;
        }
    }
    Ok(())
}

/// The ring's device, which paths above name.
#[test]
fn the_paths_name_the_device() {
    assert!(REQUESTS.iter().any(|request| request.1.starts_with(&format!("/{DEVICE}/"))));
}
