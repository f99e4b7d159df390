//! A node's readiness and its admin address.

mod secure;

use std::net::TcpListener;

use ssync_api::{
    admin::{DrainRequest, admin_service_client::AdminServiceClient},
    v1::{SurveyDevicesRequest, device_service_client::DeviceServiceClient},
};
use ssync_store::Store as _;
use tempfile::TempDir;

use ssync_runtime::Origin;

use super::*;
use crate::{
    cli::Split,
    commands::daemon,
    embedded::{ClusterFolder, free_addresses},
};

const WITHOUT_REPLICATOR: Parts = Parts::Node { with_replicator: false };
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of three nodes, and the configuration of the first.
fn folder(split: Option<Split>) -> (TempDir, Config) {
    let root = tempfile::tempdir().unwrap();
    let addresses = free_addresses(3).unwrap();
    let folder = ClusterFolder::make(root.path(), &addresses, split).unwrap();
    let config = daemon::config_of_file(&folder.nodes[0].conf).unwrap();
    (root, config)
}

async fn start(config: &Config, parts: Parts) -> anyhow::Result<Node> {
    let mut config = config.clone();
    config.node.bind_timeout = Duration::ZERO;
    Node::start(config, parts, &Metrics::new("0").unwrap()).await
}

async fn becomes_ready(node: &Node, wanted: bool) {
    let waiting = async {
        while node.health.is_ready() != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("readiness does not change");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_address_in_use_is_fatal_only_when_it_was_chosen() {
    let (_root, mut config) = folder(None);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    config.ssync.admin_bind = Some(taken.local_addr().unwrap().into());
    assert!(start(&config, WITHOUT_REPLICATOR).await.is_err(), "the file has chosen it");
    let row = config.rows.iter_mut().find(|row| row.name == "admin_bind").unwrap();
    row.origin = Origin::Default;
    let node = start(&config, WITHOUT_REPLICATOR).await.unwrap();
    assert!(node.health.is_ready());
    assert_eq!(node.stop().await, Drained::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_ring_is_not_ready_until_it_comes() {
    let (root, mut config) = folder(None);
    config.replicator.ring_check_interval = Duration::from_millis(50);
    let (ring, away) = (root.path().join("object.ring.gz"), root.path().join("away"));
    std::fs::rename(&ring, &away).unwrap();
    let node = start(&config, WITHOUT_REPLICATOR).await.unwrap();
    assert!(!node.health.is_ready());
    std::fs::rename(&away, &ring).unwrap();
    becomes_ready(&node, true).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_is_ready_while_its_receiver_is() {
    let (_root, config) = folder(Some(Split::Unix));
    let sidecar = start(&config, Parts::Sidecar).await.unwrap();
    assert!(!sidecar.health.is_ready());
    let receiver = start(&config, Parts::Receiver).await.unwrap();
    becomes_ready(&sidecar, true).await;
    receiver.stop().await;
    becomes_ready(&sidecar, false).await;
    assert_eq!(sidecar.stop().await, Drained::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_drain_is_not_ready() {
    let (_root, config) = folder(None);
    let node = start(&config, WITHOUT_REPLICATOR).await.unwrap();
    becomes_ready(&node, true).await;
    let admin = config.ssync.admin_bind.clone().unwrap();
    let mut client = AdminServiceClient::connect(format!("http://{admin}")).await.unwrap();
    client.drain(DrainRequest::default()).await.unwrap();
    becomes_ready(&node, false).await;
    node.stop().await;
}

/// What threads of the background there are: their niceness, and how often each has stopped to wait for work.
fn background() -> Vec<(i32, u64)> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let read =
        |thread: &std::path::Path, file: &str| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
    let of_thread = |thread: std::path::PathBuf| {
        let niceness = read(&thread, "stat").rsplit(") ").next()?.split(' ').nth(16)?.parse().ok()?;
        let waits = read(&thread, "status");
        let waits = waits.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        (read(&thread, "comm").trim() == "background").then_some((niceness, waits.trim().parse().ok()?))
    };
    threads.filter_map(of_thread).collect()
}

fn waits() -> u64 {
    background().iter().map(|(_, waits)| waits).sum()
}

/// Has nothing of the node's own run there: they wait at first, and then as often as they have had work.
async fn comes_to_rest() -> u64 {
    let mut before = waits();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        match waits() {
            now if now == before => return now,
            now => before = now,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_peers_ask_is_answered_in_the_background_and_what_the_sidecar_asks_is_not() {
    let (_root, config) = folder(Some(Split::Tcp));
    let receiver = start(&config, Parts::Receiver).await.unwrap();
    // It passes peers' connections on.
    let sidecar = start(&config, Parts::Sidecar).await.unwrap();
    let at_rest = comes_to_rest().await;
    let own = rustix::process::getpriority_process(None).unwrap();
    assert!(!background().is_empty());
    assert!(background().iter().all(|(niceness, _)| *niceness > own || own == 19), "{:?}", background());

    let ours = settings::remote_store(&config, Parts::Sidecar, None).unwrap();
    for _ in 0..20 {
        ours.survey_devices().await.unwrap();
    }
    assert_eq!(comes_to_rest().await, at_rest, "the sidecar's requests ran in the background");

    let peer = format!("http://{}:{}", config.node.bind_ip, config.node.bind_port);
    let mut peer = DeviceServiceClient::connect(peer).await.unwrap();
    for _ in 0..20 {
        peer.survey_devices(SurveyDevicesRequest::default()).await.unwrap();
    }
    assert!(comes_to_rest().await >= at_rest + 20, "the peer's ran before clients");
    sidecar.stop().await;
    receiver.stop().await;
}

/// Nobody told it to go, so its service manager must not take that for what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_go_on_drains_and_says_that_it_was_a_fault() {
    let (_root, config) = folder(None);
    let node = start(&config, WITHOUT_REPLICATOR).await.unwrap();
    let (fault, drain) = (node.fault.clone(), node.drain.clone());
    let signals = Signals::catch(ssync_runtime::Manners::Service).unwrap();
    let telemetry = daemon::telemetry(&config).unwrap();
    let read: Read = Arc::new(|| unreachable!());
    let end = tokio::spawn(async move { node.until_told(signals, telemetry.log_filter(), read).await });
    fault.cancel();
    let end = tokio::time::timeout(PATIENCE, end).await.expect("it goes on").unwrap();
    assert_eq!((end, drain.is_draining()), (End::Fault, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_go_while_it_waits_for_an_address_does_not_wait() {
    let (_root, mut config) = folder(None);
    let _taken = TcpListener::bind((config.node.bind_ip, config.node.bind_port)).unwrap();
    config.node.bind_timeout = 10 * PATIENCE;
    let surroundings = Surroundings::of(&Metrics::new("0").unwrap());
    let told = tokio::time::sleep(Duration::from_millis(200));
    let started = Node::start_in(surroundings, config, WITHOUT_REPLICATOR, told);
    assert!(tokio::time::timeout(PATIENCE, started).await.expect("it waits").unwrap().is_none());
}
