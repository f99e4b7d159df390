//! Our replicator pushes to an ssync peer, by gRPC.

use anyhow::Result;
use ssync_tests::{Answer, Cluster, Node, Replicator, Server, Shape, exchange};

/// What a pass with nothing to do may send to a peer: questions, no objects.
const QUESTIONS_BYTES_MAX: usize = 64 * 1024;

in_every_shape!(a_tree_that_swift_wrote_reaches_an_empty_peer, the_newest_wins_whichever_side_it_is_on,);

fn a_tree_that_swift_wrote_reaches_an_empty_peer(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(2).tapped().build()?;
    let written = cluster.node(1).write_tree(50)?;
    let _source = cluster.node(1).serve(Server::Ssync(shape))?;
    let _peer = cluster.node(2).serve(Server::Ssync(shape))?;

    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    let tree = cluster.node(1).read_tree()?;
    tree.assert_same(&cluster.node(2).read_tree()?);
    assert_eq!(tree.objects.len(), written.objects.len(), "an object of the tree was not read");
    let conversations = cluster.node(2).tap().take();
    assert!(conversations.iter().all(|conversation| conversation.sent.starts_with(b"PRI * HTTP/2")));
    let sent: usize = conversations.iter().map(|conversation| conversation.sent.len()).sum();
    assert!(
        sent as u64 > written.bytes,
        "{sent} bytes went over the wire, bodies alone are {}",
        written.bytes
    );

    let before = cluster.node(2).snapshot()?.objects();
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    before.assert_unchanged(&cluster.node(2).snapshot()?.objects(), "the second pass");
    let sent: usize = cluster.node(2).tap().take().iter().map(|conversation| conversation.sent.len()).sum();
    assert!(0 < sent && sent < QUESTIONS_BYTES_MAX, "a pass with nothing to do sent {sent} bytes");
    Ok(())
}

/// A request about an object in partition `partition`, straight to a node.
fn request(
    node: &Node,
    method: &str,
    object: (u32, &str),
    timestamp: &str,
    more: &str,
    body: &str,
) -> Result<Answer> {
    let (partition, path) = object;
    let length = body.len();
    let answer = exchange(
        node.address(),
        format!(
            "{method} /sdb1/{partition}{path} HTTP/1.1\r\nHost: node\r\nX-Timestamp: {timestamp}\r\n\
             X-Backend-Storage-Policy-Index: 0\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        )
        .as_bytes(),
    )?;
    assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
    Ok(answer)
}

fn the_newest_wins_whichever_side_it_is_on(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(2).part_power(0).build()?;
    cluster.node(1).write_tree(0)?;
    let (one, two) = (cluster.node(1), cluster.node(2));
    let _first = one.serve(Server::Ssync(shape))?;
    let _second = two.serve(Server::Ssync(shape))?;
    one.replicate(Replicator::Ssync)?.assert_success();

    let base = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() - 3600;
    let at = |second: u64| format!("{}.00000", base + second);
    let object = |name| (0, name);
    let binary = "Content-Type: application/octet-stream\r\n";
    request(one, "PUT", object("/AUTH_test/c/plain"), &at(1), binary, "newer on one")?;
    request(two, "PUT", object("/AUTH_test/c/big"), &at(1), binary, "newer on two")?;
    request(one, "POST", object("/AUTH_test/c/chunk"), &at(2), "X-Object-Meta-From: one\r\n", "")?;
    request(two, "POST", object("/AUTH_test/c/chunks"), &at(2), "X-Object-Meta-From: two\r\n", "")?;
    request(one, "DELETE", object("/AUTH_test/c/posted"), &at(3), "", "")?;
    request(two, "DELETE", object("/AUTH_test/c/offset"), &at(3), "", "")?;
    request(one, "PUT", object("/AUTH_test/c/fought"), &at(4), binary, "older")?;
    request(two, "PUT", object("/AUTH_test/c/fought"), &at(5), binary, "newer")?;
    request(one, "POST", object("/AUTH_test/c/zero"), &at(7), "X-Object-Meta-From: one\r\n", "")?;
    request(two, "PUT", object("/AUTH_test/c/zero"), &at(6), binary, "no longer zero")?;

    one.replicate(Replicator::Ssync)?.assert_success();
    two.replicate(Replicator::Ssync)?.assert_success();
    one.replicate(Replicator::Ssync)?.assert_success();
    let tree = one.read_tree()?;
    tree.assert_same(&two.read_tree()?);
    let field = |name: &str, field: &str| tree.object(name).map(|object| object[field].clone());
    assert_eq!(field("/AUTH_test/c/plain", "length"), Some(12.into()));
    assert_eq!(field("/AUTH_test/c/big", "length"), Some(12.into()));
    assert_eq!(field("/AUTH_test/c/posted", "kind"), Some("tombstone".into()));
    assert_eq!(field("/AUTH_test/c/offset", "kind"), Some("tombstone".into()));
    assert_eq!(field("/AUTH_test/c/fought", "data_timestamp"), Some(at(5).into()));
    assert_eq!(field("/AUTH_test/c/zero", "data_timestamp"), Some(at(6).into()));
    assert_eq!(field("/AUTH_test/c/zero", "timestamp"), Some(at(7).into()));
    assert_eq!(
        tree.object("/AUTH_test/c/chunk").map(|o| o["merged"]["X-Object-Meta-From"].clone()),
        Some("one".into())
    );
    assert_eq!(
        tree.object("/AUTH_test/c/chunks").map(|o| o["merged"]["X-Object-Meta-From"].clone()),
        Some("two".into())
    );
    Ok(())
}

#[test]
fn every_policy_is_pushed_by_rings_of_format_2() -> Result<()> {
    let cluster = Cluster::of(2).ring_format(2).build()?;
    cluster.node(1).write_tree_of(0, 5)?;
    cluster.node(1).write_tree_of(1, 5)?;
    let _source = cluster.node(1).serve(Server::Ssync(Shape::OneProcess))?;
    let _peer = cluster.node(2).serve(Server::Ssync(Shape::OneProcess))?;
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    for policy in [0, 1] {
        cluster.node(1).read_tree_of(policy)?.assert_same(&cluster.node(2).read_tree_of(policy)?);
    }
    Ok(())
}

#[test]
fn one_partition_of_one_policy_on_demand() -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    cluster.node(1).write_tree_of(0, 40)?;
    cluster.node(1).write_tree_of(1, 5)?;
    let _source = cluster.node(1).serve(Server::Ssync(Shape::OneProcess))?;
    let _peer = cluster.node(2).serve(Server::Ssync(Shape::OneProcess))?;
    let chosen = ["--partitions", "3", "--policies", "0", "--devices", "sdb1"];
    cluster.node(1).replicate_with(Replicator::Ssync, &chosen)?;
    let there = cluster.node(2).read_tree()?;
    there.assert_sound();
    assert!(!there.objects.is_empty(), "nothing was pushed");
    assert!(
        there.objects.values().all(|object| object["partition"] == "3"),
        "more than partition 3 was pushed"
    );
    assert!(cluster.node(2).read_tree_of(1)?.objects.is_empty(), "more than policy 0 was pushed");
    Ok(())
}

/// A partition whose offers fill several messages, in sessions that end before it is done.
#[test]
fn more_objects_than_one_message_offers() -> Result<()> {
    let cluster = Cluster::of(2).part_power(0).setting("ssync", "session_updates_max", "500").build()?;
    cluster.node(1).write_tree(2200)?;
    let _source = cluster.node(1).serve(Server::Ssync(Shape::OneProcess))?;
    let _peer = cluster.node(2).serve(Server::Ssync(Shape::OneProcess))?;
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    cluster.node(1).read_tree()?.assert_same(&cluster.node(2).read_tree()?);
    Ok(())
}

/// Many objects, so that sessions, batches and windows all turn over.
#[test]
#[ignore = "long: run tests/run --full"]
fn thousands_of_objects_in_two_processes() -> Result<()> {
    let cluster = Cluster::of(2).part_power(1).setting("ssync", "session_updates_max", "500").build()?;
    cluster.node(1).write_tree(5000)?;
    let _source = cluster.node(1).serve(Server::Ssync(Shape::TwoOverUnix))?;
    let _peer = cluster.node(2).serve(Server::Ssync(Shape::TwoOverTcp))?;
    cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
    cluster.node(1).read_tree()?.assert_same(&cluster.node(2).read_tree()?);
    Ok(())
}
