//! `ssync log-level`: what is logged, changed while the daemon runs.

use anyhow::Result;
use ssync_tests::{Cluster, run_to_end, ssync_binary};

use crate::told::{Started, healthy};

fn log_level(cluster: &Cluster, words: &[&str]) -> Result<(Option<i32>, String)> {
    let conf = cluster.node(1).conf().display().to_string();
    let all: Vec<&str> = ["log-level"].iter().chain(words).copied().chain(["--conf", &conf]).collect();
    let output = run_to_end(&ssync_binary()?, &all)?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), said))
}

#[test]
fn it_is_asked_changed_and_refused() -> Result<()> {
    let cluster = Cluster::of(1).setting("DEFAULT", "log_level", "ERROR").build()?;
    let (code, said) = log_level(&cluster, &[])?;
    assert_eq!(code, Some(69), "nobody is there: {said}");

    let mut daemon = Started::ssync(&cluster, "node --no-replicator", |_| {})?;
    crate::told::until("it serves", || Ok(healthy(cluster.node(1))))?;
    assert_eq!(daemon.log(), "", "nothing is an error");
    let (code, said) = log_level(&cluster, &[])?;
    assert!(code == Some(0) && said.ends_with(": error\n"), "{code:?} {said}");
    let (code, said) = log_level(&cluster, &["INFO"])?;
    assert!(code == Some(0) && said.contains(": info,"), "{code:?} {said}");
    daemon.says("what is logged was changed")?;
    let (code, said) = log_level(&cluster, &["loud"])?;
    assert!(code == Some(1) && said.contains("loud"), "{code:?} {said}");
    Ok(())
}
