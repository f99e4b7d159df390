//! The Envoys of a node, and what brings its replicator to them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Daemon, Node, repository, venv_program};

/// Proxies and daemons are all root's here. This is the proxies' group, so that what they send is not sent to them again.
const GROUP: &str = "65534";

/// Before the last filter of Envoy.
const ROUTER: &str = "                  - name: envoy.filters.http.router\n";
/// A third of the calls gets UNAVAILABLE, a third comes later.
const FAULTS: &str = r#"                  - name: envoy.filters.http.fault
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
                      abort: { grpc_status: 14, percentage: { numerator: 33, denominator: HUNDRED } }
                      delay: { fixed_delay: 0.2s, percentage: { numerator: 33, denominator: HUNDRED } }
"#;

/// Envoy on a node's way in, and on its way out.
pub(crate) struct Proxies {
    ingress: Daemon,
    egress: Daemon,
    folder: PathBuf,
}

impl Proxies {
    /// For a node that has its certificate in `certificate`; what is written for them goes to `folder`.
    pub(crate) fn start(node: &Node, folder: PathBuf, certificate: &Path) -> Result<Self> {
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
    pub(crate) fn break_ingress(&mut self, node: &Node) -> Result<()> {
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

    /// Fails when one of them has ended.
    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        for proxy in [&mut self.ingress, &mut self.egress] {
            ensure!(proxy.is_running(), "a proxy has ended: {}", proxy.log());
        }
        Ok(())
    }

    /// All that it has said, before it was restarted as well.
    pub(crate) fn ingress_log(&self) -> String {
        self.ingress.log()
    }

    pub(crate) fn egress_log(&self) -> String {
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
