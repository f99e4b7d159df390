//! Nodes that speak by TLS alone: certificates by openssl, a client by grpcurl, and stock Swift, which has none of it.

use anyhow::Result;
use ssync_tests::{Certificates, Cluster, Replicator, Server, Shape, run_to_end, venv_program};

/// Two nodes that require TLS, each with a certificate for its address in the ring.
fn secured(certificates: &Certificates) -> Result<Cluster> {
    let mut builder = Cluster::of(2);
    for node in [1, 2] {
        for (option, file) in [("tls_certificate", "tls.crt"), ("tls_key", "tls.key"), ("tls_ca", "ca.crt")] {
            let path = certificates.path(&node.to_string(), file).display().to_string();
            builder = builder.setting_of(node, "ssync", option, &path);
        }
        builder = builder.setting_of(node, "ssync", "require_tls", "true");
    }
    let cluster = builder.build()?;
    for node in [1, 2] {
        let name = format!("IP:{}", cluster.node(node).ring_address().ip());
        certificates.issue(&node.to_string(), &name)?;
    }
    Ok(cluster)
}

#[test]
fn nodes_with_certificates_replicate() -> Result<()> {
    for shape in [Shape::OneProcess, Shape::TwoOverUnix] {
        let certificates = Certificates::new()?;
        let cluster = secured(&certificates)?;
        let written = cluster.node(1).write_tree(50)?;
        let _source = cluster.node(1).serve(Server::Ssync(shape))?;
        let _peer = cluster.node(2).serve(Server::Ssync(shape))?;
        cluster.node(1).replicate(Replicator::Ssync)?.assert_success();
        let tree = cluster.node(1).read_tree()?;
        tree.assert_same(&cluster.node(2).read_tree()?);
        assert_eq!(
            tree.objects.len(),
            written.objects.len(),
            "{shape:?}: an object of the tree was not read"
        );
    }
    Ok(())
}

/// Stock Swift neither gets in nor is let down silently: its pass fails, and our log says why.
#[test]
fn a_stock_replicator_is_refused_and_told_why() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secured(&certificates)?;
    cluster.node(1).write_tree(20)?;
    let mut peer = cluster.node(2).serve(Server::Ssync(Shape::OneProcess))?;
    let before = cluster.node(2).snapshot()?.objects();
    let pass = cluster.node(1).replicate(Replicator::Stock)?;
    assert!(pass.count("failure") > 0, "{}", pass.stats);
    before.assert_unchanged(&cluster.node(2).snapshot()?.objects(), "a stock pass");
    peer.assert_running();
    assert!(peer.log().contains("require_tls"), "{}", peer.log());
    Ok(())
}

#[test]
fn grpcurl_needs_a_certificate_that_is_known() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secured(&certificates)?;
    certificates.issue("stranger", "DNS:stranger.example")?;
    let _node = cluster.node(1).serve(Server::Ssync(Shape::OneProcess))?;
    let address = cluster.node(1).address().to_string();
    let grpcurl = |holder: Option<&str>, call: &[&str]| {
        let mut arguments: Vec<String> = Vec::new();
        match holder {
            Some(holder) => {
                for (flag, file) in [("-cacert", "ca.crt"), ("-cert", "tls.crt"), ("-key", "tls.key")] {
                    arguments
                        .extend([flag.to_owned(), certificates.path(holder, file).display().to_string()]);
                }
            }
            None => arguments.push("-plaintext".to_owned()),
        }
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(["-connect-timeout", "5", address.as_str()]);
        arguments.extend(call);
        let output = run_to_end(&venv_program("grpcurl")?, &arguments)?;
        let said = [output.stdout, output.stderr].concat();
        anyhow::Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let survey = ["ssync.v1.DeviceService/SurveyDevices"];
    let (known, said) = grpcurl(Some("2"), &survey)?;
    assert!(known && said.contains("sdb1"), "{said}");
    let (stranger, said) = grpcurl(Some("stranger"), &survey)?;
    assert!(!stranger && said.contains("Unauthenticated") && said.contains("stranger.example"), "{said}");
    assert!(!grpcurl(None, &["list"])?.0, "without TLS");
    Ok(())
}
