//! `ssync errors`: what could not be brought where it belongs, why, and what to do; and another try.

use std::{process::ExitCode, time::Duration};

use serde_json::{Value, json};
use ssync_api::admin::{
    ErrorEntry, ListErrorsRequest, ListErrorsResponse, RetryMoment, RetryRequest, RetryResponse,
};

use crate::{
    cli::ErrorsArgs,
    commands::{
        daemons::{self, Need},
        pause::{what, what_json},
        running::refused,
    },
    figures::{counted, time},
    table::{Cell, Column, Page, Table, Tone},
};

/// Shows them, or has them tried again; exits 1 when what was named is nothing that failed.
pub(crate) async fn run(args: &ErrorsArgs) -> anyhow::Result<ExitCode> {
    let mut all_found = true;
    for mut daemon in daemons::find(&args.running, Need::Replicator).await? {
        if !daemon.has_replicator() {
            continue;
        }
        if let Some(words) = &args.retry {
            let answer = daemon.client.retry(RetryRequest { what: words.clone() }).await;
            let answer = answer.map_err(|status| refused(&status))?.into_inner();
            all_found &= answer.unknown.is_empty();
            match args.running.json {
                true => println!("{}", retried_json(&answer)),
                false => print!("{}", retried_text(&answer)),
            }
            continue;
        }
        let answer = daemon.client.list_errors(ListErrorsRequest {}).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        match args.running.json {
            true => lines(&answer).iter().for_each(|line| println!("{line}")),
            false => print!("{}", text(&answer, Page::stdout())),
        }
    }
    Ok(if all_found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn milliseconds(time_in: u64) -> String {
    time(Duration::from_millis(time_in))
}

/// When something that has no time of its own is tried.
fn next_pass(errors: &ListErrorsResponse) -> String {
    match errors.next_pass_milliseconds {
        Some(left) => format!("in {}", milliseconds(left)),
        None => "next pass".to_owned(),
    }
}

fn text(errors: &ListErrorsResponse, page: Page) -> String {
    let mut text = String::new();
    let part = |text: &mut String, title: &str, entries: &[ErrorEntry]| {
        if !entries.is_empty() {
            text.push_str(&format!("{title}\n{}\n", table(entries, errors).show(page)));
        }
    };
    let objects = "Objects that have failed again and again, and are left alone for a while:";
    part(&mut text, objects, &errors.objects);
    if errors.more_objects > 0 {
        text.push_str(&format!("and {} more.\n\n", counted(errors.more_objects, "object")));
    }
    part(&mut text, "Peers that are left alone for a while:", &errors.peers);
    part(
        &mut text,
        "Visits with a partition that failed and have not gone well since, newest first:",
        &errors.visits,
    );
    match text.is_empty() {
        true => text.push_str("Nothing has failed that has not gone well since.\n"),
        false => {
            text.push_str("What to do:\n");
            for (reason, advice) in advices(errors) {
                text.push_str(&format!("* {reason}: {advice}\n"));
            }
            text.push_str("`ssync errors --retry` has all of it tried again now.\n");
        }
    }
    if let Some(paused) = errors.paused.as_ref().filter(|paused| paused.node || !paused.devices.is_empty()) {
        text.push_str(&format!("Paused by an operator: {}; nothing of that is tried.\n", what(paused)));
    }
    text
}

fn all(errors: &ListErrorsResponse) -> impl Iterator<Item = &ErrorEntry> {
    errors.objects.iter().chain(&errors.peers).chain(&errors.visits)
}

/// Each once.
fn advices(errors: &ListErrorsResponse) -> Vec<(&str, &str)> {
    let mut advices: Vec<(&str, &str)> = Vec::new();
    for entry in all(errors) {
        let advice = (entry.reason.as_str(), entry.advice.as_str());
        if !advices.contains(&advice) {
            advices.push(advice);
        }
    }
    advices
}

fn table(entries: &[ErrorEntry], errors: &ListErrorsResponse) -> Table<6> {
    let mut table = Table::new([
        Column::text("here"),
        Column::text("object"),
        Column::text("peer"),
        Column::number("times"),
        Column::number("again"),
        Column::text("why"),
    ]);
    for entry in entries {
        let here = entry.partition.map_or_else(String::new, |partition| {
            format!("{}/{partition} (policy {})", entry.device, entry.policy_index.unwrap_or_default())
        });
        let again = entry
            .again_milliseconds
            .map_or_else(|| next_pass(errors), |left| format!("in {}", milliseconds(left)));
        table.row([
            here.into(),
            entry.object_hash.as_str().into(),
            entry.peer.as_str().into(),
            entry.times.to_string().into(),
            again.into(),
            Cell::toned(format!("{} ({})", entry.cause, entry.reason), Tone::Bad),
        ]);
    }
    table
}

fn lines(errors: &ListErrorsResponse) -> Vec<Value> {
    let entry = |what: &str, entry: &ErrorEntry| {
        json!({
            "what": what, "device": entry.device, "partition": entry.partition, "policy": entry.policy_index,
            "hash": entry.object_hash, "peer": entry.peer, "reason": entry.reason, "cause": entry.cause,
            "times": entry.times, "again_seconds": entry.again_milliseconds.map(seconds),
            "ago_seconds": entry.ago_milliseconds.map(seconds), "advice": entry.advice,
        })
    };
    let objects = errors.objects.iter().map(|object| entry("object", object));
    let peers = errors.peers.iter().map(|peer| entry("peer", peer));
    let visits = errors.visits.iter().map(|visit| entry("visit", visit));
    let mut lines: Vec<Value> = objects.chain(peers).chain(visits).collect();
    lines.push(json!({
        "what": "total", "objects": errors.objects.len() as u64 + errors.more_objects, "peers": errors.peers.len(),
        "visits": errors.visits.len(), "next_pass_seconds": errors.next_pass_milliseconds.map(seconds),
        "paused": what_json(errors.paused.as_ref()),
    }));
    lines
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn retried_text(answer: &RetryResponse) -> String {
    let mut text = String::new();
    for stranger in &answer.unknown {
        text.push_str(&format!("{stranger} is nothing that failed.\n"));
    }
    let when = match answer.moment() {
        RetryMoment::Now => "in the pass that begins now",
        RetryMoment::Next => {
            "in the pass under way where it has not been there yet, and in the one that follows it at once"
        }
        RetryMoment::Nothing | RetryMoment::Unspecified => return text,
    };
    let parked = match answer.objects {
        0 => "No object was parked; what failed is".to_owned(),
        1 => "1 parked object is".to_owned(),
        objects => format!("{objects} parked objects are"),
    };
    text.push_str(&format!("{parked} tried {when}.\n"));
    if answer.peers > 0 {
        text.push_str(&format!("{} left alone: asked again.\n", counted(answer.peers, "peer")));
    }
    if let Some(paused) = answer.paused.as_ref().filter(|paused| paused.node || !paused.devices.is_empty()) {
        text.push_str(&format!(
            "But paused by an operator: {}; nothing of that is tried before `ssync resume`.\n",
            what(paused)
        ));
    }
    text
}

fn retried_json(answer: &RetryResponse) -> Value {
    let moment = match answer.moment() {
        RetryMoment::Now => "now",
        RetryMoment::Next => "next",
        RetryMoment::Nothing | RetryMoment::Unspecified => "nothing",
    };
    json!({
        "objects": answer.objects, "peers": answer.peers, "when": moment, "unknown": answer.unknown,
        "paused": what_json(answer.paused.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use ssync_api::admin::Paused;

    use super::*;

    fn parked() -> ErrorEntry {
        ErrorEntry {
            device: "sdb1".to_owned(),
            partition: Some(7),
            object_hash: "43b598753b11d9b4af67a5d5646e7b03".to_owned(),
            peer: "10.0.0.1:6200/sdb1".to_owned(),
            reason: "OBJECT_IO".to_owned(),
            cause: "no room".to_owned(),
            times: 3,
            again_milliseconds: Some(60_000),
            advice: "look at the disk".to_owned(),
            ..ErrorEntry::default()
        }
    }

    #[test]
    fn tells_what_why_when_and_what_to_do() {
        let errors = ListErrorsResponse { objects: vec![parked()], ..ListErrorsResponse::default() };
        let text = text(&errors, Page::PLAIN);
        for part in
            ["43b598753b11d9b4af67a5d5646e7b03", "10.0.0.1:6200/sdb1", "in 1 min", "no room (OBJECT_IO)"]
        {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(text.contains("* OBJECT_IO: look at the disk\n"), "{text}");
        let nothing = super::text(&ListErrorsResponse::default(), Page::PLAIN);
        assert_eq!(nothing, "Nothing has failed that has not gone well since.\n");
    }

    #[test]
    fn says_honestly_what_a_retry_does() {
        let answer = |objects, moment: RetryMoment| RetryResponse {
            objects,
            moment: moment.into(),
            ..RetryResponse::default()
        };
        assert_eq!(
            retried_text(&answer(3, RetryMoment::Now)),
            "3 parked objects are tried in the pass that begins now.\n"
        );
        assert!(
            retried_text(&answer(1, RetryMoment::Next))
                .starts_with("1 parked object is tried in the pass under way")
        );
        let unknown = RetryResponse { unknown: vec!["d9".to_owned()], ..answer(0, RetryMoment::Nothing) };
        assert_eq!(retried_text(&unknown), "d9 is nothing that failed.\n");
        let paused = RetryResponse {
            paused: Some(Paused { node: true, ..Paused::default() }),
            ..answer(1, RetryMoment::Now)
        };
        assert!(retried_text(&paused).contains("But paused by an operator: the node"), "it is not tried");
    }
}
