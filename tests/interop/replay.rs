//! Recorded SSYNC and REPLICATE conversations of stock Swift, and a reconstructor's GETs, said again to another server.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use ssync_tests::{Answer, Cluster, Connection, Server, Shape, exchange, helper, repository};

/// The recordings are of one day; no tombstone in them may be too old on the day of the test.
const RECLAIM_AGE: &str = "315360000";
/// Of the ring that was in force.
const PART_POWER: u8 = 2;

fn recording(name: &str) -> PathBuf {
    repository().join("tests/interop/captures").join(name)
}

/// The policy of the recordings is number 1 of its cluster, and number 2 of ours.
fn in_our_policy(sent: Vec<u8>) -> Vec<u8> {
    const THEIRS: &[u8] = b"\r\nX-Backend-Storage-Policy-Index: 1\r\n";
    let mut sent = sent;
    if let Some(at) = sent.windows(THEIRS.len()).position(|window| window == THEIRS) {
        sent[at + THEIRS.len() - 3] = b'2';
    }
    sent
}

/// What the recorded client sent, cut where it waited for the server.
fn turns(sent: &[u8]) -> Vec<&[u8]> {
    let mut turns = Vec::new();
    let mut rest = sent;
    for pause in [":MISSING_CHECK: END\r\n\r\n", ":UPDATES: END\r\n\r\n"] {
        if let Some(at) = rest.windows(pause.len()).position(|window| window == pause.as_bytes()) {
            let (turn, after) = rest.split_at(at + pause.len());
            turns.push(turn);
            rest = after;
        }
    }
    turns.push(rest);
    turns
}

/// Says `name` again at `address`; returns the recorded answer and the one that came.
fn replay(name: &str, address: std::net::SocketAddr) -> Result<(Answer, Answer)> {
    let sent = in_our_policy(fs::read(recording(&format!("{name}.c2s"))).context(name.to_owned())?);
    let recorded = Answer::parse(&fs::read(recording(&format!("{name}.s2c")))?)?;
    let mut connection = Connection::open(address)?;
    let waits = [":MISSING_CHECK: END", ":UPDATES: END"];
    for (number, turn) in turns(&sent).into_iter().enumerate() {
        connection.send(turn);
        if turn.windows(2).any(|end| end == b": ") && number < waits.len() && name.contains("SSYNC") {
            connection.wait_for(waits[number])?;
        }
    }
    Ok((recorded, connection.answer()?))
}

fn assert_ssync_again(name: &str, address: std::net::SocketAddr) -> Result<()> {
    let (recorded, came) = replay(name, address)?;
    assert_eq!(came.timeless_head(), recorded.timeless_head(), "{name}: another head");
    assert_eq!(came.text(), recorded.text(), "{name}: another answer");
    assert!(recorded.text().contains(":UPDATES: END"), "{name}: the recording is no whole session");
    Ok(())
}

/// Pickled dictionaries are in the order of a directory listing, so they are compared as values.
fn assert_replicate_again(name: &str, address: std::net::SocketAddr) -> Result<()> {
    let (recorded, came) = replay(name, address)?;
    assert_eq!(came.timeless_head(), recorded.timeless_head(), "{name}: another head");
    let value = |answer: &Answer| {
        let hex: String = answer.body.iter().map(|byte| format!("{byte:02x}")).collect();
        helper("unpickle", &json!({"hex": hex}))
    };
    assert_eq!(value(&came)?, value(&recorded)?, "{name}: other hashes");
    Ok(())
}

fn assert_get_again(name: &str, address: std::net::SocketAddr) -> Result<()> {
    let (recorded, came) = replay(name, address)?;
    let sorted = |answer: &Answer| {
        let head = answer.timeless_head();
        let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&came), sorted(&recorded), "{name}: another head");
    assert!(came.body == recorded.body, "{name}: another fragment");
    Ok(())
}

/// Stores the fragment that a recorded GET has read.
fn store_again(name: &str, address: std::net::SocketAddr) -> Result<()> {
    let read = Answer::parse(&fs::read(recording(&format!("{name}.s2c")))?)?;
    let sent = fs::read(recording(&format!("{name}.c2s")))?;
    let target = String::from_utf8_lossy(&sent).split(' ').nth(1).context("no target")?.to_owned();
    let kept =
        |line: &&str| ["Content-", "X-Object-", "X-Timestamp"].iter().any(|name| line.starts_with(name));
    let headers: String = read.head.lines().filter(kept).map(|line| format!("{line}\r\n")).collect();
    let head =
        format!("PUT {target} HTTP/1.1\r\nHost: node\r\nX-Backend-Storage-Policy-Index: 2\r\n{headers}\r\n");
    let answer = exchange(address, &[head.as_bytes(), &read.body].concat())?;
    assert_eq!(answer.status, 201, "{}", answer.text());
    Ok(())
}

/// A reconstructor rebuilds a fragment at one node out of those of two others, and brings fragments home to one of these.
fn a_recorded_reconstructor_is_answered_as_recorded(server: Server) -> Result<()> {
    let cluster =
        Cluster::of(3).part_power(PART_POWER).setting("DEFAULT", "reclaim_age", RECLAIM_AGE).build()?;
    let serving = (1..=3).map(|number| cluster.node(number).serve(server)).collect::<Result<Vec<_>>>()?;
    let [second, third, fourth] = [1, 2, 3].map(|number| cluster.node(number).address());

    store_again("6-ec-reconstruct/04-GET-node3", third)?;
    store_again("6-ec-reconstruct/05-GET-node4", fourth)?;
    assert_replicate_again("6-ec-reconstruct/01-REPLICATE-node3", third)?;
    assert_replicate_again("6-ec-reconstruct/02-REPLICATE-node2", second)?;
    assert_ssync_again("6-ec-reconstruct/03-SSYNC-node2", second)?;
    assert_get_again("6-ec-reconstruct/04-GET-node3", third)?;
    assert_get_again("6-ec-reconstruct/05-GET-node4", fourth)?;
    assert_replicate_again("6-ec-reconstruct/06-REPLICATE-node2", second)?;
    assert_ssync_again("7-ec-revert/01-SSYNC-node3", third)?;

    let names = |number: u8| -> Result<Vec<String>> {
        let files = cluster.node(number).snapshot()?.objects();
        let name = |path: &&std::path::Path| Some(path.file_name()?.to_str()?.to_owned());
        let mut names: Vec<String> = files.paths().iter().filter_map(name).collect();
        names.sort();
        Ok(names)
    };
    assert_eq!(names(1)?, ["1795248900.00000#2#d.data"]);
    let brought = ["1795248900.00000#0#d.data", "1795248910.00000#0#d.data", "1795248911.00000#0.data"];
    assert_eq!(names(2)?, brought, "one of those that came home was not to be marked");
    for mut node in serving {
        node.assert_running();
    }
    Ok(())
}

fn recorded_conversations_are_answered_as_recorded(server: Server) -> Result<()> {
    let cluster =
        Cluster::of(2).part_power(PART_POWER).setting("DEFAULT", "reclaim_age", RECLAIM_AGE).build()?;
    let mut serving = cluster.node(1).serve(server)?;
    let address = cluster.node(1).address();

    assert_replicate_again("1-ssync-full/01-REPLICATE-node2", address)?;
    assert_ssync_again("1-ssync-full/02-SSYNC-node2", address)?;
    assert_replicate_again("2-insync/01-REPLICATE-node2", address)?;
    assert_ssync_again("4-ssync-reverse/02-SSYNC-node1", address)?;
    assert_replicate_again("3-ssync-delta/01-REPLICATE-node2", address)?;
    assert_ssync_again("3-ssync-delta/02-SSYNC-node2", address)?;
    assert_ssync_again("5-ssync-handoff/01-SSYNC-node2", address)?;

    serving.assert_running();
    let files = cluster.node(1).snapshot()?.objects();
    assert!(files.len() >= 13, "13 objects went in, and there are {:?}", files.paths());
    Ok(())
}

macro_rules! of_each_server {
    ($($test:ident: $server:expr),+ $(,)?) => {
        mod replication {
            use super::*;

            $(#[test]
            fn $test() -> Result<()> {
                recorded_conversations_are_answered_as_recorded($server)
            })+
        }
        mod erasure_coding {
            use super::*;

            $(#[test]
            fn $test() -> Result<()> {
                a_recorded_reconstructor_is_answered_as_recorded($server)
            })+
        }
    };
}

of_each_server! {
    by_stock: Server::Stock,
    by_one_process: Server::Ssync(Shape::OneProcess),
    by_two_over_tcp: Server::Ssync(Shape::TwoOverTcp),
    by_two_over_unix: Server::Ssync(Shape::TwoOverUnix),
}
