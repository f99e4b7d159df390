//! The whole suite: hundreds of tests, some minutes a run. `tests/functional/run` runs these by name.

use std::{env, time::Duration};

use anyhow::Result;
use ssync_tests::Shape;

use crate::{comparison::compare, suite::Variant};

/// Longest for one of the runs.
const RUN_MAX: Duration = Duration::from_secs(45 * 60);
/// Fewest tests that have to pass on the stock cluster, so that a broken run compares nothing with nothing.
const PASSED_MIN: usize = 1000;

/// `tests.py` is not named as pytest expects it, and holds much of what reaches an object server.
const ALL: [&str; 3] = ["test/functional", "-o", "python_files=test_*.py tests.py"];

/// pytest's arguments: all tests, or what `FUNCTIONAL_ARGUMENTS` names, one a line.
fn arguments() -> (Vec<String>, usize) {
    match env::var("FUNCTIONAL_ARGUMENTS") {
        Ok(chosen) if !chosen.is_empty() => (chosen.lines().map(str::to_owned).collect(), 1),
        _ => (ALL.map(str::to_owned).to_vec(), PASSED_MIN),
    }
}

fn of(variant: Variant, shapes: &[Shape]) -> Result<()> {
    let (arguments, least) = arguments();
    compare(variant, shapes, &arguments, RUN_MAX, least)
}

#[test]
#[ignore = "long"]
fn one_process() -> Result<()> {
    of(Variant::default(), &[Shape::OneProcess])
}

#[test]
#[ignore = "long"]
fn two_processes() -> Result<()> {
    of(Variant::default(), &[Shape::TwoOverUnix, Shape::TwoOverTcp])
}

#[test]
#[ignore = "long"]
fn encrypted() -> Result<()> {
    of(Variant { encryption: true, coded: false }, &[Shape::OneProcess])
}

#[test]
#[ignore = "long"]
fn encrypted_in_two_processes() -> Result<()> {
    of(Variant { encryption: true, coded: false }, &[Shape::TwoOverUnix])
}

#[test]
#[ignore = "long"]
fn coded() -> Result<()> {
    of(Variant { encryption: false, coded: true }, &[Shape::OneProcess])
}
