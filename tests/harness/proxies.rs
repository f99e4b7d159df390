//! The Envoys of a node, and what brings its replicator to them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cluster::Builder,
    daemon::Daemon,
    node::Node,
    tools::{repository, run_to_end, venv_program},
};
use anyhow::{Context as _, Result, ensure};

/// Proxies and daemons are all root's here. This is the proxies' group, so that what they send is not sent to them again.
const GROUP: &str = "65534";

/// The ring's port for replication, when proxies serve it.
pub const PROXIED_PORT: u16 = 6400;
/// Where a daemon behind them listens on loopback, as docs/mesh.md has it.
pub const BEHIND_PROXIES: u16 = 6210;
/// Envoy's own page of what it sends to.
const CLUSTERS: &str = "http://127.0.0.1:9901/clusters";

/// Before the last filter of Envoy.
const ROUTER: &str = "                  - name: envoy.filters.http.router\n";
/// A third of the calls gets UNAVAILABLE, a third comes later.
const FAULTS: &str = r#"                  - name: envoy.filters.http.fault
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
                      abort: { grpc_status: 14, percentage: { numerator: 33, denominator: HUNDRED } }
                      delay: { fixed_delay: 0.2s, percentage: { numerator: 33, denominator: HUNDRED } }
"#;

impl Builder {
    /// Each node is to have [`Proxies`]: its daemon is on loopback, at what the rings do not name.
    #[must_use]
    pub fn behind_proxies(self) -> Self {
        self.in_namespaces()
            .replication_port(PROXIED_PORT)
            .setting("DEFAULT", "bind_ip", "127.0.0.1")
            .setting("DEFAULT", "bind_port", &BEHIND_PROXIES.to_string())
            .setting("DEFAULT", "servers_per_port", "1")
            .setting("ssync", "trust_loopback", "false")
    }
}

/// Envoy on a node's way in, and on its way out, by the files of `deploy/envoy`.
#[derive(Debug)]
pub struct Proxies {
    ingress: Daemon,
    egress: Daemon,
    folder: PathBuf,
}

impl Proxies {
    /// For a node that has its certificate in `certificate`; what is written for them goes to `folder`.
    pub fn start(node: &Node, folder: PathBuf, certificate: &Path) -> Result<Self> {
        for file in ["ingress.yaml", "egress.yaml", "sds/certificate.yaml", "sds/authority.yaml"] {
            let text = fs::read_to_string(repository().join("deploy/envoy").join(file))?
                .replace("/etc/envoy/", &format!("{}/", folder.display()))
                .replace("/etc/ssync/tls", &certificate.display().to_string());
            write(&folder.join(file), &text)?;
        }
        let redirect = fs::read_to_string(repository().join("deploy/envoy/redirect.nft"))?;
        let of_daemons = redirect.replace("skuid swift", "skgid 0");
        ensure!(of_daemons != redirect, "redirect.nft is not what this test takes it for");
        write(&folder.join("redirect.nft"), &of_daemons)?;
        let egress = envoy(node, "egress", &folder)?;
        let ingress = envoy(node, "ingress", &folder)?;
        Ok(Self { ingress, egress, folder })
    }

    /// Every connection to the node breaks, and from then on some of the calls do, too.
    pub fn break_ingress(&mut self, node: &Node) -> Result<()> {
        let file = self.folder.join("ingress.yaml");
        let text = fs::read_to_string(&file)?;
        ensure!(text.contains(ROUTER), "ingress.yaml is not what this test takes it for");
        if !text.contains(FAULTS) {
            write(&file, &text.replace(ROUTER, &format!("{FAULTS}{ROUTER}")))?;
        }
        self.ingress.kill()?;
        self.ingress = envoy(node, "ingress", &self.folder)?;
        Ok(())
    }

    /// Whether the proxy on the way in has found the node's daemon healthy.
    pub fn sees_daemon(&self, node: &Node) -> Result<bool> {
        let (program, arguments) = node.at_home(Path::new("curl"), &["-s".to_owned(), CLUSTERS.to_owned()]);
        let page = run_to_end(&program, &arguments)?;
        let page = String::from_utf8_lossy(&page.stdout);
        Ok(page.lines().any(|line| line.starts_with("node::") && line.ends_with("health_flags::healthy")))
    }

    /// Their processes.
    #[must_use]
    pub fn ids(&self) -> [u32; 2] {
        [self.ingress.id(), self.egress.id()]
    }

    /// Fails when one of them has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        for proxy in [&mut self.ingress, &mut self.egress] {
            ensure!(proxy.is_running(), "a proxy has ended: {}", proxy.log());
        }
        Ok(())
    }

    /// All that the one on the way in has said, before it was restarted as well.
    #[must_use]
    pub fn ingress_log(&self) -> String {
        self.ingress.log()
    }

    /// The same of the other one.
    #[must_use]
    pub fn egress_log(&self) -> String {
        self.egress.log()
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a path without a folder")?)?;
    Ok(fs::write(path, text)?)
}

/// The egress brings the rule along without which nothing comes to it.
fn envoy(node: &Node, side: &str, folder: &Path) -> Result<Daemon> {
    let first = match side {
        "egress" => format!("/usr/sbin/nft --file {}/redirect.nft && ", folder.display()),
        _ => String::new(),
    };
    let start = format!(
        "{first}exec setpriv --regid {GROUP} --clear-groups {} --config-path {}/{side}.yaml \
         --disable-hot-restart --concurrency 1 --log-level warning --file-flush-interval-msec 100",
        venv_program("envoy")?.display(),
        folder.display(),
    );
    node.run_beside(&format!("envoy {side}"), Path::new("/bin/sh"), &["-c".to_owned(), start])
}
