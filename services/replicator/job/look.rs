//! An operator has paused the device: what the peers lack is found out and told, and nothing is done about it.

use ssync_types::Refusal;

use super::{Context, Job, JobEnd, Kind};
use crate::{
    backlog::{Found, Visit},
    peer::Target,
    plan::{self, Count},
    stats::Nodes,
};

/// Looks at the partition. `begun`: it has been counted as begun, and was paused then.
pub(super) async fn run(job: &Job, context: &Context, begun: bool) -> JobEnd {
    match job.is_handoff() {
        _ if begun => {}
        true => job.tally(context).revert_begins(),
        false => job.tally(context).update_begins(),
    }
    let (mut nodes, mut equal, mut asked) = (Nodes::default(), 0, Vec::new());
    let hashes = plan::look(job, context, |target, found| {
        asked.push(target.clone());
        looked(job, context, target, &found);
        match found {
            Ok(None) => {
                nodes.tried(target);
                equal += 1;
            }
            // What it lacks it has not got, which is nobody's failure.
            Ok(Some(_)) => {}
            Err(_) => nodes.failed(target),
        }
    });
    let left = match hashes.await {
        Ok(_) => Found::NotCompared,
        Err(refusal) => {
            tracing::error!("Error looking at partition {}: {refusal}", job.at(&job.device));
            context.failures.note(&job.at(&job.device), None, &refusal);
            Found::Unknown
        }
    };
    if !context.drain.is_cancelled() {
        let others = job.targets.iter().filter(|target| !asked.contains(target));
        others.for_each(|target| visit(job, context, target).end(left));
    }
    let stays = u64::from(job.is_handoff());
    job.tally(context).count(|stats| {
        stats.paused += 1;
        stats.handoffs_paused += stays;
        // What was begun has been counted when it was told to stop.
        if !begun {
            nodes.count(stats);
            stats.hashmatch += equal;
            stats.handoffs_remaining += stays;
        }
    });
    JobEnd::Done
}

/// A visit that counts for the pass, unless one to this peer has before the job was told to stop.
fn visit(job: &Job, context: &Context, target: &Target) -> Visit {
    let counts = match &job.kind {
        Kind::Primary(round) => round.awaits(target),
        Kind::Handoff => true,
    };
    context.backlog.visit(job, target, context.counts && counts)
}

/// What one peer lacks of a partition of which nothing is pushed for now; `None` where it lacks nothing. All that a look finds is
/// told here.
fn looked(job: &Job, context: &Context, target: &Target, found: &Result<Option<Count>, Refusal>) {
    let at = job.at(&job.device);
    visit(job, context, target).end(plan::pending(found));
    match found {
        Ok(None) => context.failures.went_well(&at, target),
        Ok(Some(Count { objects, bytes, others, .. })) => {
            tracing::debug!(partition = %at, peer = %target, objects, bytes, others, "pending while paused");
        }
        Err(refusal) => {
            tracing::warn!(partition = %at, peer = %target, %refusal, "what this peer lacks is not known");
            context.failures.note(&at, Some(target), refusal);
        }
    }
}
