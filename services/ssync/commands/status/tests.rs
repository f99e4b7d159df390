//! What people read of a node that has something to say.

use ssync_api::admin::{Device, GetServerInfoResponse, TimeSpender};
use ssync_page::{State, Who};

use super::*;

fn report() -> Report {
    let backlog = Backlog {
        objects: 1204,
        bytes: 3 << 30,
        expected_objects: 800,
        objects_margin: 60,
        unknown: 2,
        oldest_seconds: Some(130),
        ..Backlog::default()
    };
    let status = GetReplicatorStatusResponse {
        pass: 3,
        running: true,
        partitions_done: 60,
        partitions_total: 100,
        elapsed_milliseconds: 181_000,
        backlog: Some(backlog),
        forecast: Some(Forecast { remaining_milliseconds: 120_000, margin_milliseconds: 9_000 }),
        nodes: vec![NodeWork {
            node: "10.0.0.2:6200".to_owned(),
            visits_done: 60,
            visits_total: 100,
            backlog: Some(backlog),
            objects_per_second: 250.4,
            bytes_per_second: 2e6,
            ..NodeWork::default()
        }],
        devices: vec![DeviceStatus {
            device: "sdb1".to_owned(),
            partitions_done: 60,
            partitions_total: 100,
            pending_objects: 7,
            pending_bytes: 2048,
            ..DeviceStatus::default()
        }],
        held_up_by: vec![TimeShare {
            spender: TimeSpender::PeerFlushing.into(),
            peer: "10.0.0.2:6200/sdb1".to_owned(),
            share: 0.63,
            advice: "look at the disk there".to_owned(),
            ..TimeShare::default()
        }],
        ..GetReplicatorStatusResponse::default()
    };
    let device = |name: &str, mounted, problem: &str| Device {
        name: name.to_owned(),
        mounted,
        free_bytes: 5 << 30,
        problem: problem.to_owned(),
        ..Device::default()
    };
    Report {
        who: Who {
            host: String::new(),
            address: String::new(),
            parts: String::new(),
            version: String::new(),
            uptime_seconds: 5,
        },
        at: std::time::SystemTime::UNIX_EPOCH,
        state: State::Ready,
        receives: Some(Receives {
            info: GetServerInfoResponse::default(),
            devices: vec![device("sdb1", true, ""), device("sdc1", false, "it is not mounted")],
            sessions: Vec::new(),
            limits: Vec::new(),
        }),
        replicates: Some(status),
        elsewhere: Vec::new(),
        refresh: None,
    }
}

#[test]
fn it_begins_with_the_truth_and_says_what_holds_it_up() {
    let told = text(&report(), Page::PLAIN);
    let expected = "sdc1 is not mounted.\n\
        2 comparisons failed: what is pending there is not known.\n\
        About 2,004 objects (3.0 GiB) pending at 1 node, done in 2 min ± 9 s.\n\
        Pass 3 is under way for 3 min 1 s: 60 of 100 partitions, 0 objects (0 B) pushed.\n\
        Held up 63 % by peer flushing at 10.0.0.2:6200/sdb1: look at the disk there.\n";
    assert!(told.starts_with(expected), "{told}");
    for part in [
        "1,204 (3.0 GiB) +800±60, 2 unknown",
        "2 min 10 s",
        "60/100",
        "7 (2.0 KiB)",
        "250.4/s 1.9 MiB/s",
        "not yet",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

#[test]
fn a_node_without_a_replicator_says_so() {
    let told = text(&Report { replicates: None, ..report() }, Page::PLAIN);
    assert!(told.contains("No replicator answers here"), "{told}");
    assert!(!told.contains("Pass"), "{told}");
}
