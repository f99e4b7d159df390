//! `ssync pause`, `resume`, `drain`, `limits`, `errors`: told to real nodes while they replicate.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use ssync_tests::{Cluster, Node, Server, Shape, run_to_end, venv_program};

use crate::ssync::{Said, ssync};

const OURS: Server = Server::Ssync(Shape::OneProcess);
/// Longest that anything here may take.
const WAIT_MAX: Duration = Duration::from_secs(90);

fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_so()? {
        ensure!(started.elapsed() < WAIT_MAX, "{what}: not so after {WAIT_MAX:?}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn told(said: &Said) -> Result<Value> {
    ensure!(said.code == Some(0), "{said:?}");
    said.last_json()
}

/// Object files on a node.
fn files(node: &Node) -> Result<usize> {
    Ok(node.snapshot()?.objects().len())
}

/// Some of node 1's objects have come to node 2, and not all.
fn a_push_is_under_way(from: &Node, to: &Node, before: usize) -> Result<()> {
    let all = files(from)?;
    until("the push begins", || Ok(files(to)? > before + 20))?;
    ensure!(files(to)? < all, "it was over before it could be stopped: write more objects");
    Ok(())
}

/// The receiver and the replicator of node 1 are two processes with two admin addresses.
#[test]
fn what_is_paused_stays_and_what_is_resumed_goes_on() -> Result<()> {
    let cluster = Cluster::of(2).part_power(4).setting("object-replicator", "interval", "1").build()?;
    let (one, two) = (cluster.node(1), cluster.node(2));
    let _serving = [one.serve(OURS)?, two.serve(OURS)?];
    let nobody = ssync(one, &["pause"])?;
    assert!(nobody.code == Some(69) && nobody.error.contains("no replicator answers at "), "{nobody:?}");

    let replicator = one.replicator(OURS)?;
    until("the replicator answers", || Ok(ssync(one, &["pause", "--json"])?.code == Some(0)))?;
    one.write_tree(100)?;
    let looked = || replicator.log().matches("this pass compares and pushes nothing of that").count();
    let before = looked();
    until("passes go on while it is paused", || Ok(looked() > before + 2))?;
    assert_eq!(files(two)?, 0, "a paused node has pushed");
    let stranger = ssync(one, &["pause", "sdz9"])?;
    assert!(stranger.code == Some(1) && stranger.error.contains("which have: sdb1"), "{stranger:?}");

    // An explicit order is carried out, and says that passes would not.
    let folders = fs::read_dir(one.device().join("objects"))?;
    let partition = folders
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.parse::<u32>().is_ok())
        .context("a partition")?;
    let pushed = ssync(one, &["push", "--device", "sdb1", "--partition", &partition])?;
    assert!(pushed.code == Some(0) && pushed.output.contains("The device is paused"), "{pushed:?}");
    let some = files(two)?;
    assert!(some > 0);

    let resumed = ssync(one, &["resume", "--json"])?;
    assert_eq!(
        resumed.json()?.len(),
        2,
        "the receiver says its part, and the replicator its own: {resumed:?}"
    );
    assert_eq!(told(&resumed)?["resumed"], serde_json::json!(["*"]));
    until("all is there", || Ok(files(two).is_ok_and(|there| files(one).is_ok_and(|here| there == here))))?;
    one.read_tree()?.assert_same(&two.read_tree()?);

    // In the middle of a push.
    let before = files(two)?;
    ssync(one, &["pause", "sdb1"])?;
    one.write_tree(3000)?;
    ssync(one, &["resume", "sdb1"])?;
    a_push_is_under_way(one, two, before)?;
    let paused = told(&ssync(one, &["pause", "sdb1", "--json"])?)?;
    assert_eq!(paused["paused"]["devices"], serde_json::json!(["sdb1"]));
    until("jobs end", || Ok(told(&ssync(one, &["pause", "sdb1", "--json"])?)?["jobs"] == 0))?;
    let stopped = files(two)?;
    assert!(stopped < files(one)?, "it was not stopped");
    let before = looked();
    until("two more passes", || Ok(looked() > before + 1))?;
    assert_eq!(files(two)?, stopped, "it has pushed on");
    assert!(
        !replicator.log().contains(" ERROR "),
        "a pause is nobody's fault:\n{}",
        errors_of(&replicator.log())
    );
    ssync(one, &["resume", "sdb1"])?;
    until("all is there", || Ok(files(two).is_ok_and(|there| files(one).is_ok_and(|here| there == here))))
}

fn errors_of(log: &str) -> String {
    log.lines().filter(|line| line.contains(" ERROR ")).take(5).collect::<Vec<_>>().join("\n")
}

/// Each node is one process with all parts.
#[test]
fn a_device_is_drained_while_a_push_is_under_way_and_nothing_is_lost() -> Result<()> {
    let cluster = Cluster::of(2).part_power(4).setting("object-replicator", "interval", "1").build()?;
    let (one, two) = (cluster.node(1), cluster.node(2));
    one.write_tree(3000)?;
    let _second = two.serve_and_replicate(OURS)?;
    let first = one.serve_and_replicate(OURS)?;
    a_push_is_under_way(one, two, 0)?;
    let all = files(one)?;
    let drained = ssync(two, &["drain", "sdb1", "--timeout", "60"])?;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    assert!(
        drained.output.contains("admits no replication into sdb1, and pushes nothing from there"),
        "{drained:?}"
    );
    assert!(drained.output.contains("Nothing of replication is under way on sdb1."), "{drained:?}");
    let there = files(two)?;
    assert!(there < all, "it was over before it was drained");
    let sessions = grpcurl(two, &["ssync.admin.v1.AdminService/ListSessions"])?;
    assert!(!sessions.contains("sessionId"), "{sessions}");
    // The sender is refused, keeps all that it has, and takes nobody for gone.
    until("the sender was refused", || {
        Ok(ssync(one, &["status", "--json"])?.output.contains("is drained by an operator"))
    })?;
    assert_eq!((files(one)?, files(two)?), (all, there));
    let status = told(&ssync(one, &["status", "--json"])?)?;
    let of_device = format!("{}/sdb1", two.ring_address());
    assert_eq!(status["peers"][0]["peer"], Value::from(of_device.clone()), "{status}");
    let stranger = ssync(two, &["drain", "sdz9"])?;
    assert!(stranger.code == Some(1) && stranger.error.contains("which has: sdb1"), "{stranger:?}");

    let resumed = told(&ssync(two, &["resume", "sdb1", "--json"])?)?;
    assert_eq!(resumed["admitting"], serde_json::json!(["sdb1"]));
    assert_eq!(resumed["resumed"], serde_json::json!(["sdb1"]));
    // It would come back by itself.
    let retried = told(&ssync(one, &["errors", "--retry", &of_device, "--json"])?)?;
    assert!(retried["peers"].as_u64() > Some(0), "{retried}");
    // While files come, folders that were just listed may be gone.
    until("all is there", || Ok(files(two).is_ok_and(|there| there == all)))?;
    one.read_tree()?.assert_same(&two.read_tree()?);
    drop(first);
    Ok(())
}

fn grpcurl(node: &Node, arguments: &[&str]) -> Result<String> {
    let admin = node.admin_address().to_string();
    let all: Vec<&str> = ["-plaintext", &admin].into_iter().chain(arguments.iter().copied()).collect();
    let output = run_to_end(&venv_program("grpcurl")?, &all)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A session that somebody holds open by grpcurl.
struct Held {
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a session. One that is to be `kept` says nothing more; grpcurl tells of a refusal only when it has nothing more to say.
fn session(node: &Node, partition: u32, kept: bool) -> Result<Result<Held, String>> {
    let address = node.ring_address().to_string();
    let mut child = Command::new(venv_program("grpcurl")?)
        .args(["-plaintext", "-d", "@", &address, "ssync.v1.ReplicationService/Updates"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("a way in")?;
    let open = serde_json::json!({"open": {
        "partition": {"device": "sdb1", "partition": partition},
        "sender": {"address": "10.9.9.9:6200", "device": "x", "job": "JOB_SYNC", "agent": "test"},
    }});
    writeln!(stdin, "{open}")?;
    stdin.flush()?;
    let (lines, seen) = mpsc::channel();
    let (out, error) = (child.stdout.take().context("output")?, child.stderr.take().context("errors")?);
    let also = lines.clone();
    thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
    });
    thread::spawn(move || {
        BufReader::new(error).lines().map_while(Result::ok).for_each(|line| drop(also.send(line)));
    });
    let (mut held, mut all) = (Some(Held { child, _stdin: kept.then_some(stdin) }), String::new());
    loop {
        match seen.recv_timeout(WAIT_MAX) {
            Ok(line) => all.push_str(&format!("{line}\n")),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Err(all)),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("no answer: {all}"),
        }
        if all.contains("\"accepted\"")
            && let Some(held) = held.take()
        {
            return Ok(Ok(held));
        }
    }
}

#[test]
fn a_limit_that_is_set_counts_at_once() -> Result<()> {
    let cluster = Cluster::of(2).part_power(4).build()?;
    let node = cluster.node(1);
    let _serving = node.serve_and_replicate(OURS)?;
    let limit = |name: &str| -> Result<Value> { told(&ssync(node, &["limits", "get", name, "--json"])?) };
    assert_eq!(limit("replication_concurrency")?["value"], 4);
    assert_eq!(limit("concurrency")?["part"], "replicator");
    let table = ssync(node, &["limits"])?;
    assert!(table.output.starts_with("limit ") && table.output.contains("session_time_max"), "{table:?}");

    let set = ssync(node, &["limits", "set", "replication_concurrency=1", "concurrency=2"])?;
    assert!(set.code == Some(0) && set.output.contains("until a restart or a reload"), "{set:?}");
    let now = limit("replication_concurrency")?;
    assert_eq!((&now["value"], &now["configured"], &now["used"]), (&1.into(), &4.into(), &0.into()));
    let _one = session(node, 0, true)?.map_err(anyhow::Error::msg)?;
    let refused = session(node, 1, false)?.err().context("a second session was admitted")?;
    assert!(refused.contains("RECEIVER_BUSY"), "{refused}");
    told(&ssync(node, &["limits", "set", "replication_concurrency=3", "--json"])?)?;
    let _two = session(node, 1, true)?.map_err(anyhow::Error::msg)?;
    assert_eq!(limit("replication_concurrency")?["used"], 2);

    for (setting, said) in [
        ("replication_concurrency=5000", "it has to be from 0 to 1024"),
        ("concurrency=0", "it has to be from 1 to 256"),
        ("waiting_bytes_max=1", "cannot be set"),
        ("colour=1", "is no limit of those that answered; these can be set: replication_concurrency"),
        ("concurrency=many", "has to be a number"),
        ("concurrency", "has no ="),
    ] {
        let refused = ssync(node, &["limits", "set", setting])?;
        assert!(refused.code == Some(1) && refused.error.contains(said), "{setting}: {refused:?}");
    }
    assert_eq!(limit("replication_concurrency")?["value"], 3, "a refused one changes nothing");
    Ok(())
}

/// Node 2 takes no object of more than a megabyte, until its swift.conf is mended.
#[test]
fn what_a_peer_cannot_store_is_named_and_brought_once_that_is_mended() -> Result<()> {
    let builder = Cluster::of(2).part_power(4).own_rings();
    let cluster = builder.setting("object-replicator", "interval", "3600").build()?;
    let (one, two) = (cluster.node(1), cluster.node(2));
    let swift_conf = two.swift_dir().join("swift.conf");
    let good = fs::read_to_string(&swift_conf)?;
    fs::write(&swift_conf, format!("{good}\n[swift-constraints]\nmax_file_size = 1000000\n"))?;
    one.write_tree(10)?;
    let second = two.serve(OURS)?;
    let _first = one.serve_and_replicate(OURS)?;
    let passed = |number: u64| {
        until("a pass ends", || {
            let status = ssync(one, &["status", "--json"])?;
            let idle = || Ok::<_, anyhow::Error>(status.last_json()?["running"] == false);
            Ok(status.code == Some(0) && status.last_json()?["pass"].as_u64() >= Some(number) && idle()?)
        })
    };
    passed(1)?;
    for number in 2..=3 {
        let retried = ssync(one, &["errors", "--retry"])?;
        assert!(retried.output.contains("tried in the pass that begins now"), "{retried:?}");
        passed(number)?;
    }
    let errors = ssync(one, &["errors", "--json"])?.json()?;
    let objects: Vec<&Value> = errors.iter().filter(|entry| entry["what"] == "object").collect();
    assert_eq!(objects.len(), 1, "{errors:?}");
    let parked = objects[0];
    assert_eq!(parked["peer"], Value::from(format!("{}/sdb1", two.ring_address())));
    assert_eq!((&parked["reason"], &parked["times"]), (&"INVALID_ARGUMENT".into(), &3.into()));
    assert!(parked["cause"].as_str().is_some_and(|cause| cause.contains("max_file_size")), "{parked}");
    let visit = errors.iter().find(|entry| entry["what"] == "visit").context("a visit")?;
    assert_eq!((&visit["partition"], &visit["times"]), (&parked["partition"], &3.into()));
    let hash = parked["hash"].as_str().context("a hash")?.to_owned();
    let table = ssync(one, &["errors"])?;
    assert!(table.output.contains(&hash) && table.output.contains("What to do:"), "{table:?}");

    drop(second);
    fs::write(&swift_conf, good)?;
    let _second = two.serve(OURS)?;
    let unknown = ssync(one, &["errors", "--retry", "43b598753b11d9b4af67a5d5646e7b03"])?;
    assert!(unknown.code == Some(1) && unknown.output.contains("is nothing that failed"), "{unknown:?}");
    let retried = ssync(one, &["errors", "--retry", &hash])?;
    assert_eq!(retried.output, "1 parked object is tried in the pass that begins now.\n", "{retried:?}");
    passed(4)?;
    one.read_tree()?.assert_same(&two.read_tree()?);
    let nothing = ssync(one, &["errors"])?;
    assert_eq!(nothing.output, "Nothing has failed that has not gone well since.\n");
    Ok(())
}
