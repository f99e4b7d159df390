//! What the proxy stores is on every primary, and the same there.

use anyhow::Result;
use ssync_tests::{Cloud, Shape};

use crate::scene::Scene;

/// Three nodes hold every object: whatever the proxy sends to one it sends to all.
fn stored_alike(ours: &[u8], shape: Shape) -> Result<()> {
    let scene = Scene::begin_in(Cloud::of(3), ours, shape)?;
    stays_alike(&scene)?;
    let mut scene = scene.coded();
    stays_alike(&scene)?;
    scene.cloud.assert_running();
    Ok(())
}

fn stays_alike(scene: &Scene) -> Result<()> {
    scene.fill("")?;
    let filled = scene.assert_at_home()?;
    scene.change("")?;
    let changed = scene.assert_at_home()?;
    assert_ne!(filled, changed);
    scene.assert_readable()
}

#[test]
fn one_of_three_is_ours() -> Result<()> {
    stored_alike(&[1], Shape::OneProcess)
}

#[test]
fn two_of_three_are_ours() -> Result<()> {
    stored_alike(&[2, 3], Shape::TwoOverUnix)
}

#[test]
#[ignore = "long: run tests/run --full"]
fn none_is_ours() -> Result<()> {
    stored_alike(&[], Shape::OneProcess)
}
