//! Test by test: what ssync's cluster makes of Swift's tests, and what the stock cluster makes of them.

use std::{collections::BTreeSet, env, fmt::Write as _, time::Duration};

use anyhow::{Result, ensure};
use ssync_tests::{Server, Shape};

use crate::suite::{self, Outcome, Outcomes, Variant};

/// The names of all tests whose outcome differs, with both outcomes.
pub(crate) fn differences(stock: &Outcomes, ssync: &Outcomes) -> Vec<String> {
    let names: BTreeSet<&String> = stock.keys().chain(ssync.keys()).collect();
    names.into_iter().filter_map(|name| difference(name, stock.get(name), ssync.get(name))).collect()
}

fn difference(name: &str, stock: Option<&Outcome>, ssync: Option<&Outcome>) -> Option<String> {
    let same = match (stock, ssync) {
        // Why it failed may hold names and times of the run.
        (Some(Outcome::Failed(..)), Some(Outcome::Failed(..))) => true,
        (stock, ssync) => stock == ssync,
    };
    (!same).then(|| format!("{name}\n    stock: {}\n    ssync: {}", words(stock), words(ssync)))
}

fn words(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "did not run".to_owned(),
        Some(Outcome::Passed) => "passed".to_owned(),
        Some(Outcome::Skipped(why)) => format!("skipped: {why}"),
        Some(Outcome::Failed(phase, why)) => format!("failed ({phase}): {why}"),
    }
}

/// How many passed, were skipped, failed.
pub(crate) fn counts(outcomes: &Outcomes) -> String {
    let count = |wanted: fn(&Outcome) -> bool| outcomes.values().filter(|outcome| wanted(outcome)).count();
    format!(
        "{} passed, {} skipped, {} failed",
        count(|outcome| matches!(outcome, Outcome::Passed)),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        count(|outcome| matches!(outcome, Outcome::Failed(..)))
    )
}

/// Runs the same tests on a stock cluster and on one of ssync for each shape, and fails when any test differs.
pub(crate) fn compare(
    variant: Variant,
    shapes: &[Shape],
    arguments: &[String],
    longest: Duration,
    least: usize,
) -> Result<()> {
    let run = |server, side: &str| {
        let outcomes =
            suite::run(variant, server, &format!("{}-{side}", variant.name()), arguments, longest)?;
        println!("{} {side}: {}", variant.name(), counts(&outcomes));
        Ok::<_, anyhow::Error>(outcomes)
    };
    let stock = match env::var_os("FUNCTIONAL_KEEP_STOCK") {
        // While one looks for the cause of a difference.
        Some(_) => suite::outcomes(&suite::folder().join(format!("{}-stock.jsonl", variant.name())))?,
        None => run(Server::Stock, "stock")?,
    };
    let passed = stock.values().filter(|&outcome| *outcome == Outcome::Passed).count();
    ensure!(passed >= least, "only {passed} tests passed on the stock cluster: {}", counts(&stock));
    let mut found = String::new();
    for &shape in shapes {
        let ssync = run(Server::Ssync(shape), side(shape))?;
        for difference in differences(&stock, &ssync) {
            writeln!(found, "{shape:?}: {difference}")?;
        }
    }
    ensure!(found.is_empty(), "tests that differ (logs are in {}):\n{found}", suite::folder().display());
    Ok(())
}

fn side(shape: Shape) -> &'static str {
    match shape {
        Shape::OneProcess => "ssync",
        Shape::TwoOverTcp => "ssync-tcp",
        Shape::TwoOverUnix => "ssync-unix",
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Outcomes, differences};

    fn outcomes(of: &[(&str, Outcome)]) -> Outcomes {
        of.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.clone())).collect()
    }

    fn failed(why: &str) -> Outcome {
        Outcome::Failed("call".to_owned(), why.to_owned())
    }

    #[test]
    fn what_differs_is_named() {
        let skipped = |why: &str| Outcome::Skipped(why.to_owned());
        let stock = outcomes(&[
            ("same", Outcome::Passed),
            ("worse", Outcome::Passed),
            ("better", failed("404")),
            ("as bad", failed("at 12:00")),
            ("reason", skipped("no encryption")),
            ("missing", Outcome::Passed),
        ]);
        let ssync = outcomes(&[
            ("same", Outcome::Passed),
            ("worse", failed("503 is not 201")),
            ("better", Outcome::Passed),
            ("as bad", failed("at 12:01")),
            ("reason", skipped("no policies")),
            ("more", Outcome::Passed),
        ]);
        let found = differences(&stock, &ssync);
        let names: Vec<&str> = found.iter().filter_map(|text| text.lines().next()).collect();
        assert_eq!(names, ["better", "missing", "more", "reason", "worse"]);
        assert!(found[4].contains("503 is not 201") && found[1].contains("did not run"), "{found:?}");
        assert!(differences(&stock, &stock).is_empty());
    }
}
