//! Who replicates over the network: stock Swift and ssync, how each is configured and called.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::Result;
use ssync_tests::{Builder, Cluster, Node, repository, ssync_binary, venv_program};

use crate::processes::{Call, Processes, Role};

/// Where rsync's daemons listen.
const RSYNC_PORT: u16 = 8730;

/// A replicator and the servers that it pushes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SwiftLike {
    /// Swift with `sync_method = ssync`.
    StockSsync,
    /// Swift with `sync_method = rsync`.
    StockRsync { fsync: bool },
    /// ssync with this `durability`.
    Ssync { durability: String },
}

impl SwiftLike {
    /// Its settings.
    pub(crate) fn configure(&self, builder: Builder) -> Builder {
        match self {
            Self::StockSsync => builder,
            Self::StockRsync { .. } => builder
                .setting("object-replicator", "sync_method", "rsync")
                .setting("object-replicator", "rsync_module", "rsync://{replication_ip}:8730/object")
                .setting("object-replicator", "concurrency", "2"),
            Self::Ssync { durability } => builder.setting("ssync", "durability", durability),
        }
    }

    /// Starts what serves a node.
    pub(crate) fn serve(
        &self,
        cluster: &Cluster,
        node: &Node,
        role: Role,
        processes: &mut Processes,
    ) -> Result<()> {
        let server = match self {
            Self::Ssync { .. } => node_server(node)?,
            Self::StockSsync | Self::StockRsync { .. } => stock("swift-object-server", node)?,
        };
        processes.serve(role, &server, node.address())?;
        if matches!(self, Self::StockRsync { .. }) {
            // rsync makes one missing folder, not two.
            fs::create_dir_all(node.device().join("objects"))?;
            let address = SocketAddr::new(node.address().ip(), RSYNC_PORT);
            processes.serve(role, &rsync_daemon(cluster, node, address)?, address)?;
        }
        Ok(())
    }

    /// A node's replicator, as a daemon.
    pub(crate) fn replicator(&self, cluster: &Cluster, node: &Node) -> Result<Call> {
        match self {
            Self::Ssync { .. } => {
                Ok(Call::of(ssync_binary()?).args(["replicator", "--conf"]).arg(node.conf()))
            }
            Self::StockSsync => stock("swift-object-replicator", node),
            Self::StockRsync { fsync } => {
                let path = std::env::var("PATH").unwrap_or_default();
                let path = format!("{}:{path}", rsync_without_delay(cluster, *fsync)?.display());
                Ok(stock("swift-object-replicator", node)?.env("PATH", path))
            }
        }
    }

    /// One pass of it.
    pub(crate) fn pass(&self, cluster: &Cluster, node: &Node) -> Result<Call> {
        let once = if matches!(self, Self::Ssync { .. }) { "--once" } else { "once" };
        Ok(self.replicator(cluster, node)?.arg(once))
    }
}

/// ssync that serves a node.
pub(crate) fn node_server(node: &Node) -> Result<Call> {
    Ok(Call::of(ssync_binary()?).args(["node", "--no-replicator", "--conf"]).arg(node.conf()))
}

fn stock(program: &str, node: &Node) -> Result<Call> {
    let run = repository().join("tests/harness/python/run.py");
    Ok(Call::of(venv_program("python")?).arg(run).arg(node.swift_dir()).arg(program).arg(node.conf()))
}

fn rsync_daemon(cluster: &Cluster, node: &Node, address: SocketAddr) -> Result<Call> {
    let ip = address.ip();
    let conf = cluster.folder().join(format!("rsyncd-{ip}.conf"));
    let (devices, lock) = (node.devices().display(), conf.with_extension("lock"));
    let user = if rustix::process::geteuid().is_root() { "uid = root\ngid = root\n" } else { "" };
    let text = format!(
        "{user}use chroot = no\nsocket options = TCP_NODELAY\n[object]\nmax connections = 25\npath = {devices}\n\
         read only = false\nlock file = {}\n",
        lock.display()
    );
    fs::write(&conf, text)?;
    let daemon = Call::of("rsync").args(["--daemon", "--no-detach"]);
    Ok(daemon
        .arg(format!("--address={ip}"))
        .arg(format!("--port={RSYNC_PORT}"))
        .arg(format!("--config={}", conf.display())))
}

/// A folder with an `rsync` that sets TCP_NODELAY, and may flush: no option of Swift does either.
fn rsync_without_delay(cluster: &Cluster, fsync: bool) -> Result<PathBuf> {
    let folder = cluster.folder().join("bin");
    let program = folder.join("rsync");
    if !program.exists() {
        fs::create_dir_all(&folder)?;
        let more = if fsync { " --fsync" } else { "" };
        // By the path that it has outside of this folder.
        let text = format!("#!/bin/sh\nPATH=${{PATH#*:}}\nexec rsync --sockopts=TCP_NODELAY{more} \"$@\"\n");
        fs::write(&program, text)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}
