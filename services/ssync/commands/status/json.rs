//! The status for programs.

use serde_json::{Value, json};
use ssync_api::admin::{Backlog, Device, DeviceStatus, Forecast, NodeWork, ParkedObject, Session, TimeShare};
use ssync_page::{Report, sentences};

/// One object; what no process of this node has is null.
pub(crate) fn status(report: &Report) -> Value {
    let said: Vec<Value> = sentences(report)
        .into_iter()
        .map(|sentence| json!({"tone": format!("{:?}", sentence.tone).to_lowercase(), "text": sentence.text}))
        .collect();
    let mut told = json!({ "summary": said });
    let Value::Object(fields) = &mut told else { return told };
    if let Some(receives) = &report.receives {
        fields.insert("version".into(), receives.info.version.clone().into());
        fields.insert("uptime_seconds".into(), receives.info.uptime_seconds.into());
        fields.insert("draining".into(), receives.info.draining.into());
        fields.insert("mounts".into(), receives.devices.iter().map(mount).collect());
        fields.insert("sessions".into(), receives.sessions.iter().map(session).collect());
    }
    if let Some(status) = &report.replicates {
        let more = json!({
            "pass": status.pass,
            "running": status.running,
            "paused": status.paused,
            "elapsed_seconds": seconds(status.elapsed_milliseconds),
            "partitions_done": status.partitions_done,
            "partitions_total": status.partitions_total,
            "objects": status.objects,
            "bytes": status.bytes,
            "released": status.released,
            "failures": status.failures,
            "backlog": status.backlog.as_ref().map(backlog),
            "forecast": status.forecast.as_ref().map(forecast),
            "held_up_by": status.held_up_by.iter().map(share).collect::<Vec<_>>(),
            "devices": status.devices.iter().map(device).collect::<Vec<_>>(),
            "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
            "jobs": status.jobs.iter().map(|job| json!({
                "device": job.device, "partition": job.partition, "policy": job.policy_index,
            })).collect::<Vec<_>>(),
            "peers": status.peers.iter().map(|peer| json!({
                "peer": peer.peer, "cause": peer.cause, "remaining_seconds": seconds(peer.remaining_milliseconds),
            })).collect::<Vec<_>>(),
            "parked": status.parked.iter().map(parked).collect::<Vec<_>>(),
            "sample_seconds": status.sample_seconds,
            "samples": status.samples.iter().map(|sample| json!([sample.objects, sample.bytes])).collect::<Vec<_>>(),
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
    }
    told
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn mount(device: &Device) -> Value {
    json!({
        "device": device.name, "mounted": device.mounted, "draining": device.draining,
        "free_bytes": device.free_bytes, "total_bytes": device.total_bytes, "problem": device.problem,
    })
}

fn session(session: &Session) -> Value {
    json!({
        "id": session.session_id, "peer": session.peer, "device": session.device, "partition": session.partition,
        "policy": session.policy_index, "age_seconds": session.age_seconds, "applied": session.applied,
        "confirmed": session.confirmed, "superseded": session.superseded, "failed": session.failed,
    })
}

fn backlog(backlog: &Backlog) -> Value {
    json!({
        "objects": backlog.objects, "bytes": backlog.bytes,
        "expected_objects": backlog.expected_objects, "expected_bytes": backlog.expected_bytes,
        "objects_margin": backlog.objects_margin, "bytes_margin": backlog.bytes_margin,
        "uncompared": backlog.uncompared, "unknown": backlog.unknown,
        "oldest_seconds": backlog.oldest_seconds, "in_sync_seconds": backlog.in_sync_seconds,
    })
}

fn forecast(forecast: &Forecast) -> Value {
    json!({
        "remaining_seconds": seconds(forecast.remaining_milliseconds),
        "margin_seconds": seconds(forecast.margin_milliseconds),
    })
}

/// A part of the workers' time.
pub(crate) fn share(share: &TimeShare) -> Value {
    let spender = share.spender().as_str_name().trim_start_matches("TIME_SPENDER_");
    json!({
        "spender": spender, "peer": share.peer, "device": share.device, "share": share.share,
        "seconds": seconds(share.milliseconds), "advice": share.advice,
    })
}

fn device(device: &DeviceStatus) -> Value {
    json!({
        "device": device.device, "partitions_begun": device.partitions_begun,
        "partitions_done": device.partitions_done, "partitions_total": device.partitions_total,
        "objects": device.objects, "bytes": device.bytes, "released": device.released, "failures": device.failures,
        "pending_objects": device.pending_objects, "pending_bytes": device.pending_bytes, "paused": device.paused,
    })
}

fn node(node: &NodeWork) -> Value {
    json!({
        "node": node.node, "visits_done": node.visits_done, "visits_under_way": node.visits_under_way,
        "visits_total": node.visits_total, "backlog": node.backlog.as_ref().map(backlog),
        "forecast": node.forecast.as_ref().map(forecast), "objects_per_second": node.objects_per_second,
        "bytes_per_second": node.bytes_per_second, "last_success_seconds": node.last_success_seconds,
        "trouble": node.trouble,
    })
}

fn parked(object: &ParkedObject) -> Value {
    json!({
        "hash": object.object_hash, "device": object.device, "partition": object.partition,
        "policy": object.policy_index, "failures": object.failures, "peer": object.peer, "cause": object.cause,
        "remaining_seconds": seconds(object.remaining_milliseconds),
    })
}
