//! `ssync status`: what a running replicator does.

use std::process::ExitCode;

use serde_json::{Value, json};
use ssync_api::admin::{GetReplicatorStatusRequest, GetReplicatorStatusResponse};

use crate::{
    cli::StatusArgs,
    commands::running::{Running, refused},
};

/// Asks and prints.
pub(crate) async fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let Running { mut client, .. } = Running::need(&args.running).await?;
    let status = client
        .get_replicator_status(GetReplicatorStatusRequest {})
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    if args.running.json {
        println!("{}", to_json(&status));
    } else {
        print!("{}", text(&status));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(status: &GetReplicatorStatusResponse) -> String {
    let mut text = format!(
        "Pass {} {}: {} of {} partitions, {} objects and {} bytes pushed, {} objects let go, {} nodes failed.\n",
        status.pass,
        if status.running { "is under way" } else { "is over" },
        status.partitions_done,
        status.partitions_total,
        status.objects,
        status.bytes,
        status.released,
        status.failures,
    );
    for device in &status.devices {
        text.push_str(&format!(
            "device {}: {} partitions begun, {} objects and {} bytes pushed, {} objects let go, {} nodes failed\n",
            device.device, device.partitions_begun, device.objects, device.bytes, device.released, device.failures
        ));
    }
    for job in &status.jobs {
        text.push_str(&format!(
            "at work: partition {} of {} (policy {})\n",
            job.partition, job.device, job.policy_index
        ));
    }
    for peer in &status.peers {
        text.push_str(&format!(
            "left alone for {}: {}: {}\n",
            seconds(peer.remaining_milliseconds),
            peer.peer,
            peer.cause
        ));
    }
    for object in &status.parked {
        text.push_str(&format!(
            "parked for {}: {} in partition {} of {} (policy {}) failed {} times{}: {}\n",
            seconds(object.remaining_milliseconds),
            object.object_hash,
            object.partition,
            object.device,
            object.policy_index,
            object.failures,
            if object.peer.is_empty() { String::new() } else { format!(" at {}", object.peer) },
            object.cause
        ));
    }
    text
}

fn seconds(milliseconds: u64) -> String {
    format!("{:.1} s", milliseconds as f64 / 1000.0)
}

fn to_json(status: &GetReplicatorStatusResponse) -> Value {
    json!({
        "pass": status.pass,
        "running": status.running,
        "partitions_done": status.partitions_done,
        "partitions_total": status.partitions_total,
        "objects": status.objects,
        "bytes": status.bytes,
        "released": status.released,
        "failures": status.failures,
        "devices": status.devices.iter().map(|device| json!({
            "device": device.device, "partitions_begun": device.partitions_begun, "objects": device.objects,
            "bytes": device.bytes, "released": device.released, "failures": device.failures,
        })).collect::<Vec<_>>(),
        "jobs": status.jobs.iter().map(|job| json!({
            "device": job.device, "partition": job.partition, "policy": job.policy_index,
        })).collect::<Vec<_>>(),
        "peers": status.peers.iter().map(|peer| json!({
            "peer": peer.peer, "cause": peer.cause, "remaining_seconds": peer.remaining_milliseconds as f64 / 1000.0,
        })).collect::<Vec<_>>(),
        "parked": status.parked.iter().map(|object| json!({
            "hash": object.object_hash, "device": object.device, "partition": object.partition,
            "policy": object.policy_index, "failures": object.failures, "peer": object.peer, "cause": object.cause,
            "remaining_seconds": object.remaining_milliseconds as f64 / 1000.0,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use ssync_api::admin::{ParkedObject, PeerBackoff};

    use super::*;

    #[test]
    fn tells_who_is_left_alone_and_why() {
        let status = GetReplicatorStatusResponse {
            pass: 3,
            running: true,
            peers: vec![PeerBackoff {
                peer: "10.0.0.1:6200".to_owned(),
                cause: "refused".to_owned(),
                remaining_milliseconds: 1500,
            }],
            parked: vec![ParkedObject {
                object_hash: "ab".to_owned(),
                failures: 4,
                cause: "no".to_owned(),
                ..ParkedObject::default()
            }],
            ..GetReplicatorStatusResponse::default()
        };
        let text = text(&status);
        assert!(
            text.contains("Pass 3 is under way")
                && text.contains("left alone for 1.5 s: 10.0.0.1:6200: refused"),
            "{text}"
        );
        assert!(
            text.contains("parked for 0.0 s: ab in partition") && text.contains("failed 4 times: no"),
            "{text}"
        );
    }
}
