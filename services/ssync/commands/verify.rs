//! `ssync verify`: the safety rules on a live node, by looking alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use ssync_diskfile::Devices;
use ssync_replicator::Shuffle;
use ssync_ring::{Policy, Ring};
use ssync_types::{DeviceName, Timestamp};

use crate::{
    cli::VerifyArgs,
    exit,
    here::Here,
    node,
    table::Page,
    verify::{Depth, DeviceReport, Report, Rules, Watched, inspect, judge_removals, print, to_json},
};

/// Removals of a device that are judged by their record: in a sample, and with `--all`.
const REMOVALS: (usize, usize) = (1_000, 100_000);

/// Looks, prints, and exits 0 when nothing is wrong, 1 when something is, 2 when nothing could be looked at.
pub(crate) async fn run(args: &VerifyArgs) -> ExitCode {
    match look(args).await {
        Ok(report) => {
            if args.json {
                println!("{}", to_json(&report));
            } else {
                print(&report, Page::stdout());
            }
            if report.findings.wrong == 0 { exit::OK } else { exit::UNFINISHED }.into()
        }
        Err(error) => {
            eprintln!("ssync: {error:#}");
            exit::USAGE.into()
        }
    }
}

async fn look(args: &VerifyArgs) -> anyhow::Result<Report> {
    let here = Here::find(&args.daemon, None)?;
    let config = here.config("what is on the devices of this node is looked at")?;
    let policies = here.policies(None)?;
    let names = names(args, &here, &policies)?;
    let devices = Arc::new(node::local_devices(config, &here.swift));
    let depth = if args.all { Depth::All } else { Depth::Sample(args.sample) };
    let seed = args.seed.unwrap_or_else(|| Shuffle::new().next());
    let watched: Arc<Vec<Watched>> =
        Arc::new(policies.iter().map(|(policy, ring)| watched(&here, policy, ring)).collect());
    let bar = progress(args);
    let reports = on_threads(&devices, &names, &watched, depth, seed, &bar).await?;
    let mut report = Report {
        seed: (depth != Depth::All).then_some(seed),
        peers_asked: !args.no_peers,
        ..Report::default()
    };
    let handoff_delete = config.replicator.handoff_delete.filter(|count| *count > 0);
    let rules = Rules {
        policies: &policies,
        enough: handoff_delete.map(|count| count as usize),
        reclaim_age: here.reclaim_age,
        limit: (!args.no_peers).then(|| Duration::from_secs(args.timeout)),
        tls: here.tls.clone(),
        most: if args.all { REMOVALS.1 } else { REMOVALS.0 },
        now: Timestamp::from_system_time(SystemTime::now()),
    };
    for (name, mut device) in names.iter().zip(reports) {
        if let Ok(open) = devices.open_to_look(name) {
            let root = devices.config().devices.join(name.as_str());
            let (judged, findings) = judge_removals(&open, &root, &rules).await;
            report.removals.add(judged);
            device.findings.append(findings);
        }
        report.findings.append(device.findings.clone());
        report.devices.push(device);
    }
    bar.finish_and_clear();
    Ok(report)
}

/// Those that were named, else this node's by the rings.
fn names(args: &VerifyArgs, here: &Here, policies: &[(&Policy, Ring)]) -> anyhow::Result<Vec<DeviceName>> {
    let own = here.own();
    let devices = policies.iter().flat_map(|(_, ring)| ring.devices().filter(|device| own.has(device)));
    let ours: BTreeSet<DeviceName> = devices.map(|device| device.device.clone()).collect();
    if args.devices.is_empty() {
        ensure!(
            !ours.is_empty(),
            "no ring has a device of this node: compare bind_ip and bind_port (or ring_ip) of the configuration with the rings, or \
             name devices"
        );
        return Ok(ours.into_iter().collect());
    }
    args.devices.iter().map(|name| name.parse().with_context(|| format!("{name:?} is no device"))).collect()
}

fn watched(here: &Here, policy: &Policy, ring: &Ring) -> Watched {
    let own = here.own();
    let numbers: BTreeMap<DeviceName, u32> = ring
        .devices()
        .filter(|device| own.has(device))
        .map(|device| (device.device.clone(), device.id))
        .collect();
    Watched { policy: policy.index, ring: Arc::new(ring.clone()), own: numbers }
}

/// A thread for each device, each of which gives way to who serves clients.
async fn on_threads(
    devices: &Arc<Devices>,
    names: &[DeviceName],
    policies: &Arc<Vec<Watched>>,
    depth: Depth,
    seed: u64,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<DeviceReport>> {
    let mut looks = Vec::new();
    for name in names {
        let (told, telling) = tokio::sync::oneshot::channel();
        let (devices, policies, name, bar) =
            (Arc::clone(devices), Arc::clone(policies), name.clone(), bar.clone());
        std::thread::Builder::new().name(format!("verify-{name}")).spawn(move || {
            ssync_background::give_way();
            // Who asked has gone, or waits.
            let _ = told.send(inspect(&devices, &name, &policies, depth, seed, &bar));
        })?;
        looks.push(telling);
    }
    let mut reports = Vec::new();
    for look in looks {
        reports.push(look.await.context("a look at a device broke off: a fault of this program")?);
    }
    Ok(reports)
}

fn progress(args: &VerifyArgs) -> ProgressBar {
    // Where standard error is no terminal nothing is drawn.
    let bar = if args.all && !args.json { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} partitions, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
