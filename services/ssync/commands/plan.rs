//! `ssync plan`: what a pass would push and remove.

use std::process::ExitCode;

use anyhow::bail;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use ssync_api::admin::{PlanRequest, PlanResponse, PlanTotal, plan_response::Item};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    cli::PlanArgs,
    commands::running::{Alone, Answers, Running, refused},
    on_demand,
};

/// Plans; exits 0 when everything could be looked at.
pub(crate) async fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let request = PlanRequest {
        devices: args.devices.clone(),
        partitions: args.partitions.clone(),
        policy_indexes: args.policies.clone(),
    };
    if let Some(Running { mut client, .. }) = Running::find(&args.running).await? {
        let answers = client.plan(request).await.map_err(|status| refused(&status))?.into_inner();
        return show(args, answers.map_err(|status| refused(&status)).boxed()).await;
    }
    let alone = Alone::start(&args.running).await?;
    let planned = plan_alone(args, &alone, request).await;
    alone.stop().await;
    planned
}

async fn plan_alone(args: &PlanArgs, alone: &Alone, request: PlanRequest) -> anyhow::Result<ExitCode> {
    let token = alone.node.drain().token();
    let answers = on_demand::plan(alone.replicator()?, request, token.child_token())?;
    show(args, ReceiverStream::new(answers).map(Ok).boxed()).await
}

/// Prints each piece as it comes.
async fn show(args: &PlanArgs, mut answers: Answers<PlanResponse>) -> anyhow::Result<ExitCode> {
    let mut lines = 0_u64;
    while let Some(PlanResponse { item: Some(item) }) = answers.try_next().await? {
        if args.running.json {
            println!("{}", to_json(&item));
        } else if !matches!(item, Item::Total(_)) {
            if lines == 0 {
                println!("{HEADER}");
            }
            lines += 1;
            println!("{}", line(&item));
        }
        if let Item::Total(total) = item {
            if !args.running.json {
                print!("{}", summary(&total));
            }
            return Ok(if total.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    bail!("the plan ended before its total; see the replicator's log")
}

const HEADER: &str =
    "device       policy  partition  what    peer                              objects           bytes";

fn row(
    device: &str,
    policy: u32,
    partition: &str,
    what: &str,
    peer: &str,
    objects: &str,
    bytes: &str,
) -> String {
    format!("{device:<12} {policy:>6} {partition:>10}  {what:<7} {peer:<30} {objects:>10} {bytes:>15}")
}

fn line(item: &Item) -> String {
    match item {
        Item::Push(push) => {
            let partition = push.partition.to_string();
            if !push.problem.is_empty() {
                let row = row(&push.device, push.policy_index, &partition, "push", &push.peer, "?", "?");
                return format!("{row}  cannot be asked: {}", push.problem);
            }
            let bound = if push.at_most { "<=" } else { "" };
            let (objects, bytes) = (format!("{bound}{}", push.objects), format!("{bound}{}", push.bytes));
            row(&push.device, push.policy_index, &partition, "push", &push.peer, &objects, &bytes)
        }
        Item::Removal(removal) => {
            let row = row(
                &removal.device,
                removal.policy_index,
                &removal.partition.to_string(),
                "remove",
                "(from this handoff)",
                &removal.objects.to_string(),
                &removal.bytes.to_string(),
            );
            if removal.kept > 0 { format!("{row}  {} objects stay", removal.kept) } else { row }
        }
        Item::Nothing(nothing) => {
            let partition = nothing.partition.map(|partition| partition.to_string()).unwrap_or_default();
            let row = row(&nothing.device, nothing.policy_index, &partition, "nothing", "", "?", "?");
            format!("{row}  cannot be looked at: {}", nothing.problem)
        }
        Item::Total(_) => String::new(),
    }
}

fn summary(total: &PlanTotal) -> String {
    let bound = if total.at_most { "at most " } else { "" };
    let mut text = format!(
        "{} partitions were looked at; {} of their peers are equal.\n\
         A pass would push {bound}{} objects, {bound}{} bytes, to {} peers of partitions,\n\
         and then remove {} objects, {} bytes, from handoffs here.\n",
        total.partitions,
        total.equal_peers,
        total.push_objects,
        total.push_bytes,
        total.pushes,
        total.remove_objects,
        total.remove_bytes,
    );
    if total.problems > 0 {
        text.push_str(&format!("{} peers or partitions could not be looked at.\n", total.problems));
    }
    text
}

fn to_json(item: &Item) -> Value {
    match item {
        Item::Push(push) => json!({
            "what": "push", "device": push.device, "policy": push.policy_index, "partition": push.partition,
            "from_handoff": push.from_handoff, "peer": push.peer, "objects": push.objects, "bytes": push.bytes,
            "at_most": push.at_most, "problem": push.problem,
        }),
        Item::Removal(removal) => json!({
            "what": "remove", "device": removal.device, "policy": removal.policy_index,
            "partition": removal.partition, "objects": removal.objects, "bytes": removal.bytes, "kept": removal.kept,
        }),
        Item::Nothing(nothing) => json!({
            "what": "nothing", "device": nothing.device, "policy": nothing.policy_index,
            "partition": nothing.partition, "problem": nothing.problem,
        }),
        Item::Total(total) => json!({
            "what": "total", "partitions": total.partitions, "equal_peers": total.equal_peers,
            "pushes": total.pushes, "push_objects": total.push_objects, "push_bytes": total.push_bytes,
            "at_most": total.at_most, "remove_objects": total.remove_objects, "remove_bytes": total.remove_bytes,
            "problems": total.problems,
        }),
    }
}

#[cfg(test)]
mod tests {
    use ssync_api::admin::{PlannedNothing, PlannedPush, PlannedRemoval};

    use super::*;

    #[test]
    fn lines_stand_below_their_header() {
        let push = PlannedPush {
            device: "sdb1".to_owned(),
            partition: 1234,
            peer: "10.0.0.1:6200/sdb1".to_owned(),
            objects: 5,
            bytes: 500,
            ..PlannedPush::default()
        };
        let ends = |text: &str, word: &str| text.find(word).map(|at| at + word.len());
        let told = line(&Item::Push(push.clone()));
        assert_eq!(ends(HEADER, "partition"), ends(&told, "1234"), "\n{HEADER}\n{told}");
        assert_eq!(HEADER.find("peer"), told.find("10.0.0.1"), "\n{HEADER}\n{told}");
        assert_eq!(ends(HEADER, "bytes"), Some(told.len()), "\n{HEADER}\n{told}");
        let bound = line(&Item::Push(PlannedPush { at_most: true, ..push.clone() }));
        assert!(bound.contains(" <=5 ") && bound.ends_with("<=500"), "{bound}");
        let down = line(&Item::Push(PlannedPush { problem: "it is down".to_owned(), ..push }));
        assert!(down.ends_with("cannot be asked: it is down"), "{down}");
    }

    #[test]
    fn what_stays_and_what_is_unknown_is_told() {
        let removal = PlannedRemoval { kept: 3, ..PlannedRemoval::default() };
        assert!(line(&Item::Removal(removal)).ends_with("3 objects stay"));
        let nothing = PlannedNothing { problem: "no disk".to_owned(), ..PlannedNothing::default() };
        assert!(line(&Item::Nothing(nothing)).ends_with("cannot be looked at: no disk"));
        let total = PlanTotal { at_most: true, push_objects: 9, problems: 1, ..PlanTotal::default() };
        let text = summary(&total);
        assert!(
            text.contains("push at most 9 objects") && text.contains("1 peers or partitions could not"),
            "{text}"
        );
    }
}
