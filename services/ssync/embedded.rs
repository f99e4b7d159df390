//! A cluster of nodes on loopback, with a ring and devices that it makes itself: what `ssync dev` and `ssync demo` run.

mod folder;
mod in_process;
mod processes;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context as _;
use indicatif::ProgressBar;

use crate::cli::{NodeAddresses, Split};

pub(crate) use folder::{ClusterFolder, NodeFolder};

/// A running cluster.
pub(crate) enum Cluster {
    /// Every node in this process.
    InProcess(in_process::Nodes),
    /// Receiver and sidecar of each node as processes of their own.
    Processes(processes::Nodes),
}

/// What a pass over all nodes did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PassTotals {
    /// Objects pushed.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Jobs that did not bring their peer in sync.
    pub failures: u64,
}

impl PassTotals {
    /// Adds what another pass did. Its failures replace ours: they are what is still open.
    pub(crate) fn add(&mut self, later: &Self) {
        self.objects += later.objects;
        self.bytes += later.bytes;
        self.failures = later.failures;
    }
}

impl Cluster {
    /// Starts every node and waits until all answer. No replicator runs by itself.
    pub(crate) async fn start(folder: &ClusterFolder, split: Option<Split>) -> anyhow::Result<Self> {
        Ok(match split {
            None => {
                Self::InProcess(in_process::Nodes::start(folder, in_process::Replicator::OnDemand).await?)
            }
            Some(_) => Self::Processes(processes::Nodes::start(folder).await?),
        })
    }

    /// One pass of every node's replicator, all at once. `bar` counts partitions.
    pub(crate) async fn replicate_once(&self, bar: &ProgressBar) -> anyhow::Result<PassTotals> {
        match self {
            Self::InProcess(nodes) => nodes.replicate_once(bar).await,
            Self::Processes(nodes) => nodes.replicate_once(bar).await,
        }
    }

    /// Drains and stops every node.
    pub(crate) async fn stop(self) {
        match self {
            Self::InProcess(nodes) => nodes.stop().await,
            Self::Processes(nodes) => nodes.stop().await,
        }
    }
}

/// Starts a cluster whose replicators run as daemons: what `ssync dev` wants.
pub(crate) async fn start_with_daemons(folder: &ClusterFolder) -> anyhow::Result<Cluster> {
    Ok(Cluster::InProcess(in_process::Nodes::start(folder, in_process::Replicator::Daemon).await?))
}

/// Loopback addresses of `count` nodes that nobody listens on at the moment.
pub(crate) fn free_addresses(count: usize) -> anyhow::Result<Vec<NodeAddresses>> {
    // All are held until all are known, so that none is given twice.
    let mut held = Vec::new();
    let mut free = || -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        held.push(listener);
        Ok(address)
    };
    (0..count).map(|_| Ok(NodeAddresses { data: free()?, admin: free()?, receiver: free()? })).collect()
}
