//! The page of small reports: what is told, what is left out, and that nothing in it is more than text.

use std::time::UNIX_EPOCH;

use ssync_api::admin::{
    Backlog, Device, DeviceStatus, Forecast, GetReplicatorStatusResponse, Limit, NodeWork, ParkedObject,
    PeerBackoff, Sample, Session, TimeShare, TimeSpender,
};

use crate::{Elsewhere, Receives, Report, State, Who, html, sentence::Tone, sentence::sentences};

fn report(receives: Option<Receives>, replicates: Option<GetReplicatorStatusResponse>) -> Report {
    Report {
        who: Who {
            host: "host".to_owned(),
            address: "10.0.0.1:6200".to_owned(),
            parts: "receiver".to_owned(),
            version: "1.2.3".to_owned(),
            uptime_seconds: 90,
        },
        at: UNIX_EPOCH,
        state: State::Ready,
        receives,
        replicates,
        elsewhere: Vec::new(),
        refresh: None,
    }
}

fn replicates(status: GetReplicatorStatusResponse) -> Report {
    report(None, Some(status))
}

fn headline(report: &Report) -> (Tone, String) {
    let first = sentences(report).swap_remove(0);
    (first.tone, first.text)
}

fn device(name: &str, problem: &str) -> Device {
    let mounted = problem.is_empty();
    Device {
        name: name.to_owned(),
        mounted,
        problem: problem.to_owned(),
        free_bytes: 40,
        total_bytes: 100,
        draining: false,
    }
}

fn node(name: &str, objects: u64) -> NodeWork {
    let backlog = Some(Backlog { objects, bytes: objects << 20, ..Backlog::default() });
    NodeWork { node: name.to_owned(), backlog, ..NodeWork::default() }
}

#[test]
fn the_sentence_tells_what_is_pending_and_until_when() {
    let backlog = Backlog { objects: 1204, bytes: 3 << 30, ..Backlog::default() };
    let mut status = GetReplicatorStatusResponse {
        running: true,
        backlog: Some(backlog),
        nodes: vec![node("a", 1000), node("b", 204), node("c", 0)],
        forecast: Some(Forecast { remaining_milliseconds: 840_000, margin_milliseconds: 120_000 }),
        ..GetReplicatorStatusResponse::default()
    };
    let said = headline(&replicates(status.clone()));
    assert_eq!(
        said,
        (Tone::Busy, "1,204 objects (3.0 GiB) pending at 2 nodes, done in 14 min ± 2 min".to_owned())
    );
    status.backlog = Some(Backlog { expected_objects: 96, expected_bytes: 1 << 30, ..backlog });
    let (_, text) = headline(&replicates(status.clone()));
    assert!(text.starts_with("About 1,300 objects (4.0 GiB) pending"), "{text}");

    status.backlog = Some(Backlog { in_sync_seconds: Some(12), ..Backlog::default() });
    assert_eq!(headline(&replicates(status.clone())), (Tone::Good, "In sync as of 12 s ago".to_owned()));
    // Who does not know must not say so.
    status.backlog = Some(Backlog { in_sync_seconds: Some(12), unknown: 3, ..Backlog::default() });
    let (tone, text) = headline(&replicates(status.clone()));
    assert_eq!(
        (tone, text.as_str()),
        (Tone::Warning, "3 comparisons failed: what is pending there is not known")
    );
    status.backlog = Some(Backlog::default());
    let (tone, text) = headline(&replicates(status));
    assert!(tone == Tone::Busy && text.ends_with("nothing is known to be pending so far"), "{text}");
}

#[test]
fn without_a_backlog_the_sentence_tells_of_the_pass_and_never_of_being_in_sync() {
    let status = |pass, running, failures| GetReplicatorStatusResponse {
        pass,
        running,
        failures,
        partitions_done: 40,
        partitions_total: 80,
        ..GetReplicatorStatusResponse::default()
    };
    for (status, tone, text) in [
        (status(0, false, 0), Tone::Warning, "No pass has been made yet"),
        (status(3, true, 0), Tone::Busy, "Pass 3 is under way: 50 % of its partitions are done"),
        (status(3, false, 0), Tone::Good, "Pass 3 is over"),
        (status(3, false, 1), Tone::Warning, "Pass 3 is over; 1 failure"),
    ] {
        assert_eq!(headline(&replicates(status)), (tone, text.to_owned()));
    }
}

#[test]
fn the_gravest_comes_first() {
    let status = GetReplicatorStatusResponse {
        backlog: Some(Backlog { objects: 1, ..Backlog::default() }),
        parked: vec![ParkedObject::default()],
        peers: vec![PeerBackoff { peer: "10.0.0.2:6200/d1".to_owned(), ..PeerBackoff::default() }],
        ..GetReplicatorStatusResponse::default()
    };
    let devices = vec![device("d1", ""), device("d3", "/srv/node/d3 is not mounted")];
    let mut report = report(Some(Receives { devices, ..Receives::default() }), Some(status));
    let tones = |report: &Report| sentences(report).iter().map(|said| said.tone).collect::<Vec<_>>();
    assert_eq!(headline(&report), (Tone::Bad, "d3 is not mounted".to_owned()));
    assert_eq!(tones(&report), [Tone::Bad, Tone::Warning, Tone::Warning, Tone::Busy]);
    report.receives.as_mut().unwrap().devices.push(device("d4", "it hangs"));
    assert_eq!(headline(&report).1, "2 of 3 devices cannot be used: d3, d4");
    report.state = State::NotReady;
    assert!(headline(&report).1.starts_with("Not ready"));
}

/// Every text that comes from outside, as somebody would write it who wants to be more than text.
fn hostile() -> Report {
    let evil = || "<script>window.ran = true</script>\"'><img src=x onerror=alert(1)>&amp;".to_owned();
    let status = GetReplicatorStatusResponse {
        running: true,
        jobs: vec![ssync_api::v1::PartitionRef { device: evil(), ..Default::default() }],
        devices: vec![DeviceStatus { device: evil(), ..DeviceStatus::default() }],
        peers: vec![PeerBackoff { peer: evil(), cause: evil(), remaining_milliseconds: 1 }],
        parked: vec![ParkedObject {
            device: evil(),
            object_hash: evil(),
            cause: evil(),
            peer: evil(),
            ..ParkedObject::default()
        }],
        nodes: vec![NodeWork { node: evil(), trouble: evil(), ..NodeWork::default() }],
        held_up_by: vec![TimeShare {
            spender: TimeSpender::Lock.into(),
            peer: evil(),
            device: evil(),
            advice: evil(),
            share: f64::NAN,
            milliseconds: 0,
        }],
        samples: vec![Sample { objects: u64::MAX, bytes: u64::MAX }],
        sample_seconds: 0,
        ..GetReplicatorStatusResponse::default()
    };
    let receives = Receives {
        devices: vec![Device { name: evil(), problem: evil(), ..Device::default() }],
        sessions: vec![Session { peer: evil(), device: evil(), ..Session::default() }],
        limits: vec![Limit { name: evil(), maximum: 1, used: u64::MAX }],
        ..Receives::default()
    };
    let mut report = report(Some(receives), Some(status));
    report.who =
        Who { host: evil(), address: evil(), parts: evil(), version: evil(), uptime_seconds: u64::MAX };
    report.elsewhere = vec![Elsewhere { what: evil(), at: evil() }];
    report
}

#[test]
fn what_others_wrote_stays_text() {
    let page = html(&hostile());
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\"'>"), "{page}");
    assert!(!page.contains("NaN"), "{page}");
    let told = page.matches("&lt;script&gt;window.ran").count();
    assert!(told >= 20, "only {told} of them are on the page");
    // With a quotation mark in it, none of them ends an attribute.
    assert!(page.contains("data-row=\"&lt;script&gt;window.ran = true&lt;/script&gt;&quot;"), "{page}");
}

#[test]
fn each_shape_tells_what_it_has_and_where_the_rest_is() {
    let sections = |report: &Report| {
        let page = html(report);
        let named = ["held-up", "nodes", "devices", "sessions", "parked", "work", "limits", "elsewhere"];
        named.into_iter().filter(|id| page.contains(&format!("<section id=\"{id}\""))).collect::<Vec<_>>()
    };
    let (receives, status) = (Receives::default(), GetReplicatorStatusResponse::default());
    let mut sidecar = report(None, None);
    sidecar.elsewhere = vec![Elsewhere { what: "devices".to_owned(), at: "there".to_owned() }];
    assert_eq!(sections(&sidecar), ["elsewhere"]);
    assert_eq!(sections(&report(Some(receives.clone()), None)), ["devices", "sessions", "limits"]);
    assert_eq!(sections(&replicates(status.clone())), ["nodes", "devices", "parked", "work"]);
    let all = ["nodes", "devices", "sessions", "parked", "work", "limits"];
    assert_eq!(sections(&report(Some(receives), Some(status))), all);
}

#[test]
fn it_is_loaded_again_only_if_asked_to() {
    let mut report = report(None, None);
    assert!(!html(&report).contains("http-equiv"));
    report.refresh = Some(15);
    let page = html(&report);
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"15\">"), "{page}");
    assert!(page.contains("<a href=\"/?refresh=15\" aria-current=\"true\">"), "{page}");
}

#[test]
fn a_page_ends() {
    let nodes = (0..10_000).map(|number| node(&format!("10.0.0.1:{number}"), 1)).collect();
    let page =
        html(&replicates(GetReplicatorStatusResponse { nodes, ..GetReplicatorStatusResponse::default() }));
    assert!(page.contains("and 9,800 more") && page.len() < 400_000, "{}", page.len());
}

#[test]
fn a_device_of_the_rings_that_is_not_there_is_said_first() {
    let status = GetReplicatorStatusResponse {
        pass: 2,
        failures: 6,
        devices: ["d1", "d10", "d2"]
            .map(|name| DeviceStatus { device: name.to_owned(), ..DeviceStatus::default() })
            .into(),
        backlog: Some(Backlog { in_sync_seconds: Some(3), ..Backlog::default() }),
        ..GetReplicatorStatusResponse::default()
    };
    let receives = Receives { devices: vec![device("d1", ""), device("d2", "")], ..Receives::default() };
    let report = report(Some(receives.with_those_of_the_rings(Some(&status))), Some(status));
    assert_eq!(headline(&report), (Tone::Bad, "d10 is not mounted".to_owned()));
    let said: Vec<_> =
        sentences(&report).into_iter().map(|sentence| (sentence.tone, sentence.text)).collect();
    assert_eq!(said[1], (Tone::Warning, "In sync as of 3 s ago; 6 failures since".to_owned()));
    assert!(html(&report).contains("2 of 3 in use"));
}
