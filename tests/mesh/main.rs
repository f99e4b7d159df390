//! Replication through Envoy on both sides, with the very files of `deploy/envoy`: what a mesh does to it.
//!
//! Each node is a network namespace of its own. Its daemon listens on loopback alone, at what the ring does not name; two
//! Envoys stand between it and the others, and nftables bring to them what the replicator sends.

mod scene;

use std::{net::TcpStream, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{BEHIND_PROXIES, Certificates, PROXIED_PORT, run_to_end, venv_program};

use crate::scene::Scene;

/// Time for sessions to begin.
const BETWEEN_BREAKS: Duration = Duration::from_secs(1);
const UPDATES: &str = "/ssync.v1.ReplicationService/Updates OK";

/// Node 2's daemon comes later than its proxies, which know that it is not there.
#[test]
fn what_is_replicated_goes_through_both_proxies_and_arrives() -> Result<()> {
    let Some(mut scene) = Scene::of_nodes(2)? else { return Ok(()) };
    let here = scene.fill(1, 50)?;
    scene.serve(1)?;
    scene.wait("a refusal by the proxy of a daemon that is not there", |scene| {
        Ok(scene.proxies(2).ingress_log().contains(" UH "))
    })?;
    scene.serve(2)?;
    scene.wait_for_objects(2, &here)?;
    here.assert_same(&scene.node(2).read_tree()?);
    let [sent, taken] = [scene.proxies(1).egress_log(), scene.proxies(2).ingress_log()];
    let session =
        |log: &str, peer: &str| log.lines().any(|line| line.contains(UPDATES) && line.ends_with(peer));
    assert!(session(&sent, "spiffe://example.org/ssync/2"), "the sender's proxy saw no session:\n{sent}");
    assert!(session(&taken, "spiffe://example.org/ssync/1"), "the receiver's proxy saw no session:\n{taken}");
    Ok(())
}

/// A third of the calls ends at once, a third comes late, and connections break: a handoff still keeps each object until both
/// primaries have it.
#[test]
fn what_proxies_break_is_done_again_and_nothing_is_lost() -> Result<()> {
    let Some(mut scene) = Scene::with_handoff(3, 1)? else { return Ok(()) };
    let here = scene.fill(1, 200)?;
    scene.break_ingress(2)?;
    for number in 1..=3 {
        scene.serve(number)?;
    }
    for _ in 0..3 {
        thread::sleep(BETWEEN_BREAKS);
        scene.break_ingress(2)?;
        scene.break_ingress(3)?;
    }
    for primary in [2, 3] {
        scene.wait_for_objects(primary, &here)?;
        let log = scene.proxies(primary).ingress_log();
        assert!(log.contains(" FI"), "no call was broken off at node {primary}:\n{log}");
    }
    scene.wait("the handoff to let go", |scene| Ok(scene.node(1).read_tree()?.objects.is_empty()))?;
    for primary in [2, 3] {
        here.assert_same(&scene.node(primary).read_tree()?);
    }
    Ok(())
}

#[test]
fn who_has_no_certificate_of_a_storage_node_is_refused() -> Result<()> {
    let Some(mut scene) = Scene::of_nodes(2)? else { return Ok(()) };
    scene.serve(2)?;
    scene.wait("an answer to another node", |scene| Ok(list_as(scene, scene.certificates(), "1")?.0))?;
    let (_, services) = list_as(&scene, scene.certificates(), "1")?;
    ensure!(services.contains("ssync.v1.ReplicationService"), "{services}");
    let (plain, _) = list(&scene, &["-plaintext"])?;
    let (nameless, _) = list(&scene, &["-insecure"])?;
    let (stranger, _) = list_as(&scene, scene.certificates(), "stranger")?;
    let another_authority = Certificates::new()?;
    another_authority.issue("1", "URI:spiffe://example.org/ssync/1")?;
    let (foreign, _) = list_as(&scene, &another_authority, "1")?;
    assert_eq!((plain, nameless, stranger, foreign), (false, false, false, false));
    // Nor is the daemon to be reached past its proxy.
    let past = TcpStream::connect((scene.node(2).ring_address().ip(), BEHIND_PROXIES));
    assert!(past.is_err(), "the daemon listens beyond loopback");
    let client = scene.get_through_proxy(2).context("the object API through a proxy of bytes")?;
    assert_eq!(client.status, 200, "{}", client.text());
    Ok(())
}

/// Whether somebody gets the list of node 2's services through its proxy, and what grpcurl says.
fn list(scene: &Scene, options: &[&str]) -> Result<(bool, String)> {
    let address = format!("{}:{PROXIED_PORT}", scene.node(2).ring_address().ip());
    let arguments: Vec<&str> =
        options.iter().copied().chain(["-connect-timeout", "2", &address, "list"]).collect();
    let output = run_to_end(&venv_program("grpcurl")?, &arguments)?;
    let said = [&output.stdout[..], &output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// The same for the holder of a certificate.
fn list_as(scene: &Scene, certificates: &Certificates, name: &str) -> Result<(bool, String)> {
    let file = |kind: &str| certificates.path(name, kind).display().to_string();
    list(scene, &["-insecure", "-cert", &file("tls.crt"), "-key", &file("tls.key")])
}
