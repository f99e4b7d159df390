//! Swift's daemons and tools that look after a node: auditor, expirer, recon.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ssync_tests::{Cloud, Replicator, Snapshot, repository, run_to_end, venv_program};

use crate::scene::Scene;

/// One object is so large.
const LARGE: u64 = 65_537;
/// Seconds until the objects expire.
const LIFE: u64 = 2;

#[test]
fn the_auditor_finds_what_is_damaged_and_nothing_else_and_it_comes_back() -> Result<()> {
    let scene = Scene::begin(Cloud::of(3), &[1])?;
    scene.fill("")?;
    scene.assert_at_home()?;
    let node = scene.cloud.node(1);
    let before = scene.tree(1)?;
    node.run_stock("swift-object-auditor", &[])?;
    before.assert_same(&scene.tree(1)?);

    flip_a_byte(&node.device(), LARGE)?;
    node.run_stock("swift-object-auditor", &[])?;
    let damaged = scene.tree(1)?;
    assert_eq!((damaged.objects.len(), damaged.quarantined.len()), (before.objects.len() - 1, 1));

    scene.cloud.node(2).replicate(Replicator::Stock)?.assert_success();
    assert_eq!(scene.tree(1)?.objects, before.objects);
    Ok(())
}

/// In the one file of this size.
fn flip_a_byte(device: &Path, size: u64) -> Result<()> {
    let objects = Snapshot::of(device)?.objects();
    let path = objects
        .paths()
        .into_iter()
        .map(|path| device.join(path))
        .find(|path| fs::metadata(path).is_ok_and(|file| file.len() == size))
        .context("no object of this size")?;
    let mut bytes = fs::read(&path)?;
    bytes[0] ^= 1;
    // In place: its attributes stay.
    Ok(fs::OpenOptions::new().write(true).open(path)?.write_all(&bytes[..1])?)
}

#[test]
fn the_expirer_removes_what_has_expired() -> Result<()> {
    let scene = Scene::begin(Cloud::of(3), &[1])?;
    let life = LIFE.to_string();
    let soon = [("X-Delete-After", life.as_str())];
    for number in 0..6 {
        scene.ask("PUT", &format!("/mortal-{number}"), &soon, b"not for long", 201)?;
    }
    scene.ask("PUT", "/posted", &[], b"mortal since it was posted to", 201)?;
    scene.ask("POST", "/posted", &soon, b"", 202)?;
    // What was to expire and is so no more stays, though the queue has it.
    scene.ask("PUT", "/saved", &soon, b"saved", 201)?;
    scene.ask("POST", "/saved", &[("X-Object-Meta-Saved", "yes")], b"", 202)?;
    thread::sleep(Duration::from_secs(LIFE + 1));
    scene.ask("GET", "/mortal-0", &[], b"", 404)?;
    scene.ask("GET", "/saved", &[], b"", 200)?;

    // The account of queues learns of them by the container updater.
    scene.cloud.node(1).run_stock("swift-container-updater", &[])?;
    scene.cloud.node(1).run_stock("swift-object-expirer", &[])?;
    assert_eq!(scene.ask("GET", "", &[], b"", 200)?, "saved\n");
    for (name, at) in scene.assert_at_home()? {
        if name.starts_with("/AUTH_") && !name.ends_with("/saved") {
            assert!(at.values().all(|entry| entry["kind"] == "tombstone"), "{name}: {at:?}");
        }
    }
    Ok(())
}

#[test]
fn recon_tells_of_our_node_what_it_tells_of_the_others() -> Result<()> {
    let scene = Scene::begin(Cloud::of(3), &[1])?;
    scene.fill("")?;
    scene.pass()?;
    let swift_dir = scene.cloud.node(1).swift_dir().display().to_string();
    let program = repository().join("tests/harness/python/run.py").display().to_string();
    let recon =
        ["swift-recon", "object", "--all", "--verbose", "--suppress", "--validate-servers", "--swiftdir"];
    let arguments = [[program.as_str(), &swift_dir].as_slice(), &recon, &[&swift_dir]].concat();
    let output = run_to_end(&venv_program("python")?, &arguments)?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "swift-recon: {said}");
    for complaint in ["!!", "[ERROR]", "HTTP Error", "doesn't match"] {
        assert!(!said.contains(complaint), "{complaint} in {said}");
    }
    let mut questions: BTreeMap<String, BTreeMap<String, BTreeSet<&str>>> = BTreeMap::new();
    for (url, answer) in said.lines().filter_map(|line| line.strip_prefix("-> http://")?.split_once(": ")) {
        let (host, path) = url.split_once('/').context("no path")?;
        questions.entry(path.to_owned()).or_default().insert(host.to_owned(), keys(answer));
    }
    assert!(questions.len() >= 10, "swift-recon asked {:?}: {said}", questions.keys());
    let ours = scene.cloud.node(1).address().to_string();
    for (path, answers) in questions {
        assert_eq!(answers.len(), 3, "{path}: not all nodes have answered: {said}");
        for (host, keys) in &answers {
            assert_eq!(*keys, answers[&ours], "{path}: {host} and ours, {ours}: {said}");
        }
    }
    Ok(())
}

/// The names in what Python prints of a dictionary; what is in a list or a text has none.
fn keys(printed: &str) -> BTreeSet<&str> {
    let quoted = printed.split('\'').collect::<Vec<_>>();
    let named = |pair: &[&'_ str]| pair[1].starts_with(": ");
    quoted.windows(2).skip(1).step_by(2).filter(|pair| named(pair)).map(|pair| pair[0]).collect()
}
