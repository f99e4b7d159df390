//! One story: what swift-recon, StatsD, the metrics, the status command and its page tell of a pass are the same figures.

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use ssync_tests::{Cluster, Node, Server, Shape, exchange};

use crate::ssync::ssync;

const OURS: Server = Server::Ssync(Shape::OneProcess);
const IDLE_WITHIN: Duration = Duration::from_secs(15);

/// The status when a pass is over that is as it should be.
fn after_pass(node: &Node, is_meant: impl Fn(&Value) -> bool) -> Result<Value> {
    let started = Instant::now();
    loop {
        let said = ssync(node, &["status", "--json"])?;
        if said.code == Some(0) {
            let told = said.last_json()?;
            if is_meant(&told) && told["running"] == false {
                return Ok(told);
            }
        }
        ensure!(started.elapsed() < IDLE_WITHIN, "no such pass ends: {said:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Sums of counters by name, until no more come.
fn packets(statsd: &UdpSocket) -> Result<BTreeMap<String, u64>> {
    let (mut buffer, mut sums) = (vec![0; 65_536], BTreeMap::new());
    while let Ok(length) = statsd.recv(&mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).context("a packet too long")?).into_owned();
        for line in text.lines() {
            let (name, rest) = line.split_once(':').context("a line without a value")?;
            let (value, kind) = rest.split_once('|').context("a line without a kind")?;
            let number: f64 = value.parse()?;
            *sums.entry(name.to_owned()).or_default() +=
                if kind.starts_with('c') { number as u64 } else { 1 };
        }
    }
    Ok(sums)
}

/// The sum of a metric over its labels that have `with` among them.
fn metric(page: &str, name: &str, with: &str) -> f64 {
    page.lines()
        .filter(|line| line.starts_with(name) && line.contains(with))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn get(address: std::net::SocketAddr, path: &str, accept: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes())?;
    ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(answer.text())
}

/// Node 1 has objects, node 2 takes them, node 3 is down.
#[test]
fn everybody_tells_the_same_of_a_pass() -> Result<()> {
    let statsd = UdpSocket::bind("127.0.0.1:0")?;
    statsd.set_read_timeout(Some(Duration::from_secs(2)))?;
    let cluster = Cluster::of(3)
        .part_power(3)
        .setting("object-replicator", "interval", "3600")
        .setting("object-replicator", "log_statsd_host", "127.0.0.1")
        .setting("object-replicator", "log_statsd_port", &statsd.local_addr()?.port().to_string())
        .build()?;
    let node = cluster.node(1);
    node.write_tree(40)?;
    let _there = cluster.node(2).serve(OURS)?;
    let _here = node.serve_and_replicate(OURS)?;
    let told = after_pass(node, |told| told["pass"] == 1)?;
    let number = |what: &str| told[what].as_u64().with_context(|| format!("no {what} in {told}"));
    let device = &told["devices"][0];

    let recon: Value = serde_json::from_str(&get(node.address(), "/recon/replication/object", "*/*")?)?;
    let stats = &recon["replication_stats"];
    assert_eq!(stats["attempted"], number("partitions_done")?, "{recon}");
    assert_eq!(stats["attempted"], device["partitions_done"], "{told}");
    assert_eq!(stats["failure"], number("failures")?, "{recon}");
    let third = cluster.node(3).ring_address();
    assert_eq!(stats["failure_nodes"][third.ip().to_string()]["sdb1"], number("failures")?, "{recon}");
    let down = |node: &&Value| node["node"] == third.to_string().as_str();
    let nodes = told["nodes"].as_array().context("no nodes")?;
    let unknown = nodes.iter().find(down).context("node 3 is not told of")?["backlog"]["unknown"].clone();
    assert_eq!(unknown, number("failures")?, "what is pending at node 3 is not known: {told}");

    let packets = packets(&statsd)?;
    let sum = |start: &str| {
        packets.iter().filter(|(name, _)| name.contains(start)).map(|(_, value)| value).sum::<u64>()
    };
    assert_eq!(sum("partition.update.count.sdb1"), number("partitions_done")?, "{packets:?}");
    assert_eq!(sum("partition.update.timing"), number("partitions_done")?, "{packets:?}");

    let metrics = get(node.admin_address(), "/metrics", "*/*")?;
    for (name, expected) in [
        ("ssync_replicator_partitions_total", number("partitions_done")?),
        ("ssync_replicator_objects_total", number("objects")?),
        ("ssync_replicator_bytes_total", number("bytes")?),
        ("ssync_replicator_failures_total", number("failures")?),
    ] {
        assert_eq!(metric(&metrics, name, "sdb1"), expected as f64, "{name}");
    }
    let pending = |name: &str| metric(&metrics, name, &third.to_string());
    assert_eq!(pending("ssync_replicator_pending_unknown"), number("failures")? as f64);
    assert!(number("objects")? > 30 && number("failures")? > 0, "{told}");

    // Live objects, and none of the tombstones that travelled with them: as many as there are at the peer now.
    let there = cluster.node(2).read_tree()?;
    let live = there.objects.values().filter(|object| object["kind"] != "tombstone").count();
    assert_eq!(live as u64, number("objects")?, "what peers stored is what they have");
    let page = get(node.admin_address(), "/", "text/html")?;
    let text = ssync(node, &["status"])?.output;
    let objects = thousands(number("objects")?);
    for whole in [&page, &text] {
        assert!(whole.contains(&objects), "{objects} is not in {whole}");
    }
    Ok(())
}

/// Two nodes with the same objects, whose replicators only look, say the same of what a third lacks: live objects, whatever files and
/// tombstones there are.
#[test]
fn two_nodes_that_are_quiet_say_the_same_of_a_third() -> Result<()> {
    let cluster = Cluster::of(3).part_power(3).setting("object-replicator", "interval", "3600").build()?;
    cluster.node(1).write_tree(40)?;
    let _second = cluster.node(2).serve(OURS)?;
    // The second node gets all of it while the third is down, and then the first only looks.
    let _first = cluster.node(1).serve_and_replicate(OURS)?;
    after_pass(cluster.node(1), |told| told["pass"] == 1)?;
    ensure!(ssync(cluster.node(1), &["pause"])?.code == Some(0), "it is not paused");
    let _third = cluster.node(3).serve(OURS)?;
    ensure!(ssync(cluster.node(1), &["errors", "--retry"])?.code == Some(0), "nothing is tried again");
    let told = after_pass(cluster.node(1), |told| told["backlog"]["unknown"] == 0)?;
    let planned = |node: &Node| -> Result<Vec<Value>> { ssync(node, &["plan", "--json"])?.json() };
    let to_third = |pieces: &[Value]| -> (u64, u64) {
        let third = cluster.node(3).ring_address().to_string();
        let is_to_it = |piece: &&Value| piece["peer"].as_str().is_some_and(|peer| peer.starts_with(&third));
        pieces.iter().filter(is_to_it).fold((0, 0), |(objects, bytes), piece| {
            (objects + piece["objects"].as_u64().unwrap_or(0), bytes + piece["bytes"].as_u64().unwrap_or(0))
        })
    };
    let third = cluster.node(3).ring_address().to_string();
    let nodes = told["nodes"].as_array().context("no nodes")?;
    let backlog = &nodes.iter().find(|node| node["node"] == third.as_str()).context("no third")?["backlog"];
    let pending = (backlog["objects"].as_u64().unwrap_or(0), backlog["bytes"].as_u64().unwrap_or(0));
    let [first, second] = [to_third(&planned(cluster.node(1))?), to_third(&planned(cluster.node(2))?)];
    assert_eq!(first, second, "two nodes say the same");
    assert_eq!(pending, first, "and so does the status of one that looks");
    assert!(pending.0 > 30, "{pending:?}");
    Ok(())
}

fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}
