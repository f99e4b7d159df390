//! Erasure-coded objects: lost fragments are made anew, misplaced ones return, and one node may be away.

use std::fs;

use anyhow::Result;
use ssync_tests::{Cloud, Shape};

use crate::scene::Scene;

/// Node `lost` gets an empty disk; the others' reconstructors fill it with what it had, to the byte.
fn made_anew(ours: &[u8], lost: u8) -> Result<()> {
    let mut scene = Scene::begin(Cloud::of(3), ours)?.coded();
    scene.fill("")?;
    scene.change("")?;
    scene.assert_at_home()?;
    let before = scene.tree(lost)?;

    scene.cloud.stop_node(lost);
    scene.assert_readable()?;
    fs::remove_dir_all(scene.cloud.node(lost).device().join("objects-2"))?;
    scene.start(lost)?;
    scene.assert_readable()?;
    for number in scene.nodes().filter(|&number| number != lost) {
        scene.cloud.node(number).run_stock("swift-object-reconstructor", &[])?;
    }
    before.assert_same(&scene.tree(lost)?);
    // What was made anew is good for reading: another node is away now.
    let other = scene.nodes().find(|&number| number != lost).unwrap_or(lost);
    scene.cloud.stop_node(other);
    scene.assert_readable()?;
    scene.start(other)?;
    scene.cloud.assert_running();
    Ok(())
}

#[test]
fn what_ours_lost_is_made_anew() -> Result<()> {
    made_anew(&[1], 1)
}

#[test]
fn what_stock_lost_is_made_anew_from_ours() -> Result<()> {
    made_anew(&[1, 2], 3)
}

#[test]
#[ignore = "long: run tests/run --full"]
fn what_one_lost_is_made_anew_from_both_kinds() -> Result<()> {
    made_anew(&[1], 2)?;
    made_anew(&[1, 2], 1)
}

fn come_home(ours: &[u8], shape: Shape, away: u8) -> Result<()> {
    Scene::begin_in(Cloud::of(4), ours, shape)?.coded().assert_comes_home(away)
}

#[test]
fn fragments_return_to_ours() -> Result<()> {
    come_home(&[1], Shape::OneProcess, 1)
}

#[test]
#[ignore = "long: run tests/run --full"]
fn fragments_return_from_ours() -> Result<()> {
    come_home(&[1, 2], Shape::TwoOverUnix, 3)?;
    come_home(&[1, 2, 3], Shape::OneProcess, 4)
}

/// What the stories take for granted of Swift itself.
#[test]
#[ignore = "long: run tests/run --full"]
fn all_is_stock() -> Result<()> {
    made_anew(&[], 1)?;
    come_home(&[], Shape::OneProcess, 1)
}
