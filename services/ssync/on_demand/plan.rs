//! A plan, as the contract tells of it.

use std::{collections::BTreeSet, sync::Arc};

use ssync_api::admin::{self, PlanRequest, PlanResponse, PlannedNothing, plan_response::Item};
use ssync_replicator::{Overrides, Planned, PlannedPush, PlannedRemoval, Replicator};
use ssync_types::{DeviceName, Invalid, Partition, PolicyIndex, Refusal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ANSWERS_AHEAD_MAX;

/// Begins a plan. Its pieces end with the total; when nobody takes them it ends. Refuses devices that are not this node's.
pub(crate) async fn plan(
    replicator: &Arc<Replicator>,
    request: PlanRequest,
    drain: CancellationToken,
) -> Result<mpsc::Receiver<PlanResponse>, Refusal> {
    let overrides = overrides(request)?;
    replicator.own(overrides.devices.iter()).await?;
    let (pieces, mut planned) = mpsc::channel(ANSWERS_AHEAD_MAX);
    let (answers, told) = mpsc::channel(ANSWERS_AHEAD_MAX);
    let replicator = Arc::clone(replicator);
    tokio::spawn(async move {
        let pass_on = async {
            while let Some(piece) = planned.recv().await {
                if answers.send(PlanResponse { item: Some(item(piece)) }).await.is_err() {
                    break;
                }
            }
        };
        let gone = answers.clone();
        tokio::select! {
            ((), ()) = async { tokio::join!(replicator.plan(&overrides, drain, pieces), pass_on) } => {}
            () = gone.closed() => {}
        }
    });
    Ok(told)
}

fn overrides(request: PlanRequest) -> Result<Overrides, Invalid> {
    Ok(Overrides {
        devices: request
            .devices
            .iter()
            .map(|name| name.parse())
            .collect::<Result<BTreeSet<DeviceName>, _>>()?,
        partitions: request.partitions.into_iter().map(Partition::new).collect(),
        policies: request.policy_indexes.into_iter().map(PolicyIndex::new).collect(),
    })
}

fn item(piece: Planned) -> Item {
    match piece {
        Planned::Push(push) => Item::Push(planned_push(push)),
        Planned::Removal(removal) => Item::Removal(planned_removal(&removal)),
        Planned::Nothing { device, partition, policy, problem } => Item::Nothing(PlannedNothing {
            device: device.to_string(),
            partition: Some(partition.get()),
            policy_index: policy.get(),
            problem,
        }),
        Planned::Total(total) => Item::Total(admin::PlanTotal {
            partitions: total.partitions,
            equal_peers: total.equal_peers,
            pushes: total.pushes,
            push_objects: total.push_objects,
            push_bytes: total.push_bytes,
            at_most: total.at_most,
            remove_objects: total.remove_objects,
            remove_bytes: total.remove_bytes,
            problems: total.problems,
        }),
    }
}

fn planned_push(push: PlannedPush) -> admin::PlannedPush {
    admin::PlannedPush {
        device: push.device.to_string(),
        partition: push.partition.get(),
        policy_index: push.policy.get(),
        from_handoff: push.from_handoff,
        peer: push.peer.to_string(),
        objects: push.objects,
        bytes: push.bytes,
        at_most: push.at_most,
        others: push.others,
        problem: push.problem.unwrap_or_default(),
    }
}

fn planned_removal(removal: &PlannedRemoval) -> admin::PlannedRemoval {
    admin::PlannedRemoval {
        device: removal.device.to_string(),
        partition: removal.partition.get(),
        policy_index: removal.policy.get(),
        objects: removal.objects,
        bytes: removal.bytes,
        kept: removal.kept,
    }
}
