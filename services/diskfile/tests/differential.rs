//! Random histories, performed by Swift's own disk layer and by ours: files, results and hashes must be the same.
//!
//! A history is a seed: what clients, peers and broken disks do to a few objects, on a clock that the test sets. Swift
//! performs it on one tree and ours on another; both are compared; then each goes on with the tree that the other made, and
//! both are compared again. Swift runs in a Python process (`stock_swift.py`) from the virtual environment that
//! `tests/run` makes and `SWIFT_VENV` names.
//!
//! * `SSYNC_SEED=N cargo test -p ssync-diskfile differential::one_seed -- --ignored --nocapture` replays one history, and
//!   prints it with what differs.
//! * `SSYNC_HISTORIES=N` is how many histories `differential::long` performs (`tests/run --full`), from `SSYNC_SEED` on.

mod cases;
mod clocked;
mod damage;
mod exceptions;
mod generate;
mod litter;
mod ours;
mod pair;
mod pickles;
mod random;
mod shrink;
mod snapshot;
mod twin;
mod world;

use std::collections::BTreeMap;

use generate::Generator;
use pair::{Outcome, Pair};
use world::World;

/// Histories in one line to Python.
const BATCH: usize = 50;
/// So many failures are told, each with its smallest history.
const TOLD_MAX: usize = 8;

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, and no number")))
}

/// Performs the histories of a range of seeds.
fn run(seeds: std::ops::Range<u64>) {
    let (world, mut pair) = (World::new(), Pair::new());
    let fragments = pair.twin.fragments.clone();
    let started = std::time::Instant::now();
    let (mut failed, mut left_out, mut told) = (Vec::new(), BTreeMap::<_, usize>::new(), String::new());
    let all: Vec<_> = seeds.clone().collect();
    for seeds in all.chunks(BATCH) {
        let histories: Vec<_> =
            seeds.iter().map(|seed| Generator::history(*seed, &world, &fragments)).collect();
        for ((outcome, seed), history) in pair.run(&histories).into_iter().zip(seeds).zip(histories) {
            let outcome = match outcome {
                Outcome::LeftOut { .. } => {
                    let (outcome, reasons) = pair.run_one(history.clone());
                    for reason in reasons {
                        *left_out.entry(reason).or_default() += 1;
                    }
                    outcome
                }
                outcome => outcome,
            };
            if let Outcome::Differs(_) = outcome {
                failed.push(*seed);
                if failed.len() <= TOLD_MAX {
                    told += &format!("\nseed {seed}\n{}", shrink::smallest(&mut pair, history));
                }
            }
        }
    }
    let rate = all.len() as f64 / started.elapsed().as_secs_f64();
    println!("{} histories, {rate:.0} a second; operations left out: {left_out:#?}", all.len());
    assert!(
        failed.is_empty(),
        "{} of {} histories differ (seeds {failed:?})\n{told}",
        failed.len(),
        all.len()
    );
}

/// Histories of each of the tests below: four, so that each ends in time on a busy machine, and two run at once.
const HISTORIES: u64 = 2_500;

#[test]
fn histories_of_the_first_quarter() {
    run(0..HISTORIES);
}

#[test]
fn histories_of_the_second_quarter() {
    run(HISTORIES..2 * HISTORIES);
}

#[test]
fn histories_of_the_third_quarter() {
    run(2 * HISTORIES..3 * HISTORIES);
}

#[test]
fn histories_of_the_last_quarter() {
    run(3 * HISTORIES..4 * HISTORIES);
}

#[test]
#[ignore = "long; tests/run --full"]
fn long() {
    let from = number("SSYNC_SEED").unwrap_or(1_000_000);
    run(from..from + number("SSYNC_HISTORIES").unwrap_or(20_000));
}

#[test]
#[ignore = "replays SSYNC_SEED"]
fn one_seed() {
    let Some(seed) = number("SSYNC_SEED") else { return };
    let (world, mut pair) = (World::new(), Pair::new());
    let history = Generator::history(seed, &world, &pair.twin.fragments.clone());
    let told = shrink::told(&history);
    let outcome = pair.run_one(history.clone()).0;
    println!("{told}\n{outcome:#?}");
    if let Outcome::Differs(_) = outcome {
        panic!("seed {seed} differs; the smallest history:\n{}", shrink::smallest(&mut pair, history));
    }
}
