//! Conversations that went wrong once: who talks on, who takes bytes for commands, who forgets to close.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Cluster, Connection, Node, Replicator, Server, Shape, exchange};

use crate::direct::{Clock, Object, put};

const OURS: Server = Server::Ssync(Shape::OneProcess);
const MIB: usize = 1 << 20;
/// Bodies of [`MIB`] bytes that a sender has to send.
const BODIES: usize = 48;
/// What may be under way in sockets' buffers when a sender hears that it is to stop.
const UNDER_WAY_MAX: u64 = 24 << 20;
const HEAD: &str = "SSYNC /sdb1/{part} HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\
                    X-Backend-Storage-Policy-Index: 0\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn head(object: &Object) -> String {
    HEAD.replace("{part}", &object.partition.to_string())
}

/// Opens a conversation and says that nothing is offered.
fn until_updates(node: &Node, object: &Object) -> Result<Connection> {
    let mut connection = Connection::open(node.address())?;
    connection.send(head(object).as_bytes());
    for line in [":MISSING_CHECK: START\r\n", ":MISSING_CHECK: END\r\n", ":UPDATES: START\r\n"] {
        connection.send(chunk(line).as_bytes());
    }
    connection.wait_for(":MISSING_CHECK: END")?;
    Ok(connection)
}

/// A peer that speaks SSYNC, wants everything, and after the first bytes of the updates says that it has failed. Counts what
/// it is sent afterwards.
fn failing_peer(address: SocketAddr) -> Result<Arc<AtomicU64>> {
    let listener = TcpListener::bind(address)?;
    let sent_in_vain = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent_in_vain);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            thread::spawn(move || fail(stream, &counted));
        }
    });
    Ok(sent_in_vain)
}

fn fail(mut stream: TcpStream, sent_in_vain: &AtomicU64) -> Option<()> {
    let mut said = Vec::new();
    let mut buffer = vec![0; 65536];
    let mut until = |stream: &mut TcpStream, mark: &[u8]| {
        while !said.windows(mark.len()).any(|window| window == mark) {
            let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
            said.extend_from_slice(&buffer[..count]);
        }
        Some(String::from_utf8_lossy(&said).into_owned())
    };
    let first = until(&mut stream, b"\r\n")?;
    if first.starts_with("PRI ") {
        stream
            .write_all(
                b"HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            )
            .ok()?;
        return stream.shutdown(Shutdown::Write).ok();
    }
    if first.starts_with("REPLICATE ") {
        // An empty dictionary: nothing is here.
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n\x80\x02}.";
        return stream.write_all(answer).ok();
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\r\n\r\n").ok()?;
    let offered = until(&mut stream, b":MISSING_CHECK: END")?;
    let mut wants = ":MISSING_CHECK: START\r\n".to_owned();
    let hashes = offered
        .split_whitespace()
        .filter(|word| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit()));
    hashes.for_each(|hash| wants += &format!("{hash} d\r\n"));
    stream.write_all(chunk(&(wants + ":MISSING_CHECK: END\r\n")).as_bytes()).ok()?;
    until(&mut stream, b"PUT /")?;
    stream.write_all(chunk(":ERROR: 500 'the disk is gone'\r\n").as_bytes()).ok()?;
    stream.write_all(b"0\r\n\r\n").ok()?;
    // It reads on, so that only the sender's own decision ends what comes.
    let mut rest = vec![0; 65536];
    while let Some(count) = stream.read(&mut rest).ok().filter(|count| *count > 0) {
        sent_in_vain.fetch_add(count as u64, Ordering::Relaxed);
    }
    None
}

/// Swift's sender pushed on for as long as it had something, and heard of it at the end.
#[test]
fn a_sender_ends_what_the_receiver_has_ended() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let node = cluster.node(1);
    let _serving = node.serve(OURS)?;
    let in_vain = failing_peer(cluster.node(2).address())?;
    let clock = Clock::start()?;
    let body = vec![7; MIB];
    for number in 0..BODIES {
        put(node, &Object::within(0, &format!("o{number}")), &clock.at(1), &body)?;
    }
    let pass = node.replicate(Replicator::Ssync)?;
    ensure!(pass.count("failure") > 0, "no failure was counted: {}", pass.stats);
    let sent = in_vain.load(Ordering::Relaxed);
    assert!(sent > 0, "the peer was sent nothing at all");
    assert!(sent < UNDER_WAY_MAX, "{} MiB were sent after the receiver had failed", sent >> 20);
    Ok(())
}

/// A body stops in the middle for longer than the receiver waits; then come its rest and more, which reads like commands.
#[test]
fn what_follows_a_body_that_came_too_late_is_no_command() -> Result<()> {
    for server in [Server::Stock, OURS, Server::Ssync(Shape::TwoOverTcp)] {
        let cluster = Cluster::of(1).setting("app:object-server", "client_timeout", "1").build()?;
        let node = cluster.node(1);
        let mut serving = node.serve(server)?;
        let clock = Clock::start()?;
        let (victim, late) = (Object::within(3, "victim"), Object::within(3, "late"));
        put(node, &victim, &clock.at(1), b"here to stay")?;
        let before = node.snapshot()?.objects();

        let mut connection = until_updates(node, &victim)?;
        let put_head = format!(
            "PUT {}\r\nContent-Length: 100\r\nContent-Type: a/b\r\nX-Timestamp: {}\r\n\r\n",
            late.path,
            clock.at(2)
        );
        connection.send(chunk(&put_head).as_bytes());
        connection.send(chunk("half a body").as_bytes());
        thread::sleep(Duration::from_millis(1800));
        connection.send(
            chunk(&format!("DELETE {}\r\nX-Timestamp: {}\r\n\r\n", victim.path, clock.at(9))).as_bytes(),
        );
        connection.send(chunk(":UPDATES: END\r\n").as_bytes());
        connection.send(b"0\r\n\r\n");
        let answer = connection.answer()?;
        // Of stock's two timers for this the one that ends the answer without a word may be first.
        let told = answer.text().contains(":ERROR:") || server == Server::Stock;
        assert!(told && !answer.text().contains(":UPDATES: END"), "{server:?}: {:?}", answer.text());
        before
            .assert_unchanged(&node.snapshot()?.objects(), &format!("{server:?}: a body that came too late"));
        serving.assert_running();
    }
    Ok(())
}

/// How many files, sockets and directories a process has open.
fn open_files(id: u32) -> Result<usize> {
    Ok(fs::read_dir(Path::new("/proc").join(id.to_string()).join("fd"))?.count())
}

/// Places at which a sender may hang up.
fn hang_ups(object: &Object, clock: Clock) -> Vec<Vec<String>> {
    let put_head = format!(
        "PUT {}\r\nContent-Length: 100000\r\nContent-Type: a/b\r\nX-Timestamp: {}\r\n\r\nhalf",
        object.path,
        clock.at(2)
    );
    let lines = [
        chunk(":MISSING_CHECK: START\r\n"),
        chunk(&format!("{} {}\r\n", object.hash(), clock.at(1))),
        chunk(":MISSING_CHECK: END\r\n"),
        chunk(":UPDATES: START\r\n"),
        chunk(&put_head),
    ];
    let mut places: Vec<_> = (0..=lines.len()).map(|count| lines[..count].to_vec()).collect();
    places.push(vec!["40\r\n:MISSING".to_owned()]);
    places
}

/// Whoever hangs up, wherever: nothing stays open, nothing stays locked, and the operator reads who went away, not of a fault.
#[test]
fn hang_ups_are_no_faults_and_leave_nothing_open() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(OURS)?;
    let id = serving.daemons[0].id();
    let clock = Clock::start()?;
    let object = Object::within(3, "o");
    let round = || -> Result<()> {
        for place in hang_ups(&object, clock) {
            let mut connection = Connection::open(node.address())?;
            connection.send(head(&object).as_bytes());
            place.iter().for_each(|piece| connection.send(piece.as_bytes()));
            // Dropped with bytes unread it is a reset, which is what a killed sender leaves.
        }
        Ok(())
    };
    // What stays open on purpose, the device for example, is open after the first.
    round()?;
    let settled = settle(node, &object)?;
    let before = open_files(id)?;
    for _ in 0..20 {
        round()?;
    }
    let again = settle(node, &object)?;
    ensure!(settled && again, "the partition is locked for ever");
    let started = Instant::now();
    while open_files(id)? > before + 4 {
        ensure!(
            started.elapsed() < Duration::from_secs(20),
            "{} files are open, {before} were",
            open_files(id)?
        );
        thread::sleep(Duration::from_millis(100));
    }
    assert!(node.snapshot()?.objects().is_empty(), "half a body was stored");
    let log = serving.log();
    // One line for each, as Swift has it, says what was being read; nothing but that is an error.
    let fault = |line: &&str| {
        (line.contains("ERROR") && !line.contains(" read failed: ")) || line.contains("panicked")
    };
    let faults: Vec<_> = log.lines().filter(fault).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    serving.assert_running();
    Ok(())
}

/// Whether a whole session is let in within a while.
fn settle(node: &Node, object: &Object) -> Result<bool> {
    for _ in 0..30 {
        let mut connection = Connection::open(node.address())?;
        connection.send(head(object).as_bytes());
        for line in [
            ":MISSING_CHECK: START\r\n",
            ":MISSING_CHECK: END\r\n",
            ":UPDATES: START\r\n",
            ":UPDATES: END\r\n",
        ] {
            connection.send(chunk(line).as_bytes());
        }
        connection.send(b"0\r\n\r\n");
        if connection.answer().is_ok_and(|answer| answer.text().ends_with(":UPDATES: END\r\n")) {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(false)
}

/// Two policies in one pass to a stock peer: each conversation is of one, and no request bears the other's number.
#[test]
fn requests_of_two_policies_do_not_share_their_headers() -> Result<()> {
    let cluster = Cluster::of(2).tapped().build()?;
    cluster.node(1).write_tree_of(0, 3)?;
    cluster.node(1).write_tree_of(1, 3)?;
    let _serving = [cluster.node(1).serve(OURS)?, cluster.node(2).serve(Server::Stock)?];
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    for policy in [0, 1] {
        cluster.node(1).read_tree_of(policy)?.assert_same(&cluster.node(2).read_tree_of(policy)?);
    }
    let mut seen = [0, 0];
    for conversation in cluster.node(2).tap().take() {
        for policy in [0, 1] {
            let named = format!("\r\nX-Backend-Storage-Policy-Index: {policy}\r\n").to_ascii_lowercase();
            let sent = String::from_utf8_lossy(&conversation.sent).to_ascii_lowercase();
            seen[policy] += usize::from(sent.starts_with("ssync ") && sent.contains(&named));
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "no conversation of one of them: {seen:?}");
    Ok(())
}

/// The receiver has noted what it stored; to ask it for hashes of these suffixes again would only make it read them all.
#[test]
fn nobody_is_made_to_calculate_hashes_again_after_a_push() -> Result<()> {
    let cluster = Cluster::of(2).tapped().build()?;
    cluster.node(1).write_tree(3)?;
    let _serving = [cluster.node(1).serve(OURS)?, cluster.node(2).serve(Server::Stock)?];
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    let asked: Vec<String> = cluster
        .node(2)
        .tap()
        .take()
        .iter()
        .flat_map(|conversation| {
            let sent = String::from_utf8_lossy(&conversation.sent).into_owned();
            sent.lines().filter(|line| line.starts_with("REPLICATE ")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(!asked.is_empty(), "nothing was asked");
    // /device/partition and no suffixes.
    let of_suffixes =
        |line: &&String| line.split(' ').nth(1).is_some_and(|path| path.matches('/').count() > 2);
    assert_eq!(asked.iter().filter(of_suffixes).collect::<Vec<_>>(), Vec::<&String>::new());
    let tree = cluster.node(2).read_tree().context("the peer")?;
    tree.assert_same(&cluster.node(1).read_tree()?);
    Ok(())
}

/// A sender that had no index said so in words, and the receiver raised an exception.
#[test]
fn a_number_that_is_the_text_none_is_answered_as_by_stock() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let nodes = [cluster.node(1), cluster.node(2)];
    let _serving = [nodes[0].serve(OURS)?, nodes[1].serve(Server::Stock)?];
    for name in ["X-Backend-Ssync-Frag-Index", "X-Backend-Ssync-Node-Index", "X-Backend-Storage-Policy-Index"]
    {
        for value in ["None", "", "x", "0"] {
            let request = format!(
                "SSYNC /sdb1/3 HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n{name}: {value}\r\n\r\n{}{}{}{}0\r\n\r\n",
                chunk(":MISSING_CHECK: START\r\n"),
                chunk(":MISSING_CHECK: END\r\n"),
                chunk(":UPDATES: START\r\n"),
                chunk(":UPDATES: END\r\n"),
            );
            let [ours, stock] = [0, 1].map(|at| exchange(nodes[at].address(), request.as_bytes()));
            let (ours, stock) = (ours?, stock?);
            assert_eq!(ours.status, stock.status, "{name}: {value:?}: {ours:?} and {stock:?}");
            assert_ne!(ours.status, 500, "{name}: {value:?}");
        }
    }
    Ok(())
}
