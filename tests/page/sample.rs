//! A node on a busy afternoon: what its page looks like when there is something to tell.

use std::time::{Duration, UNIX_EPOCH};

use ssync_api::{
    admin::{
        Backlog, Device, DeviceStatus, Forecast, GetReplicatorStatusResponse, GetServerInfoResponse, Limit,
        NodeWork, ParkedObject, PeerBackoff, Sample, Session, SessionProtocol, TimeShare, TimeSpender,
    },
    v1::{Job, PartitionRef},
};
use ssync_page::{Receives, Report, State, Who};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// The one that is not mounted.
const UNMOUNTED: u64 = 7;
const PARTITIONS: u64 = 8192;
const VISITS: u64 = 24_576;
/// Wednesday afternoon.
const AT: Duration = Duration::from_secs(1_792_592_527);

/// All of it: twelve devices, eight other nodes, a pass at 60 %.
pub(crate) fn busy() -> Report {
    Report {
        who: Who {
            host: "storage-11".to_owned(),
            address: "10.20.0.11:6200".to_owned(),
            parts: "receiver, sidecar and replicator".to_owned(),
            version: "0.1.0".to_owned(),
            uptime_seconds: 9 * 86_400 + 4 * 3600,
        },
        at: UNIX_EPOCH + AT,
        state: State::Ready,
        receives: Some(receives()),
        replicates: Some(status()),
        elsewhere: Vec::new(),
        refresh: None,
    }
}

fn receives() -> Receives {
    let limit = |name: &str, maximum, used| Limit { name: name.to_owned(), maximum, used };
    Receives {
        info: GetServerInfoResponse { version: "0.1.0".to_owned(), ..GetServerInfoResponse::default() },
        devices: (1..=12).map(device).collect(),
        sessions: vec![
            session(81, "10.20.0.16:6200", "d4", 61_042, 412, (1830, 20_117, 0)),
            session(90, "10.20.0.12:6200", "d9", 3_377, 96, (410, 2_961, 0)),
            session(93, "10.20.0.18:6200", "d1", 44_190, 31, (77, 1_208, 1)),
        ],
        limits: vec![
            limit("replication_concurrency", 8, 3),
            limit("replication_concurrency_per_device", 2, 1),
            limit("threads_per_disk", 4, 1),
        ],
    }
}

fn device(number: u64) -> Device {
    if number == UNMOUNTED {
        let problem = "/srv/node/d7 is not mounted".to_owned();
        return Device { name: "d7".to_owned(), problem, ..Device::default() };
    }
    let used = [61, 63, 58, 92, 60, 64, 0, 59, 62, 57, 66, 60][number as usize - 1];
    let total_bytes = 14 * TIB + 563 * GIB;
    Device {
        name: format!("d{number}"),
        mounted: true,
        free_bytes: total_bytes / 100 * (100 - used),
        total_bytes,
        problem: String::new(),
        draining: false,
    }
}

fn session(id: u64, peer: &str, device: &str, partition: u32, age: u64, done: (u64, u64, u64)) -> Session {
    let (applied, confirmed, failed) = done;
    let stock = peer.contains(".18:");
    Session {
        session_id: id,
        peer: peer.to_owned(),
        protocol: if stock { SessionProtocol::Ssync } else { SessionProtocol::Grpc }.into(),
        device: device.to_owned(),
        partition,
        age_seconds: age,
        applied,
        confirmed,
        failed,
        job: if stock { Job::Unspecified } else { Job::Sync }.into(),
        ..Session::default()
    }
}

fn status() -> GetReplicatorStatusResponse {
    let job = |device: &str, partition| PartitionRef {
        device: device.to_owned(),
        partition,
        ..PartitionRef::default()
    };
    let devices: Vec<DeviceStatus> = (1..=12).map(device_status).collect();
    GetReplicatorStatusResponse {
        pass: 212,
        running: true,
        partitions_done: devices.iter().map(|device| device.partitions_done).sum(),
        partitions_total: devices.iter().map(|device| device.partitions_total).sum(),
        objects: devices.iter().map(|device| device.objects).sum(),
        bytes: devices.iter().map(|device| device.bytes).sum(),
        released: 318,
        failures: devices.iter().map(|device| device.failures).sum(),
        jobs: vec![
            job("d1", 39_214),
            job("d2", 7_120),
            job("d4", 51_877),
            job("d5", 12_006),
            job("d11", 29_440),
            job("d12", 990),
        ],
        devices,
        peers: vec![PeerBackoff {
            peer: "10.20.0.19:6200".to_owned(),
            cause: "connection refused".to_owned(),
            remaining_milliseconds: 23_000,
        }],
        parked: parked(),
        elapsed_milliseconds: 1_690_000,
        paused: false,
        backlog: Some(Backlog {
            objects: 42_484,
            bytes: 99 * GIB + GIB / 5,
            expected_objects: 27_900,
            expected_bytes: 65 * GIB,
            objects_margin: 3_100,
            bytes_margin: 7 * GIB,
            uncompared: 78_640,
            unknown: 9_830,
            oldest_seconds: Some(5_460),
            in_sync_seconds: None,
        }),
        forecast: Some(Forecast { remaining_milliseconds: 2_040_000, margin_milliseconds: 240_000 }),
        nodes: (12..=19).map(node).collect(),
        held_up_by: held_up_by(),
        samples: (0..60).map(sample).collect(),
        sample_seconds: 10,
    }
}

fn device_status(number: u64) -> DeviceStatus {
    let done = if number == UNMOUNTED {
        0
    } else {
        [4_918, 4_940, 4_901, 4_632, 4_932, 4_910, 0, 4_921, 4_907, 4_950, 4_929, 4_896][number as usize - 1]
    };
    let usable = number != UNMOUNTED;
    let pending = if usable {
        [3_902, 3_877, 3_815, 4_011, 3_796, 3_920, 0, 3_851, 3_833, 3_760, 3_868, 3_851][number as usize - 1]
    } else {
        0
    };
    let pushed = if usable { 1_700 + number * 61 } else { 0 };
    DeviceStatus {
        device: format!("d{number}"),
        partitions_begun: done + u64::from(usable),
        objects: pushed,
        bytes: pushed * 2_516_582,
        released: if number == 4 { 318 } else { 0 },
        failures: if number == 4 { 2 } else { 0 },
        partitions_total: if usable { PARTITIONS } else { 0 },
        partitions_done: done,
        pending_objects: pending,
        pending_bytes: pending * 2_516_582,
        paused: false,
    }
}

fn node(host: u64) -> NodeWork {
    let (objects, expected, per_second) = match host {
        14 => (41_280, 27_100, 31.4),
        17 => (1_204, 800, 4.2),
        _ => (0, 0, 0.0),
    };
    let down = host == 19;
    let forecast = |minutes: u64, margin: u64| Forecast {
        remaining_milliseconds: minutes * 60_000,
        margin_milliseconds: margin * 60_000,
    };
    NodeWork {
        node: format!("10.20.0.{host}:6200"),
        visits_done: if down { 0 } else { 14_640 + host * 7 },
        visits_under_way: match host {
            14 => 4,
            17 => 2,
            _ => 0,
        },
        visits_total: VISITS,
        backlog: Some(Backlog {
            objects,
            bytes: objects * 2_516_582,
            expected_objects: expected,
            expected_bytes: expected * 2_516_582,
            unknown: if down { 9_830 } else { 0 },
            oldest_seconds: match host {
                14 => Some(5_460),
                17 => Some(640),
                _ => None,
            },
            in_sync_seconds: (objects == 0 && !down).then_some(900 + host * 11),
            ..Backlog::default()
        }),
        forecast: match host {
            14 => Some(forecast(34, 4)),
            17 => Some(forecast(8, 1)),
            19 => None,
            _ => Some(forecast(6, 1)),
        },
        objects_per_second: per_second,
        bytes_per_second: per_second * 2_516_582.0,
        last_success_seconds: if down { Some(5_470) } else { Some(host % 4) },
        trouble: if down { "connection refused".to_owned() } else { String::new() },
    }
}

fn parked() -> Vec<ParkedObject> {
    vec![ParkedObject {
        device: "d4".to_owned(),
        partition: 51_870,
        object_hash: "ca9ee1c3f2fb8e2dd9a0b2d0c0a1f7e4".to_owned(),
        cause: "the file's checksum differs from its metadata's; it was quarantined here".to_owned(),
        failures: 3,
        remaining_milliseconds: 1_260_000,
        ..ParkedObject::default()
    }]
}

fn held_up_by() -> Vec<TimeShare> {
    let share = |spender: TimeSpender, peer: &str, share: f64, advice: &str| TimeShare {
        spender: spender.into(),
        peer: peer.to_owned(),
        device: String::new(),
        milliseconds: (share * 2_400_000.0) as u64,
        share,
        advice: advice.to_owned(),
    };
    vec![
        share(
            TimeSpender::PeerFlushing,
            "10.20.0.14:6200/d3",
            0.46,
            "Its disk flushes slowly. Look at d3 there; nothing here makes it faster.",
        ),
        share(
            TimeSpender::Admission,
            "10.20.0.17:6200",
            0.21,
            "It admits no more sessions. Raise replication_concurrency there if its disks are idle.",
        ),
        share(
            TimeSpender::Reading,
            "",
            0.12,
            "Directories and files are read here. This is work that has to be done.",
        ),
        share(
            TimeSpender::Unreachable,
            "10.20.0.19:6200",
            0.06,
            "Nothing listens there. Start its object server.",
        ),
    ]
}

/// An hour's waves in ten minutes.
fn sample(step: u32) -> Sample {
    let at = f64::from(step);
    let wave = 1.0 + 0.22 * (at / 6.3).sin() + 0.11 * (at / 2.1).cos() + 0.05 * (at * 1.7).sin();
    let begun = (at / 9.0).min(1.0);
    let objects = 356.0 * wave * (0.35 + 0.65 * begun);
    Sample {
        objects: objects as u64,
        bytes: (objects * 2_516_582.0 * (0.94 + 0.06 * (at / 3.0).sin())) as u64,
    }
}
