//! rsync's daemon on a node, as Swift's rsync method wants it.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::Result;

use crate::{
    daemon::{Daemon, Listening},
    node::Node,
};

const PORT: u16 = 8730;
/// `rsync_module` of the nodes' configuration; Swift puts the address in.
pub const RSYNC_MODULE: &str = "rsync://{replication_ip}:8730/object";

impl Node {
    /// Starts it and returns when it listens.
    pub fn serve_rsync(&self) -> Result<Daemon> {
        let address = SocketAddr::from((self.address.ip(), PORT));
        let conf = self.conf.with_extension("rsyncd");
        let (lock, log) =
            (conf.with_extension("lock"), self.logs.join(format!("{}-rsyncd.log", self.number)));
        let user = if rustix::process::geteuid().is_root() { "uid = root\ngid = root\n" } else { "" };
        let text = format!(
            "{user}use chroot = no\n[object]\nmax connections = 25\npath = {}\nread only = false\nlock file = {}\n",
            self.devices.display(),
            lock.display()
        );
        fs::write(&conf, text)?;
        let arguments = [
            "--daemon".to_owned(),
            "--no-detach".to_owned(),
            "--log-file=/dev/stdout".to_owned(),
            format!("--address={}", address.ip()),
            format!("--port={}", address.port()),
            format!("--config={}", conf.display()),
        ];
        let name = format!("node {}: rsyncd", self.number);
        let (program, arguments) = self.at_home(Path::new("rsync"), &arguments);
        let mut daemon = Daemon::start(&name, &program, &arguments, log, Listening::Tcp(address))?;
        daemon.wait()?;
        Ok(daemon)
    }
}
