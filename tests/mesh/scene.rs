//! Nodes in namespaces, each with its proxies.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use ssync_tests::{Answer, Cluster, Node, Server, Serving, Shape, Switch, Tree, exchange, helper};

use crate::proxies::Proxies;

/// The ring's port for replication.
pub(crate) const REPLICATION_PORT: u16 = 6400;
/// Where a daemon listens on loopback, as docs/mesh.md has it.
pub(crate) const DAEMON_PORT: u16 = 6210;
/// Longest that anything may take.
const WAIT_MAX: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);

pub(crate) struct Scene {
    // Daemons end before their network does.
    serving: Vec<Serving>,
    proxies: Vec<Proxies>,
    cluster: Cluster,
}

impl Scene {
    /// Nothing where there can be no namespaces: it takes root.
    pub(crate) fn of_nodes(nodes: u8) -> Result<Option<Self>> {
        Self::set(nodes, None)
    }

    pub(crate) fn with_handoff(nodes: u8, handoff: u8) -> Result<Option<Self>> {
        Self::set(nodes, Some(handoff))
    }

    fn set(nodes: u8, handoff: Option<u8>) -> Result<Option<Self>> {
        if let Err(error) = Switch::try_out() {
            eprintln!("SKIPPED: no network namespaces here, so this checks nothing: {error:#}");
            return Ok(None);
        }
        let builder = Cluster::of(nodes)
            .in_namespaces()
            .replication_port(REPLICATION_PORT)
            .setting("DEFAULT", "bind_ip", "127.0.0.1")
            .setting("DEFAULT", "bind_port", &DAEMON_PORT.to_string())
            .setting("DEFAULT", "servers_per_port", "1")
            .setting("ssync", "trust_loopback", "false")
            .setting("object-replicator", "interval", "1");
        let cluster = handoff.into_iter().fold(builder, |builder, number| builder.handoff(number)).build()?;
        cluster.watch_from_outside()?;
        let mut scene = Self { serving: Vec::new(), proxies: Vec::new(), cluster };
        scene.certify(nodes)?;
        for number in 1..=nodes {
            let folder = scene.cluster.folder().join("envoy").join(number.to_string());
            let certificate = scene.certificates().join(number.to_string());
            scene.proxies.push(Proxies::start(scene.cluster.node(number), folder, &certificate)?);
        }
        Ok(Some(scene))
    }

    /// One for each node, one of the same authority for somebody else, and one for node 1 of another authority.
    fn certify(&self, nodes: u8) -> Result<()> {
        let mut names = serde_json::Map::new();
        for number in 1..=nodes {
            names.insert(number.to_string(), json!(format!("spiffe://example.org/ssync/{number}")));
        }
        names.insert("stranger".to_owned(), json!("spiffe://example.org/proxy/1"));
        helper("certificates", &json!({"folder": self.certificates(), "names": names}))?;
        let foreign = json!({"folder": self.certificates().join("foreign"),
                             "names": {"1": "spiffe://example.org/ssync/1"}});
        helper("certificates", &foreign).map(drop)
    }

    /// Where certificates lie, each in a folder.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.cluster.folder().join("tls")
    }

    pub(crate) fn node(&self, number: u8) -> &Node {
        self.cluster.node(number)
    }

    pub(crate) fn proxies(&self, number: u8) -> &Proxies {
        &self.proxies[usize::from(number) - 1]
    }

    /// Breaks all connections to a node, and some of the calls to come.
    pub(crate) fn break_ingress(&mut self, number: u8) -> Result<()> {
        self.proxies[usize::from(number) - 1].break_ingress(self.cluster.node(number))
    }

    /// Starts a node's daemon, with its replicator.
    pub(crate) fn serve(&mut self, number: u8) -> Result<()> {
        let server = Server::Ssync(Shape::OneProcess);
        self.serving.push(self.cluster.node(number).serve_and_replicate(server)?);
        Ok(())
    }

    /// Objects on a node, as Swift reads them.
    pub(crate) fn fill(&self, number: u8, small: u32) -> Result<Tree> {
        self.node(number).write_tree(small)?;
        self.node(number).read_tree()
    }

    pub(crate) fn wait(&mut self, what: &str, until: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !until(self)? {
            self.proxies.iter_mut().try_for_each(Proxies::ensure_running)?;
            ensure!(began.elapsed() < WAIT_MAX, "{what}: not within {WAIT_MAX:?}");
            thread::sleep(POLL);
        }
        Ok(())
    }

    pub(crate) fn wait_for_objects(&mut self, number: u8, like: &Tree) -> Result<()> {
        self.wait(&format!("all objects on node {number}"), |scene| {
            Ok(scene.node(number).read_tree()?.objects == like.objects)
        })
    }

    /// A request of Swift's HTTP, to the ring's port for clients.
    pub(crate) fn get_through_proxy(&self, number: u8) -> Result<Answer> {
        let address = self.node(number).ring_address();
        let request = format!("GET /healthcheck HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        exchange(address, request.as_bytes()).with_context(|| address.to_string())
    }
}
