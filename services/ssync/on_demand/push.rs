//! A push on demand, as the contract tells of it.

use std::{sync::Arc, time::Duration};

use ssync_api::admin::{PushRequest, PushResponse};
use ssync_replicator::{Abort, Moved, PassStats, PushOrder, PushWatch, Replicator};
use ssync_types::{Invalid, Partition, PolicyIndex, Refusal};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::ANSWERS_AHEAD_MAX;

/// How often is told how far it is.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// Begins a push. Its answers end with the one that is `done`; when nobody takes them, the push ends at the next object.
pub(crate) async fn push(
    replicator: &Arc<Replicator>,
    request: PushRequest,
    drain: CancellationToken,
) -> Result<mpsc::Receiver<PushResponse>, Refusal> {
    let order = order(request)?;
    let push = replicator.order(&order, drain.clone()).await?;
    let paused = replicator.paused().holds(&order.device);
    let (answers, told) = mpsc::channel(ANSWERS_AHEAD_MAX);
    let watch = push.watch();
    tokio::spawn(async move {
        let run = push.run();
        tokio::pin!(run);
        let mut ticks = interval(TOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stats = loop {
            tokio::select! {
                stats = &mut run => break stats,
                _ = ticks.tick() => tell(&answers, &watch, paused),
                () = answers.closed(), if !drain.is_cancelled() => drain.cancel(),
            }
        };
        // Who has gone does not want to know.
        let _ = answers.send(PushResponse { paused, ..done(&stats) }).await;
    });
    Ok(told)
}

fn order(request: PushRequest) -> Result<PushOrder, Invalid> {
    Ok(PushOrder {
        device: request.device.parse()?,
        partition: Partition::new(request.partition),
        policy: PolicyIndex::new(request.policy_index),
        to: Some(request.to).filter(|to| !to.is_empty()),
    })
}

/// An answer that finds no room is not missed: the next one tells more.
fn tell(answers: &mpsc::Sender<PushResponse>, watch: &PushWatch, paused: bool) {
    let (Moved { objects, bytes }, released) = (watch.moved(), watch.released());
    let _ = answers.try_send(PushResponse { objects, bytes, released, paused, ..PushResponse::default() });
}

fn done(stats: &PassStats) -> PushResponse {
    PushResponse {
        done: true,
        objects: stats.objects,
        bytes: stats.bytes,
        released: stats.released,
        put_back: stats.put_back,
        complete: stats.complete(),
        problems: problems(stats),
        equal_peers: stats.hashmatch,
        elapsed_milliseconds: u64::try_from(stats.elapsed.as_millis()).unwrap_or(u64::MAX),
        paused: false,
    }
}

fn problems(stats: &PassStats) -> Vec<String> {
    let nodes = stats.failure_nodes.iter().flat_map(|(ip, devices)| {
        devices.keys().map(move |device| format!("{ip}/{device} did not get all of it"))
    });
    let mut problems: Vec<String> = nodes.collect();
    let mut add = |applies: bool, problem: &str| {
        if applies {
            problems.push(problem.to_owned());
        }
    };
    add(
        stats.lock_failures > 0,
        "the partition is locked by somebody else: another replicator on this device, or a session",
    );
    add(stats.devices_failed > 0, "the device here could not be read");
    add(stats.handoffs_remaining > 0, "not every object could be let go: the partition is still here");
    add(stats.aborted == Some(Abort::Draining), "it was ended before its time");
    if problems.is_empty() && !stats.complete() {
        problems.push("something failed".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_done_is_told() {
        let mut stats = PassStats::default();
        stats.objects = 3;
        let answer = done(&stats);
        assert!(answer.done && answer.complete && answer.problems.is_empty() && answer.objects == 3);
        let mut stats = PassStats::default();
        (stats.failure, stats.handoffs_remaining) = (1, 1);
        stats.failure_nodes.entry("10.0.0.1".to_owned()).or_default().insert("d1".to_owned(), 1);
        let answer = done(&stats);
        assert!(!answer.complete);
        assert_eq!(answer.problems.len(), 2, "{answer:?}");
        assert_eq!(answer.problems[0], "10.0.0.1/d1 did not get all of it");
        let mut stats = PassStats::default();
        stats.partitions_outside = 1;
        let answer = done(&stats);
        assert_eq!(answer.problems, ["something failed"], "no failure is without a word");
    }

    #[test]
    fn a_device_is_one_plain_name() {
        let refused = order(PushRequest { device: "../x".to_owned(), ..PushRequest::default() });
        assert!(refused.is_err());
        let order = order(PushRequest { device: "d1".to_owned(), ..PushRequest::default() }).unwrap();
        assert_eq!(order.to, None);
    }
}
