//! One node of a cluster: its address, its device, and the daemons that can serve it.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    cluster::ADMIN_PORT,
    daemon::{Daemon, Listening},
    snapshot::Snapshot,
    tap::Tap,
    tools::{helper, repository, ssync_binary, venv_program},
    tree::{Tree, Written},
};

/// The name of each node's device.
pub const DEVICE: &str = "sdb1";

/// A second server of the same node listens so many ports above the first.
const BESIDE: u16 = 50;

/// A number, an address, a device.
#[derive(Debug)]
pub struct Node {
    pub(crate) number: u8,
    pub(crate) address: SocketAddr,
    pub(crate) ring_address: SocketAddr,
    pub(crate) namespace: Option<PathBuf>,
    pub(crate) conf: PathBuf,
    pub(crate) swift_dir: PathBuf,
    pub(crate) devices: PathBuf,
    pub(crate) recon: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) tap: Option<Tap>,
}

/// How many processes ssync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `ssync node`.
    OneProcess,
    /// `ssync receiver` and `ssync sidecar`, joined by loopback.
    TwoOverTcp,
    /// `ssync receiver` and `ssync sidecar`, joined by a Unix socket.
    TwoOverUnix,
}

/// Who serves a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// `swift-object-server` as Swift ships it.
    Stock,
    /// The binary under test.
    Ssync(Shape),
    /// The binary under test, called by Swift's name.
    SsyncByLink,
}

/// The daemons that serve a node; they end when this is dropped.
#[derive(Debug)]
pub struct Serving {
    /// The one that owns the ring's port comes first.
    pub daemons: Vec<Daemon>,
}

impl Serving {
    /// Fails when any of them has ended.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn assert_running(&mut self) {
        for daemon in &mut self.daemons {
            assert!(daemon.is_running(), "a daemon has ended: {}", daemon.log());
        }
    }

    /// Returns when all of them listen.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.daemons.iter_mut().try_for_each(Daemon::wait)
    }

    /// All that they have said.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemons.iter().map(Daemon::log).collect()
    }
}

impl Node {
    /// Where it listens: its address in the ring, unless it is tapped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where others look for it.
    #[must_use]
    pub fn ring_address(&self) -> SocketAddr {
        self.ring_address
    }

    /// Its configuration file.
    #[must_use]
    pub fn conf(&self) -> &PathBuf {
        &self.conf
    }

    /// Its device's folder.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        self.devices.join(DEVICE)
    }

    /// The folder that holds its devices.
    #[must_use]
    pub fn devices(&self) -> &PathBuf {
        &self.devices
    }

    /// The folder of its recon cache.
    #[must_use]
    pub fn recon(&self) -> &PathBuf {
        &self.recon
    }

    /// Where its admin service listens.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        SocketAddr::from((self.address.ip(), ADMIN_PORT + 1))
    }

    /// The folder that holds swift.conf and the rings.
    #[must_use]
    pub fn swift_dir(&self) -> &PathBuf {
        &self.swift_dir
    }

    /// What went over the wire.
    ///
    /// # Panics
    ///
    /// When the cluster was not built tapped.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn tap(&self) -> &Tap {
        self.tap.as_ref().expect("build the cluster tapped()")
    }

    /// A second server's view of the same devices: the same configuration, but for where it listens.
    pub fn beside(&self) -> Result<Self> {
        let mut address = self.address;
        address.set_port(address.port() + BESIDE);
        let text = fs::read_to_string(&self.conf)?;
        let (port, beside) =
            (format!("bind_port = {}", self.address.port()), format!("bind_port = {}", address.port()));
        let conf = self.conf.with_extension("beside.conf");
        fs::write(&conf, text.replace(&port, &beside))?;
        let logs = self.logs.join("beside");
        fs::create_dir_all(&logs)?;
        Ok(Self {
            number: self.number,
            address,
            ring_address: self.ring_address,
            namespace: self.namespace.clone(),
            conf,
            swift_dir: self.swift_dir.clone(),
            devices: self.devices.clone(),
            recon: self.recon.clone(),
            logs,
            socket: self.socket.with_extension("beside"),
            tap: None,
        })
    }

    /// What lies on its device.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::of(&self.device())
    }

    /// Fills its device through Swift's DiskFile: one object of every kind, and `small` ones. Metadata that need two
    /// extended attributes are there when the file system can hold them.
    pub fn write_tree(&self, small: u32) -> Result<Written> {
        self.write_tree_of(0, small)
    }

    /// The same in another policy.
    pub fn write_tree_of(&self, policy: u32, small: u32) -> Result<Written> {
        let large_metadata = self.holds_large_attributes()?;
        if !large_metadata {
            eprintln!("{}: too small attributes for the objects with large metadata", self.devices.display());
        }
        let mut arguments = self.disk(policy);
        arguments["small"] = small.into();
        arguments["large_metadata"] = large_metadata.into();
        Ok(serde_json::from_value(helper("write_tree", &arguments)?)?)
    }

    /// Whether a file here can have more than 64 KiB of extended attributes (XFS can, ext4 cannot).
    pub fn holds_large_attributes(&self) -> Result<bool> {
        let probe = self.devices.join("attribute-probe");
        fs::write(&probe, b"")?;
        let value = vec![0; 65536];
        let held = ["user.probe1", "user.probe2"]
            .iter()
            .all(|name| rustix::fs::setxattr(&probe, *name, &value, rustix::fs::XattrFlags::empty()).is_ok());
        fs::remove_file(&probe)?;
        Ok(held)
    }

    /// Reads its device through Swift's DiskFile.
    pub fn read_tree(&self) -> Result<Tree> {
        self.read_tree_of(0)
    }

    /// The same of another policy.
    pub fn read_tree_of(&self, policy: u32) -> Result<Tree> {
        self.read_tree_in(&self.devices, policy)
    }

    /// Reads a copy of its device that lies in another folder of devices.
    pub fn read_tree_in(&self, devices: &Path, policy: u32) -> Result<Tree> {
        let arguments =
            json!({"swift_dir": self.swift_dir, "devices": devices, "device": DEVICE, "policy": policy});
        Ok(serde_json::from_value(helper("read_tree", &arguments)?)?)
    }

    fn disk(&self, policy: u32) -> Value {
        json!({"swift_dir": self.swift_dir, "devices": self.devices, "device": DEVICE, "policy": policy})
    }

    /// Starts the daemons and returns when the node answers.
    pub fn serve(&self, server: Server) -> Result<Serving> {
        let mut serving = self.launch(server)?;
        serving.wait()?;
        Ok(serving)
    }

    /// Starts the daemons; who starts several nodes waits for them afterwards.
    pub(crate) fn launch(&self, server: Server) -> Result<Serving> {
        let daemons = match server {
            Server::Stock => vec![self.stock_server()?],
            Server::Ssync(Shape::OneProcess) => self.in_one_process()?,
            Server::Ssync(Shape::TwoOverTcp) => self.in_two_over_tcp()?,
            Server::Ssync(Shape::TwoOverUnix) => self.in_two_over_unix()?,
            Server::SsyncByLink => vec![self.ssync_by_link()?],
        };
        Ok(Serving { daemons })
    }

    /// Starts the daemons and the node's replicator, and returns when the node answers.
    pub fn serve_and_replicate(&self, server: Server) -> Result<Serving> {
        let mut serving = match server {
            Server::Ssync(Shape::OneProcess) => {
                Serving { daemons: vec![self.ssync("node", &[], Listening::Tcp(self.address))?] }
            }
            _ => self.launch(server)?,
        };
        if server != Server::Ssync(Shape::OneProcess) {
            serving.daemons.push(self.replicator(server)?);
        }
        serving.wait()?;
        Ok(serving)
    }

    /// The replicator that goes with a server, as a daemon of its own.
    pub fn replicator(&self, server: Server) -> Result<Daemon> {
        if server != Server::Stock {
            return self.ssync("replicator", &[], Listening::Nowhere);
        }
        let name = "swift-object-replicator";
        let arguments = swift_arguments(&self.swift_dir, name, &self.conf);
        self.start(name, &venv_program("python")?, &arguments, Listening::Nowhere)
    }

    fn stock_server(&self) -> Result<Daemon> {
        let arguments = swift_arguments(&self.swift_dir, "swift-object-server", &self.conf);
        self.start("swift-object-server", &venv_program("python")?, &arguments, Listening::Tcp(self.address))
    }

    fn ssync_by_link(&self) -> Result<Daemon> {
        let link = self.link("swift-object-server")?;
        self.start(
            "swift-object-server (ssync)",
            &link,
            &[self.conf.display().to_string(), "-v".to_owned()],
            Listening::Tcp(self.address),
        )
    }

    /// A link to the binary under test by one of Swift's names.
    pub(crate) fn link(&self, name: &str) -> Result<PathBuf> {
        let link = self.logs.join(name);
        if !link.exists() {
            symlink(ssync_binary()?, &link)?;
        }
        Ok(link)
    }

    fn ssync(&self, command: &str, more: &[&str], listening: Listening) -> Result<Daemon> {
        let mut arguments: Vec<String> =
            [command, "--verbose", "--conf"].map(str::to_owned).into_iter().collect();
        arguments.push(self.conf.display().to_string());
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        self.start(&format!("ssync {command}"), &ssync_binary()?, &arguments, listening)
    }

    /// `ssync node` without its replicator: a test says when to replicate.
    fn in_one_process(&self) -> Result<Vec<Daemon>> {
        Ok(vec![self.ssync("node", &["--no-replicator"], Listening::Tcp(self.address))?])
    }

    /// The receiver listens one port above the node's.
    fn in_two_over_tcp(&self) -> Result<Vec<Daemon>> {
        let mut back = self.address;
        back.set_port(back.port() + 1);
        let bind = format!("receiver_bind={back}");
        let mut receiver = self.ssync("receiver", &["--set", &bind], Listening::Tcp(back))?;
        receiver.wait()?;
        let address = format!("receiver_address={back}");
        let sidecar = self.ssync("sidecar", &["--set", &address], Listening::Tcp(self.address))?;
        Ok(vec![sidecar, receiver])
    }

    /// The receiver of `TwoOverUnix`, by itself: to start it again.
    pub fn receiver(&self) -> Result<Daemon> {
        let mut receiver = self.ssync("receiver", &[], Listening::Unix(self.socket.clone()))?;
        receiver.wait()?;
        Ok(receiver)
    }

    fn in_two_over_unix(&self) -> Result<Vec<Daemon>> {
        let receiver = self.receiver()?;
        let sidecar = self.ssync("sidecar", &[], Listening::Tcp(self.address))?;
        Ok(vec![sidecar, receiver])
    }

    /// Starts a program that is no part of the node, in the node's network.
    pub fn run_beside(&self, name: &str, program: &Path, arguments: &[String]) -> Result<Daemon> {
        self.start(name, program, arguments, Listening::Nowhere)
    }

    fn start(
        &self,
        name: &str,
        program: &Path,
        arguments: &[String],
        listening: Listening,
    ) -> Result<Daemon> {
        let file = name.replace([' ', '(', ')'], "-");
        let log = self.logs.join(format!("{}-{file}.log", self.number));
        let (program, arguments) = self.at_home(program, arguments);
        Daemon::start(&format!("node {}: {name}", self.number), &program, &arguments, log, listening)
            .with_context(|| format!("node {}", self.number))
    }

    /// How to start a program so that it runs in the node's network.
    #[must_use]
    pub fn at_home(&self, program: &Path, arguments: &[String]) -> (PathBuf, Vec<String>) {
        let Some(namespace) = &self.namespace else { return (program.to_path_buf(), arguments.to_vec()) };
        let inside =
            [format!("--net={}", namespace.display()), "--".to_owned(), program.display().to_string()];
        (PathBuf::from("nsenter"), inside.into_iter().chain(arguments.iter().cloned()).collect())
    }
}

/// What Python is told so that it runs one of Swift's daemons with its swift.conf in `swift_dir`.
pub(crate) fn swift_arguments(swift_dir: &Path, program: &str, conf: &Path) -> [String; 5] {
    [
        repository().join("tests/harness/python/run.py").display().to_string(),
        swift_dir.display().to_string(),
        program.to_owned(),
        conf.display().to_string(),
        "-v".to_owned(),
    ]
}
