//! Power cuts, kills and lost mounts at every flush of random histories, and at random calls between.
//!
//! A history is a seed: what is done, in which order, on what sort of file system, and what survives. After each cut the device is
//! opened again and everything on it is compared with what was acknowledged and what was in flight (`crash/check.rs`,
//! `crash/model.rs`). A failure prints the history, its seed, and how to run it alone: `SSYNC_SEED`. The ignored tests take ten times
//! as many cuts from other seeds; `SSYNC_CUTS` takes as many as it says.
//!
//! `weak` runs on a file system that promises no more than POSIX: PUT, POST, DELETE, hashes and confirmations are safe on it. All
//! else takes the file system for one that keeps the order of changes to names, as XFS and ext4 do (`simulation/journal.rs`), which is
//! what Swift demands too: removals and moves to quarantine are never flushed by themselves. On that order rest: that a kept hash
//! knows of a quarantine and of a reclaimed tombstone; that the data which such a tombstone covered goes before it; that what a
//! release left half done is a state that there was; that `hashes.invalid` has its name when another thread has just made it.

mod check;
mod choice;
mod device;
mod history;
mod model;
mod op;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::simulation::{Model, Random, SimDisk};
use check::{Expected, check};
use history::Session;

/// Operations of a history.
const STEPS: usize = 25;
/// Cuts that each test takes; a build without optimization is some twenty times slower.
const CUTS: u64 = if cfg!(debug_assertions) { 1_000 } else { 20_000 };

/// After this long a long test ends with what cuts it has, before it is taken for one that hangs.
const LONG: Duration = Duration::from_secs(120);

/// What a history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// PUT, POST, DELETE, hashes, confirmations.
    Whole = 1,
    /// Several objects in one batch.
    Batch,
    /// Fragments and their durable marks.
    Coded,
    /// A handoff lets go.
    Release,
    /// Others write without flushing, and it is to be confirmed.
    Confirm,
    /// Damage, lost mounts, a partition power that is being raised, times that pass.
    Trouble,
    /// As `Whole`, on a file system that promises no more than POSIX.
    Weak,
}

#[derive(Debug, Default)]
struct Tally {
    histories: u64,
    flushes: u64,
    cuts: u64,
    kills: u64,
    /// How often each operation had an effect.
    effects: BTreeMap<&'static str, u64>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs histories, from a seed up, until enough cuts were taken.
fn run(kind: Kind, from: u64, cuts: u64, time: Duration) {
    let began = Instant::now();
    let mut tally = Tally::default();
    if let Some(seed) = number("SSYNC_SEED") {
        one(kind, seed, &mut tally);
    } else {
        let cuts = number("SSYNC_CUTS").unwrap_or(cuts);
        for seed in from.. {
            one(kind, seed, &mut tally);
            if tally.cuts >= cuts || began.elapsed() > time {
                break;
            }
        }
    }
    println!("{kind:?}: {tally:?} in {:.1?}", began.elapsed());
}

fn one(kind: Kind, seed: u64, tally: &mut Tally) {
    let mut session = Session::new(kind, seed);
    for _ in 0..STEPS {
        if let Err(problem) = step(kind, &mut session, tally) {
            panic!(
                "{problem}\n\nhistory:\n{:#?}\n\nagain: SSYNC_SEED={seed} cargo nextest run -p ssync-diskfile crash::{}",
                session.story,
                format!("{kind:?}").to_lowercase(),
            );
        }
    }
    tally.histories += 1;
    for (name, times) in session.effects {
        *tally.effects.entry(name).or_default() += times;
    }
}

fn model(kind: Kind) -> Model {
    if kind == Kind::Weak { Model::Weak } else { Model::Ordered }
}

fn step(kind: Kind, session: &mut Session, tally: &mut Tally) -> Result<(), String> {
    let before = session.disk.clone();
    let flushes = before.counts().flushes;
    let mut random = Random::new(session.random.next());
    let run = session.step()?;
    tally.flushes += before.counts().flushes - flushes;
    for point in &run.points {
        // Removals are not flushed, yet their order counts.
        let sparse = if kind == Kind::Release { 2 } else { 6 };
        if point.flush || random.once_in(sparse) {
            cut(kind, &point.image, &run.during, &mut random, tally)
                .map_err(|problem| format!("cut {}: {problem}", point.call))?;
        }
    }
    cut(kind, &session.disk, &run.after, &mut random, tally)
        .map_err(|problem| format!("cut when all was done: {problem}"))?;
    if !run.points.is_empty() && random.once_in(8) {
        let point = random.pick(&run.points);
        let seed = random.next();
        let (image, why) = match seed % 3 {
            0 => (point.image.kill(), "killed"),
            1 => (point.image.kill().crash(model(kind), seed), "killed, then cut"),
            _ => (point.image.crash(model(kind), seed), "cut"),
        };
        session.objects.clone_from(&run.during.objects);
        session.restart(image, &format!("{why} {}", point.call))?;
    }
    Ok(())
}

/// Cuts the power of an image, or kills the program and cuts the power later, and looks.
fn cut(
    kind: Kind,
    image: &SimDisk,
    expected: &Expected,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<(), String> {
    let seed = random.next();
    let go_on = random.once_in(4).then_some(seed);
    let crashed = image.crash(model(kind), seed);
    tally.cuts += 1;
    check(&crashed, expected, go_on).map_err(|problem| format!("by power: {problem}"))?;
    if random.once_in(4) {
        let killed = image.kill();
        tally.kills += 1;
        check(&killed.snapshot(), expected, go_on).map_err(|problem| format!("by a kill: {problem}"))?;
        // The next start flushes what the killed program left; the power goes before that, or after.
        if random.once_in(2) {
            device::device(&killed, ssync_types::Durability::Object)
                .sync()
                .map_err(|error| error.to_string())?;
        }
        let crashed = killed.crash(model(kind), seed);
        tally.cuts += 1;
        check(&crashed, expected, None).map_err(|problem| format!("by a kill, then by power: {problem}"))?;
    }
    Ok(())
}

macro_rules! histories {
    ($($name:ident: $kind:ident),*) => {
        $(#[test]
        fn $name() {
            run(Kind::$kind, 1, CUTS, Duration::MAX);
        })*

        mod long {
            use super::*;

            $(#[test]
            #[ignore = "two minutes"]
            fn $name() {
                run(Kind::$kind, 1_000_000, 10 * CUTS, LONG);
            })*
        }
    };
}

histories!(
    whole: Whole,
    batch: Batch,
    coded: Coded,
    release: Release,
    confirm: Confirm,
    trouble: Trouble,
    weak: Weak
);
