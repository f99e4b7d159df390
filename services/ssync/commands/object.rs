//! `ssync object`: where an object is, and what is wrong with it.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use ssync_diskfile::{Devices, Found, Location, OpenOptions};
use ssync_ring::{Policy, Ring};
use ssync_types::{ObjectHash, ObjectPath, Timestamp};

use crate::{
    cli::{HandoffCount, ObjectArgs},
    here::Here,
    node,
    object::{HandoffChoice, Place, Question, Shown, ask_all, diagnose, print, records, sites, to_json},
    table::Page,
};

/// The exit code of a question that cannot be asked.
const EXIT_USAGE: u8 = 2;

/// Asks, prints, and exits 0 when nothing is wrong, 1 when something is, 2 when there was nothing to ask.
pub(crate) async fn run(args: &ObjectArgs) -> ExitCode {
    match look(args).await {
        Ok(shown) => {
            let healthy = shown.iter().all(|shown| shown.diagnosis.is_healthy()) && shown.len() == 1;
            report(&shown, args.json);
            if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("ssync: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The name of an object of which the hash is known, from a device of this node.
fn name_of(here: &Here, hash: ObjectHash, policies: &[(&Policy, Ring)]) -> anyhow::Result<ObjectPath> {
    let config = here.config("a hash is looked up on this node's devices")?;
    let devices = node::local_devices(config, &here.swift);
    for (policy, ring) in policies {
        let at = Location { policy: policy.index, partition: hash.partition(ring.part_power()), hash };
        for name in folders(&config.node.devices) {
            if let Some(path) = name_on(&devices, &name, &at) {
                return Ok(path);
            }
        }
    }
    bail!(
        "no device of this node holds {hash}, so its name is not known here: ask on a node that holds it, or by its name"
    )
}

fn folders(devices: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(devices).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The name that a device's copy or tombstone of an object has in its metadata.
fn name_on(devices: &Devices, name: &str, at: &Location) -> Option<ObjectPath> {
    let device = devices.open(&name.parse().ok()?).ok()?;
    let options =
        OpenOptions { open_expired: true, fragment_preferences: Some(Vec::new()), ..OpenOptions::default() };
    match device.open_object(at, &options).ok()? {
        Found::Object(object) | Found::Expired(object) => Some(object.name.clone()),
        Found::Tombstone(_) => Some(device.deleted_object(at).ok()??.0),
        Found::Nothing => None,
    }
}

async fn look(args: &ObjectArgs) -> anyhow::Result<Vec<Shown>> {
    let here = Here::find(&args.daemon, args.swift_dir.as_deref())?;
    let policies = here.policies(args.policy.as_deref())?;
    let path = match args.object.to_str().and_then(|text| text.parse::<ObjectHash>().ok()) {
        Some(hash) => name_of(&here, hash, &policies)?,
        None => ObjectPath::parse(args.object.as_bytes().to_vec())
            .context("an object is /account/container/object, or its hash of 32 digits")?,
    };
    let mut all = Vec::new();
    for (policy, ring) in &policies {
        all.push(look_in(args, &here, policy, ring, &path).await);
    }
    // One that has it, else the one that it would be in.
    if all.iter().any(|shown| shown.diagnosis.found) {
        all.retain(|shown| shown.diagnosis.found);
    } else if args.policy.is_none() {
        let default = here.swift.policies().default_policy().map(|policy| policy.index);
        let place = all.iter().position(|shown| Some(shown.place.policy) == default).unwrap_or(0);
        all = all.into_iter().skip(place).take(1).collect();
    }
    Ok(all)
}

async fn look_in(args: &ObjectArgs, here: &Here, policy: &Policy, ring: &Ring, path: &ObjectPath) -> Shown {
    let hash = here.swift.hash_path().hash(path);
    let partition = hash.partition(ring.part_power());
    let handoffs = match args.handoffs {
        None => HandoffChoice::AsMany,
        Some(HandoffCount::Some(count)) => HandoffChoice::Some(count),
        Some(HandoffCount::All) => HandoffChoice::All,
    };
    let question = Question {
        path: path.clone(),
        policy: policy.index,
        partition,
        limit: Duration::from_secs(args.timeout),
        tls: here.tls.clone(),
    };
    let seen = ask_all(&question, sites(ring, partition, handoffs)).await;
    let place =
        Place { policy: policy.index, kind: policy.kind.clone(), partition, reclaim_age: here.reclaim_age };
    let diagnosis = diagnose(&place, &seen, Timestamp::from_system_time(SystemTime::now()));
    let admins = here.admins(&args.admin);
    let records = records(hash, &admins, question.limit).await;
    Shown { records, path: path.clone(), hash, policy_name: policy.name.clone(), place, seen, diagnosis }
}

fn report(all: &[Shown], as_json: bool) {
    if as_json {
        println!("{}", serde_json::Value::Array(all.iter().map(to_json).collect()));
        return;
    }
    for (number, shown) in all.iter().enumerate() {
        if number > 0 {
            println!();
        }
        print(shown, Page::stdout());
    }
    if all.len() > 1 {
        println!(
            "\n* {} policies have an object of this name; clients see the one of the container's policy",
            all.len()
        );
    }
}
