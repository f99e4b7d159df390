//! Whatever two nodes have seen of an object's life, they end with the same files, and with what is newest of each kind.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::Value;
use ssync_tests::{Cluster, Node, Replicator, Server, Shape, Tree};

use crate::direct::{Change, Clock, Object, ask, put, tell};

const OURS: Server = Server::Ssync(Shape::OneProcess);

/// What happens to an object, in this order; its time is its place. A node sees some of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Put,
    PostWithType,
    Delete,
    Post,
    PutAgain,
    PostAgain,
}

const LIFE: [Event; 6] =
    [Event::Put, Event::PostWithType, Event::Delete, Event::Post, Event::PutAgain, Event::PostAgain];

/// What a node holds: times of the body, of the metadata, of a content type among them, of a tombstone. 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    data: u64,
    meta: u64,
    kind: u64,
    tombstone: u64,
}

impl Held {
    fn see(&mut self, event: Event, time: u64) {
        let alive = self.data > 0;
        match event {
            Event::Put | Event::PutAgain => *self = Self { data: time, ..Self::default() },
            Event::Delete => *self = Self { tombstone: time, ..Self::default() },
            Event::PostWithType if alive => (self.meta, self.kind) = (time, time),
            Event::Post | Event::PostAgain if alive => self.meta = time,
            _ => {}
        }
    }

    /// What must be left when this and `other` have met: the newest of each kind, and nothing that something newer covers.
    fn met(self, other: Self) -> Self {
        let tombstone = self.tombstone.max(other.tombstone);
        let data = self.data.max(other.data);
        if tombstone >= data {
            return Self { tombstone, ..Self::default() };
        }
        let newer = |time: u64| if time > data { time } else { 0 };
        // Metadata count only beside a body that is not deleted, and so do those that a deletion had covered nowhere.
        Self {
            data,
            meta: newer(self.meta.max(other.meta)),
            kind: newer(self.kind.max(other.kind)),
            tombstone: 0,
        }
    }
}

/// One choice of events for each state that a node can be in.
fn lives() -> BTreeMap<Held, Vec<(Event, u64)>> {
    let mut lives = BTreeMap::new();
    for choice in 0..1u32 << LIFE.len() {
        let seen: Vec<_> =
            (0..LIFE.len()).filter(|at| choice >> at & 1 == 1).map(|at| (LIFE[at], at as u64 + 1)).collect();
        let mut held = Held::default();
        for (event, time) in &seen {
            held.see(*event, *time);
        }
        lives.entry(held).or_insert(seen);
    }
    lives
}

fn live(node: &Node, object: &Object, clock: Clock, seen: &[(Event, u64)]) -> Result<()> {
    for (event, time) in seen {
        let timestamp = clock.at(*time);
        let (method, headers, body): (_, &[_], &[u8]) = match event {
            Event::Put => ("PUT", &[("Content-Type", "a/first")], b"first"),
            Event::PutAgain => ("PUT", &[("Content-Type", "a/second")], b"the second"),
            Event::PostWithType => ("POST", &[("Content-Type", "a/posted"), ("X-Object-Meta-A", "1")], b""),
            Event::Post => ("POST", &[("X-Object-Meta-B", "2")], b""),
            Event::PostAgain => ("POST", &[("X-Object-Meta-C", "3")], b""),
            Event::Delete => ("DELETE", &[], b""),
        };
        let answer = ask(node, object, Change { method, timestamp: &timestamp, headers, body })?;
        // A POST finds nothing where there is no body, and a DELETE leaves its tombstone.
        ensure!(matches!(answer.status, 200..300 | 404), "{event:?} {}: {answer:?}", object.path);
    }
    Ok(())
}

fn held(tree: &Tree, object: &Object, clock: Clock) -> Held {
    let Some(entry) = tree.object(&object.path) else { return Held::default() };
    let time = |field: &str| {
        let text = entry[field].as_str().unwrap_or_default();
        let seconds: u64 = text.split('.').next().and_then(|text| text.parse().ok()).unwrap_or_default();
        seconds.saturating_sub(clock.second(0))
    };
    if entry["kind"] == "tombstone" {
        return Held { tombstone: time("timestamp"), ..Held::default() };
    }
    let data = time("data_timestamp");
    let newer = |time: u64| if time > data { time } else { 0 };
    Held { data, meta: newer(time("timestamp")), kind: newer(time("content_type_timestamp")), tombstone: 0 }
}

/// Every state on one node against every state on the other; each pushes once by its own replicator.
fn converge(servers: [Server; 2]) -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let nodes = [cluster.node(1), cluster.node(2)];
    let _serving = [nodes[0].serve(servers[0])?, nodes[1].serve(servers[1])?];
    let clock = Clock::start()?;
    let lives = lives();
    ensure!(lives.len() > 8, "too few states: {lives:?}");
    let mut expected = Vec::new();
    for (one, first) in &lives {
        for (other, second) in &lives {
            let object = Object::named(&format!("{one:?} {other:?}").replace([' ', '{', '}', ':', ','], ""));
            live(nodes[0], &object, clock, first)?;
            live(nodes[1], &object, clock, second)?;
            expected.push((object, one.met(*other)));
        }
    }
    // Swift's receiver asks for no metadata where it has a tombstone, so they come with the second pass.
    for _ in 0..if servers == [OURS, OURS] { 1 } else { 2 } {
        for (node, server) in nodes.iter().zip(servers) {
            let replicator = if server == OURS { Replicator::Ssync } else { Replicator::Stock };
            node.replicate(replicator)?.assert_success();
        }
    }
    let trees = [nodes[0].read_tree()?, nodes[1].read_tree()?];
    for (object, end) in &expected {
        for tree in &trees {
            assert_eq!(held(tree, object, clock), *end, "{}: {:?}", object.path, tree.object(&object.path));
        }
    }
    assert_equal_hashes(&trees)
}

/// The files need not be the same: metadata that something newer covers may lie beside it on one node.
fn assert_equal_hashes(trees: &[Tree; 2]) -> Result<()> {
    trees.iter().for_each(Tree::assert_sound);
    ensure!(!trees[0].rehashed.is_empty(), "nothing was compared");
    assert_eq!(trees[0].rehashed, trees[1].rehashed, "equal states, but Swift gives other suffix hashes");
    Ok(())
}

#[test]
fn any_two_states_of_an_object_converge() -> Result<()> {
    converge([OURS, OURS])
}

#[test]
fn any_two_states_of_an_object_converge_with_a_stock_node() -> Result<()> {
    converge([OURS, Server::Stock])
}

#[test]
#[ignore = "long: run tests/run --full"]
fn any_two_states_of_an_object_converge_between_stock_nodes() -> Result<()> {
    converge([Server::Stock, Server::Stock])
}

/// An object has expired by what one node knows, and by a later POST that another has seen it lives on: it is sent whole,
/// and no tombstone in its place.
fn expired(servers: [Server; 2]) -> Result<()> {
    let cluster = Cluster::of(2).build()?;
    let nodes = [cluster.node(1), cluster.node(2)];
    let _serving = [nodes[0].serve(servers[0])?, nodes[1].serve(servers[1])?];
    let clock = Clock::start()?;
    let (gone, later) = (clock.second(60).to_string(), clock.second(1_000_000).to_string());
    let mortal =
        [("Content-Type", "text/plain"), ("X-Delete-At", gone.as_str()), ("X-Backend-Replication", "true")];
    let put = |node: &Node, object: &Object| {
        let change = Change { method: "PUT", timestamp: &clock.at(1), headers: &mortal, body: b"mortal" };
        tell(node, object, change)
    };
    let save = |node: &Node, object: &Object| {
        let headers = [("X-Delete-At", later.as_str()), ("X-Object-Meta-Saved", "yes")];
        // Sent while it lived.
        tell(node, object, Change { method: "POST", timestamp: &clock.at(30), headers: &headers, body: b"" })
    };
    let [lost, known, saved] = ["lost", "known", "saved"].map(Object::named);
    // Only one node has it, and it has expired.
    put(nodes[0], &lost)?;
    // Both have it, and only the first knows that it lives on.
    put(nodes[0], &known)?;
    put(nodes[1], &known)?;
    save(nodes[0], &known)?;
    // The second alone has it and knows.
    put(nodes[1], &saved)?;
    save(nodes[1], &saved)?;
    for (node, server) in nodes.iter().zip(servers) {
        let replicator = if server == OURS { Replicator::Ssync } else { Replicator::Stock };
        node.replicate(replicator)?.assert_success();
    }
    let tree = nodes[0].read_tree()?;
    tree.assert_same(&nodes[1].read_tree()?);
    for (object, lives_on) in [(&lost, false), (&known, true), (&saved, true)] {
        let entry = tree.object(&object.path).cloned().unwrap_or_default();
        assert_eq!(entry["kind"], "data", "{}: {entry}", object.path);
        let until = if lives_on { &later } else { &gone };
        assert_eq!(entry["merged"]["X-Delete-At"], Value::from(until.as_str()), "{}", object.path);
        for node in nodes {
            let timestamp = clock.at(40);
            let read = Change { method: "GET", timestamp: &timestamp, headers: &[], body: b"" };
            let status = ask(node, object, Change { timestamp: &clock.at(3600), ..read })?.status;
            assert_eq!(status == 200, lives_on, "{}: {status}", object.path);
        }
    }
    Ok(())
}

#[test]
fn what_expired_on_one_node_and_lives_on_by_another_is_sent_whole() -> Result<()> {
    expired([OURS, OURS])
}

#[test]
fn what_expired_on_one_node_and_lives_on_by_another_is_sent_whole_to_and_from_stock() -> Result<()> {
    expired([OURS, Server::Stock])?;
    expired([Server::Stock, OURS])
}

/// A tombstone covers newer metadata, and metadata beside it are nobody's object: no pass finds a difference for ever.
#[test]
fn a_tombstone_and_newer_metadata_leave_nothing_to_say() -> Result<()> {
    for peer in [OURS, Server::Stock] {
        let cluster = Cluster::of(2).build()?;
        let nodes = [cluster.node(1), cluster.node(2)];
        let _serving = [nodes[0].serve(OURS)?, nodes[1].serve(peer)?];
        let clock = Clock::start()?;
        let objects: BTreeSet<_> = (0..8).map(|n| format!("o-{n}")).collect();
        for object in objects.iter().map(|name| Object::named(name)) {
            put(nodes[0], &object, &clock.at(1), b"body")?;
            tell(
                nodes[0],
                &object,
                Change {
                    method: "POST",
                    timestamp: &clock.at(9),
                    headers: &[("X-Object-Meta-A", "1")],
                    body: b"",
                },
            )?;
            crate::direct::delete(nodes[1], &object, &clock.at(5))?;
        }
        let other = if peer == OURS { Replicator::Ssync } else { Replicator::Stock };
        nodes[1].replicate(other)?.assert_success();
        nodes[0].replicate(Replicator::Ssync)?.assert_success();
        let before = [nodes[0].snapshot()?.objects(), nodes[1].snapshot()?.objects()];
        // Nothing is left to say: neither side sees a difference for ever.
        nodes[0].replicate(Replicator::Ssync)?.assert_success();
        nodes[1].replicate(other)?.assert_success();
        for (node, before) in nodes.iter().zip(&before) {
            before.assert_unchanged(&node.snapshot()?.objects(), "a pass after all was said");
        }
        let trees = [nodes[0].read_tree()?, nodes[1].read_tree()?];
        assert!(trees.iter().all(|tree| tree.objects.values().all(|object| object["kind"] == "tombstone")));
        assert_equal_hashes(&trees)?;
    }
    Ok(())
}
