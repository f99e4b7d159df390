//! Pages of a small cluster in which one node is down: what they say is what the daemons say by gRPC.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use ssync_api::admin::{
    GetLimitsRequest, GetReplicatorStatusRequest, GetReplicatorStatusResponse, Limit,
    admin_service_client::AdminServiceClient, replicator_service_client::ReplicatorServiceClient,
};
use ssync_tests::{Cluster, DEVICE, Node, Server, Shape};
use tempfile::TempDir;

use crate::browser::{View, assert_sound, figure, look};

/// Longest that a first pass may take.
const PASS_WAIT_MAX: Duration = Duration::from_secs(60);
/// What is compared has to stay as it is for so long as it takes to look.
const LOOKS_MAX: usize = 5;

/// One daemon's admin address, asked by gRPC.
struct Asked {
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Asked {
    fn at(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()? })
    }

    fn status(&self) -> Result<GetReplicatorStatusResponse> {
        self.runtime.block_on(async {
            let mut client = ReplicatorServiceClient::connect(format!("http://{}", self.address)).await?;
            Ok(client.get_replicator_status(GetReplicatorStatusRequest {}).await?.into_inner())
        })
    }

    fn limits(&self) -> Result<Vec<Limit>> {
        self.runtime.block_on(async {
            let mut client = AdminServiceClient::connect(format!("http://{}", self.address)).await?;
            Ok(client.get_limits(GetLimitsRequest {}).await?.into_inner().limits)
        })
    }

    /// Returns when the first pass is over.
    fn first_pass(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let told = self.status();
            if told.as_ref().is_ok_and(|status| status.pass > 0 && !status.running) {
                return Ok(());
            }
            ensure!(started.elapsed() < PASS_WAIT_MAX, "the first pass does not end: {told:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn page(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// What does not change while nothing is done.
fn counts(status: &GetReplicatorStatusResponse) -> Value {
    let backlog = status.backlog.unwrap_or_default();
    let devices =
        status.devices.iter().map(|device| (&device.device, device.partitions_done, device.pending_objects));
    let nodes = status.nodes.iter().map(|node| (&node.node, node.visits_done, node.visits_total));
    json!([
        status.pass,
        status.running,
        status.partitions_done,
        status.partitions_total,
        status.objects,
        status.bytes,
        status.released,
        status.failures,
        backlog.objects,
        backlog.bytes,
        devices.collect::<Vec<_>>(),
        nodes.collect::<Vec<_>>()
    ])
}

fn cluster() -> Result<Cluster> {
    // One pass at the start, and then none for the rest of the test.
    let cluster = Cluster::of(3).setting("object-replicator", "interval", "3600").build()?;
    cluster.node(1).write_tree(30)?;
    Ok(cluster)
}

fn assert_tells(seen: &Value, status: &GetReplicatorStatusResponse, limits: &[Limit]) -> Result<()> {
    let plain = [
        (None, "pass", status.pass),
        (None, "partitions-done", status.partitions_done),
        (None, "partitions-total", status.partitions_total),
        (Some("work"), "objects", status.objects),
        (Some("work"), "bytes", status.bytes),
        (Some("work"), "released", status.released),
        (Some("work"), "failures", status.failures),
    ];
    for (table, name, value) in plain {
        assert_eq!(figure(seen, table, None, name)?, value, "{name}");
    }
    for device in &status.devices {
        let of = |name| figure(seen, Some("devices"), Some(&device.device), name);
        assert_eq!((of("pending-objects")?, of("pushed-objects")?), (device.pending_objects, device.objects));
        if device.partitions_total > 0 {
            assert_eq!(of("partitions-done")?, device.partitions_done);
        }
    }
    if let Some(backlog) = &status.backlog {
        assert_eq!(figure(seen, None, None, "pending-objects")?, backlog.objects);
        assert_eq!(figure(seen, None, None, "pending-bytes")?, backlog.bytes);
    }
    for node in &status.nodes {
        let of = |name| figure(seen, Some("nodes"), Some(&node.node), name);
        assert_eq!((of("visits-done")?, of("visits-total")?), (node.visits_done, node.visits_total));
    }
    ensure!(!limits.is_empty(), "a receiver has limits");
    for limit in limits {
        assert_eq!(figure(seen, Some("limits"), Some(&limit.name), "used")?, limit.used, "{}", limit.name);
    }
    Ok(())
}

#[test]
fn a_page_says_what_grpc_says() -> Result<()> {
    let cluster = cluster()?;
    let node = cluster.node(1);
    let _serving = [
        cluster.node(2).serve(Server::Ssync(Shape::OneProcess))?,
        node.serve_and_replicate(Server::Ssync(Shape::OneProcess))?,
    ];
    let asked = Asked::at(node.admin_address())?;
    asked.first_pass()?;
    let folder = TempDir::new()?;
    let views = [(1100, false), (380, true)].map(|(width, dark)| View::of(&asked.page(), width, dark));
    for _ in 0..LOOKS_MAX {
        let (before, limits) = (asked.status()?, asked.limits()?);
        let all = look(&views, folder.path())?;
        if counts(&before) != counts(&asked.status()?) || limits != asked.limits()? {
            continue;
        }
        assert!(before.objects > 0 && before.failures > 0, "node 2 gets objects, node 3 is down: {before:?}");
        for (view, seen) in views.iter().zip(&all) {
            assert_sound(seen, view);
            assert_tells(seen, &before, &limits)?;
            assert_ne!(seen["tone"], "good", "node 3 has got nothing: {}", seen["headline"]);
        }
        return Ok(());
    }
    anyhow::bail!("the node does not come to rest")
}

/// Which sections a page has.
fn sections(seen: &Value) -> Vec<&str> {
    let named =
        ["Other nodes", "Devices of this node", "Parked objects", "Sessions from other nodes", "Limits"];
    let text = seen["text"].as_str().unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    named.into_iter().filter(|name| lines.contains(name)).collect()
}

#[test]
fn each_process_tells_its_part_and_where_the_others_are() -> Result<()> {
    let cluster = cluster()?;
    let node = cluster.node(1);
    let _serving = node.serve_and_replicate(Server::Ssync(Shape::TwoOverUnix))?;
    let [receiver, sidecar, replicator] = [0, 1, 2].map(|above| {
        let mut address = node.admin_address();
        address.set_port(address.port() + above);
        address
    });
    Asked::at(replicator)?.first_pass()?;
    let folder = TempDir::new()?;
    let views = [receiver, sidecar, replicator]
        .map(|address| View::of(&format!("http://{address}/?refresh=1"), 800, false));
    let seen = look(&views, folder.path())?;
    for (view, seen) in views.iter().zip(&seen) {
        assert_sound(seen, view);
        assert_eq!(seen["refresh"], "2", "shorter than that it is not loaded again");
    }
    let [of_receiver, of_sidecar, of_replicator] = seen.as_slice() else {
        anyhow::bail!("three pages: {seen:?}")
    };
    assert_eq!(sections(of_receiver), ["Devices of this node", "Sessions from other nodes", "Limits"]);
    assert_eq!(sections(of_sidecar), [""; 0]);
    assert_eq!(sections(of_replicator), ["Other nodes", "Devices of this node", "Parked objects"]);
    for (seen, elsewhere) in [
        (of_receiver, &[replicator][..]),
        (of_sidecar, &[receiver, replicator]),
        (of_replicator, &[receiver]),
    ] {
        let text = seen["text"].as_str().context("no text")?;
        assert!(elsewhere.iter().all(|address| text.contains(&address.to_string())), "{elsewhere:?}: {text}");
    }
    assert_space(node, of_receiver);
    Ok(())
}

fn assert_space(node: &Node, seen: &Value) {
    let text = seen["text"].as_str().unwrap_or_default();
    assert!(text.contains(DEVICE) && text.contains("1 of 1 in use"), "{}: {text}", node.device().display());
}
