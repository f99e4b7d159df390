//! What would move, as tables or as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use ssync_types::PolicyIndex;

use super::{
    Amounts, DeviceMoves, Moves,
    amount::{Amount, Estimate},
};
use crate::{
    figures,
    table::{Cell, Column, Page, Table, Tone},
};

/// Most devices that are shown; JSON has all.
const SHOWN_MAX: usize = 20;

/// One policy's rings.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) policy: PolicyIndex,
    pub(crate) policy_name: String,
    pub(crate) moves: Moves,
    pub(crate) amounts: Amounts,
    /// Bytes a second that this node pushes, and by whose word.
    pub(crate) rate: Option<(f64, String)>,
}

/// For people.
pub(crate) fn print(shown: &Shown, page: Page) {
    let moves = &shown.moves;
    println!(
        "Policy {} ({}): {} with {}; {} of them would move ({}).",
        shown.policy,
        shown.policy_name,
        figures::counted(moves.partitions, "partition"),
        figures::counted(moves.replicas, "replica"),
        figures::count(moves.moving),
        percent(moves.moving, moves.replicas)
    );
    if moves.moving == 0 {
        println!("{}", page.paint(Tone::Good, "The rings place everything alike."));
        return;
    }
    if moves.of_all > 0 {
        let text = format!(
            "{} would lose all of their devices at once: clients get 404 for what is in them until it has been moved.",
            figures::counted(moves.of_all, "partition")
        );
        println!("{} Move one replica at a time (min_part_hours).", page.paint(Tone::Bad, &text));
    } else if moves.of_several > 0 {
        let text = format!(
            "{} would move with more than one replica.",
            figures::counted(moves.of_several, "partition")
        );
        println!(
            "{} Until they have been moved, they have fewer copies where clients look.",
            page.paint(Tone::Doubtful, &text)
        );
    }
    println!(
        "With more replicas in a zone or at an address than there have to be: {} of the partitions now, {} then.\n",
        percent(moves.crowded.0, moves.partitions),
        percent(moves.crowded.1, moves.partitions)
    );
    println!("{}", devices(shown).show(page));
    if moves.devices.len() > SHOWN_MAX {
        println!(
            "{} more devices; --json has them all.\n",
            figures::count((moves.devices.len() - SHOWN_MAX) as u64)
        );
    }
    let here = here(shown).show(page);
    if here.is_empty() {
        println!(
            "This node has none of these devices, or loses nothing: objects and bytes are not known here."
        );
    } else {
        println!("From this node's devices:\n\n{here}");
    }
    println!("{}", hours(shown));
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / (whole.max(1)) as f64)
}

fn devices(shown: &Shown) -> Table<7> {
    let mut table = Table::new([
        Column::text("device"),
        Column::number("partitions now"),
        Column::number("then"),
        Column::number("arriving"),
        Column::number("leaving"),
        Column::number("objects arriving"),
        Column::number("bytes arriving"),
    ]);
    let moves = &shown.moves;
    let mean =
        moves.moving as f64 / moves.devices.iter().filter(|device| device.after > 0).count().max(1) as f64;
    for device in moves.devices.iter().take(SHOWN_MAX) {
        let arriving = device.arriving as f64;
        let of_mean = |one: f64, show: fn(u64) -> String| format!("~ {}", show((one * arriving) as u64));
        let (objects, bytes) = match shown.amounts.mean {
            Some((objects, bytes)) => (of_mean(objects, figures::count), of_mean(bytes, figures::bytes)),
            None => ("?".to_owned(), "?".to_owned()),
        };
        let is_hot = arriving > 2.0 * mean;
        let tone = if is_hot { Tone::Doubtful } else { Tone::Plain };
        let here = if device.own.is_some() { " (here)" } else { "" };
        let hot = if is_hot { " hot" } else { "" };
        table.row([
            Cell::toned(format!("{}{here}{hot}", device.name), tone),
            figures::count(device.before).into(),
            figures::count(device.after).into(),
            Cell::toned(figures::count(device.arriving), tone),
            figures::count(device.leaving).into(),
            objects.into(),
            bytes.into(),
        ]);
    }
    table
}

fn here(shown: &Shown) -> Table<5> {
    let mut table = Table::new([
        Column::text("device"),
        Column::number("partitions leaving"),
        Column::number("counted"),
        Column::number("objects"),
        Column::number("bytes"),
    ]);
    for (name, amount) in &shown.amounts.devices {
        let Amount { partitions, counted, objects, bytes, problem } = amount;
        if let Some(problem) = problem {
            table.row([
                format!("{name}: {problem}").into(),
                Cell::toned("?", Tone::Bad),
                Cell::default(),
                Cell::default(),
                Cell::default(),
            ]);
            continue;
        }
        table.row([
            name.to_string().into(),
            figures::count(*partitions).into(),
            figures::count(*counted).into(),
            within(objects, figures::count).into(),
            within(bytes, figures::bytes).into(),
        ]);
    }
    table
}

fn within(estimate: &Estimate, show: fn(u64) -> String) -> String {
    let amount = show(estimate.amount.round() as u64);
    if estimate.margin < 0.5 {
        amount
    } else {
        format!("{amount} +- {}", show(estimate.margin.round() as u64))
    }
}

/// How long this node would push.
fn hours(shown: &Shown) -> String {
    let (bytes, margin) = leaving(shown);
    let Some((rate, by)) = shown.rate.as_ref().filter(|(rate, _)| *rate > 0.0) else {
        return "How long that takes is not known: no replicator here has pushed anything lately; give --rate.".to_owned();
    };
    let time = |bytes: f64| figures::time(Duration::try_from_secs_f64(bytes / rate).unwrap_or(Duration::MAX));
    let give = if margin < 0.5 { String::new() } else { format!(" (+- {})", time(margin)) };
    format!(
        "This node would push {} in {}{give}, at {} ({by}).",
        figures::bytes(bytes as u64),
        time(bytes),
        figures::rate(*rate)
    )
}

fn leaving(shown: &Shown) -> (f64, f64) {
    let all = shown.amounts.devices.values();
    let bytes = all.clone().map(|amount| amount.bytes.amount).sum();
    (bytes, all.map(|amount| amount.bytes.margin.powi(2)).sum::<f64>().sqrt())
}

/// For programs.
pub(crate) fn to_json(shown: &Shown) -> Value {
    let moves = &shown.moves;
    let (bytes, margin) = leaving(shown);
    let rate = shown.rate.as_ref().map(|(rate, _)| *rate);
    json!({
        "policy": shown.policy.get(),
        "partitions": moves.partitions,
        "replicas": moves.replicas,
        "moving": moves.moving,
        "partitions_moving_several": moves.of_several,
        "partitions_moving_all": moves.of_all,
        "crowded_now": moves.crowded.0,
        "crowded_then": moves.crowded.1,
        "mean_objects": shown.amounts.mean.map(|(objects, _)| objects),
        "mean_bytes": shown.amounts.mean.map(|(_, bytes)| bytes),
        "bytes_leaving": bytes,
        "bytes_leaving_margin": margin,
        "rate": rate,
        "seconds": rate.filter(|rate| *rate > 0.0).map(|rate| bytes / rate),
        "devices": moves.devices.iter().map(device).collect::<Vec<_>>(),
        "here": shown.amounts.devices.iter().map(|(name, amount)| json!({
            "device": name.to_string(),
            "partitions": amount.partitions,
            "counted": amount.counted,
            "objects": amount.objects.amount,
            "objects_margin": amount.objects.margin,
            "bytes": amount.bytes.amount,
            "bytes_margin": amount.bytes.margin,
            "problem": amount.problem,
        })).collect::<Vec<_>>(),
    })
}

fn device(device: &DeviceMoves) -> Value {
    json!({
        "device": device.name, "here": device.own.is_some(), "before": device.before, "after": device.after,
        "arriving": device.arriving, "leaving": device.leaving,
    })
}
