//! A primary is away, handoffs take its place, and what they have returns when it is back.

use anyhow::Result;
use ssync_tests::{Cloud, Daemon, RSYNC_MODULE, Shape};

use crate::scene::Scene;

/// How stock nodes send, and who is away.
#[derive(Clone, Copy)]
struct Story<'a> {
    ours: &'a [u8],
    shape: Shape,
    away: u8,
    by_rsync: bool,
}

fn come_home(story: Story<'_>) -> Result<()> {
    let method = if story.by_rsync { "rsync" } else { "ssync" };
    let builder = Cloud::of(4).setting("object-replicator", "sync_method", method).setting(
        "object-replicator",
        "rsync_module",
        RSYNC_MODULE,
    );
    let mut scene = Scene::begin_in(builder, story.ours, story.shape)?;
    // One for each node, ours too.
    let serving = |number| scene.cloud.node(number).serve_rsync();
    let _daemons: Vec<Daemon> =
        if story.by_rsync { scene.nodes().map(serving).collect::<Result<_>>()? } else { Vec::new() };
    scene.assert_comes_home(story.away)
}

#[test]
fn ours_was_away() -> Result<()> {
    come_home(Story { ours: &[1], shape: Shape::OneProcess, away: 1, by_rsync: false })
}

#[test]
fn ours_was_away_and_the_others_use_rsync() -> Result<()> {
    come_home(Story { ours: &[1], shape: Shape::OneProcess, away: 1, by_rsync: true })
}

#[test]
fn stock_was_away_and_handoffs_are_ours() -> Result<()> {
    come_home(Story { ours: &[1, 2], shape: Shape::TwoOverUnix, away: 3, by_rsync: false })
}

#[test]
#[ignore = "long: run tests/run --full"]
fn stock_was_away_and_the_others_use_rsync() -> Result<()> {
    come_home(Story { ours: &[1, 2], shape: Shape::OneProcess, away: 3, by_rsync: true })
}

#[test]
#[ignore = "long: run tests/run --full"]
fn the_only_stock_node_was_away() -> Result<()> {
    come_home(Story { ours: &[1, 2, 3], shape: Shape::OneProcess, away: 4, by_rsync: false })
}

#[test]
#[ignore = "long: run tests/run --full"]
fn ours_was_away_in_two_processes() -> Result<()> {
    come_home(Story { ours: &[1], shape: Shape::TwoOverTcp, away: 1, by_rsync: false })
}

/// What the story takes for granted of Swift itself.
#[test]
#[ignore = "long: run tests/run --full"]
fn all_is_stock() -> Result<()> {
    come_home(Story { ours: &[], shape: Shape::OneProcess, away: 2, by_rsync: false })?;
    come_home(Story { ours: &[], shape: Shape::OneProcess, away: 2, by_rsync: true })
}
