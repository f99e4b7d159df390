//! The answers as a table or as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use ssync_types::{Partition, PolicyIndex};

use super::{Busy, Diagnosis, Held, Replica, State};
use crate::{
    figures,
    table::{Cell, Column, Page, Table, Tone},
};

/// One policy's answers.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) partition: Partition,
    pub(crate) policy: PolicyIndex,
    pub(crate) policy_name: String,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) busy: Busy,
    pub(crate) diagnosis: Diagnosis,
}

/// Prints the table and the sentences.
pub(crate) fn print(shown: &Shown, page: Page) {
    println!("Partition {} of policy {} ({})\n", shown.partition, shown.policy, shown.policy_name);
    println!("{}", table(shown).show(page));
    let idle = shown.replicas.iter().filter(|replica| is_idle(replica)).count();
    if idle > 0 {
        println!(
            "{} asked and have nothing.",
            figures::counted(idle as u64, "handoff") + if idle == 1 { " was" } else { " were" }
        );
    }
    println!("{}.", shown.diagnosis.summary);
    for line in &shown.busy.lines {
        println!("At work: {line}.");
    }
    for unasked in &shown.busy.unasked {
        println!("Who is at work on it is not known: {unasked}.");
    }
    for problem in &shown.diagnosis.problems {
        println!("{} {}\n    {}", page.paint(Tone::Bad, "*"), problem.what, problem.remedy);
    }
    for note in &shown.diagnosis.notes {
        println!("{note}.");
    }
    if shown.diagnosis.is_healthy() {
        println!("{}", page.paint(Tone::Good, "Nothing is wrong."));
    }
}

fn is_idle(replica: &Replica) -> bool {
    !replica.is_primary() && !replica.is_own && replica.is_empty()
}

pub(super) fn table(shown: &Shown) -> Table<8> {
    let mut table = Table::new([
        Column::text("role"),
        Column::text("node"),
        Column::text("device"),
        Column::text("speaks"),
        Column::text("state"),
        Column::number("objects"),
        Column::number("bytes"),
        Column::text("hashes written"),
    ]);
    for (replica, differs) in shown.replicas.iter().zip(&shown.diagnosis.differing) {
        if is_idle(replica) {
            continue;
        }
        let here = if replica.is_own { " (here)" } else { "" };
        let [state, objects, bytes, hashed] = cells(replica, *differs);
        table.row([
            replica.role.to_string().into(),
            replica.target.address().into(),
            format!("{}{here}", replica.target.device).into(),
            replica.told().map(|told| told.kind).unwrap_or_default().into(),
            state,
            objects,
            bytes,
            hashed,
        ]);
    }
    table
}

fn cells(replica: &Replica, differs: Option<u64>) -> [Cell; 4] {
    let told = match &replica.state {
        State::Failed(_) => {
            return [Cell::toned("no answer", Tone::Bad), Cell::default(), Cell::default(), Cell::default()];
        }
        State::Answered(told) => told,
    };
    let state = match differs {
        Some(0) if told.hashes.is_empty() => Cell::from("nothing, as it has to be"),
        Some(0) => Cell::toned("equal", Tone::Good),
        Some(differs) => {
            Cell::toned(format!("{} differ", figures::counted(differs, "suffix")), Tone::Doubtful)
        }
        None if told.hashes.is_empty() => Cell::from("nothing"),
        None => {
            let holds = figures::counted(told.hashes.len() as u64, "suffix");
            Cell::toned(format!("holds {holds}"), Tone::Doubtful)
        }
    };
    let [objects, bytes, hashed] = match (told.held, told.lacks) {
        (Some(held), _) => {
            let more = if held.whole { "" } else { ">=" };
            [
                format!("{more}{}", figures::count(held.objects)),
                format!("{more}{}", figures::bytes(held.bytes)),
                ago(&held),
            ]
        }
        (None, Some(lacks)) if lacks.objects > 0 => {
            [format!("lacks {}", figures::count(lacks.objects)), String::new(), String::new()]
        }
        _ => Default::default(),
    };
    [state, objects.into(), bytes.into(), hashed.into()]
}

fn ago(held: &Held) -> String {
    held.hashed_seconds.map_or_else(
        || "never".to_owned(),
        |seconds| format!("{} ago", figures::time(Duration::from_secs(seconds))),
    )
}

/// All of it, for programs.
pub(crate) fn to_json(shown: &Shown) -> Value {
    let replicas = shown.replicas.iter().zip(&shown.diagnosis.differing);
    json!({
        "partition": shown.partition.get(),
        "policy": shown.policy.get(),
        "healthy": shown.diagnosis.is_healthy(),
        "summary": shown.diagnosis.summary,
        "problems": shown.diagnosis.problems.iter()
            .map(|problem| json!({"what": problem.what, "remedy": problem.remedy})).collect::<Vec<_>>(),
        "notes": shown.diagnosis.notes,
        "at_work": shown.busy.lines,
        "not_asked": shown.busy.unasked,
        "parked": shown.busy.parked,
        "devices": replicas.map(|(replica, differs)| device(replica, *differs)).collect::<Vec<_>>(),
    })
}

fn device(replica: &Replica, differs: Option<u64>) -> Value {
    let mut device = json!({
        "role": replica.role.to_string(),
        "node": replica.target.address(),
        "device": replica.target.device.to_string(),
        "here": replica.is_own,
    });
    let more = match &replica.state {
        State::Failed(why) => json!({"state": "error", "error": why}),
        State::Answered(told) => json!({
            "state": "answered",
            "speaks": told.kind,
            "suffixes": told.hashes.len(),
            "suffixes_differing": differs,
            "lacks_objects": told.lacks.map(|lacks| lacks.objects),
            "objects": told.held.map(|held| held.objects),
            "bytes": told.held.map(|held| held.bytes),
            "tombstones": told.held.map(|held| held.tombstones),
            "counted_whole": told.held.map(|held| held.whole),
            "hashed_seconds_ago": told.held.and_then(|held| held.hashed_seconds),
        }),
    };
    if let (Value::Object(device), Value::Object(more)) = (&mut device, more) {
        device.extend(more);
    }
    device
}
