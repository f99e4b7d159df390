//! `ssync why-slow` names what is slow: a slow disk at the peer, slow reads here, a small window, a full peer, a lock that is held.
//! Each is made for real: system calls that take long, a network with little room, sessions and locks that somebody holds.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use ssync_tests::{
    Cluster, Connection, Node, Server, Serving, Shape, as_own_group, exchange, helper, venv_program,
};

use crate::ssync::ssync;

const OURS: Server = Server::Ssync(Shape::OneProcess);
/// Longest that a cause may stay unnamed.
const NAMED_WITHIN: Duration = Duration::from_secs(60);
/// Time of the workers before anything is judged.
const SECONDS_MIN: f64 = 3.0;

fn cluster() -> ssync_tests::Builder {
    Cluster::of(2).part_power(2).setting("object-replicator", "interval", "1").setting(
        "object-replicator",
        "concurrency",
        "2",
    )
}

/// Stores objects on node 1, each of so many bytes, some in each partition.
fn fill(cluster: &Cluster, each: u32, bytes: usize) -> Result<()> {
    let node = cluster.node(1);
    let body = "x".repeat(bytes);
    for partition in 0..4 {
        let objects = helper(
            "locate",
            &json!({"swift_dir": node.swift_dir(), "policy": 0, "partition": partition, "count": each}),
        )?;
        for object in objects.as_array().context("no objects")? {
            let path = object["path"].as_str().context("no path")?;
            let request = format!(
                "PUT /sdb1/{partition}{path} HTTP/1.1\r\nHost: x\r\nX-Timestamp: 1700000000.00000\r\n\
                 Content-Type: text/plain\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n{body}"
            );
            let answer = exchange(node.address(), request.as_bytes())?;
            ensure!(answer.status == 201, "{}", answer.text());
        }
    }
    Ok(())
}

/// Slows system calls of a process down, as long as this lives.
struct Slowed(Child);

impl Slowed {
    fn calls(serving: &Serving, calls: &str, by: Duration) -> Result<Self> {
        let id = serving.daemons.first().context("nothing runs")?.id();
        let mut strace = as_own_group(Path::new("strace"));
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
        strace.arg(format!("inject={calls}:delay_enter={}", by.as_micros())).args(["-p", &id.to_string()]);
        let child = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let slowed = Self(child);
        let started = Instant::now();
        // It is attached when the kernel says whose tracer it is.
        while !fs::read_to_string(format!("/proc/{id}/status"))?
            .contains(&format!("TracerPid:\t{}", slowed.0.id()))
        {
            ensure!(started.elapsed() < NAMED_WITHIN, "strace does not attach to {id}");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(slowed)
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is said to hold the node up, the most of it first, as soon as it is `expected`.
fn named(node: &Node, expected: &str) -> Result<Value> {
    let started = Instant::now();
    loop {
        let said = ssync(node, &["why-slow", "--json"])?;
        let told = said.last_json()?;
        let most = told["held_up_by"][0].clone();
        let seconds = most["seconds"].as_f64().unwrap_or_default();
        if most["spender"] == expected && seconds >= SECONDS_MIN {
            let text = ssync(node, &["why-slow"])?;
            assert!(text.output.starts_with("Held up "), "{}", text.output);
            return Ok(most);
        }
        ensure!(started.elapsed() < NAMED_WITHIN, "{expected} is not named first: {told}");
        thread::sleep(Duration::from_millis(250));
    }
}

/// The peer is node 2's device, and this node's is named too.
fn assert_at_peer(cluster: &Cluster, most: &Value) {
    let peer = format!("{}/sdb1", cluster.node(2).ring_address());
    assert_eq!(most["peer"], peer.as_str(), "{most}");
    assert!(most["advice"].as_str().is_some_and(|advice| advice.len() > 40), "{most}");
}

#[test]
fn a_slow_disk_at_the_peer() -> Result<()> {
    let cluster = cluster().build()?;
    let (here, there) = (cluster.node(1), cluster.node(2));
    let at_peer = there.serve(OURS)?;
    let _slowed = Slowed::calls(&at_peer, "fsync,fdatasync,syncfs", Duration::from_millis(150))?;
    let filling = here.serve(OURS)?;
    fill(&cluster, 60, 500)?;
    drop(filling);
    let _here = here.serve_and_replicate(OURS)?;
    assert_at_peer(&cluster, &named(here, "PEER_FLUSHING")?);
    Ok(())
}

#[test]
fn slow_reads_here() -> Result<()> {
    let cluster = cluster().build()?;
    let (here, there) = (cluster.node(1), cluster.node(2));
    let _at_peer = there.serve(OURS)?;
    let serving = here.serve(OURS)?;
    fill(&cluster, 60, 500)?;
    drop(serving);
    let serving = here.serve_and_replicate(OURS)?;
    let _slowed = Slowed::calls(&serving, "pread64,fgetxattr", Duration::from_millis(30))?;
    let most = named(here, "READING")?;
    assert_eq!(most["device"], "sdb1", "{most}");
    Ok(())
}

#[test]
fn a_small_window() -> Result<()> {
    let cluster = cluster().tapped().setting_of(2, "ssync", "grpc_stream_window", "65536").build()?;
    let (here, there) = (cluster.node(1), cluster.node(2));
    there.tap().take_time(Duration::from_millis(20));
    let _at_peer = there.serve(OURS)?;
    let serving = here.serve(OURS)?;
    fill(&cluster, 8, 1 << 20)?;
    drop(serving);
    let _here = here.serve_and_replicate(OURS)?;
    assert_at_peer(&cluster, &named(here, "WINDOW")?);
    Ok(())
}

#[test]
fn a_full_peer() -> Result<()> {
    let cluster = cluster().setting_of(2, "app:object-server", "replication_concurrency", "1").build()?;
    let (here, there) = (cluster.node(1), cluster.node(2));
    let _at_peer = there.serve(OURS)?;
    let serving = here.serve(OURS)?;
    fill(&cluster, 4, 500)?;
    drop(serving);
    // Somebody else's session, in a partition that nobody needs here.
    let mut other = Connection::open(there.address())?;
    other.send(
        b"SSYNC /sdb1/3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Backend-Storage-Policy-Index: 1\r\n\r\n\
          17\r\n:MISSING_CHECK: START\r\n\r\n",
    );
    other.wait_for("200 OK")?;
    let _here = here.serve_and_replicate(OURS)?;
    assert_at_peer(&cluster, &named(here, "ADMISSION")?);
    Ok(())
}

#[test]
fn a_lock_that_is_held() -> Result<()> {
    let cluster = cluster().build()?;
    let (here, there) = (cluster.node(1), cluster.node(2));
    let _at_peer = there.serve(OURS)?;
    let serving = here.serve(OURS)?;
    fill(&cluster, 4, 500)?;
    drop(serving);
    let locks: Vec<String> = (0..4)
        .map(|partition| {
            let folder = there.device().join(format!("objects/{partition}"));
            fs::create_dir_all(&folder)?;
            Ok(folder.join(".lock-replication").display().to_string())
        })
        .collect::<Result<_>>()?;
    let program = "import fcntl, sys, time\nheld = [open(path, 'w') for path in sys.argv[1:]]\n\
                   [fcntl.flock(file, fcntl.LOCK_EX) for file in held]\nprint('held', flush=True)\ntime.sleep(600)";
    let mut python = Command::new(venv_program("python")?);
    python.args(["-c", program]).args(&locks).stdout(Stdio::piped());
    let mut holder = Slowed(python.spawn()?);
    let mut word = [0; 4];
    std::io::Read::read_exact(holder.0.stdout.as_mut().context("no pipe")?, &mut word)?;
    let _here = here.serve_and_replicate(OURS)?;
    assert_at_peer(&cluster, &named(here, "LOCK")?);
    Ok(())
}
