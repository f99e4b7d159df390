//! A cluster on one thread, from a seed: the shipped receiver, replicator and protocol code on simulated disks, network and clock.
//!
//! `thousands_of_seeds` runs many, `tens_of_thousands_of_seeds` more; `SSYNC_SIM_SEEDS` says how many, `SSYNC_SIM_FROM` from
//! which on. A seed that fails is printed with what happened and the command that runs it alone: `SSYNC_SIM_SEED`.

#![allow(clippy::unwrap_used, reason = "a simulation that is wrong ends the test")]

mod cast;
mod client;
mod cluster;
mod history;
mod judge;
mod link;
mod network;
mod places;
mod scenario;
mod wire;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::{
        Mutex, Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use scenario::{Fault, Report, run};

/// Seeds that are run where nobody says how many; a build without optimization is some ten times slower.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2000 };
/// Seeds of the long run, which begins where the other one ends.
const SEEDS_LONG: u64 = 20_000;
/// Failures after which no more seeds are begun.
const FAILURES_MAX: usize = 5;
/// Lines of a trace that a failure shows.
const LINES_MAX: usize = 80;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")))
}

thread_local! {
    /// What has panicked on this thread, also in tasks that nobody waits for.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            before(panic);
        }));
    });
}

fn attempt(seed: u64) -> Report {
    attempt_with(seed, run)
}

/// A panic fails the seed, wherever it was.
fn attempt_with(seed: u64, run: impl FnOnce(u64) -> Report) -> Report {
    note_panics();
    PANICS.take();
    let report = catch_unwind(AssertUnwindSafe(|| run(seed)));
    let mut report = report.unwrap_or_else(|_| Report { seed, ..Report::default() });
    if let Some(first) = PANICS.take().first() {
        report.problem = Some(format!("it {first}"));
    }
    report
}

fn show(report: &Report, lines: usize) {
    let left_out = report.trace.len().saturating_sub(lines);
    println!("seed {}: {left_out} lines, then", report.seed);
    report.trace.iter().skip(left_out).for_each(|line| println!("  {line}"));
    if let Some(problem) = &report.problem {
        println!("seed {}: {problem}", report.seed);
        println!(
            "again: SSYNC_SIM_SEED={} cargo nextest run --release -p ssync-simulation --no-capture one_seed",
            report.seed
        );
    }
}

/// The seed of `SSYNC_SIM_SEED`, with all that happens.
#[test]
fn one_seed() {
    let report = attempt(number("SSYNC_SIM_SEED").unwrap_or(1));
    show(&report, usize::MAX);
    assert_eq!(report.problem, None);
}

#[test]
fn a_seed_is_the_same_each_time() {
    for seed in 0..if cfg!(debug_assertions) { 5 } else { 40 } {
        let (one, other) = (attempt(seed), attempt(seed));
        let differs = one.trace.iter().zip(&other.trace).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let from = at.saturating_sub(10);
            one.trace[from..at].iter().for_each(|line| println!("  {line}"));
            panic!("seed {seed}, line {at}: {:?}, and {:?}", one.trace[at], other.trace[at]);
        }
        assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
    }
}

#[test]
fn a_task_that_panics_fails_its_seed_though_nobody_waits_for_it() {
    let report = attempt_with(7, |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            drop(tokio::spawn(async { panic!("nobody hears this") }));
            tokio::task::yield_now().await;
        });
        Report { seed, ..Report::default() }
    });
    assert!(report.problem.is_some_and(|problem| problem.contains("nobody hears this")));
    assert_eq!(attempt_with(8, |seed| Report { seed, ..Report::default() }).problem, None);
}

#[test]
fn thousands_of_seeds() {
    all_pass(0, SEEDS);
}

#[test]
#[ignore = "long: run tests/run --full"]
fn tens_of_thousands_of_seeds() {
    all_pass(SEEDS, SEEDS_LONG);
}

fn all_pass(from: u64, seeds: u64) {
    let from = number("SSYNC_SIM_FROM").unwrap_or(from);
    let to = from + number("SSYNC_SIM_SEEDS").unwrap_or(seeds);
    let began = Instant::now();
    let (next, done) = (AtomicU64::new(from), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let failures =
                        |done: &Vec<Report>| done.iter().filter(|report| report.problem.is_some()).count();
                    if seed >= to || failures(&done.lock().unwrap()) >= FAILURES_MAX {
                        break;
                    }
                    let mut report = attempt(seed);
                    if report.problem.is_none() {
                        report.trace = Vec::new();
                    }
                    done.lock().unwrap().push(report);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|report| report.seed);
    let mut faults: BTreeMap<Fault, usize> = BTreeMap::new();
    for report in &done {
        for (fault, count) in &report.faults {
            *faults.entry(*fault).or_default() += count;
        }
    }
    let sum = |of: fn(&Report) -> usize| done.iter().map(of).sum::<usize>();
    println!(
        "{} seeds in {:?}: {} of {} requests acknowledged, {faults:?}, most rounds {}",
        done.len(),
        began.elapsed(),
        sum(|report| report.acknowledged),
        sum(|report| report.requests),
        done.iter().map(|report| report.rounds).max().unwrap_or(0),
    );
    let failed: Vec<_> = done.iter().filter(|report| report.problem.is_some()).collect();
    failed.iter().for_each(|report| show(report, LINES_MAX));
    let seeds: Vec<_> = failed.iter().map(|report| report.seed).collect();
    assert!(seeds.is_empty(), "seeds that failed, of {}: {seeds:?}", done.len());
    if to - from >= 100 {
        // A cluster to which nothing happens, or that stores nothing, proves nothing.
        assert_eq!(faults.len(), Fault::KINDS, "every kind of fault strikes: {faults:?}");
        let (acknowledged, requests) = (sum(|report| report.acknowledged), sum(|report| report.requests));
        assert!(2 * acknowledged > requests, "{acknowledged} of {requests} requests were acknowledged");
    }
}
