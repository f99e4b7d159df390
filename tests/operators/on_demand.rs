//! `ssync plan`, `ssync push`, `ssync status`: with a running replicator, and without one.

use std::{
    fs::File,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;
use ssync_tests::{
    Cluster, Node, Server, Serving, Shape, Snapshot, as_own_group, run_to_end, ssync_binary, venv_program,
};

use crate::ssync::{Said, ssync};

const OURS: Server = Server::Ssync(Shape::OneProcess);
/// Longest that a replicator may take until it has found nothing to do.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(20);

/// `ssync replicator` as a daemon, killed when this is dropped.
struct Replicator(Child);

impl Replicator {
    /// Returns when its first pass is over.
    fn of(cluster: &Cluster, node: &Node) -> Result<Self> {
        let log = File::create(cluster.folder().join("replicator.log"))?;
        let mut command = as_own_group(&ssync_binary()?);
        command.args(["replicator", "--verbose", "--conf"]).arg(node.conf());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let replicator = Self(child);
        let started = Instant::now();
        loop {
            let said = ssync(node, &["status", "--json"])?;
            let idle = said.code == Some(0) && {
                let told = said.last_json()?;
                told["pass"].as_u64() > Some(0) && told["running"] == false
            };
            if idle {
                return Ok(replicator);
            }
            ensure!(started.elapsed() < IDLE_WAIT_MAX, "the replicator does not get idle: {said:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Replicator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cluster(nodes: u8) -> Result<Cluster> {
    // One pass at the start, and then none for the rest of the test.
    let builder = Cluster::of(nodes).setting("object-replicator", "interval", "3600");
    if nodes > 3 { builder.spread(2, 2).build() } else { builder.build() }
}

fn serve(cluster: &Cluster, servers: &[Server]) -> Result<Vec<Serving>> {
    (1..).zip(servers).map(|(number, &server)| cluster.node(number).serve(server)).collect()
}

fn snapshots(cluster: &Cluster) -> Result<Vec<Snapshot>> {
    (1..=cluster.size()).map(|number| Ok(cluster.node(number).snapshot()?.without_bookkeeping())).collect()
}

fn total(said: &Said) -> Result<Value> {
    let total = said.last_json()?;
    assert_eq!(total["what"], "total", "{total}");
    Ok(total)
}

fn count(told: &Value, what: &str) -> u64 {
    told[what].as_u64().unwrap_or_else(|| panic!("no {what} in {told}"))
}

/// Node 1 is ours and holds a tree; nodes 2 and 3, one of each kind, have nothing.
#[test]
fn a_running_replicator_plans_and_pushes() -> Result<()> {
    let cluster = cluster(3)?;
    let _serving = serve(&cluster, &[OURS, OURS, Server::Stock])?;
    let node = cluster.node(1);
    let _replicator = Replicator::of(&cluster, node)?;
    node.write_tree(30)?;

    let before = snapshots(&cluster)?;
    let planned = ssync(node, &["plan", "--json"])?;
    assert_eq!(planned.code, Some(0));
    let all = total(&planned)?;
    for (before, after) in before.iter().zip(snapshots(&cluster)?) {
        before.assert_unchanged(&after, "a plan");
    }
    let table = ssync(node, &["plan"])?;
    assert!(
        table.output.starts_with("device ") && table.output.contains("A pass would push "),
        "{}",
        table.output
    );

    let partitions: Vec<u64> =
        planned.json()?.iter().filter_map(|piece| piece["partition"].as_u64()).collect();
    let first = partitions[0].to_string();
    to_one_node(&cluster, &first)?;

    let mut pushed = 0;
    let mut each: Vec<u64> = partitions.clone();
    each.sort_unstable();
    each.dedup();
    for partition in each {
        let said =
            ssync(node, &["push", "--device", "sdb1", "--partition", &partition.to_string(), "--json"])?;
        assert_eq!(said.code, Some(0));
        let done = said.last_json()?;
        assert!(done["done"] == true && done["complete"] == true, "{done}");
        pushed += count(&done, "objects");
    }
    assert!(pushed > 0 && pushed <= count(&all, "push_objects"), "{pushed} of {all}");
    let tree = node.read_tree()?;
    for number in [2, 3] {
        tree.assert_same(&cluster.node(number).read_tree()?);
    }
    let nothing = total(&ssync(node, &["plan", "--json"])?)?;
    assert_eq!((count(&nothing, "pushes"), count(&nothing, "push_objects")), (0, 0), "{nothing}");
    assert!(count(&nothing, "equal_peers") > 0);
    refusals(&cluster, &first)?;
    by_grpcurl(node)
}

/// The other peer gets nothing, and what was planned for it is still planned.
fn to_one_node(cluster: &Cluster, partition: &str) -> Result<()> {
    let node = cluster.node(1);
    let to = format!("{}/sdb1", cluster.node(2).ring_address());
    let said = ssync(node, &["push", "--device", "sdb1", "--partition", partition, "--to", &to])?;
    assert_eq!(said.code, Some(0));
    assert!(said.output.ends_with("Done.\n") && said.error.contains("the replicator at "), "{said:?}");
    assert!(!cluster.node(2).snapshot()?.objects().is_empty());
    assert!(cluster.node(3).snapshot()?.objects().is_empty(), "only node 2 was asked for");
    let planned = ssync(node, &["plan", "--json", "--partitions", partition])?.json()?;
    let peers: Vec<&str> = planned.iter().filter_map(|piece| piece["peer"].as_str()).collect();
    assert_eq!(peers, [format!("{}/sdb1", cluster.node(3).ring_address())]);
    Ok(())
}

fn refusals(cluster: &Cluster, partition: &str) -> Result<()> {
    let node = cluster.node(1);
    let own = format!("{}/sdb1", node.ring_address());
    for (arguments, said) in [
        (&["--device", "sdz9", "--partition", partition][..], "which has: sdb1"),
        (&["--device", "sdb1", "--partition", "4000000000"], "no partition 4000000000"),
        (&["--device", "sdb1", "--partition", partition, "--policy", "2"], "is no replication policy"),
        (
            &["--device", "sdb1", "--partition", partition, "--to", "10.9.9.9:1"],
            "neither a primary nor a handoff",
        ),
        (&["--device", "sdb1", "--partition", partition, "--to", &own], "neither a primary nor a handoff"),
        (&["--device", "sdb1", "--partition", partition, "--to", "sdb1"], "several nodes have a device sdb1"),
    ] {
        let all: Vec<&str> = ["push"].into_iter().chain(arguments.iter().copied()).collect();
        let refused = ssync(node, &all)?;
        assert!(refused.code == Some(1) && refused.error.contains(said), "{refused:?}");
    }
    Ok(())
}

/// The service as any client sees it: reflection, a plan, and who may not have one.
fn by_grpcurl(node: &Node) -> Result<()> {
    let mut admin = node.admin_address();
    admin.set_port(admin.port() + 2);
    let address = admin.to_string();
    let grpcurl = |arguments: &[&str]| -> Result<(bool, String)> {
        let all: Vec<&str> = ["-plaintext"].into_iter().chain(arguments.iter().copied()).collect();
        let output = run_to_end(&venv_program("grpcurl")?, &all)?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let (found, services) = grpcurl(&[&address, "list"])?;
    assert!(found && services.lines().any(|line| line == "ssync.admin.v1.ReplicatorService"), "{services}");
    let plan = "ssync.admin.v1.ReplicatorService/Plan";
    let (done, planned) = grpcurl(&["-d", "{\"devices\":[\"sdb1\"]}", &address, plan])?;
    assert!(done && planned.contains("\"total\""), "{planned}");
    for method in [plan, "ssync.admin.v1.ReplicatorService/Push"] {
        let (done, refused) = grpcurl(&["-H", "x-forwarded-for: 10.0.0.9", "-d", "{}", &address, method])?;
        assert!(!done && refused.contains("NOT_LOCAL"), "{method}: {refused}");
    }
    let (done, bad) = grpcurl(&["-d", "{\"devices\":[\"../x\"]}", &address, plan])?;
    assert!(!done && bad.contains("InvalidArgument"), "{bad}");
    Ok(())
}

/// Four nodes, two replicas: node 1 holds partitions of which it is no primary. No replicator runs.
#[test]
fn without_a_replicator_the_command_does_it() -> Result<()> {
    let cluster = cluster(4)?;
    let mut serving = serve(&cluster, &[OURS, Server::Stock, OURS, Server::Stock])?;
    let node = cluster.node(1);
    node.write_tree(20)?;
    let status = ssync(node, &["status"])?;
    assert!(status.code == Some(0) && status.output.contains("No replicator answers here"), "{status:?}");

    let before = snapshots(&cluster)?;
    let planned = ssync(node, &["plan", "--json"])?;
    assert_eq!(planned.code, Some(0));
    for (before, after) in before.iter().zip(snapshots(&cluster)?) {
        before.assert_unchanged(&after, "a plan");
    }
    let removals: Vec<Value> =
        planned.json()?.into_iter().filter(|piece| piece["what"] == "remove").collect();
    assert!(!removals.is_empty(), "node 1 is a primary of everything");
    let removal = &removals[0];
    let partition = count(removal, "partition");
    let held = || -> Result<usize> {
        let folder = node.device().join("objects").join(partition.to_string());
        Ok(Snapshot::of(&folder)?.objects().len())
    };
    let files = held()?;
    let name = a_name_in(node, partition)?;
    let argument = partition.to_string();
    let primary = cluster.node(cluster.primaries(u32::try_from(partition)?)[0]).ring_address().to_string();
    let one =
        ssync(node, &["push", "--device", "sdb1", "--partition", &argument, "--to", &primary, "--json"])?;
    assert_eq!((one.code, count(&one.last_json()?, "released"), held()?), (Some(0), 0, files), "{one:?}");

    let all = ssync(node, &["push", "--device", "sdb1", "--partition", &argument, "--json"])?;
    let done = all.last_json()?;
    assert_eq!((all.code, held()?), (Some(0), 0), "{all:?}");
    // Tombstones go too; what was planned counts live objects.
    let (released, planned) = (count(&done, "released"), count(removal, "objects"));
    assert!(
        (planned..=files as u64).contains(&released),
        "{released} went; {planned} were planned, of {files} files"
    );
    where_it_went(&cluster, &name)?;
    let gone = ssync(node, &["push", "--device", "sdb1", "--partition", &argument])?;
    assert!(gone.code == Some(1) && gone.error.contains(&format!("no partition {partition}")), "{gone:?}");

    // Whom it cannot reach it names, and its log says why.
    serving.truncate(1);
    let other = count(&removals[1], "partition").to_string();
    let failed = ssync(node, &["push", "--device", "sdb1", "--partition", &other])?;
    assert!(failed.code == Some(1) && failed.output.ends_with("Not all was done.\n"), "{failed:?}");
    let named =
        |what: &str| failed.output.lines().any(|line| line.starts_with("* 127.") && line.contains(what));
    assert!(named("/sdb1 did not get all of it") && failed.error.contains("refused"), "{failed:?}");
    Ok(())
}

/// The name of an object that the node holds in a partition, as `ssync object` finds it by its hash.
fn a_name_in(node: &Node, partition: u64) -> Result<String> {
    let snapshot = Snapshot::of(&node.device().join("objects").join(partition.to_string()))?.objects();
    for path in snapshot.paths() {
        let hash = path.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
        let said = ssync(node, &["object", &hash.unwrap_or_default(), "--policy", "0", "--json"])?;
        let told = said.last_json()?[0].clone();
        if told["devices"].as_array().into_iter().flatten().any(|device| device["state"] == "data") {
            return Ok(told["path"].as_str().unwrap_or_default().to_owned());
        }
    }
    anyhow::bail!("partition {partition} has no object with data")
}

/// The primaries have it, and the handoff's record says who let go of it and on whose word.
fn where_it_went(cluster: &Cluster, name: &str) -> Result<()> {
    let said = ssync(cluster.node(1), &["object", name, "--json"])?;
    let told = said.last_json()?[0].clone();
    assert_eq!(said.code, Some(0), "{told}");
    let removals = told["records"][0]["removals"].as_array().cloned().unwrap_or_default();
    assert_eq!(removals.len(), 1, "{told}");
    assert_eq!(
        (removals[0]["device"].as_str(), removals[0]["certain"].as_bool()),
        (Some("sdb1"), Some(true)),
        "{told}"
    );
    let confirmed: Vec<&str> =
        removals[0]["confirmed_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(confirmed.len(), 2, "both primaries are on record: {told}");
    Ok(())
}
