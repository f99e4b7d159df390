//! Updates of listings that container servers did not take: Swift's own daemons finish what we have kept for them.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use ssync_tests::{Answer, Cloud, Cluster, Node, Server, Shape, exchange, helper};

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

/// An object of partition 0, percent-encoded.
fn object(node: &Node, prefix: &str) -> Result<String> {
    let asked =
        json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": 0, "count": 1, "prefix": prefix});
    let found = helper("locate", &asked)?;
    let path = found[0]["path"].as_str().context("no object was found")?;
    let quoted = |byte: u8| match byte {
        b'!'..=b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    Ok(path.bytes().map(quoted).collect())
}

fn request(node: &Node, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
    let head = format!(
        "{method} /sdb1/0{path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    // Bytes of headers are characters here.
    let head: Vec<u8> =
        head.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect();
    exchange(node.address(), &[&head, body].concat())
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn told(seconds: u64, host: &str) -> String {
    format!(
        "X-Timestamp: {seconds}.00000\r\nContent-Type: text/caf\u{c3}\u{a9};charset=utf-8\r\n\
         X-Container-Host: {host}\r\nX-Container-Device: sda\r\nX-Container-Partition: 1\r\n"
    )
}

/// The updates that wait on a device.
fn pending(device: &Path) -> Vec<String> {
    let suffixes = fs::read_dir(device.join("async_pending")).into_iter().flatten().flatten();
    let files = suffixes.flat_map(|suffix| fs::read_dir(suffix.path()).into_iter().flatten().flatten());
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

/// Swift's updater delivers what waits on these nodes.
fn update(nodes: &[&Node]) -> Result<()> {
    thread::scope(|scope| {
        let run = |node: &&Node| node.run_stock("swift-object-updater", &[]).map(drop);
        let runs: Vec<_> = nodes.iter().map(|node| scope.spawn(move || run(node))).collect();
        runs.into_iter().try_for_each(|run| run.join().unwrap_or_else(|_| bail!("the updater's thread died")))
    })?;
    for node in nodes {
        assert_eq!(pending(&node.device()), [""; 0], "the updater has left what it could not deliver");
    }
    Ok(())
}

#[test]
fn swifts_updater_delivers_what_was_kept() -> Result<()> {
    let shapes = [Shape::OneProcess, Shape::TwoOverUnix, Shape::OneProcess];
    let cloud = Cloud::of(3).start_each(|number| Server::Ssync(shapes[usize::from(number) - 1]))?;
    let client = cloud.client()?;
    let nodes = [1, 2].map(|number| cloud.node(number));
    assert_eq!(client.request("PUT", "/c", &[], b"")?.status, 201);
    let listing = || -> Result<Value> {
        Ok(serde_json::from_slice(&client.request("GET", "/c?format=json", &[], b"")?.body)?)
    };
    let waiting = || nodes.map(|node| pending(&node.device()).len());

    let plain = object(nodes[0], "o")?;
    let strange = object(nodes[1], "sn\u{2603}w man\u{e9} ")?;
    for (node, path) in nodes.iter().zip([&plain, &strange]) {
        assert_eq!(request(node, "PUT", path, &told(now()?, NOBODY), b"hello")?.status, 201);
    }
    assert_eq!(waiting(), [1, 1]);
    assert_eq!(listing()?, json!([]));
    update(&nodes)?;
    let listed = listing()?;
    let [first, second] = listed.as_array().context("no listing")?.as_slice() else { panic!("{listed}") };
    assert!(first["name"].as_str().is_some_and(|name| plain.ends_with(name)), "{first}");
    assert!(
        second["name"].as_str().is_some_and(|name| name.starts_with("sn\u{2603}w man\u{e9} ")),
        "{second}"
    );
    for row in [first, second] {
        assert_eq!(row["bytes"], 5);
        assert_eq!(row["hash"], "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(row["content_type"], "text/caf\u{e9};charset=utf-8");
    }

    // The one is changed, the other deleted.
    let later = now()? + 5;
    let posted = told(later, NOBODY).replace("text/", "image/");
    assert_eq!(request(nodes[0], "POST", &plain, &posted, b"")?.status, 202);
    assert_eq!(request(nodes[1], "DELETE", &strange, &told(later, NOBODY), b"")?.status, 204);
    assert_eq!(waiting(), [1, 1]);
    update(&nodes)?;
    let listed = listing()?;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["content_type"], "image/caf\u{e9};charset=utf-8");

    // So is an entry in the expirer's queue, whose container is made for it.
    let queued = format!(
        "X-Timestamp: {later}.00000\r\nContent-Type: x\r\nX-Delete-At: {}\r\nX-Delete-At-Host: {NOBODY}\r\n\
         X-Delete-At-Device: sda\r\nX-Delete-At-Partition: 1\r\n",
        later + 1000
    );
    assert_eq!(
        request(nodes[0], "PUT", &object(nodes[0], "short-lived")?, &queued, b"soon gone")?.status,
        201
    );
    assert_eq!(waiting(), [1, 0]);
    update(&nodes[..1])
}

/// A container server that takes connections and says nothing.
fn silent_server() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let connections: Vec<TcpStream> = listener.incoming().flatten().collect();
        drop(connections);
    });
    Ok(address)
}

in_every_shape!(a_client_does_not_wait_for_a_container_that_is_silent, a_drain_keeps_what_is_under_way);

fn a_client_does_not_wait_for_a_container_that_is_silent(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(1)
        .setting("app:object-server", "container_update_timeout", "0.2")
        .setting("app:object-server", "node_timeout", "1.5")
        .build()?;
    let node = cluster.node(1);
    let _serving = node.serve(Server::Ssync(shape))?;
    let path = object(node, "o")?;
    let begun = Instant::now();
    let headers = told(now()?, &silent_server()?.to_string());
    assert_eq!(request(node, "PUT", &path, &headers, b"hello")?.status, 201);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(pending(&node.device()).is_empty(), "the server still has time to answer");
    while pending(&node.device()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it was not kept");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() > Duration::from_secs(1), "it was kept after {:?}", begun.elapsed());
    Ok(())
}

fn a_drain_keeps_what_is_under_way(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(1)
        .setting("app:object-server", "container_update_timeout", "0.1")
        .setting("app:object-server", "node_timeout", "60")
        .build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(shape))?;
    let path = object(node, "o")?;
    let headers = told(now()?, &silent_server()?.to_string());
    assert_eq!(request(node, "PUT", &path, &headers, b"hello")?.status, 201);
    assert!(pending(&node.device()).is_empty());
    // The sidecar, where it is a process of its own, goes first.
    assert!(serving.daemons[0].stop()?.success());
    assert_eq!(pending(&node.device()).len(), 1);
    Ok(())
}

#[test]
fn an_update_is_kept_though_the_receiver_is_being_restarted() -> Result<()> {
    let cluster = Cluster::of(1)
        .setting("app:object-server", "container_update_timeout", "0.1")
        .setting("app:object-server", "node_timeout", "1")
        .build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(Shape::TwoOverUnix))?;
    let path = object(node, "o")?;
    let headers = told(now()?, &silent_server()?.to_string());
    assert_eq!(request(node, "PUT", &path, &headers, b"hello")?.status, 201);
    assert!(serving.daemons[1].stop()?.success());
    // The delivery fails while nobody is there to keep the update.
    thread::sleep(Duration::from_secs(2));
    assert!(pending(&node.device()).is_empty());
    serving.daemons[1] = node.receiver()?;
    let back = Instant::now();
    while pending(&node.device()).is_empty() {
        assert!(back.elapsed() < Duration::from_secs(10), "it is lost");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
