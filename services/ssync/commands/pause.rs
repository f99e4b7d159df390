//! `ssync pause`, `ssync resume`: nothing is pushed for a while, and then again.

use std::process::ExitCode;

use serde_json::{Value, json};
use ssync_api::admin::{PauseRequest, PauseResponse, Paused, ResumeRequest, ResumeResponse};

use crate::{
    cli::{PauseArgs, ResumeArgs},
    commands::{
        daemons::{self, Daemon, Need},
        running::refused,
    },
    figures::counted,
};

/// Has the replicator begin nothing more.
pub(crate) async fn pause(args: &PauseArgs) -> anyhow::Result<ExitCode> {
    for mut daemon in daemons::find(&args.running, Need::Replicator).await? {
        if !daemon.has_replicator() {
            continue;
        }
        let request = PauseRequest { devices: args.devices.clone() };
        let answer = daemon.client.pause(request).await.map_err(|status| refused(&status))?.into_inner();
        match args.running.json {
            true => println!("{}", paused_json(&daemon, &answer)),
            false => print!("{}", paused_text(&daemon, &answer)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn paused_text(daemon: &Daemon, answer: &PauseResponse) -> String {
    let paused = answer.paused.clone().unwrap_or_default();
    let under_way = match answer.jobs {
        0 => "No partition is under way.".to_owned(),
        jobs => format!("{} under way, up to the end of an object.", counted(jobs.into(), "partition")),
    };
    format!(
        "The replicator at {} pauses {}: it compares, and pushes nothing.\n{under_way}\n`ssync resume` ends it, and so does a \
         restart of the daemon.\n",
        daemon.address,
        what(&paused)
    )
}

/// What is paused, for people.
pub(crate) fn what(paused: &Paused) -> String {
    match (paused.node, paused.devices.is_empty()) {
        (true, true) => "the node".to_owned(),
        (true, false) => format!("the node, and by name {}", paused.devices.join(", ")),
        (false, _) => paused.devices.join(", "),
    }
}

pub(crate) fn what_json(paused: Option<&Paused>) -> Value {
    let paused = paused.cloned().unwrap_or_default();
    json!({ "node": paused.node, "devices": paused.devices, "since_seconds": paused.since_seconds })
}

fn paused_json(daemon: &Daemon, answer: &PauseResponse) -> Value {
    json!({
        "address": daemon.address.to_string(),
        "paused": what_json(answer.paused.as_ref()),
        "jobs": answer.jobs,
    })
}

/// Undoes it, and drains of devices.
pub(crate) async fn resume(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let mut stays = false;
    for mut daemon in daemons::find(&args.running, Need::Any).await? {
        let request = ResumeRequest { devices: args.devices.clone() };
        let answer = daemon.client.resume(request).await.map_err(|status| refused(&status))?.into_inner();
        stays |= answer.draining;
        match args.running.json {
            true => println!("{}", resumed_json(&daemon, &answer)),
            false => print!("{}", resumed_text(&daemon, &answer)),
        }
    }
    Ok(if stays { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn resumed_text(daemon: &Daemon, answer: &ResumeResponse) -> String {
    let (at, mut text) = (&daemon.address, String::new());
    let names = |names: &[String]| {
        let names = names.iter().map(|name| if name == "*" { "the node" } else { name });
        names.collect::<Vec<_>>().join(", ")
    };
    if answer.replicator {
        text.push_str(&match answer.resumed.is_empty() {
            true => format!("The replicator at {at}: none of this was paused.\n"),
            false => format!("The replicator at {at} goes on with {}.\n", names(&answer.resumed)),
        });
    }
    if answer.receiver {
        text.push_str(&match answer.admitting.is_empty() {
            true => format!("The receiver at {at}: none of this was drained.\n"),
            false => {
                format!("The receiver at {at} admits replication into {} again.\n", names(&answer.admitting))
            }
        });
    }
    if let Some(paused) = answer.paused.as_ref().filter(|paused| paused.node || !paused.devices.is_empty()) {
        text.push_str(&format!("Still paused there: {}.\n", what(paused)));
    }
    if answer.draining {
        text.push_str(&format!("The node at {at} drains as a whole: only a restart undoes that.\n"));
    }
    text
}

fn resumed_json(daemon: &Daemon, answer: &ResumeResponse) -> Value {
    json!({
        "address": daemon.address.to_string(),
        "replicator": answer.replicator,
        "receiver": answer.receiver,
        "resumed": answer.resumed,
        "admitting": answer.admitting,
        "paused": what_json(answer.paused.as_ref()),
        "draining": answer.draining,
    })
}
