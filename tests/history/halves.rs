//! Four nodes, three replicas: each half of them sees other requests, and then the replicators meet.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;
use ssync_tests::{Cluster, Replicator, Server, Serving, Shape, Tree};

use crate::direct::{Change, Clock, Object, tell};

const NODES: u8 = 4;
/// Passes of all nodes after which everything must be at home.
const PASSES: usize = 2;

/// Who sees a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SeenBy {
    /// Two of the three primaries.
    Two,
    /// The third primary, and a handoff in place of the other two.
    OneAndHandoff,
    /// All three primaries.
    All,
}

/// A request, and who sees it. The time is that of its place in the story.
pub(crate) struct Step {
    seen: SeenBy,
    method: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
}

type Headers = &'static [(&'static str, &'static str)];

pub(crate) fn put(seen: SeenBy, headers: Headers, body: &'static [u8]) -> Step {
    Step { seen, method: "PUT", headers, body }
}

pub(crate) fn post(seen: SeenBy, headers: Headers) -> Step {
    Step { seen, method: "POST", headers, body: b"" }
}

pub(crate) fn delete(seen: SeenBy) -> Step {
    Step { seen, method: "DELETE", headers: &[], body: b"" }
}

/// What every primary must hold in the end.
pub(crate) enum End {
    Deleted,
    /// The body's length, and metadata: `""` where there must be none of that name.
    Here(u64, Headers),
}

/// What happens to one object: requests, then replication, and again.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) chapters: Vec<(Vec<Step>, End)>,
}

/// The nodes, each served.
pub(crate) struct Halves {
    cluster: Cluster,
    ours: Vec<u8>,
    clock: Clock,
    _serving: Vec<Serving>,
}

impl Halves {
    pub(crate) fn of(ours: &[u8]) -> Result<Self> {
        let cluster = Cluster::of(NODES).spread(3, 2).build()?;
        let server =
            |number| if ours.contains(&number) { Server::Ssync(Shape::OneProcess) } else { Server::Stock };
        let serving =
            (1..=NODES).map(|number| cluster.node(number).serve(server(number))).collect::<Result<_>>()?;
        Ok(Self { cluster, ours: ours.to_vec(), clock: Clock::start()?, _serving: serving })
    }

    /// Plays all stories side by side, chapter by chapter. Each is about objects of two partitions, so that nodes of either
    /// kind are in either half.
    pub(crate) fn play(&self, stories: &[Story]) -> Result<()> {
        let chapters = stories.iter().map(|story| story.chapters.len()).max().unwrap_or_default();
        let mut times = BTreeMap::new();
        for chapter in 0..chapters {
            for (story, object) in objects(stories) {
                if let Some((steps, _)) = story.chapters.get(chapter) {
                    self.perform(&object, steps, times.entry(object.path.clone()).or_insert(0))?;
                }
            }
            self.replicate()?;
            let trees = self.trees()?;
            for (story, object) in objects(stories) {
                if let Some((_, end)) = story.chapters.get(chapter) {
                    self.assert_at_home(&trees, story.name, &object, end)?;
                }
            }
        }
        Ok(())
    }

    fn perform(&self, object: &Object, steps: &[Step], time: &mut u64) -> Result<()> {
        for step in steps {
            *time += 1;
            let timestamp = self.clock.at(*time);
            let change =
                Change { method: step.method, timestamp: &timestamp, headers: step.headers, body: step.body };
            for number in self.who(object, step.seen) {
                tell(self.cluster.node(number), object, change)?;
            }
        }
        Ok(())
    }

    fn who(&self, object: &Object, seen: SeenBy) -> Vec<u8> {
        let mut primaries = self.cluster.primaries(object.partition);
        match seen {
            SeenBy::All => {}
            SeenBy::Two => primaries.truncate(2),
            SeenBy::OneAndHandoff => primaries = vec![primaries[2], self.handoff(object)],
        }
        primaries
    }

    fn handoff(&self, object: &Object) -> u8 {
        let primaries = self.cluster.primaries(object.partition);
        (1..=NODES).find(|number| !primaries.contains(number)).unwrap_or(NODES)
    }

    fn replicate(&self) -> Result<()> {
        for number in (0..PASSES).flat_map(|_| 1..=NODES) {
            let ours = self.ours.contains(&number);
            let replicator = if ours { Replicator::Ssync } else { Replicator::Stock };
            let pass = self.cluster.node(number).replicate(replicator)?;
            ensure!(pass.success, "a pass of node {number} failed: {}", pass.log);
        }
        Ok(())
    }

    fn trees(&self) -> Result<BTreeMap<u8, Tree>> {
        (1..=NODES)
            .map(|number| {
                let tree = self.cluster.node(number).read_tree()?;
                tree.assert_sound();
                Ok((number, tree))
            })
            .collect()
    }

    fn assert_at_home(
        &self,
        trees: &BTreeMap<u8, Tree>,
        story: &str,
        object: &Object,
        end: &End,
    ) -> Result<()> {
        let handoff = self.handoff(object);
        ensure!(trees[&handoff].object(&object.path).is_none(), "{story}: the handoff keeps its copy");
        let primaries = self.cluster.primaries(object.partition);
        let partition = object.partition.to_string();
        let first = trees[&primaries[0]].object(&object.path);
        let hashes = trees[&primaries[0]].hashes.get(&partition);
        for number in &primaries {
            let there = trees[number].object(&object.path);
            ensure!(
                there.map(state) == first.map(state),
                "{story}: node {number} has {there:?}, another {first:?}"
            );
            ensure!(trees[number].hashes.get(&partition) == hashes, "{story}: the hashes differ");
        }
        assert_end(story, first, end)
    }
}

/// What an object is, whatever files make it so: metadata that something newer covers may lie beside it on one node.
pub(crate) fn state(entry: &Value) -> Vec<&Value> {
    ["kind", "timestamp", "data_timestamp", "content_type_timestamp", "merged", "md5"]
        .into_iter()
        .map(|field| &entry[field])
        .collect()
}

/// Each story is told of an object of its own, in two partitions.
fn objects(stories: &[Story]) -> impl Iterator<Item = (&Story, Object)> {
    stories.iter().enumerate().flat_map(|(at, story)| {
        let first = u32::try_from(at % 8).unwrap_or_default();
        [first, (first + 3) % 8].map(|partition| (story, Object::within(partition, story.name)))
    })
}

fn assert_end(story: &str, held: Option<&Value>, end: &End) -> Result<()> {
    let kind = held.and_then(|entry| entry["kind"].as_str());
    match end {
        End::Deleted => ensure!(kind == Some("tombstone"), "{story}: not deleted: {held:?}"),
        End::Here(length, metadata) => {
            let entry = held.filter(|_| kind == Some("data"));
            let entry = entry.ok_or_else(|| anyhow::anyhow!("{story}: not there: {held:?}"))?;
            ensure!(entry["length"].as_u64() == Some(*length), "{story}: another body: {entry}");
            for (name, value) in *metadata {
                let found = entry["merged"][*name].as_str().unwrap_or_default();
                ensure!(found == *value, "{story}: {name} is {found:?} in place of {value:?}: {entry}");
            }
        }
    }
    Ok(())
}
