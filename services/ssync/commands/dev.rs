//! `ssync dev`: three nodes on loopback to play with.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use ssync_ring::{Ring, SwiftConf};
use ssync_types::ObjectPath;

use crate::{
    cli::{DevArgs, NodeAddresses},
    embedded::{self, ClusterFolder},
    signals::Interruption,
};

const NODES: u16 = 3;
/// The object of the printed lines.
const EXAMPLE: [&str; 3] = ["AUTH_dev", "c", "hello"];

/// Starts the nodes with their replicators, prints how to reach them, and runs until interrupted.
pub(crate) async fn run(args: &DevArgs) -> anyhow::Result<ExitCode> {
    let mut interruption = Interruption::catch()?;
    let root = std::path::absolute(&args.dir)?;
    let folder = ClusterFolder::make(&root, &addresses(args.base_port)?, None)?;
    let cluster = embedded::start_with_daemons(&folder).await?;
    println!("{}", welcome(&folder)?);
    interruption.came().await;
    println!("Stopping. Everything is kept in {}.", root.display());
    cluster.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn addresses(base_port: u16) -> anyhow::Result<Vec<NodeAddresses>> {
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    (0..NODES)
        .map(|i| {
            let port = base_port.checked_add(10 * i).filter(|port| *port < u16::MAX - 2);
            let port = port
                .ok_or_else(|| anyhow::anyhow!("--base-port {base_port} leaves no room for {NODES} nodes"))?;
            Ok(NodeAddresses { data: at(port), admin: at(port + 1), receiver: at(port + 2) })
        })
        .collect()
}

/// What is there, and lines that are ready to run.
fn welcome(folder: &ClusterFolder) -> anyhow::Result<String> {
    let mut lines = vec![format!("Three nodes, in {}:", folder.root.display()), String::new()];
    for node in &folder.nodes {
        lines.push(format!("  node {}  devices {}", node.number, node.device_names.join(", ")));
        lines.push(format!("    HTTP, SSYNC and gRPC    {}", node.address));
        lines.push(format!("    metrics, health, admin  {}", node.admin));
        lines.push(format!("    grpcurl -plaintext {} list", node.address));
        lines.push(format!("    curl http://{}/metrics", node.admin));
    }
    let example = Example::of(folder)?;
    lines.push(String::new());
    lines.push(
        "Store an object at one of its primaries; within seconds the replicators bring it to the others:"
            .to_owned(),
    );
    lines.push(format!("  {}", example.curl_put()));
    lines.push("Read it there, and at the next primary:".to_owned());
    lines.extend(example.curl_get().into_iter().map(|line| format!("  {line}")));
    lines.push("Ask a node what it lacks of it:".to_owned());
    lines.push(format!("  {}", example.grpcurl_missing_check()));
    lines.push(String::new());
    lines.push("Ctrl-C stops all three.".to_owned());
    Ok(lines.join("\n"))
}

/// An object, and where it belongs.
struct Example {
    hash: String,
    partition: u32,
    /// Address and device of its first primary.
    first: (SocketAddr, String),
    /// Those of the next.
    next: (SocketAddr, String),
}

impl Example {
    fn of(folder: &ClusterFolder) -> anyhow::Result<Self> {
        let ring = Ring::load(&folder.root.join("object.ring.gz"))?;
        let [account, container, object] = EXAMPLE;
        let hash =
            SwiftConf::load(&folder.root)?.hash_path().hash(&ObjectPath::of(account, container, object)?);
        let partition = hash.partition(ring.part_power());
        let address_of = |device: &str| {
            folder
                .nodes
                .iter()
                .find(|node| node.device_names.iter().any(|name| name == device))
                .map(|node| node.address)
        };
        let mut primaries = ring.primaries(partition).into_iter().filter_map(|primary| {
            Some((address_of(primary.device.device.as_str())?, primary.device.device.to_string()))
        });
        let mut primary = || primaries.next().context("the ring places the example on too few devices");
        Ok(Self { hash: hash.to_string(), partition: partition.get(), first: primary()?, next: primary()? })
    }

    fn url(&self, (address, device): &(SocketAddr, String)) -> String {
        format!("http://{address}/{device}/{}/{}", self.partition, EXAMPLE.join("/"))
    }

    fn curl_put(&self) -> String {
        let url = self.url(&self.first);
        format!(
            "curl -i -X PUT -H 'X-Timestamp: 1700000000.00000' -H 'Content-Type: text/plain' -d 'Hello, Swift' {url}"
        )
    }

    fn curl_get(&self) -> [String; 2] {
        [&self.first, &self.next].map(|primary| format!("curl -i {}", self.url(primary)))
    }

    fn grpcurl_missing_check(&self) -> String {
        let (address, device) = &self.first;
        format!(
            "grpcurl -plaintext -d '{{\"partition\":{{\"device\":\"{device}\",\"partition\":{}}},\
             \"offers\":[{{\"objectHash\":\"{}\",\"dataTimestamp\":{{\"ticks\":\"170000000000000\"}}}}]}}' \
             {address} ssync.v1.ReplicationService/MissingCheck",
            self.partition, self.hash
        )
    }
}
