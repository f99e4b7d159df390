//! A node that changes what it speaks while it is remembered.

use std::sync::atomic::{AtomicBool, Ordering};

use ssync_types::{Partition, PolicyIndex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

const STOCK: &[u8] = b"HTTP/1.1 505 Invalid HTTP version (2.0)\r\nConnection: close\r\n\r\n";
const SETTINGS: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Answers the preface as gRPC does until it is stock, then as Swift does, and hangs up.
async fn node(is_stock: Arc<AtomicBool>) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_u8().await;
            let answer = if is_stock.load(Ordering::Relaxed) { STOCK } else { SETTINGS };
            let _ = stream.write_all(answer).await;
        }
    });
    let device: DeviceName = "sdb1".parse().unwrap();
    Target { ip: "127.0.0.1".to_owned(), port, device, region: 1, meta: String::new() }
}

fn nodes() -> Nodes {
    Nodes::new(&ReplicatorConfig::default(), RemoteSettings::default())
}

async fn ask(peer: &dyn Peer) -> Refusal {
    let device: DeviceName = "sdb1".parse().unwrap();
    let partition =
        PartitionRef { device, partition: Partition::new(1), policy: PolicyIndex::new(0), fragment: None };
    peer.suffix_hashes(&partition).await.unwrap_err()
}

#[tokio::test]
async fn a_node_that_was_put_back_to_stock_swift_is_spoken_to_by_ssync() {
    let is_stock = Arc::new(AtomicBool::new(false));
    let (nodes, target) = (nodes(), node(Arc::clone(&is_stock)).await);
    let peer = nodes.find(&target).await.unwrap();
    assert!(nodes.remembered(&target.address()).is_some());
    is_stock.store(true, Ordering::Relaxed);
    assert_eq!(ask(&*peer).await.reason, Reason::Unreachable);
    nodes.find(&target).await.unwrap();
    assert!(nodes.known().grpc.is_empty(), "it is still taken for what it was");
}

/// Who can break connections cannot choose the older protocol.
#[tokio::test]
async fn a_node_that_cannot_be_reached_is_asked_again_and_stays_what_it_was() {
    let (nodes, target) = (nodes(), node(Arc::default()).await);
    let peer = nodes.find(&target).await.unwrap();
    assert_eq!(ask(&*peer).await.reason, Reason::Unreachable);
    assert!(nodes.remembered(&target.address()).is_none(), "it is not asked again");
    nodes.find(&target).await.unwrap();
    assert!(nodes.remembered(&target.address()).is_some());
}
