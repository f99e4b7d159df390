//! The conformance kit: green against ssync's receiver, red against receivers that are broken on purpose.

mod fake;
mod runner;

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};
use ssync_tests::{Cluster, DEVICE, Server, Shape, repository};
use tempfile::TempDir;

use fake::{Fake, Manner};
use runner::{Run, vectors};

/// Vectors of sessions and checks in which nothing happens: who says yes to everything, or no, keeps to them.
const OF_NOTHING_MAX: usize = 6;

/// The command in proto/conformance/README.md.
fn command_of_the_page() -> Result<String> {
    let page = fs::read_to_string(repository().join("proto/conformance/README.md"))?;
    let line = page.lines().find(|line| line.starts_with("ssync conformance "));
    Ok(line.context("no command")?.to_owned())
}

fn green(shape: Shape) -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let mut serving = node.serve(Server::Ssync(shape))?;
    let before = node.read_tree()?;
    // As the page says.
    let command = command_of_the_page()?
        .replace("127.0.0.1:6200", &node.address().to_string())
        .replace("/etc/swift", &node.swift_dir().display().to_string())
        .replace("/srv/node", &node.devices().display().to_string());
    let run = Run::given(&command.split_whitespace().skip(1).chain(["--json"]).collect::<Vec<_>>())?;
    assert_eq!((run.code, run.failed()), (Some(0), BTreeSet::new()), "{run:#?}");
    assert_eq!(run.names(), vectors()?);

    // It has cleared away: nothing but tombstones of its own account is left, and Swift reads them.
    serving.assert_running();
    assert!(before.objects.is_empty());
    let tree = node.read_tree()?;
    tree.assert_sound();
    assert_eq!(run.total()["tombstones"], tree.objects.len(), "{:?}", tree.objects.keys());
    for (path, object) in &tree.objects {
        assert!(path.starts_with("/.ssync-conformance/") && object["kind"] == "tombstone", "{path} is left");
    }
    Ok(())
}

#[test]
fn our_receiver_passes_in_one_process() -> Result<()> {
    green(Shape::OneProcess)
}

#[test]
fn our_receiver_passes_behind_a_sidecar() -> Result<()> {
    green(Shape::TwoOverUnix)
}

#[test]
fn every_vector_can_fail() -> Result<()> {
    let failed = |manner: Manner| -> Result<BTreeSet<String>> {
        let fake = Fake::start(manner)?;
        let run = Run::of(&fake.address().to_string(), DEVICE, &runner::SALTED)?;
        assert_eq!(run.code, Some(1), "{run:#?}");
        Ok(run.failed())
    };
    let all = vectors()?;
    let by_rule = &failed(Manner::SaysYes)? | &failed(Manner::SaysNo)?;
    let kept: Vec<_> = all.difference(&by_rule).collect();
    assert!(kept.len() <= OF_NOTHING_MAX, "neither a yes nor a no to everything breaks these: {kept:#?}");
    let broken = &by_rule | &failed(Manner::OutOfOrder)?;
    let never: Vec<_> = all.difference(&broken).collect();
    assert!(never.is_empty(), "nothing breaks these: {never:#?}");
    Ok(())
}

#[test]
fn a_disk_that_has_other_files_is_told() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let _serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let empty = TempDir::new()?;
    let disk = empty.path().display().to_string();
    let more = [&runner::SALTED[..], &["--disk", &disk, "--only", "put-"]].concat();
    let run = Run::of(&node.address().to_string(), DEVICE, &more)?;
    assert_eq!((run.code, run.failed()), (Some(1), run.names()), "{run:#?}");
    assert!(run.differences().all(|text| text.contains("has the files []")), "{run:#?}");
    Ok(())
}

#[test]
fn another_salt_is_noticed_before_anything_is_written() -> Result<()> {
    let cluster = Cluster::of(1).build()?;
    let node = cluster.node(1);
    let _serving = node.serve(Server::Ssync(Shape::OneProcess))?;
    let address = node.address().to_string();
    let wrong = ["--hash-suffix", "another", "--part-power", "3"];
    for (device, more) in [(DEVICE, &wrong[..]), ("nosuch", &runner::SALTED[..])] {
        let run = Run::of(&address, device, more)?;
        assert_eq!((run.code, run.lines.len()), (Some(69), 0), "{run:#?}");
        let told = if device == DEVICE { "--hash-prefix" } else { "DEVICE_UNMOUNTED" };
        assert!(run.complaint.contains(told), "{}", run.complaint);
    }
    assert!(node.read_tree()?.objects.is_empty(), "something was written");
    Ok(())
}
