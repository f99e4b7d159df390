//! Who takes part, and how each is configured and called.

use std::{
    fmt, fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use anyhow::{Result, bail};
use ssync_tests::{Builder, Cluster, Node, as_own_group, repository, ssync_binary, venv_program};

use super::processes::Processes;

/// Where rsync's daemons listen.
const RSYNC_PORT: u16 = 8730;

/// A replicator and the servers that it pushes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// Swift with `sync_method = ssync`.
    StockSsync,
    /// Swift with `sync_method = rsync`.
    StockRsync,
    /// ssync with this `durability`.
    Ssync { durability: String },
}

impl FromStr for Contestant {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "stock-ssync" => Ok(Self::StockSsync),
            "stock-rsync" => Ok(Self::StockRsync),
            "ssync-object" | "ssync-batch" | "ssync-none" => {
                Ok(Self::Ssync { durability: name.trim_start_matches("ssync-").to_owned() })
            }
            _ => bail!("{name}: give stock-ssync, stock-rsync or ssync-D with D object, batch or none"),
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StockSsync => f.write_str("stock-ssync"),
            Self::StockRsync => f.write_str("stock-rsync"),
            Self::Ssync { durability } => write!(f, "ssync-{durability}"),
        }
    }
}

impl Contestant {
    /// Its settings.
    pub(crate) fn configure(&self, builder: Builder) -> Builder {
        match self {
            Self::StockSsync => builder,
            Self::StockRsync => builder
                .setting("object-replicator", "sync_method", "rsync")
                .setting("object-replicator", "rsync_module", "rsync://{replication_ip}:8730/object")
                .setting("object-replicator", "concurrency", "2"),
            Self::Ssync { durability } => builder.setting("ssync", "durability", durability),
        }
    }

    /// Starts what serves a node.
    pub(crate) fn serve(&self, cluster: &Cluster, node: &Node, processes: &mut Processes) -> Result<()> {
        let mut server = match self {
            Self::Ssync { .. } => {
                let mut server = as_own_group(&ssync_binary()?);
                server.args(["node", "--no-replicator", "--conf"]).arg(node.conf());
                server
            }
            Self::StockSsync | Self::StockRsync => stock("swift-object-server", node)?,
        };
        processes.serve(&mut server, node.address())?;
        if *self == Self::StockRsync {
            // rsync makes one missing folder, not two.
            fs::create_dir_all(node.device().join("objects"))?;
            let address = SocketAddr::new(node.address().ip(), RSYNC_PORT);
            processes.serve(&mut rsync_daemon(cluster, node, address)?, address)?;
        }
        Ok(())
    }

    /// One pass of a node's replicator.
    pub(crate) fn pass(&self, cluster: &Cluster, node: &Node) -> Result<Command> {
        let mut pass = match self {
            Self::Ssync { .. } => {
                let mut pass = as_own_group(&ssync_binary()?);
                pass.args(["replicator", "--once", "--conf"]).arg(node.conf());
                return Ok(pass);
            }
            Self::StockSsync | Self::StockRsync => stock("swift-object-replicator", node)?,
        };
        pass.arg("once");
        if *self == Self::StockRsync {
            let path = std::env::var("PATH").unwrap_or_default();
            pass.env("PATH", format!("{}:{path}", rsync_without_delay(cluster)?.display()));
        }
        Ok(pass)
    }
}

fn stock(program: &str, node: &Node) -> Result<Command> {
    let mut command = as_own_group(&venv_program("python")?);
    command.arg(repository().join("tests/harness/python/run.py")).arg(node.swift_dir());
    command.arg(program).arg(node.conf());
    Ok(command)
}

fn rsync_daemon(cluster: &Cluster, node: &Node, address: SocketAddr) -> Result<Command> {
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
    let mut daemon = as_own_group(Path::new("rsync"));
    daemon.args(["--daemon", "--no-detach", &format!("--address={ip}"), &format!("--port={RSYNC_PORT}")]);
    daemon.arg(format!("--config={}", conf.display()));
    Ok(daemon)
}

/// A folder with an `rsync` that sets TCP_NODELAY, which no option of Swift does.
fn rsync_without_delay(cluster: &Cluster) -> Result<PathBuf> {
    let folder = cluster.folder().join("bin");
    let program = folder.join("rsync");
    if !program.exists() {
        fs::create_dir_all(&folder)?;
        // By the path that it has outside of this folder.
        let text = "#!/bin/sh\nPATH=${PATH#*:}\nexec rsync --sockopts=TCP_NODELAY \"$@\"\n";
        fs::write(&program, text)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}
