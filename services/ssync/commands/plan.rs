//! `ssync plan`: what a pass would push and remove.

use std::process::ExitCode;

use anyhow::bail;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use ssync_api::admin::{PlanRequest, PlanResponse, PlanTotal, plan_response::Item};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    cli::PlanArgs,
    commands::{
        plan_ring,
        running::{Alone, Answers, Running, refused},
    },
    figures, on_demand,
    table::{Cell, Column, Page, Table, Tone},
};

/// Plans; exits 0 when everything could be looked at.
pub(crate) async fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    if let Some(ring) = &args.ring {
        return plan_ring::run(args, ring).await;
    }
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
    let answers = on_demand::plan(alone.replicator()?, request, token.child_token()).await?;
    show(args, ReceiverStream::new(answers).map(Ok).boxed()).await
}

/// Prints each piece as it comes.
async fn show(args: &PlanArgs, mut answers: Answers<PlanResponse>) -> anyhow::Result<ExitCode> {
    let (mut lines, page) = (0_u64, Page::stdout());
    while let Some(PlanResponse { item: Some(item) }) = answers.try_next().await? {
        if args.running.json {
            println!("{}", to_json(&item));
        } else if let Some(row) = line(&item) {
            if lines == 0 {
                print!("{}", TABLE.header(page));
            }
            lines += 1;
            print!("{}", TABLE.line(&row, page));
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

/// Rows are printed as they are found, so that widths are given beforehand.
const TABLE: Table<8> = Table::new([
    Column::text("device").least(12),
    Column::number("policy"),
    Column::number("partition"),
    Column::text("what").least(7),
    Column::text("peer").least(30),
    Column::number("objects").least(12),
    Column::number("bytes").least(11),
    Column::text(""),
]);

fn row(
    device: &str,
    policy: u32,
    partition: String,
    what: &str,
    peer: &str,
    (objects, bytes): (String, String),
    remark: Cell,
) -> [Cell; 8] {
    [
        device.into(),
        policy.to_string().into(),
        partition.into(),
        what.into(),
        peer.into(),
        objects.into(),
        bytes.into(),
        remark,
    ]
}

fn unknown() -> (String, String) {
    ("?".to_owned(), "?".to_owned())
}

fn remark(what: &str, problem: &str) -> Cell {
    Cell::toned(format!("{what}: {problem}"), Tone::Bad)
}

fn line(item: &Item) -> Option<[Cell; 8]> {
    Some(match item {
        Item::Push(push) => {
            let row = |amounts, remark| {
                let partition = push.partition.to_string();
                row(&push.device, push.policy_index, partition, "push", &push.peer, amounts, remark)
            };
            if !push.problem.is_empty() {
                return Some(row(unknown(), remark("cannot be asked", &push.problem)));
            }
            let bound = if push.at_most { "<=" } else { "" };
            let objects = format!("{bound}{}", figures::count(push.objects));
            let others = match push.others {
                0 => Cell::default(),
                others => {
                    format!("and {} without a body: tombstones, metadata", figures::count(others)).into()
                }
            };
            row((objects, format!("{bound}{}", figures::bytes(push.bytes))), others)
        }
        Item::Removal(removal) => {
            let stay = match removal.kept {
                0 => Cell::default(),
                kept => {
                    let verb = if kept == 1 { "stays" } else { "stay" };
                    Cell::toned(format!("{} {verb}", figures::counted(kept, "object")), Tone::Doubtful)
                }
            };
            let amounts = (figures::count(removal.objects), figures::bytes(removal.bytes));
            let (partition, peer) = (removal.partition.to_string(), "(from this handoff)");
            row(&removal.device, removal.policy_index, partition, "remove", peer, amounts, stay)
        }
        Item::Nothing(nothing) => {
            let partition = nothing.partition.map(|partition| partition.to_string()).unwrap_or_default();
            let remark = remark("cannot be looked at", &nothing.problem);
            row(&nothing.device, nothing.policy_index, partition, "nothing", "", unknown(), remark)
        }
        Item::Total(_) => return None,
    })
}

fn summary(total: &PlanTotal) -> String {
    let bound = if total.at_most { "at most " } else { "" };
    let mut text = format!(
        "{} looked at; {} of their peers are equal.\n\
         A pass would push {bound}{}, {bound}{}, to {} of partitions,\n\
         and then remove {}, {}, from handoffs here.\n",
        figures::counted(total.partitions, "partition")
            + if total.partitions == 1 { " was" } else { " were" },
        figures::count(total.equal_peers),
        figures::counted(total.push_objects, "object"),
        figures::bytes(total.push_bytes),
        figures::counted(total.pushes, "peer"),
        figures::counted(total.remove_objects, "object"),
        figures::bytes(total.remove_bytes),
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
            "at_most": push.at_most, "problem": push.problem, "others": push.others,
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

    fn shown(item: &Item) -> String {
        TABLE.line(&line(item).unwrap(), Page::PLAIN).trim_end().to_owned()
    }

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
        let (header, told) = (TABLE.header(Page::PLAIN), shown(&Item::Push(push.clone())));
        assert_eq!(ends(&header, "partition"), ends(&told, "1234"), "\n{header}\n{told}");
        assert_eq!(header.find("peer"), told.find("10.0.0.1"), "\n{header}\n{told}");
        assert_eq!(ends(&header, "bytes"), Some(told.len()), "\n{header}\n{told}");
        let bound = shown(&Item::Push(PlannedPush { at_most: true, ..push.clone() }));
        assert!(bound.contains(" <=5 ") && bound.ends_with("<=500 B"), "{bound}");
        let down = shown(&Item::Push(PlannedPush { problem: "it is down".to_owned(), ..push }));
        assert!(down.ends_with("cannot be asked: it is down"), "{down}");
    }

    #[test]
    fn what_stays_and_what_is_unknown_is_told() {
        let removal = PlannedRemoval { kept: 3, ..PlannedRemoval::default() };
        assert!(shown(&Item::Removal(removal)).ends_with("3 objects stay"));
        let nothing = PlannedNothing { problem: "no disk".to_owned(), ..PlannedNothing::default() };
        assert!(shown(&Item::Nothing(nothing)).ends_with("cannot be looked at: no disk"));
        let total = PlanTotal { at_most: true, push_objects: 9, problems: 1, ..PlanTotal::default() };
        let text = summary(&total);
        assert!(
            text.contains("push at most 9 objects") && text.contains("1 peers or partitions could not"),
            "{text}"
        );
    }
}
