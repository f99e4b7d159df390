//! With which codes the binary ends (docs/operations.md lists them).

use std::{fs, net::TcpListener};

use anyhow::Result;
use rustix::process::Signal;
use ssync_tests::{Cluster, run_to_end, ssync_binary};

use crate::{
    load::{Upload, objects},
    told::{Started, healthy, until},
};

fn code(words: &[&str]) -> Result<Option<i32>> {
    let output = run_to_end(&ssync_binary()?, words)?;
    eprintln!(
        "--- ssync {}: {}\n{}",
        words.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.status.code())
}

#[test]
fn of_commands_tell_what_kind_of_trouble_it_was() -> Result<()> {
    let cluster = Cluster::of(1).setting("DEFAULT", "bind_timeout", "0").build()?;
    let conf = cluster.node(1).conf().display().to_string();
    assert_eq!(code(&["config", "check", "--conf", &conf])?, Some(0));
    assert_eq!(code(&["no-such-command"])?, Some(2));
    assert_eq!(code(&["status", "--conf", &conf])?, Some(69), "no replicator");
    assert_eq!(code(&["config", "check", "--conf", &conf, "--set", "bind_port=many"])?, Some(78));
    assert_eq!(code(&["node", "--conf", "/nonexistent"])?, Some(78));

    // All that a daemon reads, and each by the same code.
    for settings in [
        &["require_tls=true"][..],
        &["tls_certificate=/etc/hosts"],
        &["tls_certificate=/etc/hosts", "tls_key=/etc/hosts", "tls_ca=/etc/hosts"],
        &["tls_certificate=relative.pem", "tls_key=/etc/hosts", "tls_ca=/etc/hosts"],
    ] {
        for command in ["node", "config check"] {
            let mut words: Vec<&str> = command.split(' ').chain(["--conf", &conf]).collect();
            words.extend(settings.iter().flat_map(|setting| ["--set", setting]));
            assert_eq!(code(&words)?, Some(78), "{command} {settings:?}");
        }
    }
    assert_eq!(code(&["config", "check", "--conf", &conf, "--set", "bind_port"])?, Some(2), "no =");

    let taken = TcpListener::bind(cluster.node(1).address())?;
    assert_eq!(code(&["node", "--conf", &conf])?, Some(69), "the address is in use");
    drop(taken);

    fs::remove_file(cluster.node(1).swift_dir().join("swift.conf"))?;
    assert_eq!(code(&["node", "--conf", &conf])?, Some(78), "no swift.conf");
    assert_eq!(code(&["config", "check", "--conf", &conf])?, Some(78));
    Ok(())
}

#[test]
fn of_daemons_tell_whether_all_came_to_its_end() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut daemon = Started::ssync(&cluster, "node --no-replicator", |_| {})?;
    until("it serves", || Ok(healthy(node)))?;
    let upload = Upload::begin(node, &objects(node, 1)?[0])?;
    daemon.signal(Signal::TERM)?;
    daemon.says("draining after SIGTERM")?;
    // What was begun is finished; a second signal would break it off.
    let _unfinished = upload;
    daemon.signal(Signal::TERM)?;
    assert_eq!(daemon.end()?.code(), Some(1), "an upload was broken off");
    Ok(())
}
