//! A cluster whose nodes all run in this process.

use std::sync::Arc;

use anyhow::Context as _;
use indicatif::ProgressBar;
use ssync_replicator::{Overrides, PassStats, Progress, Replicator as Pusher};
use ssync_runtime::{Metrics, Telemetry};
use tokio::sync::watch;

use crate::{
    commands::daemon,
    embedded::{ClusterFolder, PassTotals},
    node::{Node, Parts},
};

/// When the nodes push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replicator {
    /// All the time.
    Daemon,
    /// When they are told to.
    OnDemand,
}

/// The nodes.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    telemetry: Telemetry,
}

impl Nodes {
    pub(crate) async fn start(folder: &ClusterFolder, replicator: Replicator) -> anyhow::Result<Self> {
        let mut configs = Vec::new();
        for node in &folder.nodes {
            configs.push(daemon::config_of_file(&node.conf)?);
        }
        let telemetry = daemon::telemetry(configs.first().context("a cluster needs a node")?)?;
        let mut nodes = Vec::new();
        for config in configs {
            // Its own, as if it were a process: nodes do not count into each other's figures.
            let metrics = Metrics::new(env!("CARGO_PKG_VERSION"))?;
            let node = Node::start(config, Parts::Node { with_replicator: true }, &metrics).await?;
            if replicator == Replicator::Daemon {
                node.run_replicator();
            }
            nodes.push(node);
        }
        Ok(Self { nodes, telemetry })
    }

    pub(crate) async fn replicate_once(&self, bar: &ProgressBar) -> anyhow::Result<PassTotals> {
        let pushers: Vec<Arc<Pusher>> =
            self.nodes.iter().filter_map(|node| node.replicator().cloned()).collect();
        let progress: Vec<_> = pushers.iter().map(|pusher| pusher.progress()).collect();
        let watcher = tokio::spawn(show(progress, bar.clone(), bar.position()));
        let everything = Overrides::default();
        let passes = self
            .nodes
            .iter()
            .zip(&pushers)
            .map(|(node, pusher)| pusher.run_once(&everything, node.drain().token()));
        let stats = futures_util::future::join_all(passes).await;
        watcher.abort();
        Ok(totals(&stats))
    }

    pub(crate) async fn stop(self) {
        futures_util::future::join_all(self.nodes.into_iter().map(Node::stop)).await;
        self.telemetry.shutdown().await;
    }
}

fn totals(stats: &[PassStats]) -> PassTotals {
    stats.iter().fold(PassTotals::default(), |sum, stats| PassTotals {
        objects: sum.objects + stats.objects,
        bytes: sum.bytes + stats.bytes,
        failures: sum.failures + stats.failure + stats.handoffs_remaining,
    })
}

/// Adds the partitions of this pass to the bar, and moves it as they are done.
async fn show(mut progress: Vec<watch::Receiver<Progress>>, bar: ProgressBar, done_before: u64) {
    loop {
        let now: Vec<Progress> = progress.iter_mut().map(|watch| *watch.borrow_and_update()).collect();
        let sum = |figure: fn(&Progress) -> u64| now.iter().map(figure).sum::<u64>();
        bar.set_length(done_before + sum(|progress| progress.partitions_total));
        bar.set_position(done_before + sum(|progress| progress.partitions_done));
        let changes = progress.iter_mut().map(|watch| Box::pin(watch.changed()));
        let (changed, _, _) = futures_util::future::select_all(changes).await;
        if changed.is_err() {
            return;
        }
    }
}
