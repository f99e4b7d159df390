//! Whether the cluster is as it should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use ssync_diskfile::{
    Device, Found, Location, OpenOptions,
    simulation::{Machine, Model, SimDisk},
};
use ssync_ring::Ring;
use ssync_types::{DeviceName, Metadata, ObjectHash, ObjectKind, Partition, Timestamp};

use crate::{
    cluster::{Cluster, devices},
    history::{Copy, History, Times, hash},
    places::POLICY,
};

/// All that is on a disk.
type Contents = BTreeMap<(Partition, ObjectHash), Copy>;

/// No partition of a ring, nor are those that follow: what was in quarantine is looked at there.
const ASIDE: u32 = 1 << 20;

fn has(contents: &Contents, object: usize) -> bool {
    contents.keys().any(|(_, of)| *of == hash(object))
}

/// The disk as a program finds it that begins now; the disk itself is left as it is.
fn device(name: &DeviceName, disk: SimDisk) -> Arc<Device> {
    let machine = Arc::new(Machine::default());
    machine.mount(name.clone(), disk);
    devices(machine).open(name).expect("it is mounted")
}

fn contents(device: &Arc<Device>) -> Result<Contents, String> {
    let mut contents = Contents::new();
    let failed = |error: ssync_diskfile::DiskError| error.to_string();
    for partition in device.partitions(POLICY).map_err(failed)?.partitions {
        for suffix in device.suffixes(POLICY, partition).map_err(failed)? {
            for object in device.list_suffix(POLICY, partition, suffix).map_err(failed)? {
                let copy = copy(device, partition, object.offer.hash).map_err(failed)?;
                contents.extend(copy.map(|copy| ((partition, object.offer.hash), copy)));
            }
        }
    }
    Ok(contents)
}

fn copy(
    device: &Arc<Device>,
    partition: Partition,
    hash: ObjectHash,
) -> Result<Option<Copy>, ssync_diskfile::DiskError> {
    let at = Location { policy: POLICY, partition, hash };
    let options = OpenOptions { open_expired: true, ..OpenOptions::default() };
    Ok(match device.open_object(&at, &options)? {
        Found::Object(object) | Found::Expired(object) => {
            let info = object.info.clone();
            let metadata = object.meta.as_ref().map_or(info.data, |meta| meta.timestamp);
            let times =
                Times { data: info.data, metadata, content_type: info.content_type, ..Times::default() };
            let mut reader = object.into_reader();
            let mut body = Vec::new();
            while let Some(piece) = reader.next_chunk()? {
                body.extend_from_slice(&piece);
            }
            Some(Copy { kind: ObjectKind::Data, times, body: body.into(), metadata: info.metadata })
        }
        Found::Tombstone(tombstone) => Some(Copy {
            kind: ObjectKind::Tombstone,
            times: Times { tombstone, ..Times::default() },
            body: Bytes::new(),
            metadata: Metadata::new(),
        }),
        Found::Nothing => None,
    })
}

/// Whether a path is that of an object, in whichever partition, or above or below it.
fn is_on_the_way_to(path: &Path, hash: &ObjectHash) -> bool {
    let place = [Some("objects".to_owned()), None, Some(hash.suffix().to_string()), Some(hash.to_string())];
    path.iter().zip(place).all(|(part, wanted)| wanted.is_none_or(|wanted| part == wanted.as_str()))
}

/// What is in a disk's quarantine, all of it there. As stock Swift does, a node puts an object aside of which the disk says that
/// it cannot be read, also where nobody else has it; and one that it was letting go of and that it cannot put back. What it must
/// not do is to put aside another, or to lose a byte of it.
fn quarantine(name: &DeviceName, disk: &SimDisk) -> Result<Vec<(ObjectHash, Copy)>, String> {
    let (failed, disk) = (disk.failed(), disk.snapshot());
    let mut found = Vec::new();
    let paths = disk.paths();
    let aside = paths.iter().filter_map(|path| path.strip_prefix("quarantined/objects/")?.strip_suffix('/'));
    for (partition, object) in (ASIDE..).zip(aside) {
        let of_hash = object.split('-').next().unwrap_or(object);
        let hash: ObjectHash = of_hash.parse().map_err(|_| format!("{name}: {object} is in quarantine"))?;
        if !failed.iter().any(|path| is_on_the_way_to(path, &hash)) {
            return Err(format!("{name}: {object} is in quarantine, and its disk has not failed"));
        }
        let from = format!("quarantined/objects/{object}");
        let to = format!("objects/{partition}/{}/{hash}", hash.suffix());
        if !disk.move_directory(Path::new(&from), Path::new(&to)) {
            return Err(format!("{name}: {from} cannot be put back"));
        }
        found.push((Partition::new(partition), hash));
    }
    let device = device(name, disk);
    let copy = |(partition, hash)| match copy(&device, partition, hash) {
        Ok(copy) => Ok(copy.map(|copy| (hash, copy))),
        Err(error) => Err(format!("{name}: what is in quarantine is not whole: {error}")),
    };
    found.into_iter().filter_map(|at| copy(at).transpose()).collect()
}

/// Whether a disk can be spared: all that was promised would survive without it, even if the power were cut everywhere now; and
/// so would all that is on it, for a client may be told of that at any moment.
pub(crate) fn can_be_spared(cluster: &Cluster, history: &History, spared: &DeviceName, seed: u64) -> bool {
    let mut objects: BTreeMap<ObjectHash, Times> = BTreeMap::new();
    for (_, name) in cluster.layout.devices.iter().filter(|(_, name)| name != spared) {
        let Some(disk) = cluster.disk(name) else { return false };
        let Ok(contents) = contents(&device(name, disk.crash(Model::Ordered, seed))) else { return false };
        for ((_, hash), copy) in contents {
            objects.entry(hash).or_default().join(copy.times);
        }
    }
    let own = cluster.disk(spared).and_then(|disk| contents(&device(spared, disk.snapshot())).ok());
    let is_elsewhere = |((_, hash), copy): (&(Partition, ObjectHash), &Copy)| {
        let mut joined = objects.get(hash).copied().unwrap_or_default();
        joined.join(copy.times);
        objects.get(hash) == Some(&joined)
    };
    if !own.is_some_and(|own| own.iter().all(is_elsewhere)) {
        return false;
    }
    let objects = |object| objects.get(&hash(object)).copied().unwrap_or_default();
    (0..crate::scenario::OBJECTS).all(|object| history.broken_promise(object, objects(object)).is_none())
}

/// What is on all disks.
pub(crate) struct Seen {
    disks: BTreeMap<DeviceName, (Arc<Device>, Contents)>,
    quarantine: Vec<(DeviceName, ObjectHash, Copy)>,
}

impl Seen {
    pub(crate) fn look(cluster: &Cluster) -> Result<Self, String> {
        let mut seen = Self { disks: BTreeMap::new(), quarantine: Vec::new() };
        for (_, name) in &cluster.layout.devices {
            let disk = cluster.disk(name).ok_or("a disk is away")?;
            let aside = quarantine(name, &disk)?.into_iter();
            seen.quarantine.extend(aside.map(|(hash, copy)| (name.clone(), hash, copy)));
            let device = device(name, disk.snapshot());
            let contents = contents(&device).map_err(|error| format!("{name}: {error}"))?;
            seen.disks.insert(name.clone(), (device, contents));
        }
        Ok(seen)
    }

    /// What is not yet as it will be: copies that differ, or are missing, or are where they do not belong.
    pub(crate) fn unsettled(&self, ring: &Ring, tombstones: bool) -> Option<String> {
        let keys: BTreeSet<_> =
            self.disks.values().flat_map(|(_, contents)| contents.keys().copied()).collect();
        for (partition, hash) in keys {
            let of = |name| self.disks.get(name).and_then(|(_, contents)| contents.get(&(partition, hash)));
            let of = |name| of(name).filter(|copy| tombstones || copy.kind == ObjectKind::Data);
            let primaries = ring.primaries(partition);
            let names: Vec<_> = primaries.iter().map(|primary| &primary.device.device).collect();
            let [first, others @ ..] = names.as_slice() else { return Some("no primaries".to_owned()) };
            if let Some(other) = others.iter().find(|other| of(other) != of(first)) {
                let (one, another) = (of(first), of(other));
                return Some(format!("{partition}/{hash}: {first} has {one:?}, {other} has {another:?}"));
            }
            if let Some(handoff) = self.disks.keys().find(|name| !names.contains(name) && of(name).is_some())
            {
                return Some(format!("{partition}/{hash}: {handoff} still has {:?}", of(handoff)));
            }
        }
        tombstones.then(|| self.hashes_differ(ring)).flatten()
    }

    /// Suffixes whose hashes are not the same on all primaries.
    fn hashes_differ(&self, ring: &Ring) -> Option<String> {
        for partition in (0..1 << ring.part_power()).map(Partition::new) {
            let hashes = |name: &DeviceName| {
                let (device, _) = self.disks.get(name)?;
                let hashes = device.suffix_hashes(POLICY, partition, &[], true).ok()?;
                Some(hashes.into_iter().collect::<Vec<_>>())
            };
            let primaries = ring.primaries(partition);
            let all: Vec<_> = primaries.iter().map(|primary| hashes(&primary.device.device)).collect();
            if all.iter().any(|hashes| hashes.is_none() || *hashes != all[0]) {
                return Some(format!("{partition}: the hashes of suffixes are {all:?}"));
            }
        }
        None
    }

    /// What must never be: a promise broken, or something that nobody wrote. `reclaimed`: tombstones may be gone.
    pub(crate) fn wrong(&self, history: &History, reclaimed: bool) -> Option<String> {
        for object in 0..crate::scenario::OBJECTS {
            let copies = || {
                let of = |contents: &Contents| {
                    contents
                        .iter()
                        .filter(|((_, of), _)| *of == hash(object))
                        .map(|(_, copy)| copy.clone())
                        .next()
                };
                let disks =
                    self.disks.iter().filter_map(move |(name, (_, contents))| Some((name, of(contents)?)));
                let aside = self.quarantine.iter().filter(move |(_, of, _)| *of == hash(object));
                disks.chain(aside.map(|(name, _, copy)| (name, copy.clone())))
            };
            let mut times = Times::default();
            for (name, copy) in copies() {
                times.join(copy.times);
                if let Some(problem) = history.made_up(object, &copy) {
                    return Some(format!("object {object} on {name}: {problem}"));
                }
            }
            if reclaimed && !self.disks.values().any(|(_, contents)| has(contents, object)) {
                continue;
            }
            if let Some(problem) = history.broken_promise(object, times) {
                return Some(format!("object {object}: {problem}"));
            }
        }
        None
    }

    /// Whether some devices have a body.
    pub(crate) fn has_bodies(&self, devices: &[DeviceName]) -> bool {
        let of = |device| self.disks.get(device).into_iter().flat_map(|(_, contents)| contents.values());
        devices.iter().flat_map(of).any(|copy| copy.kind == ObjectKind::Data)
    }

    /// Bodies that are anywhere but on some devices, and their times.
    pub(crate) fn bodies_but_of(&self, devices: &[DeviceName]) -> BTreeSet<(ObjectHash, Timestamp)> {
        let others = self.disks.iter().filter(|(name, _)| !devices.contains(name));
        let all = others.flat_map(|(_, (_, contents))| contents);
        let bodies = all.filter(|(_, copy)| copy.kind == ObjectKind::Data);
        bodies.map(|((_, hash), copy)| (*hash, copy.times.data)).collect()
    }

    /// Objects that can be read.
    pub(crate) fn live(&self) -> BTreeSet<ObjectHash> {
        let all = self.disks.values().flat_map(|(_, contents)| contents);
        all.filter(|(_, copy)| copy.kind == ObjectKind::Data).map(|((_, hash), _)| *hash).collect()
    }
}
