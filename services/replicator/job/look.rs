//! An operator has paused the device: what the peers lack is found out and told, and nothing is done about it.

use ssync_types::Refusal;

use super::{Context, Job, JobEnd};
use crate::{
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
    let (mut nodes, mut equal) = (Nodes::default(), 0);
    let hashes = plan::look(job, context, |target, found| {
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
    if let Err(refusal) = hashes.await {
        tracing::error!("Error looking at partition {}: {refusal}", job.at(&job.device));
        context.failures.note(&job.at(&job.device), None, &refusal);
    }
    let stays = u64::from(job.is_handoff());
    job.tally(context).count(|stats| {
        nodes.count(stats);
        stats.hashmatch += equal;
        stats.paused += 1;
        stats.handoffs_remaining += stays;
        stats.handoffs_paused += stays;
    });
    JobEnd::Done
}

/// What one peer lacks of a partition of which nothing is pushed for now; `None` where it lacks nothing. All that a look finds is
/// told here.
fn looked(job: &Job, context: &Context, target: &Target, found: &Result<Option<Count>, Refusal>) {
    let at = job.at(&job.device);
    context.backlog.visit(job, target, context.counts).end(plan::pending(found));
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
