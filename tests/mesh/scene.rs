//! Nodes in namespaces, each with its proxies.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{
    Answer, Builder, Certificates, Cluster, Node, Proxies, Server, Serving, Shape, Switch, Tree, exchange,
};

/// Longest that anything may take.
const WAIT_MAX: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);

pub(crate) struct Scene {
    // Daemons end before their network does.
    serving: Vec<Serving>,
    proxies: Vec<Proxies>,
    certificates: Certificates,
    cluster: Cluster,
}

impl Scene {
    /// Nothing where there can be no namespaces: it takes root. With SSYNC_NO_SKIPS that is an error.
    pub(crate) fn of_nodes(nodes: u8) -> Result<Option<Self>> {
        Self::set(nodes, None)
    }

    pub(crate) fn with_handoff(nodes: u8, handoff: u8) -> Result<Option<Self>> {
        Self::set(nodes, Some(handoff))
    }

    fn set(nodes: u8, handoff: Option<u8>) -> Result<Option<Self>> {
        if let Err(error) = Switch::try_out() {
            if std::env::var_os("SSYNC_NO_SKIPS").is_some() {
                return Err(error);
            }
            eprintln!("SKIPPED: no network namespaces here, so this checks nothing: {error:#}");
            return Ok(None);
        }
        let builder = Cluster::of(nodes).behind_proxies().setting("object-replicator", "interval", "1");
        let cluster = handoff.into_iter().fold(builder, Builder::handoff).build()?;
        cluster.watch_from_outside()?;
        let certificates = Certificates::new()?;
        certificates.issue("stranger", "URI:spiffe://example.org/proxy/1")?;
        let mut proxies = Vec::new();
        for number in 1..=nodes {
            let name = number.to_string();
            certificates.issue(&name, &format!("URI:spiffe://example.org/ssync/{name}"))?;
            let folder = cluster.folder().join("envoy").join(&name);
            proxies.push(Proxies::start(cluster.node(number), folder, &certificates.folder(&name))?);
        }
        Ok(Some(Self { serving: Vec::new(), proxies, certificates, cluster }))
    }

    /// Of the nodes, and of `stranger`, whom the same authority has certified.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
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
