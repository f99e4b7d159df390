//! What is asked of a disk after it was cut off: rules S1, S2, S4, S5 and S8.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ssync_types::{Durability, PolicyIndex, Timestamp};

use super::{
    device,
    model::{Change, Object, Reclaim, Sight, View},
};
use crate::{
    Device,
    simulation::{Random, SimDisk},
};

/// What must be so.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) objects: Vec<Object>,
    sights: Vec<Vec<Sight>>,
    /// Objects that were damaged on purpose, ever.
    damaged: BTreeSet<String>,
    /// Objects are linked into the partitions of the next power, whose hashes are the relinker's.
    pub(super) linked: bool,
}

impl Expected {
    pub(super) fn new(objects: Vec<Object>, now: Timestamp, damaged: BTreeSet<String>, linked: bool) -> Self {
        let reclaim = reclaim(now);
        let sights = objects.iter().map(|object| object.sights(reclaim)).collect();
        Self { objects, sights, damaged, linked }
    }
}

/// What is about to be old enough counts as such: a restart takes some time.
pub(super) fn reclaim(now: Timestamp) -> Reclaim {
    (now, device::RECLAIM_AGE - Duration::from_secs(120))
}

/// Restarts on an image and checks everything. `go_on`: the node's next writes, too, which are made by this seed.
pub(super) fn check(image: &SimDisk, expected: &Expected, go_on: Option<u64>) -> Result<(), String> {
    let device = device::device(image, Durability::Object);
    device.sync().map_err(|error| format!("S8: the first flush: {error}"))?;
    check_paths(image, expected)?;
    check_views(&device, expected)?;
    check_hashes(&device, expected)?;
    if let Some(seed) = go_on {
        check_views(&device, expected).map_err(|error| format!("after hashing: {error}"))?;
        check_writes(&device, expected, seed)?;
    }
    drop(device);
    if image.open_handles() > 0 || image.locks() > 0 {
        return Err(format!("S8: {} files and {} locks are held", image.open_handles(), image.locks()));
    }
    Ok(())
}

fn check_views(device: &Arc<Device>, expected: &Expected) -> Result<(), String> {
    for (object, sights) in expected.objects.iter().zip(&expected.sights) {
        let seen = device::look(device, object).map_err(|error| format!("S1: {} {error}", object.path))?;
        if !sights.contains(&seen) {
            let sights: Vec<_> = sights.iter().map(|sight| format!("\n  {sight:?}")).collect();
            let (path, sights) = (&object.path, sights.concat());
            return Err(format!("S1, S2, S5: {path} is\n  {seen:?}\nwhich is none of{sights}"));
        }
        if object.let_go && seen.0 == View::Nothing {
            let removals = device.removals_of(&object.at.hash).map_err(|error| error.to_string())?;
            if removals.is_empty() {
                return Err(format!("{} was let go of, and no record of it is left", object.path));
            }
        }
    }
    if expected.linked {
        expected.objects.iter().try_for_each(|object| check_link(device, object, expected))?;
    }
    Ok(())
}

/// In the partition that it will have an object is whole, or not there.
fn check_link(device: &Arc<Device>, object: &Object, expected: &Expected) -> Result<(), String> {
    let next = device::in_next_partition(object);
    match device::look(device, &next).map_err(|error| format!("S1: linked, {} {error}", object.path))? {
        // What was damaged on purpose is the same file there.
        (View::Damaged, _) if !expected.damaged.contains(&object.at.hash.to_string()) => {
            Err(format!("S1: linked, {} is damaged", object.path))
        }
        _ => Ok(()),
    }
}

/// Nothing is left anywhere that nobody would remove, and nothing of ours was taken for damaged.
fn check_paths(image: &SimDisk, expected: &Expected) -> Result<(), String> {
    for path in image.paths() {
        let parts: Vec<_> = path.trim_end_matches('/').split('/').collect();
        let fine = match parts.as_slice() {
            ["quarantined", _, name] => expected.damaged.contains(&name[..32]),
            ["removal-log"] => path.ends_with('/'),
            ["removal-log", name] => name.ends_with(".log"),
            ["quarantined" | "tmp" | "tmp-1" | ".lock", ..] | ["objects" | "objects-1"] => true,
            ["objects" | "objects-1", _] => path.ends_with('/'),
            ["objects" | "objects-1", _, name] => {
                (path.ends_with('/') && name.len() == 3)
                    || ["hashes.pkl", "hashes.invalid", ".lock", ".lock-replication"].contains(name)
                    // As Swift leaves it; gone with the partition.
                    || (name.starts_with("tmp") && name.ends_with(".tmp"))
            }
            ["objects" | "objects-1", _, _, name] => path.ends_with('/') && name.len() == 32,
            ["objects" | "objects-1", _, _, _, name] => {
                [".data", ".meta", ".ts"].iter().any(|ending| name.ends_with(ending))
            }
            _ => false,
        };
        if !fine {
            return Err(format!("S8: {path} is left"));
        }
    }
    Ok(())
}

/// What is kept of the hashes equals what a calculation of all of them gives. Not where nobody makes notes: Swift makes none for
/// what it links into the partitions of the next power (its relinker looks at them). Nor where a tombstone has
/// grown old: whoever looks removes it, and the hash stays until something else changes.
fn check_hashes(device: &Arc<Device>, expected: &Expected) -> Result<(), String> {
    let mut places: Vec<(PolicyIndex, _)> =
        expected.objects.iter().map(|object| (object.at.policy, object.at.partition)).collect();
    places.sort_unstable();
    places.dedup();
    for (policy, partition) in places {
        let failed = |error| format!("S8: hashes of {policy} {partition}: {error}");
        let mut kept = device.suffix_hashes(policy, partition, &[], false).map_err(failed)?;
        let all: Vec<_> = kept.keys().copied().collect();
        let mut fresh = device.suffix_hashes(policy, partition, &all, true).map_err(failed)?;
        let excused = |object: &&Object| {
            let next = device::in_next_partition(object).at;
            object.unflushed_notes
                || (expected.linked && next.partition == partition && next != object.at)
                || object.may_be_reclaimed(reclaim(device.now()))
        };
        for object in expected.objects.iter().filter(excused) {
            let suffix = object.at.hash.suffix();
            kept.remove(&suffix);
            fresh.remove(&suffix);
        }
        if kept != fresh {
            return Err(format!("S8: stale hashes of {policy} {partition}: {kept:?} is {fresh:?}"));
        }
    }
    Ok(())
}

/// The node goes on: each kind of write works on one object, and has its effect and no other.
fn check_writes(device: &Arc<Device>, expected: &Expected, seed: u64) -> Result<(), String> {
    let mut random = Random::of(seed, 7);
    let object = random.pick(&expected.objects).clone();
    let now = device.now().seconds() + 3600;
    let later = |seconds: u64| Timestamp::from_seconds(now + seconds);
    let mark = 4_000_000_000;
    let fragment = object.coded.then_some((1, true));
    let failed = |what: &'static str| move |error| format!("S8: the next {what}: {error}");
    device::put(device, &object, later(0), mark, fragment, None).map_err(failed("PUT"))?;
    let mut fresh = Object::new(object.path.clone(), object.at, object.coded);
    let seen = |fresh: &Object| -> Result<(), String> {
        let seen = device::look(device, fresh)?;
        let expected = fresh.sights(reclaim(device.now()));
        if expected.contains(&seen) {
            return Ok(());
        }
        Err(format!("S8: the next write left {seen:?}, expected {expected:?}"))
    };
    fresh.acknowledge(match fragment {
        None => Change::Data { time: later(0), mark },
        Some((index, durable)) => Change::Fragment { time: later(0), index, durable, mark },
    });
    seen(&fresh)?;
    device::post(device, &object, later(1), mark + 1, None, None).map_err(failed("POST"))?;
    fresh.acknowledge(Change::Meta { time: later(1), mark: mark + 1, content_type: None });
    seen(&fresh)?;
    check_hashes(device, expected)?;
    device.write_tombstone(&object.at, &object.path, later(2), None).map_err(failed("DELETE"))?;
    fresh.acknowledge(Change::Tombstone { time: later(2) });
    seen(&fresh)?;
    check_hashes(device, expected)?;
    match device::look(device, &fresh)? {
        (View::Tombstone(_), None) => Ok(()),
        other => Err(format!("S8: the next DELETE left {other:?}")),
    }
}
