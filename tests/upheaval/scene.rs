//! The cluster, its clients, and what can be done to it.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use ssync_tests::{Chance, Client, Cloud, CloudBuilder, Cluster, Daemon, RSYNC_MODULE, Server, Shape};

use crate::{
    disks::{Device, Disks},
    ledger::Ledger,
    report,
    rings::Rings,
    writers::{CONTAINER, Writers},
};

pub(crate) const NODES: u8 = 6;
/// While it is stock, such a node pushes by rsync, another by ssync.
pub(crate) const BY_RSYNC: [u8; 4] = [1, 2, 4, 5];
const PART_POWER: u8 = 4;
/// Requests between two steps.
const STEP: usize = 25;
/// Longest until a condition holds that replicators bring about.
pub(crate) const REPLICATED_MAX: Duration = Duration::from_secs(150);
/// Longest that a node stays away until what it alone has is found not to be written elsewhere by the others.
const SAFE_MAX: Duration = Duration::from_secs(8);
const SAFE_TRIES_MAX: usize = 5;
const POLL: Duration = Duration::from_millis(200);

/// Short, where a cluster of days is lived through in a minute.
const SETTINGS: [(&str, &str, &str); 14] = [
    ("DEFAULT", "replication_lock_timeout", "3"),
    ("app:object-server", "client_timeout", "5"),
    ("app:object-server", "node_timeout", "3"),
    ("app:object-server", "conn_timeout", "0.5"),
    ("app:object-server", "container_update_timeout", "1"),
    ("object-replicator", "interval", "2"),
    ("object-replicator", "ring_check_interval", "2"),
    ("object-replicator", "concurrency", "2"),
    ("object-replicator", "http_timeout", "5"),
    ("object-replicator", "node_timeout", "5"),
    ("object-replicator", "rsync_timeout", "20"),
    ("object-replicator", "rsync_io_timeout", "5"),
    ("object-replicator", "rsync_module", RSYNC_MODULE),
    ("ssync", "grpc_keepalive_interval", "5"),
];

/// A cluster that clients write to all the time.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) cloud: Cloud,
    pub(crate) client: Client,
    pub(crate) rings: Rings,
    pub(crate) chance: Chance,
    /// What has served each node, the last of it now.
    pub(crate) served: BTreeMap<u8, Vec<Server>>,
    writers: Option<Writers>,
    began: Instant,
    _rsync: Vec<Daemon>,
}

impl Scene {
    /// All nodes are stock, and nobody replicates yet.
    pub(crate) fn begin(seed: u64) -> Result<Self> {
        let began = Instant::now();
        let mut chance = Chance::new(seed);
        let cloud = configured(Cloud::of(NODES)).start(Server::Stock)?;
        for device in Device::all(cloud.cluster()) {
            fs::create_dir_all(device.path(cloud.cluster()))?;
        }
        let nodes = 1..=NODES;
        let rsync = nodes.clone().map(|number| cloud.node(number).serve_rsync()).collect::<Result<_>>()?;
        let client = cloud.client()?;
        let answer = client.request("PUT", CONTAINER, &[], b"")?;
        ensure!(answer.status == 201, "no container: {answer:?}");
        let rings = Rings::of(cloud.cluster())?;
        let writers = Some(Writers::start(&client, &mut chance));
        let served = nodes.map(|number| (number, vec![Server::Stock])).collect();
        Ok(Self { cloud, client, rings, chance, served, writers, began, _rsync: rsync })
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.cloud.cluster()
    }

    /// What the test says of its doings.
    pub(crate) fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Clients go on for a while, and one more machine gets the newest ring.
    pub(crate) fn step(&mut self) -> Result<()> {
        self.writers.as_ref().context("nobody writes any more")?.wait_for(STEP)?;
        self.rings.give_one().map(drop)
    }

    pub(crate) fn server_of(&self, number: u8) -> Server {
        self.served.get(&number).and_then(|all| all.last()).copied().unwrap_or(Server::Stock)
    }

    /// Ssync as one process or as three.
    pub(crate) fn ours(&mut self) -> Server {
        Server::Ssync(*self.chance.of(&[Shape::OneProcess, Shape::TwoOverUnix]))
    }

    /// A node is stopped, by SIGKILL or SIGTERM.
    pub(crate) fn stop(&mut self, number: u8) -> Result<()> {
        if self.chance.below(2) == 0 {
            self.say(&format!("node {number} is killed"));
            self.cloud.stop_node(number);
            return Ok(());
        }
        self.say(&format!("node {number} is told to stop"));
        self.cloud.end_node(number)
    }

    /// A node starts, with what is on its disks.
    pub(crate) fn start(&mut self, number: u8, server: Server) -> Result<()> {
        self.say(&format!("node {number} starts as {server:?}"));
        self.cloud.start_whole_node(number, server)?;
        self.served.entry(number).or_default().push(server);
        Ok(())
    }

    /// A stock node's replicator starts too.
    pub(crate) fn start_replicator(&mut self, number: u8) -> Result<()> {
        let replicator = self.cloud.node(number).replicator(Server::Stock)?;
        self.cloud.serving(number).context("it is not served")?.daemons.push(replicator);
        Ok(())
    }

    /// A device's node stops, and comes back without what was on the device; not before all of that is on two others.
    pub(crate) fn wipe(&mut self, device: &Device) -> Result<()> {
        for _ in 0..SAFE_TRIES_MAX {
            self.stop(device.node)?;
            let safe = self.is_soon_safe(device)?;
            if safe {
                self.say(&format!("device {device} is wiped"));
                let path = device.path(self.cluster());
                fs::remove_dir_all(&path)?;
                fs::create_dir_all(&path)?;
            }
            self.start(device.node, self.server_of(device.node))?;
            if safe {
                return Ok(());
            }
            self.say(&format!("device {device} has what others have not; it comes back as it was"));
            self.step()?;
        }
        bail!("device {device} is never safe to wipe")
    }

    fn is_soon_safe(&self, device: &Device) -> Result<bool> {
        let began = Instant::now();
        while began.elapsed() < SAFE_MAX {
            if Disks::look(self.cluster())?.only_on(device).is_empty() {
                return Ok(true);
            }
            thread::sleep(POLL);
        }
        Ok(false)
    }

    /// Waits until replicators have emptied a device.
    pub(crate) fn wait_until_empty(&mut self, device: &Device) -> Result<()> {
        let began = Instant::now();
        loop {
            let left = Disks::look(self.cluster())?.on(device);
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > REPLICATED_MAX {
                bail!("{device} has weight 0 and is never emptied: {}", report::tell(self, None, &left));
            }
            self.step()?;
        }
    }

    /// Clients rest, every machine has the newest ring, and everything gets to its place.
    pub(crate) fn quiet(&mut self) -> Result<Ledger> {
        let ledger = self.writers.take().context("nobody writes any more")?.stop()?;
        self.rings.give_all()?;
        self.say("quiet");
        let (began, mut most) = (Instant::now(), usize::MAX);
        loop {
            let astray = Disks::look(self.cluster())?.astray(&self.rings.primaries);
            if astray.is_empty() {
                self.say("all is where it belongs");
                return Ok(ledger);
            }
            if astray.len() < most {
                most = astray.len();
                self.say(&format!("{most} objects are not all where they belong"));
            }
            if began.elapsed() > REPLICATED_MAX {
                bail!("does not converge: {}", report::tell(self, Some(&ledger), &astray));
            }
            thread::sleep(POLL);
        }
    }
}

fn configured(cloud: CloudBuilder) -> CloudBuilder {
    let mut cloud = cloud.part_power(PART_POWER).in_namespaces();
    for (section, key, value) in SETTINGS {
        cloud = cloud.setting(section, key, value);
    }
    for number in BY_RSYNC {
        cloud = cloud.setting_of(number, "object-replicator", "sync_method", "rsync");
    }
    cloud
}
