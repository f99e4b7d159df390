//! A mixed cluster, what a client does to it, and what must then lie on its disks.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;
use ssync_tests::{Client, Cloud, CloudBuilder, Replicator, Server, Shape, Tree};

/// Longest until what a proxy has begun has reached every disk.
const SETTLE_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// Passes of all nodes after which everything must be at home.
const PASSES: usize = 2;
/// Sizes around those at which servers cut.
const SIZES: [usize; 7] = [0, 1, 4096, 65_535, 65_536, 65_537, 300_000];

/// A cloud of which `ours` are ssync's nodes.
pub(crate) struct Scene {
    pub(crate) cloud: Cloud,
    pub(crate) client: Client,
    ours: Vec<u8>,
    shape: Shape,
    container: &'static str,
    policy: u32,
}

/// For each object, what each node has of it.
pub(crate) type Holders = BTreeMap<String, BTreeMap<u8, Value>>;

impl Scene {
    pub(crate) fn begin(cloud: CloudBuilder, ours: &[u8]) -> Result<Self> {
        Self::begin_in(cloud, ours, Shape::OneProcess)
    }

    pub(crate) fn begin_in(cloud: CloudBuilder, ours: &[u8], shape: Shape) -> Result<Self> {
        let server = |number| if ours.contains(&number) { Server::Ssync(shape) } else { Server::Stock };
        let cloud = cloud.start_each(server)?;
        let client = cloud.client()?;
        let mut scene = Self { cloud, client, ours: ours.to_vec(), shape, container: "/c", policy: 0 };
        scene.ask("PUT", "", &[("X-Storage-Policy", "gold")], b"", 201)?;
        scene.container = "/coded";
        scene.ask("PUT", "", &[("X-Storage-Policy", "ec21")], b"", 201)?;
        scene.container = "/c";
        Ok(scene)
    }

    /// What follows is done to the container of the erasure-coded policy.
    pub(crate) fn coded(mut self) -> Self {
        (self.container, self.policy) = ("/coded", 2);
        self
    }

    pub(crate) fn nodes(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.cloud.cluster().size()
    }

    pub(crate) fn is_ours(&self, number: u8) -> bool {
        self.ours.contains(&number)
    }

    pub(crate) fn start(&mut self, number: u8) -> Result<()> {
        let server = if self.is_ours(number) { Server::Ssync(self.shape) } else { Server::Stock };
        self.cloud.start_node(number, server)
    }

    /// A request about an object of the container; `name` is empty or begins with a slash.
    pub(crate) fn ask(
        &self,
        method: &str,
        name: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        status: u16,
    ) -> Result<String> {
        let path = format!("{}{name}", self.container);
        let answer = self.client.request(method, &path, headers, body)?;
        ensure!(answer.status == status, "{method} {path}: not {status}: {answer:?}");
        Ok(answer.text())
    }

    /// Objects of all kinds: sizes, headers, overwritten, posted to, copied, deleted. Their names begin with `/` and `prefix`.
    pub(crate) fn fill(&self, prefix: &str) -> Result<()> {
        let name = |rest: &str| format!("/{prefix}{rest}");
        for size in SIZES {
            self.ask("PUT", &name(&format!("size-{size}")), &[], &body(size), 201)?;
        }
        let headers = [
            ("Content-Type", "text/x-story; charset=utf-8"),
            ("Content-Encoding", "plain"),
            ("Content-Disposition", "attachment"),
            ("X-Object-Meta-Colour", "gr\u{fc}n"),
            ("X-Delete-At", "4000000000"),
        ];
        self.ask("PUT", &name("h%C3%A9ad%20ers"), &headers, b"with headers", 201)?;
        self.ask("PUT", &name("over"), &[], b"first", 201)?;
        self.ask("PUT", &name("over"), &[("X-Object-Meta-Second", "2")], b"second", 201)?;
        self.ask("PUT", &name("posted"), &[("X-Object-Meta-Old", "gone")], b"posted", 201)?;
        self.ask("POST", &name("posted"), &[("X-Object-Meta-New", "1")], b"", 202)?;
        self.ask("POST", &name("posted"), &[("X-Object-Meta-New", "2"), ("Content-Type", "a/b")], b"", 202)?;
        let from = format!("{}{}", self.container, name("posted"));
        self.ask("PUT", &name("copied"), &[("X-Copy-From", &from)], b"", 201)?;
        self.ask("PUT", &name("deleted"), &[], b"deleted", 201)?;
        self.ask("DELETE", &name("deleted"), &[], b"", 204)?;
        Ok(())
    }

    /// What [`fill`](Self::fill) put there is changed.
    pub(crate) fn change(&self, prefix: &str) -> Result<()> {
        let name = |rest: &str| format!("/{prefix}{rest}");
        self.ask("PUT", &name("size-65536"), &[], b"smaller now", 201)?;
        self.ask("PUT", &name("deleted"), &[], b"back again", 201)?;
        self.ask("POST", &name("over"), &[("X-Object-Meta-Third", "3")], b"", 202)?;
        self.ask("POST", &name("posted"), &[("X-Object-Meta-New", "3")], b"", 202)?;
        self.ask("DELETE", &name("copied"), &[], b"", 204)?;
        self.ask("DELETE", &name("size-1"), &[], b"", 204)?;
        Ok(())
    }

    /// Node `away` is down while a client goes on; handoffs take its place, and what they have returns when it is back.
    pub(crate) fn assert_comes_home(&mut self, away: u8) -> Result<()> {
        self.fill("before-")?;
        self.cloud.stop_node(away);
        self.fill("meanwhile-")?;
        self.change("before-")?;
        self.assert_readable()?;
        self.start(away)?;
        ensure!(!self.homeless(&self.holders()?).is_empty(), "nothing was put on a handoff");
        for _ in 0..PASSES {
            self.pass()?;
        }
        self.assert_at_home()?;
        self.assert_readable()?;
        self.cloud.assert_running();
        Ok(())
    }

    /// Every object that the listing names can be read.
    pub(crate) fn assert_readable(&self) -> Result<()> {
        let listing = self.ask("GET", "", &[], b"", 200)?;
        ensure!(listing.lines().count() > 5, "the listing has hardly anything: {listing}");
        for name in listing.lines() {
            let encoded = name.replace(' ', "%20").replace('\u{e9}', "%C3%A9");
            let path = format!("{}/{encoded}", self.container);
            let answer = self.client.request("GET", &path, &[], b"")?;
            ensure!(answer.status == 200, "GET {path}: {answer:?}");
            if let Some((_, size)) = name.rsplit_once("size-")
                && size != "65536"
            {
                ensure!(answer.body == body(size.parse()?), "GET {path}: another body than was stored");
            }
        }
        Ok(())
    }

    pub(crate) fn tree(&self, number: u8) -> Result<Tree> {
        self.cloud.node(number).read_tree_of(self.policy)
    }

    /// One pass of each node's own replicator, or reconstructor, one node after the other.
    pub(crate) fn pass(&self) -> Result<()> {
        for number in self.nodes() {
            let node = self.cloud.node(number);
            match (self.policy, self.is_ours(number)) {
                (2, _) => drop(node.run_stock("swift-object-reconstructor", &[])?),
                (_, true) => drop(node.replicate(Replicator::Ssync)?),
                (_, false) => drop(node.replicate(Replicator::Stock)?),
            }
        }
        Ok(())
    }

    /// Waits until every node has the object.
    pub(crate) fn assert_stored(&self, name: &str) -> Result<()> {
        let name = format!("/AUTH_test{}{name}", self.container);
        let started = Instant::now();
        while self.holders()?.get(&name).is_none_or(|at| at.len() < self.nodes().count()) {
            ensure!(started.elapsed() < SETTLE_MAX, "{name} is not everywhere");
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits until all that is stored is where it belongs: on each primary, the same there, and nowhere else.
    pub(crate) fn assert_at_home(&self) -> Result<Holders> {
        let started = Instant::now();
        loop {
            let holders = self.holders()?;
            let problems = self.homeless(&holders);
            if problems.is_empty() {
                ensure!(holders.len() > 5, "hardly anything is stored: {:?}", holders.keys());
                return Ok(holders);
            }
            ensure!(started.elapsed() < SETTLE_MAX, "not at home:\n{}", problems.join("\n"));
            thread::sleep(POLL);
        }
    }

    /// Who has what, as Swift reads it; it must be able to.
    pub(crate) fn holders(&self) -> Result<Holders> {
        let mut holders = Holders::new();
        for number in self.nodes() {
            let tree = self.tree(number)?;
            tree.assert_sound();
            for (name, entry) in tree.objects {
                holders.entry(name).or_default().insert(number, entry);
            }
        }
        Ok(holders)
    }

    fn homeless(&self, holders: &Holders) -> Vec<String> {
        holders
            .iter()
            .filter_map(|(name, at)| self.problem(at).map(|problem| format!("{name}: {problem}")))
            .collect()
    }

    fn problem(&self, at: &BTreeMap<u8, Value>) -> Option<String> {
        let (_, any) = at.first_key_value()?;
        let partition = any["partition"].as_str()?.parse().ok()?;
        let primaries = self.cloud.cluster().primaries_of(self.policy, partition);
        let (is, should): (BTreeSet<u8>, BTreeSet<u8>) =
            (at.keys().copied().collect(), primaries.iter().copied().collect());
        if is != should {
            return Some(format!("on nodes {is:?} in place of {should:?}"));
        }
        if self.policy == 2 {
            return self.wrong_fragment(at, &primaries);
        }
        let different = at.iter().find(|(_, entry)| *entry != any);
        different.map(|(number, entry)| format!("node {number} has {entry}, another has {any}"))
    }

    /// Fragments differ from node to node; their index and what is known of the object do not.
    fn wrong_fragment(&self, at: &BTreeMap<u8, Value>, primaries: &[u8]) -> Option<String> {
        let (_, any) = at.first_key_value()?;
        primaries.iter().enumerate().find_map(|(index, number)| {
            let entry = at.get(number)?;
            if entry["kind"] != any["kind"] || entry["timestamp"] != any["timestamp"] {
                return Some(format!("node {number} has {entry}, another has {any}"));
            }
            let marked = format!("#{index}#d.data");
            let names = entry["files"].as_array().map(|files| files.iter().filter_map(Value::as_str));
            let found = names.is_some_and(|mut names| names.any(|name| name.ends_with(&marked)));
            (entry["kind"] == "data" && !found).then(|| format!("node {number} has no {marked}: {entry}"))
        })
    }
}

/// A body whose bytes tell where they stand.
fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}
