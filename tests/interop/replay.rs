//! Recorded SSYNC and REPLICATE conversations of stock Swift, said again to another server.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use ssync_tests::{Answer, Cluster, Connection, Server, Shape, helper, repository};

/// The recordings are of one day; no tombstone in them may be too old on the day of the test.
const RECLAIM_AGE: &str = "315360000";
/// Of the ring that was in force.
const PART_POWER: u8 = 2;

fn recording(name: &str) -> PathBuf {
    repository().join("tests/interop/captures").join(name)
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
    let sent = fs::read(recording(&format!("{name}.c2s"))).context(name.to_owned())?;
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

#[test]
fn by_stock() -> Result<()> {
    recorded_conversations_are_answered_as_recorded(Server::Stock)
}

#[test]
fn by_one_process() -> Result<()> {
    recorded_conversations_are_answered_as_recorded(Server::Ssync(Shape::OneProcess))
}

#[test]
fn by_two_over_tcp() -> Result<()> {
    recorded_conversations_are_answered_as_recorded(Server::Ssync(Shape::TwoOverTcp))
}

#[test]
fn by_two_over_unix() -> Result<()> {
    recorded_conversations_are_answered_as_recorded(Server::Ssync(Shape::TwoOverUnix))
}
