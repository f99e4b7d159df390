//! A cluster on loopback: folders, swift.conf, rings, and one configuration file for each node.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    namespace::Switch,
    network::{Network, SERVICES},
    node::{DEVICE, Node},
    tap::Tap,
    tools::helper,
};

/// Swift's usual port for object servers.
const PORT: u16 = 6200;
/// The daemons' admin services listen right above it.
pub(crate) const ADMIN_PORT: u16 = 6300;
/// A tapped node listens at this much above its number.
const BEHIND_TAP: u8 = 100;
/// Addresses of ring devices that no node of the test serves.
const NOBODY: u8 = 200;
/// The erasure-coded policy, 2+1.
const EC_FRAGMENTS: u8 = 3;

const HASH_PATH: &str = "\
[swift-hash]
swift_hash_path_prefix = changeme
swift_hash_path_suffix = changeme
";

/// The sections of swift.conf by number.
const POLICIES: [&str; 3] = [
    "name = gold\n",
    "name = silver\n",
    "name = ec21\npolicy_type = erasure_coding\nec_type = liberasurecode_rs_vand\n\
     ec_num_data_fragments = 2\nec_num_parity_fragments = 1\n",
];

fn swift_conf(default: usize) -> String {
    let mut text = HASH_PATH.to_owned();
    for (number, policy) in POLICIES.iter().enumerate() {
        let default = if number == default { "default = yes\n" } else { "" };
        text.push_str(&format!("\n[storage-policy:{number}]\n{policy}{default}"));
    }
    text
}

/// What a cluster shall be like.
#[derive(Debug)]
pub struct Builder {
    nodes: u8,
    handoffs: Vec<u8>,
    part_power: u8,
    ring_format: u8,
    tapped: bool,
    within: Option<PathBuf>,
    replicas: Option<[u8; 2]>,
    default_policy: usize,
    settings: Vec<Setting>,
    namespaces: bool,
    own_rings: bool,
    replication_port: u16,
}

/// A line of a configuration file: of every node's, or of one's.
#[derive(Debug)]
struct Setting {
    node: Option<u8>,
    section: String,
    key: String,
    value: String,
}

impl Builder {
    /// Policies 0 and 1 have fewer replicas than there are nodes, and the fragments of policy 2 are on any three nodes: each
    /// partition has handoffs.
    #[must_use]
    pub fn spread(mut self, gold: u8, silver: u8) -> Self {
        self.replicas = Some([gold, silver]);
        self
    }

    /// The policy of containers that ask for none; 0 unless said otherwise.
    #[must_use]
    pub fn default_policy(mut self, number: u8) -> Self {
        self.default_policy = usize::from(number);
        self
    }

    /// Node `number` is a primary of nothing.
    #[must_use]
    pub fn handoff(mut self, number: u8) -> Self {
        self.handoffs.push(number);
        self
    }

    /// Partitions as a power of two; 3 unless said otherwise.
    #[must_use]
    pub fn part_power(mut self, part_power: u8) -> Self {
        self.part_power = part_power;
        self
    }

    /// The format of the ring files, 1 or 2.
    #[must_use]
    pub fn ring_format(mut self, format: u8) -> Self {
        self.ring_format = format;
        self
    }

    /// What goes to and from each node is recorded ([`Node::tap`]).
    #[must_use]
    pub fn tapped(mut self) -> Self {
        self.tapped = true;
        self
    }

    /// Its folders lie below `folder`, in place of `SSYNC_TEST_DISK`.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.within = Some(folder.to_path_buf());
        self
    }

    /// A setting in every node's configuration.
    #[must_use]
    pub fn setting(self, section: &str, key: &str, value: &str) -> Self {
        self.set(None, section, key, value)
    }

    /// A setting in one node's configuration.
    #[must_use]
    pub fn setting_of(self, node: u8, section: &str, key: &str, value: &str) -> Self {
        self.set(Some(node), section, key, value)
    }

    fn set(mut self, node: Option<u8>, section: &str, key: &str, value: &str) -> Self {
        let (section, key, value) = (section.to_owned(), key.to_owned(), value.to_owned());
        self.settings.push(Setting { node, section, key, value });
        self
    }

    /// Every node has a network namespace of its own.
    #[must_use]
    pub fn in_namespaces(mut self) -> Self {
        self.namespaces = true;
        self
    }

    /// Every node has its own copy of swift.conf and the rings, as machines have.
    #[must_use]
    pub fn own_rings(mut self) -> Self {
        self.own_rings = true;
        self
    }

    /// The rings name this port for replication, and the usual one for clients.
    #[must_use]
    pub fn replication_port(mut self, port: u16) -> Self {
        self.replication_port = port;
        self
    }

    /// Makes folders, rings and configurations. Starts no daemon.
    pub fn build(self) -> Result<Cluster> {
        let disk = self.within.clone().or_else(|| env::var_os("SSYNC_TEST_DISK").map(PathBuf::from));
        let folder = match disk {
            Some(disk) => TempDir::new_in(disk)?,
            None => TempDir::new()?,
        };
        let network = if self.namespaces { Network::apart(self.nodes)? } else { Network::claim()? };
        let etc = folder.path().join("etc");
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("swift.conf"), swift_conf(self.default_policy))?;
        let assignments = self.rings(&etc, &network)?;
        let user = current_user()?;
        // Paths of sockets have to be short.
        let sockets = TempDir::with_prefix("ss")?;
        let nodes = (1..=self.nodes)
            .map(|number| self.node(number, folder.path(), sockets.path(), &network, &user))
            .collect::<Result<Vec<Node>>>()?;
        Ok(Cluster { nodes, assignments, folder, _sockets: sockets, network })
    }

    /// Every node that is no handoff holds every partition and the erasure-coded policy gets three devices, unless the
    /// cluster is spread.
    fn rings(&self, etc: &Path, network: &Network) -> Result<Assignments> {
        let device = |host: u8, weight: u8| json!({"ip": network.host(host), "port": PORT, "replication_port": self.replication_port, "device": DEVICE, "weight": weight});
        let replicated: Vec<_> =
            (1..=self.nodes).map(|n| device(n, u8::from(!self.handoffs.contains(&n)))).collect();
        let everywhere = u8::try_from(usize::from(self.nodes) - self.handoffs.len())?;
        let [gold, silver] = self.replicas.unwrap_or([everywhere; 2]);
        let coded: Vec<_> = if self.replicas.is_some() {
            replicated.clone()
        } else {
            (1..=EC_FRAGMENTS).map(|n| device(if n <= self.nodes { n } else { NOBODY + n }, 1)).collect()
        };
        let ring = |policy: u8, replicas: u8, devices: &[serde_json::Value]| {
            json!({"policy": policy, "part_power": self.part_power, "replicas": replicas, "format": self.ring_format,
                   "devices": devices})
        };
        let made = helper(
            "rings",
            &json!({"dir": etc, "rings": [ring(0, gold, &replicated), ring(1, silver, &replicated),
                                          ring(2, EC_FRAGMENTS, &coded)]}),
        )?;
        Ok(serde_json::from_value(made)?)
    }

    fn node(&self, number: u8, folder: &Path, sockets: &Path, network: &Network, user: &str) -> Result<Node> {
        let ring_address = SocketAddr::from((network.host(number), PORT));
        let address = if self.tapped {
            SocketAddr::from((network.host(BEHIND_TAP + number), PORT))
        } else {
            ring_address
        };
        let devices = folder.join("srv").join(number.to_string());
        let recon = folder.join("recon").join(number.to_string());
        let logs = folder.join("log");
        for made in [&devices.join(DEVICE), &recon, &logs] {
            fs::create_dir_all(made)?;
        }
        let mut sections: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        let mut set = |section, key: &str, value: &dyn std::fmt::Display| {
            let settings = sections.entry(section).or_default();
            settings.retain(|(known, _)| known != key);
            settings.push((key.to_owned(), value.to_string()));
        };
        let etc = folder.join("etc");
        let swift_dir = if self.own_rings { own_copy(&etc, number)? } else { etc.clone() };
        set("DEFAULT", "devices", &devices.display());
        set("DEFAULT", "swift_dir", &swift_dir.display());
        set("DEFAULT", "mount_check", &"false");
        set("DEFAULT", "disable_fallocate", &"true");
        set("DEFAULT", "bind_ip", &address.ip());
        set("DEFAULT", "bind_port", &address.port());
        set("DEFAULT", "ring_ip", &ring_address.ip());
        // No children: one process to wait for and to kill.
        set("DEFAULT", "workers", &"0");
        set("DEFAULT", "user", &user);
        set("DEFAULT", "log_level", &"DEBUG");
        set("DEFAULT", "recon_cache_path", &recon.display());
        set("pipeline:main", "pipeline", &"healthcheck recon object-server");
        set("app:object-server", "use", &"egg:swift#object");
        set("filter:healthcheck", "use", &"egg:swift#healthcheck");
        set("filter:recon", "use", &"egg:swift#recon");
        set("object-replicator", "sync_method", &"ssync");
        // Swift's daemons want a section, if an empty one.
        for daemon in ["object-reconstructor", "object-updater", "object-auditor"] {
            set(daemon, "interval", &"30");
        }
        let socket = sockets.join(format!("{number}.sock"));
        set("ssync", "receiver_socket", &socket.display());
        for (daemon, port) in [("admin_bind", 1), ("sidecar_admin_bind", 2), ("replicator_admin_bind", 3)] {
            set("ssync", daemon, &SocketAddr::from((address.ip(), ADMIN_PORT + port)));
        }
        for setting in self.settings.iter().filter(|setting| setting.node.is_none_or(|node| node == number)) {
            set(&setting.section, &setting.key, &setting.value);
        }
        let conf = etc.join("object-server").join(format!("{number}.conf"));
        write_conf(&conf, &sections)?;
        let tap = if self.tapped { Some(Tap::between(ring_address, address)?) } else { None };
        let namespace = network.namespace(number)?;
        Ok(Node {
            number,
            address,
            ring_address,
            namespace,
            conf,
            swift_dir,
            devices,
            recon,
            logs,
            socket,
            tap,
        })
    }
}

/// What a node needs of `etc`, in a folder of its own.
fn own_copy(etc: &Path, number: u8) -> Result<PathBuf> {
    let own = etc.join("nodes").join(number.to_string());
    fs::create_dir_all(&own)?;
    for entry in fs::read_dir(etc)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "swift.conf" || name.to_string_lossy().ends_with(".ring.gz") {
            fs::copy(entry.path(), own.join(name))?;
        }
    }
    Ok(own)
}

pub(crate) fn write_conf(path: &Path, sections: &BTreeMap<&str, Vec<(String, String)>>) -> Result<()> {
    let mut text = String::new();
    for (section, settings) in sections {
        text.push_str(&format!("[{section}]\n"));
        for (key, value) in settings {
            text.push_str(&format!("{key} = {value}\n"));
        }
        text.push('\n');
    }
    fs::create_dir_all(path.parent().context("a path without a folder")?)?;
    Ok(fs::write(path, text)?)
}

/// Swift's daemons change to the configured user when they are started by root.
pub(crate) fn current_user() -> Result<String> {
    let output = Command::new("id").arg("-un").output()?;
    ensure!(output.status.success(), "id -un failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// For each policy and partition, the ring's devices (the number of the node less one).
type Assignments = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// A cluster that is configured; its daemons are up to the test. All of it is removed when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    assignments: Assignments,
    folder: TempDir,
    _sockets: TempDir,
    network: Network,
}

impl Cluster {
    /// A cluster of `nodes`, numbered from 1, each with one device.
    #[must_use]
    pub fn of(nodes: u8) -> Builder {
        Builder {
            nodes,
            handoffs: Vec::new(),
            part_power: 3,
            ring_format: 1,
            tapped: false,
            within: None,
            replicas: None,
            default_policy: 0,
            settings: Vec::new(),
            namespaces: false,
            own_rings: false,
            replication_port: PORT,
        }
    }

    /// Node `number`.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    #[must_use]
    pub fn node(&self, number: u8) -> &Node {
        &self.nodes[usize::from(number) - 1]
    }

    /// Which nodes are primaries of a partition of policy 0.
    #[must_use]
    pub fn primaries(&self, partition: u32) -> Vec<u8> {
        self.primaries_of(0, partition)
    }

    /// The same of another policy. In an erasure-coded one, who comes first holds fragment 0, and so on.
    #[must_use]
    pub fn primaries_of(&self, policy: u32, partition: u32) -> Vec<u8> {
        let partitions = self.assignments.get(&policy.to_string());
        let devices = partitions.and_then(|partitions| partitions.get(&partition.to_string()));
        devices.map(|ids| ids.iter().map(|id| id + 1).collect()).unwrap_or_default()
    }

    /// What its nodes are plugged into, when each has a network namespace of its own.
    ///
    /// # Panics
    ///
    /// When the cluster was not built in namespaces.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn switch(&self) -> &Switch {
        self.network.switch().expect("build the cluster in_namespaces()")
    }

    /// From now on this thread, with what it starts, is at a host that is no node, but sees them.
    pub fn watch_from_outside(&self) -> Result<()> {
        self.switch().enter(SERVICES)
    }

    /// Its network.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// The number of its nodes.
    #[must_use]
    pub fn size(&self) -> u8 {
        self.nodes.last().map_or(0, |node| node.number)
    }

    /// Where everything lies.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }
}
