//! SIGHUP after a certificate was replaced: the new one is shown at once, and nobody notices anything else.

use std::{fs, path::Path};

use anyhow::Result;
use rustix::process::Signal;
use ssync_tests::{Certificates, Cluster, Node, run_to_end};

use crate::{
    load::{Load, Upload, objects},
    told::{Started, healthy, until},
};

/// What a node shows to who has a certificate of the same authority.
fn shown(node: &Node, certificates: &Certificates) -> Result<String> {
    let path = |file| certificates.path("client", file).display().to_string();
    let call = format!(
        "openssl s_client -alpn h2 -connect {} -CAfile {} -cert {} -key {} </dev/null",
        node.address(),
        path("ca.crt"),
        path("tls.crt"),
        path("tls.key")
    );
    let output = run_to_end(Path::new("sh"), &["-c", &call])?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_replaced_certificate_counts_at_once_and_a_bad_one_never() -> Result<()> {
    let certificates = Certificates::new()?;
    // Long before the daemon would look by itself.
    let mut builder = Cluster::of(1).setting("ssync", "tls_reload_interval", "3600");
    for (option, file) in [("tls_certificate", "tls.crt"), ("tls_key", "tls.key"), ("tls_ca", "ca.crt")] {
        builder = builder.setting("ssync", option, &certificates.path("node", file).display().to_string());
    }
    let cluster = builder.build()?;
    let node = cluster.node(1);
    let name = format!("IP:{}", node.ring_address().ip());
    certificates.issue("node", &name)?;
    certificates.issue("client", "DNS:client.example")?;
    let file = certificates.path("node", "tls.crt");
    let first = fs::read_to_string(&file)?;

    let mut daemon = Started::ssync(&cluster, "node --no-replicator", |_| {})?;
    until("it serves", || Ok(healthy(node)))?;
    assert!(shown(node, &certificates)?.contains(first.trim()));
    let load = Load::on(node)?;
    load.go_on_for(20)?;
    let upload = Upload::begin(node, &objects(node, 9)?[8])?;

    certificates.issue("next", &name)?;
    for file in ["tls.crt", "tls.key"] {
        fs::copy(certificates.path("next", file), certificates.path("node", file))?;
    }
    let second = fs::read_to_string(&file)?;
    assert!(first != second && shown(node, &certificates)?.contains(first.trim()), "nobody has said so");
    daemon.signal(Signal::HUP)?;
    daemon.says("reload: looked again at the certificates")?;
    assert!(shown(node, &certificates)?.contains(second.trim()));

    fs::write(&file, "no certificate")?;
    daemon.signal(Signal::HUP)?;
    daemon.says("new certificate, key or authorities cannot be used")?;
    assert!(shown(node, &certificates)?.contains(second.trim()));
    load.go_on_for(20)?;
    upload.finish(node)?;
    let outcome = load.outcome();
    assert!(outcome.refused == 0 && outcome.broken.is_empty(), "{outcome:?}");
    Ok(())
}
