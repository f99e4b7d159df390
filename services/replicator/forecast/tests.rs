//! Passes that are played through: each forecast is held against the end that came.

use super::*;
use crate::shuffle::Shuffle;

/// A node of a pass that is played.
#[derive(Debug, Clone, Copy)]
struct Node {
    visits: u64,
    /// Seconds of a visit, on the average.
    each: f64,
    /// How much they differ: 0 is all alike, 1 as exponentially distributed.
    spread: f64,
    /// After this part of the visits they take so many times as long.
    slows: (f64, f64),
}

const STEADY: Node = Node { visits: 2_000, each: 0.4, spread: 0.5, slows: (2.0, 1.0) };
const WORKERS: u64 = 4;

/// What was told, and what came.
#[derive(Debug, Default)]
struct Played {
    told: Vec<(f64, f64, f64)>,
    end: f64,
    slowed_at: Option<f64>,
}

/// Plays a pass in which free workers take the next visit of the node with the most left that has not as many as it may.
fn play(nodes: &[Node], at_once_max: u64, seed: u64) -> Played {
    let mut random = Shuffle::seeded(seed);
    let begin = Instant::now();
    let mut paces: Vec<Pace> = nodes.iter().map(|_| Pace::new(begin)).collect();
    let mut begun = vec![0_u64; nodes.len()];
    let mut done = vec![0_u64; nodes.len()];
    let mut under_way: Vec<(f64, f64, usize)> = Vec::new();
    let (mut time, mut played, mut next_look) = (0.0, Played::default(), 1.0);
    loop {
        while under_way.len() < WORKERS as usize {
            let free = |node: &usize| {
                begun[*node] < nodes[*node].visits
                    && under_way.iter().filter(|(_, _, of)| of == node).count() < at_once_max as usize
            };
            let part_done = |node: &usize| begun[*node] as f64 / nodes[*node].visits as f64;
            let Some(node) = (0..nodes.len())
                .filter(free)
                .min_by(|one, other| part_done(one).total_cmp(&part_done(other)))
            else {
                break;
            };
            let Node { each, spread, slows: (after, times), .. } = nodes[node];
            let slow = part_done(&node) >= after;
            if slow && played.slowed_at.is_none() {
                played.slowed_at = Some(time);
            }
            let uniform = ((random.next() >> 11) as f64 / (1_u64 << 53) as f64).max(1e-9);
            let takes = each * if slow { times } else { 1.0 } * (1.0 - spread + spread * -uniform.ln());
            begun[node] += 1;
            paces[node].begins(begin + Duration::from_secs_f64(time));
            under_way.push((time + takes, takes, node));
        }
        under_way.sort_by(|one, other| one.0.total_cmp(&other.0));
        let Some(&(ends, takes, node)) = under_way.first() else { break };
        while next_look < ends {
            let now = begin + Duration::from_secs_f64(next_look);
            let left = |node: usize| Left { visits: nodes[node].visits - done[node], at_once_max };
            let told =
                forecast(paces.iter().enumerate().map(|(node, pace)| (pace, left(node))), WORKERS, now);
            if let Some(Forecast { remaining, margin }) = told {
                played.told.push((next_look, remaining.as_secs_f64(), margin.as_secs_f64()));
            }
            next_look += 1.0;
        }
        under_way.remove(0);
        time = ends;
        done[node] += 1;
        let at = begin + Duration::from_secs_f64(time);
        paces[node].pauses(at);
        paces[node].ended(at, Duration::from_secs_f64(takes));
    }
    played.end = time;
    played
}

/// Of the forecasts in a stretch of the pass, the part that was right: within a tenth, or within what it allowed itself; and how
/// large the margins were, as parts of what remained.
fn judged(played: &Played, from: f64, to: f64) -> (f64, f64) {
    let told: Vec<_> = played.told.iter().filter(|(at, ..)| (from..to).contains(at)).collect();
    let is_right = |(at, remaining, margin): (f64, f64, f64)| {
        let truth = played.end - at;
        (remaining - truth).abs() <= (truth / 10.0).max(margin)
    };
    let right = told.iter().filter(|told| is_right(***told)).count() as f64 / told.len() as f64;
    let mut margins: Vec<f64> = told.iter().map(|(at, _, margin)| margin / (played.end - at)).collect();
    margins.sort_by(f64::total_cmp);
    (right, margins[margins.len() / 2])
}

/// The worst part of right ones, the mean one, and the mean of the margins, over many seeds.
fn over_seeds(nodes: &[Node], at_once_max: u64, stretch: impl Fn(&Played) -> (f64, f64)) -> (f64, f64, f64) {
    let (mut worst, mut sum, mut margins) = (1.0_f64, 0.0, 0.0);
    let seeds = 24_u64;
    for seed in 0..seeds {
        let played = play(nodes, at_once_max, seed);
        let (from, to) = stretch(&played);
        let (right, margin) = judged(&played, from, to);
        worst = worst.min(right);
        sum += right;
        margins += margin;
    }
    (worst, sum / seeds as f64, margins / seeds as f64)
}

fn after_a_twentieth(played: &Played) -> (f64, f64) {
    (played.end / 20.0, played.end * 0.98)
}

#[test]
fn after_a_twentieth_of_the_work_it_is_right() {
    for (name, nodes, at_once) in [
        ("one node", vec![STEADY], 4),
        ("two nodes", vec![STEADY, STEADY], 3),
        ("one is slow", vec![STEADY, Node { each: 2.0, visits: 700, ..STEADY }], 3),
        (
            "as different as exponential",
            vec![Node { spread: 1.0, ..STEADY }, Node { spread: 1.0, ..STEADY }],
            3,
        ),
        ("a few hundred", vec![Node { visits: 300, each: 1.0, ..STEADY }], 4),
    ] {
        let (worst, mean, margin) = over_seeds(&nodes, at_once, after_a_twentieth);
        println!(
            "{name}: {:.1} % right, {:.1} % in the worst pass, margin {:.1} %",
            mean * 100.0,
            worst * 100.0,
            margin * 100.0
        );
        assert!(mean > 0.95 && worst > 0.5, "{name}: {mean} {worst}");
        assert!(margin < 0.3, "{name}: a margin of {margin} tells nothing");
    }
}

#[test]
fn a_peer_that_becomes_slow_is_seen_soon() {
    let nodes = [STEADY, Node { slows: (0.5, 4.0), ..STEADY }];
    // Nobody foresees it; from the time that one window has passed it is right again.
    let (worst, mean, margin) = over_seeds(&nodes, 3, |played| {
        let slowed = played.slowed_at.unwrap_or_default();
        (slowed + 30.0_f64.max(slowed / 4.0), played.end * 0.98)
    });
    println!(
        "{:.1} % right, {:.1} % in the worst pass, margin {:.1} %",
        mean * 100.0,
        worst * 100.0,
        margin * 100.0
    );
    assert!(mean > 0.95 && worst > 0.7, "{mean} {worst}");
    let (before, mean_before, _) =
        over_seeds(&nodes, 3, |played| (0.0, played.slowed_at.unwrap_or_default()));
    assert!(mean_before < 0.5, "what cannot be known was not known: {mean_before} {before}");
}

#[test]
fn nothing_is_told_of_what_was_not_seen() {
    let now = Instant::now();
    let mut pace = Pace::new(now);
    let left = Left { visits: 10, at_once_max: 4 };
    assert_eq!(forecast([(&pace, left)].into_iter(), 4, now), None);
    pace.begins(now);
    let later = now + Duration::from_secs(5);
    assert_eq!(forecast([(&pace, left)].into_iter(), 4, later), None, "none has ended");
    assert_eq!(forecast(std::iter::empty(), 4, now), None);
}

#[test]
fn notes_are_bounded() {
    let now = Instant::now();
    let mut pace = Pace::new(now);
    for second in 0..100_000_u64 {
        let at = now + Duration::from_secs(second);
        pace.begins(at);
        let end = at + Duration::from_millis(500);
        pace.pauses(end);
        pace.ended(end, Duration::from_millis(500));
    }
    assert!(pace.notes.len() <= NOTES_MAX);
    let at = now + Duration::from_secs(100_000);
    let Some(Forecast { remaining, .. }) =
        forecast([(&pace, Left { visits: 100, at_once_max: 1 })].into_iter(), 1, at)
    else {
        panic!("it is known")
    };
    assert!((90..110).contains(&remaining.as_secs()), "{remaining:?}: half a second each, half of the time");
}
