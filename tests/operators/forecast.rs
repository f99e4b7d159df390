//! A pass of minutes, on a network that gets slower in the middle: each forecast is held against the end that came.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ssync_tests::{Cluster, Server, Shape};

use crate::ssync::ssync;

const OURS: Server = Server::Ssync(Shape::OneProcess);
/// What each piece of a question takes on its way, in the first half of the pass and in the second.
const PIECE_TAKES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// Longest that the pass may take.
const PASS_MAX: Duration = Duration::from_secs(1200);
/// Seconds in which it has to be seen that the network is slower: what is looked back at, and some visits.
const SEEN_WITHIN: f64 = 30.0;

/// What was told at a moment, in seconds since the pass began.
struct Told {
    at: f64,
    remaining: f64,
    margin: f64,
}

/// `tests/run --full` runs it: it takes some minutes.
#[test]
#[ignore = "minutes"]
fn it_is_right_after_a_twentieth_of_the_work_and_soon_after_the_peer_slows_down() -> Result<()> {
    let cluster = Cluster::of(2)
        .part_power(8)
        .tapped()
        .setting("object-replicator", "interval", "3600")
        .setting("object-replicator", "concurrency", "2")
        .build()?;
    let node = cluster.node(1);
    node.write_tree(1500)?;
    let tap = cluster.node(2).tap();
    tap.take_time(PIECE_TAKES[0]);
    let _there = cluster.node(2).serve(OURS)?;
    let _here = node.serve_and_replicate(OURS)?;
    let (started, mut told, mut slowed, mut twentieth) = (Instant::now(), Vec::new(), None, None);
    let end = loop {
        let at = started.elapsed().as_secs_f64();
        let said = ssync(node, &["status", "--json"])?;
        if said.code != Some(0) && told.is_empty() && at < 30.0 {
            // It does not listen yet.
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        let status = said.last_json()?;
        let (done, total) = (&status["nodes"][0]["visits_done"], &status["nodes"][0]["visits_total"]);
        let part = done.as_f64().unwrap_or_default() / total.as_f64().unwrap_or(f64::INFINITY);
        if status["pass"] == 1 && status["running"] == false {
            break at;
        }
        if part >= 0.05 {
            twentieth.get_or_insert(at);
        }
        if part >= 0.5 && slowed.is_none() {
            slowed = Some(at);
            tap.take_time(PIECE_TAKES[1]);
        }
        let number = |what: &str| status["forecast"][what].as_f64();
        if let (Some(remaining), Some(margin)) = (number("remaining_seconds"), number("margin_seconds")) {
            told.push(Told { at, remaining, margin });
        }
        ensure!(started.elapsed() < PASS_MAX, "the pass does not end: {status}");
        thread::sleep(Duration::from_secs(1));
    };
    let (Some(twentieth), Some(slowed)) = (twentieth, slowed) else {
        anyhow::bail!("it was over in no time: {end} s")
    };
    // What is to come nobody knows: before the network is slower, the truth is how it would have gone on.
    let seen = slowed + SEEN_WITHIN;
    let judged: Vec<(f64, bool)> = told
        .iter()
        .filter(|told| told.at >= seen && told.at < end - 2.0)
        .map(|told| {
            let off = (told.remaining - (end - told.at)).abs();
            (off / (end - told.at), off <= ((end - told.at) / 10.0).max(told.margin))
        })
        .collect();
    let right = judged.iter().filter(|(_, right)| *right).count() as f64 / judged.len() as f64;
    let mut margins: Vec<f64> =
        told.iter().filter(|told| told.at > seen).map(|told| told.margin / told.remaining.max(1.0)).collect();
    margins.sort_by(f64::total_cmp);
    // By the pace of its first half the pass would have ended at twice the time that the half took; but for what else the machine did,
    // which makes that end no more certain than a fifth.
    let first: Vec<f64> = told
        .iter()
        .filter(|told| told.at >= twentieth && told.at < slowed)
        .map(|told| {
            let truth = 2.0 * slowed - told.at;
            (told.remaining - truth).abs() - (truth / 5.0).max(told.margin)
        })
        .collect();
    let right_before = first.iter().filter(|over| **over <= 0.0).count() as f64 / first.len() as f64;
    eprintln!(
        "{end:.0} s in all, slower from {slowed:.0} s on; {:.0} % of {} forecasts were right before, {:.0} % of {} after; \
         half of the margins below {:.0} %",
        right_before * 100.0,
        first.len(),
        right * 100.0,
        judged.len(),
        margins.get(margins.len() / 2).unwrap_or(&0.0) * 100.0
    );
    ensure!(first.len() > 20 && judged.len() > 20, "too few to judge");
    ensure!(right_before >= 0.95 && right >= 0.95, "it was wrong too often");
    Ok(())
}
