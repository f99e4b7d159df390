//! A real cluster in upheaval: six object nodes in network namespaces, three of them ssync's, while clients write through a
//! stock proxy.
//!
//! Nodes are killed, stopped, cut off and brought back, their disks are wiped, rings are rebalanced by stock
//! `swift-ring-builder` and reach one machine after the other; and every node goes from stock to ssync and back to stock on the
//! same disks. Of the stock nodes two push by rsync and one by ssync. Afterwards every object is what its client wrote last,
//! through the proxy and on each of its primaries, as Swift's own tools read it.
//!
//! What happens follows from a seed, but for its timing. The short story has one seed, so that only a change or the timing makes
//! it fail; the long one has another each time. `UPHEAVAL_SEED` gives another, and `UPHEAVAL_KEEP` names a folder for the cluster
//! of a run that fails.

mod checks;
mod damage;
mod disks;
mod ledger;
mod report;
mod rings;
mod rounds;
mod scene;
mod survey;
mod writers;

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, anyhow};
use ssync_tests::Switch;

use crate::{rounds::Rounds, scene::Scene};

/// Every event once, and every node there and back.
const ROUNDS: usize = 6;
const LONG: Duration = Duration::from_secs(600);

/// Of the short story.
const SEED: u64 = 20_381;

fn given_seed() -> Option<u64> {
    env::var("UPHEAVAL_SEED").ok().and_then(|text| text.parse().ok())
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs()
}

/// The seed is the last that a failure says.
fn upheaval(seed: u64, rounds: usize, at_least: Duration) -> Result<()> {
    println!("the seed is {seed}");
    story(seed, rounds, at_least)
        .map_err(|error| anyhow!("{error:#}\nUPHEAVAL_SEED={seed} replays it, but for its timing"))
}

fn story(seed: u64, rounds: usize, at_least: Duration) -> Result<()> {
    if let Err(error) = Switch::try_out() {
        eprintln!("SKIPPED: no network namespaces here, so this checks nothing: {error:#}");
        return Ok(());
    }
    let mut scene = Scene::begin(seed)?;
    let mut tale = Rounds::new(&mut scene);
    tale.begin()?;
    tale.run(rounds, at_least)?;
    let ledger = scene.quiet()?;
    let survey = checks::assert_converged(&mut scene, &ledger)?;
    damage::assert_would_be_seen(&mut scene, &ledger, &survey)
}

#[test]
fn everything_converges_to_what_was_written_last() -> Result<()> {
    upheaval(given_seed().unwrap_or(SEED), ROUNDS, Duration::ZERO)
}

#[test]
#[ignore = "long: run tests/run --full"]
fn everything_converges_after_many_rounds() -> Result<()> {
    upheaval(given_seed().unwrap_or_else(seed_of_now), ROUNDS, LONG)
}
