//! Nobody takes updates of listings for a while; Swift's object updater delivers what our node has kept.

use std::path::Path;

use anyhow::Result;
use ssync_tests::{Cloud, Shape, Snapshot};

use crate::scene::Scene;

fn pending(scene: &Scene, number: u8) -> Result<usize> {
    let device = scene.cloud.node(number).device();
    let kept = |folder: &str| Snapshot::of(&device.join(folder)).map(|files| files.len());
    Ok(kept("async_pending")? + kept("async_pending-2")?)
}

fn delivered_later(ours: &[u8], shape: Shape) -> Result<()> {
    // The proxy knows the containers from its cache as long as it takes.
    let mut scene = Scene::begin_in(Cloud::of(3), ours, shape)?;
    scene.ask("PUT", "/old", &[], b"old", 201)?;
    scene.ask("PUT", "/posted", &[], b"to be posted to", 201)?;
    scene.assert_stored("/old")?;
    let before = scene.ask("GET", "?format=json", &[], b"", 200)?;
    scene.cloud.stop_containers();
    scene.ask("PUT", "/new", &[("Content-Type", "a/new")], b"new", 201)?;
    scene.ask("POST", "/posted", &[("Content-Type", "a/posted")], b"", 202)?;
    scene.ask("DELETE", "/old", &[], b"", 204)?;
    let mut kept = 0;
    for number in scene.nodes() {
        kept += pending(&scene, number)?;
        assert!(!scene.is_ours(number) || pending(&scene, number)? > 0, "node {number} kept nothing");
    }
    assert!(kept >= 3, "{kept} updates were kept");
    scene.cloud.start_containers()?;
    assert_eq!(
        scene.ask("GET", "?format=json", &[], b"", 200)?,
        before,
        "something came without the updater"
    );

    for number in scene.nodes() {
        scene.cloud.node(number).run_stock("swift-object-updater", &[])?;
        assert_eq!(pending(&scene, number)?, 0, "node {number}: the updater left something");
    }
    let listing = scene.ask("GET", "?format=json", &[], b"", 200)?;
    assert!(
        listing.contains("a/new") && listing.contains("a/posted") && !listing.contains("\"old\""),
        "{listing}"
    );
    assert!(!Path::new(&scene.cloud.node(1).device().join("quarantined")).exists());
    scene.cloud.assert_running();
    Ok(())
}

#[test]
fn one_of_three_is_ours() -> Result<()> {
    delivered_later(&[1], Shape::OneProcess)
}

#[test]
#[ignore = "long: run tests/run --full"]
fn all_are_ours() -> Result<()> {
    delivered_later(&[1, 2, 3], Shape::TwoOverUnix)
}
