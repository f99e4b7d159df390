//! One replication from one node to another.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ssync_tests::{Certificates, Cluster, Node, PROXIED_PORT, Proxies, ssync_binary};

use super::{Part, Record, Way};
use crate::{
    cpu,
    medium::Medium,
    placement::PART_POWER,
    processes::{Call, Processes, Role},
    replication::{self, Dataset, Work},
};

/// Longest that anything may take.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// How often it is looked whether all has arrived.
const POLL: Duration = Duration::from_millis(50);

/// What is done, where, and how.
pub(crate) struct Turn<'a> {
    pub(crate) medium: &'a Medium,
    pub(crate) work: &'a Work,
    pub(crate) dataset: &'a Dataset,
    pub(crate) way: Way,
    pub(crate) round: u32,
}

impl Turn<'_> {
    pub(crate) fn time(&self) -> Result<Record> {
        let cluster = self.cluster()?;
        let [full, empty] = [1, 2].map(|number| cluster.node(number));
        self.dataset.copy_to(full)?;
        let certificates = Certificates::new()?;
        let mut proxies = Vec::new();
        for node in [full, empty].into_iter().filter(|_| self.way == Way::Envoy) {
            let name = node.ring_address().ip().to_string();
            certificates.issue(&name, &format!("URI:spiffe://example.org/ssync/{name}"))?;
            let folder = cluster.folder().join("envoy").join(&name);
            proxies.push(Proxies::start(node, folder, &certificates.folder(&name))?);
        }
        let mut processes = Processes::new(&cluster.folder().join("log"));
        processes.serve(Role::Receiver, &daemon(empty)?, empty.admin_address())?;
        if let Some(proxies) = proxies.last() {
            wait("the proxy to find the daemon", || proxies.sees_daemon(empty))?;
        }
        let envoys: Vec<(Part, u32)> =
            proxies.iter().flat_map(Proxies::ids).map(|id| (Part::Envoy, id)).collect();
        let used = |processes: &Processes| -> Result<BTreeMap<Part, f64>> {
            let mut used = cpu::seconds_of_groups(&envoys);
            used.insert(Part::Ssync, processes.groups().cpu_seconds()?.values().sum());
            Ok(used)
        };
        let (before, began) = (used(&processes)?, Instant::now());
        processes.begin(Role::Sender, &daemon(full)?)?;
        wait("all objects", || {
            processes.assert_alive()?;
            Ok(replication::files_of(&empty.device()) == self.work.objects)
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let after = used(&processes)?;
        let since =
            |(part, seconds): (Part, f64)| (part, seconds - before.get(&part).copied().unwrap_or_default());
        Ok(Record {
            medium: self.medium.to_string(),
            work: self.work.to_string(),
            way: self.way,
            round: self.round,
            objects: self.work.objects,
            bytes: (self.work.objects * self.work.size) as u64,
            seconds,
            cpu_seconds: after.into_iter().map(since).collect(),
        })
    }

    /// Two nodes with the same rings, whichever way.
    fn cluster(&self) -> Result<Cluster> {
        let builder = Cluster::of(2).within(self.medium.folder()).part_power(PART_POWER).setting(
            "DEFAULT",
            "log_level",
            "INFO",
        );
        let cluster = match self.way {
            Way::Envoy => builder.behind_proxies().build()?,
            Way::Direct => builder
                .in_namespaces()
                .replication_port(PROXIED_PORT)
                .setting("ssync", "grpc_port", &PROXIED_PORT.to_string())
                .setting("DEFAULT", "servers_per_port", "1")
                .build()?,
        };
        cluster.watch_from_outside()?;
        Ok(cluster)
    }
}

/// ssync as a node has it, with its replicator, in the node's network.
fn daemon(node: &Node) -> Result<Call> {
    let arguments = ["node", "--conf"].map(str::to_owned).into_iter();
    let arguments: Vec<String> = arguments.chain([node.conf().display().to_string()]).collect();
    let (program, arguments) = node.at_home(&ssync_binary()?, &arguments);
    Ok(Call::of(program).args(arguments))
}

fn wait(what: &str, mut until: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !until()? {
        ensure!(began.elapsed() < WAIT_MAX, "{what}: not within {WAIT_MAX:?}");
        thread::sleep(POLL);
    }
    Ok(())
}
