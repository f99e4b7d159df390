//! A cluster whose nodes are processes: a receiver and a sidecar each, and a replicator when one is asked for.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use ssync_runtime::Layers;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::embedded::{ClusterFolder, NodeFolder, PassTotals};

/// Time that a process gets to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Time that a process gets to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The processes of all nodes.
pub(crate) struct Nodes {
    folders: Vec<NodeFolder>,
    daemons: Vec<Child>,
}

impl Nodes {
    pub(crate) async fn start(folder: &ClusterFolder) -> anyhow::Result<Self> {
        let mut nodes = Self { folders: folder.nodes.clone(), daemons: Vec::new() };
        for node in &folder.nodes {
            nodes.daemons.push(command("receiver", node)?.spawn().context("cannot start a receiver")?);
            nodes.daemons.push(command("sidecar", node)?.spawn().context("cannot start a sidecar")?);
        }
        for node in &folder.nodes {
            wait_until_listening(node, &mut nodes.daemons).await?;
        }
        Ok(nodes)
    }

    pub(crate) async fn replicate_once(&self, bar: &ProgressBar) -> anyhow::Result<PassTotals> {
        bar.set_length(bar.length().unwrap_or(0) + self.folders.len() as u64);
        let passes = self.folders.iter().map(|node| async {
            let totals = replicate_node(node).await;
            bar.inc(1);
            totals
        });
        let mut sum = PassTotals::default();
        for totals in futures_util::future::try_join_all(passes).await? {
            sum.objects += totals.objects;
            sum.bytes += totals.bytes;
            sum.failures += totals.failures;
        }
        Ok(sum)
    }

    pub(crate) async fn stop(mut self) {
        for daemon in &self.daemons {
            terminate(daemon);
        }
        for daemon in &mut self.daemons {
            if tokio::time::timeout(STOP_TIMEOUT, daemon.wait()).await.is_err() {
                tracing::warn!("a daemon did not end within {STOP_TIMEOUT:?} and is killed");
                // Killed on drop in any case; an error here means that it has ended.
                let _ = daemon.kill().await;
            }
        }
    }
}

fn command(daemon: &str, node: &NodeFolder) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
    command.arg(daemon).arg("--conf").arg(&node.conf).stdin(Stdio::null()).kill_on_drop(true);
    // A node of the cluster is what its file says: variables would set the addresses of all nodes alike.
    for variable in Layers::from_environment().environment.keys() {
        command.env_remove(variable);
    }
    Ok(command)
}

async fn replicate_node(node: &NodeFolder) -> anyhow::Result<PassTotals> {
    let output = command("replicator", node)?
        .args(["--once", "--json"])
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("cannot start a replicator")?;
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the replicator of node {} ended with {}", node.number, output.status))?;
    let figure = |name: &str| {
        stats[name].as_u64().with_context(|| format!("the replicator printed no {name}: {stats}"))
    };
    Ok(PassTotals { objects: figure("objects")?, bytes: figure("bytes")?, failures: figure("failures")? })
}

async fn wait_until_listening(node: &NodeFolder, daemons: &mut [Child]) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while TcpStream::connect(node.address).await.is_err() || !receiver_is_listening(node).await {
        for daemon in daemons.iter_mut() {
            if let Some(status) = daemon.try_wait()? {
                bail!("a daemon of node {} ended with {status} at its start", node.number);
            }
        }
        if Instant::now() > deadline {
            bail!("node {} does not listen on {} within {START_TIMEOUT:?}", node.number, node.address);
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn receiver_is_listening(node: &NodeFolder) -> bool {
    TcpStream::connect(node.admin).await.is_ok()
}

fn terminate(daemon: &Child) {
    let pid = daemon.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // An error means that it has ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
