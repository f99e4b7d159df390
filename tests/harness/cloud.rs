//! A whole Swift on loopback: a proxy with its middleware, accounts, containers, memcached, and object nodes of either kind.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use ssync_tests::{Cloud, Server, Shape};
//!
//! // Four nodes, each with one device; policy 0 has three replicas, 1 has two, 2 is erasure-coded 2+1, and each partition
//! // has handoffs. All of it is gone when the guard is dropped.
//! let mut cloud = Cloud::of(4).start_each(|number| match number {
//!     1 => Server::Ssync(Shape::OneProcess),
//!     _ => Server::Stock,
//! })?;
//! let client = cloud.client()?;
//! client.request("PUT", "/c", &[("X-Storage-Policy", "ec21")], b"")?;
//! client.request("PUT", "/c/o", &[], b"hello")?;
//! cloud.stop_node(2);
//! assert_eq!(client.request("GET", "/c/o", &[], b"")?.body, b"hello");
//! cloud.start_node(2, Server::Stock)?;
//! // Nodes are those of `Cluster`: what is on their disks, and stock daemons that run once.
//! cloud.node(1).run_stock("swift-object-reconstructor", &[])?;
//! cloud.node(1).read_tree_of(2)?.assert_sound();
//! # Ok(())
//! # }
//! ```
//!
//! Time-outs between the servers are long: on a busy machine an answer comes late, and what the cluster holds must not
//! depend on it. Account and container servers are one process each, which holds all three replicas.

mod client;
mod configuration;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use serde_json::json;

pub use self::client::Client;
use self::configuration::{Pipeline, Place};
use crate::{
    cluster::{self, Cluster},
    daemon::{Daemon, Listening},
    network::SERVICES,
    node::{Node, Server, Serving, swift_arguments},
    tools::{helper, venv_program},
};

const PROXY_PORT: u16 = 8080;
const MEMCACHED_PORT: u16 = 11211;
const CONTAINER_PORT: u16 = 6201;
const ACCOUNT_PORT: u16 = 6202;
/// Replicas of accounts and containers, each on a device of its own.
const DATABASE_DEVICES: [&str; 3] = ["sda", "sdb", "sdc"];
/// Debian has it where only root looks, or anybody.
const MEMCACHED: [&str; 2] = ["/usr/bin/memcached", "/usr/local/bin/memcached"];

/// What a cloud shall be like.
#[derive(Debug)]
pub struct CloudBuilder {
    cluster: cluster::Builder,
    pipeline: Pipeline,
}

impl CloudBuilder {
    /// `keymaster` and `encryption` are in the proxy's pipeline.
    #[must_use]
    pub fn encryption(mut self) -> Self {
        self.pipeline.encryption = true;
        self
    }

    /// The policy of containers that ask for none; 0 unless said otherwise.
    #[must_use]
    pub fn default_policy(mut self, number: u8) -> Self {
        self.cluster = self.cluster.default_policy(number);
        self
    }

    /// Replicas of policies 0 and 1; 3 and 2 unless said otherwise.
    #[must_use]
    pub fn replicas(mut self, gold: u8, silver: u8) -> Self {
        self.cluster = self.cluster.spread(gold, silver);
        self
    }

    /// Partitions of each policy as a power of two; 3 unless said otherwise.
    #[must_use]
    pub fn part_power(mut self, part_power: u8) -> Self {
        self.cluster = self.cluster.part_power(part_power);
        self
    }

    /// Each object node has a network namespace of its own, and all else has one together: the thread that starts the cloud is
    /// there from then on. The proxy does not wait long for nodes that may be cut off. Each node has its own copy of the rings.
    #[must_use]
    pub fn in_namespaces(mut self) -> Self {
        self.cluster = self.cluster.in_namespaces().own_rings();
        self.pipeline.patient = false;
        self
    }

    /// A setting in one object node's configuration.
    #[must_use]
    pub fn setting_of(mut self, node: u8, section: &str, key: &str, value: &str) -> Self {
        self.cluster = self.cluster.setting_of(node, section, key, value);
        self
    }

    /// A setting in every object node's configuration.
    #[must_use]
    pub fn setting(mut self, section: &str, key: &str, value: &str) -> Self {
        self.cluster = self.cluster.setting(section, key, value);
        self
    }

    /// Starts everything, each node with the same server, and returns when all of it listens.
    pub fn start(self, server: Server) -> Result<Cloud> {
        self.start_each(|_| server)
    }

    /// The same with the server that `choose` names for each node.
    pub fn start_each(self, choose: impl Fn(u8) -> Server) -> Result<Cloud> {
        let cluster = self.cluster.build()?;
        if let Some(switch) = cluster.network().switch() {
            switch.enter(SERVICES)?;
        }
        let host = cluster.network().host(SERVICES);
        let place = Place {
            folder: cluster.folder(),
            user: cluster::current_user()?,
            proxy: SocketAddr::from((host, PROXY_PORT)),
            memcached: SocketAddr::from((host, MEMCACHED_PORT)),
            container: SocketAddr::from((host, CONTAINER_PORT)),
            account: SocketAddr::from((host, ACCOUNT_PORT)),
        };
        place.write_all(&self.pipeline)?;
        database_rings(&place)?;
        // The slow ones first; all of them start side by side.
        let mut services = place.start()?;
        let mut containers = place.swift("container-server", place.container)?;
        let mut nodes = BTreeMap::new();
        for number in 1..=cluster.size() {
            nodes.insert(number, cluster.node(number).launch(choose(number))?);
        }
        services.iter_mut().chain([&mut containers]).try_for_each(Daemon::wait)?;
        nodes.values_mut().try_for_each(Serving::wait)?;
        Ok(Cloud { nodes, containers: Some(containers), _services: services, place, cluster })
    }
}

impl Place {
    fn start(&self) -> Result<Vec<Daemon>> {
        let mut daemons =
            vec![self.swift("proxy-server", self.proxy)?, self.swift("account-server", self.account)?];
        let (ip, port) = (self.memcached.ip().to_string(), self.memcached.port().to_string());
        let arguments = ["-u", &self.user, "-l", &ip, "-p", &port, "-U", "0", "-m", "64"].map(str::to_owned);
        let listening = Listening::Tcp(self.memcached);
        daemons.push(Daemon::start("memcached", memcached()?, &arguments, self.log("memcached"), listening)?);
        Ok(daemons)
    }

    fn swift(&self, server: &str, listening: SocketAddr) -> Result<Daemon> {
        let conf = self.etc().join(server).with_extension("conf");
        let program = format!("swift-{server}");
        let arguments = swift_arguments(&self.etc(), &program, &conf);
        let python = venv_program("python")?;
        Daemon::start(&program, &python, &arguments, self.log(&program), Listening::Tcp(listening))
    }

    fn log(&self, program: &str) -> PathBuf {
        self.folder.join("log").join(program).with_extension("log")
    }
}

fn memcached() -> Result<&'static Path> {
    let found = MEMCACHED.map(Path::new).into_iter().find(|path| path.exists());
    ensure!(found.is_some(), "memcached is missing: run tests/run, or install the package");
    Ok(found.unwrap_or(Path::new(MEMCACHED[0])))
}

fn database_rings(place: &Place) -> Result<()> {
    let ring = |name: &str, address: SocketAddr| {
        let devices: Vec<_> = DATABASE_DEVICES
            .iter()
            .map(|device| json!({"ip": address.ip(), "port": address.port(), "device": device, "weight": 1}))
            .collect();
        json!({"name": name, "part_power": 3, "replicas": devices.len(), "devices": devices})
    };
    let rings = [ring("account", place.account), ring("container", place.container)];
    for device in DATABASE_DEVICES {
        for server in ["account", "container"] {
            fs::create_dir_all(place.devices(server).join(device))?;
        }
    }
    helper("rings", &json!({"dir": place.etc(), "rings": rings})).map(drop)
}

/// A cloud that runs. All of it ends and is removed when this is dropped.
#[derive(Debug)]
pub struct Cloud {
    nodes: BTreeMap<u8, Serving>,
    containers: Option<Daemon>,
    _services: Vec<Daemon>,
    place: Place,
    cluster: Cluster,
}

impl Cloud {
    /// A cloud of `nodes` object nodes, at least three, numbered from 1.
    #[must_use]
    pub fn of(nodes: u8) -> CloudBuilder {
        let cluster = Cluster::of(nodes)
            .spread(3, 2)
            .setting("DEFAULT", "log_level", "INFO")
            // A busy machine must not turn an update into one that waits for swift-object-updater.
            .setting("app:object-server", "container_update_timeout", "20")
            .setting("app:object-server", "conn_timeout", "5")
            .setting("app:object-server", "node_timeout", "20");
        CloudBuilder { cluster, pipeline: Pipeline { encryption: false, patient: true } }
    }

    /// Node `number`: its disk, and stock daemons that run once.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    #[must_use]
    pub fn node(&self, number: u8) -> &Node {
        self.cluster.node(number)
    }

    /// The rings, and where everything lies.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Where the proxy listens.
    #[must_use]
    pub fn proxy(&self) -> SocketAddr {
        self.place.proxy
    }

    /// What Swift's own tests read to find the cluster (`SWIFT_TEST_CONFIG_FILE`).
    #[must_use]
    pub fn test_conf(&self) -> PathBuf {
        self.place.etc().join("test.conf")
    }

    /// Signs in as `test:tester`, the administrator of account `AUTH_test`.
    pub fn client(&self) -> Result<Client> {
        Client::sign_in(self.place.proxy, "test:tester", "testing")
    }

    /// What serves node `number`, while it is served.
    pub fn serving(&mut self, number: u8) -> Option<&mut Serving> {
        self.nodes.get_mut(&number)
    }

    /// Kills what serves node `number`.
    pub fn stop_node(&mut self, number: u8) {
        self.nodes.remove(&number);
    }

    /// Serves node `number` again, by the same kind of server or by another.
    pub fn start_node(&mut self, number: u8, server: Server) -> Result<()> {
        self.nodes.remove(&number);
        let serving = self.cluster.node(number).serve(server)?;
        self.nodes.insert(number, serving);
        Ok(())
    }

    /// Ends what serves node `number` with SIGTERM.
    pub fn end_node(&mut self, number: u8) -> Result<()> {
        let Some(mut serving) = self.nodes.remove(&number) else { return Ok(()) };
        serving.daemons.iter_mut().try_for_each(|daemon| daemon.stop().map(drop))
    }

    /// Serves node `number` again, and replicates.
    pub fn start_whole_node(&mut self, number: u8, server: Server) -> Result<()> {
        self.nodes.remove(&number);
        let serving = self.cluster.node(number).serve_and_replicate(server)?;
        self.nodes.insert(number, serving);
        Ok(())
    }

    /// Kills the container server: nobody takes updates of listings.
    pub fn stop_containers(&mut self) {
        self.containers = None;
    }

    /// Starts it again.
    pub fn start_containers(&mut self) -> Result<()> {
        let mut containers = self.place.swift("container-server", self.place.container)?;
        containers.wait()?;
        self.containers = Some(containers);
        Ok(())
    }

    /// Fails when any server of a node has ended by itself.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn assert_running(&mut self) {
        self.nodes.values_mut().for_each(Serving::assert_running);
    }
}
