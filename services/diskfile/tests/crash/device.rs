//! The device that is cut off: on a simulated disk, with few partitions and names that share suffixes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ssync_types::{Durability, HashPathConfig, Metadata, ObjectPath, Timestamp};

use super::model::{Mark, Object, Seen, Sight, View, body, content_type, mark_of};
use crate::{
    DataFile, Device, DiskConfig, DiskError, Found, Location, MetaFile, OpenObject, OpenOptions, PolicyKind,
    Reserve, attributes,
    attributes::Attributes,
    device::{AtQuarantine, Settings},
    disk::write_all,
    name,
    publish::{Aftermath, Member, Publication},
    simulation::SimDisk,
    temporary::Temporary,
    tests::bed::{CODED, WHOLE},
};

/// Two partitions.
const PART_POWER: u32 = 1;
/// While the power is being raised: four.
pub(super) const NEXT_POWER: u32 = 2;
/// Longer than what any outage here takes.
pub(super) const RECLAIM_AGE: Duration = Duration::from_secs(1000);
const MARK: &str = "X-Object-Meta-Mark";

fn settings(durability: Durability) -> Arc<Settings> {
    let config = DiskConfig {
        devices: PathBuf::from("/none"),
        mount_check: false,
        fallocate_reserve: Reserve::Bytes(0),
        reclaim_age: RECLAIM_AGE,
        disk_chunk_size: 4096,
        durability,
        ..DiskConfig::default()
    };
    let policies = BTreeMap::from([
        (WHOLE, PolicyKind::Replication),
        (CODED, PolicyKind::ErasureCoding { fragments: 6 }),
    ]);
    Arc::new(Settings {
        config,
        hash: HashPathConfig::new("changeme", "changeme").unwrap(),
        policies,
        at_quarantine: AtQuarantine::default(),
        at_commit: Default::default(),
        hashed: Default::default(),
        hashing: Default::default(),
    })
}

/// A device as a program opens it that has just started.
pub(super) fn device(disk: &SimDisk, durability: Durability) -> Arc<Device> {
    static SETTINGS: OnceLock<[Arc<Settings>; 3]> = OnceLock::new();
    let all = SETTINGS
        .get_or_init(|| [Durability::Object, Durability::Batch, Durability::None].map(settings))
        .iter();
    let settings = all.into_iter().find(|settings| settings.config.durability == durability).unwrap();
    Arc::new(Device::on("sda".parse().unwrap(), Arc::clone(settings), Box::new(disk.clone()), Arc::default()))
}

/// Four objects: the first two share a suffix, the third only the partition with them, the fourth not even that.
pub(super) fn objects(coded: bool) -> Vec<Object> {
    static NAMES: OnceLock<Vec<ObjectPath>> = OnceLock::new();
    let salt = HashPathConfig::new("changeme", "changeme").unwrap();
    let names = NAMES.get_or_init(|| {
        let name = |n: usize| ObjectPath::of("a", "c", &format!("o{n}")).unwrap();
        let hash = |path: &ObjectPath| salt.hash(path);
        let partition = |path: &ObjectPath| hash(path).partition(PART_POWER);
        let first = name(0);
        let like_first = |path: &ObjectPath| partition(path) == partition(&first);
        let same_suffix = |path: &ObjectPath| hash(path).suffix() == hash(&first).suffix();
        let second = (1..).map(name).find(|path| like_first(path) && same_suffix(path)).unwrap();
        let third = (1..).map(name).find(|path| like_first(path) && !same_suffix(path)).unwrap();
        let fourth = (1..).map(name).find(|path| !like_first(path)).unwrap();
        vec![first, second, third, fourth]
    });
    let policy = if coded { CODED } else { WHOLE };
    let object = |path: &ObjectPath| {
        let hash = salt.hash(path);
        let at = Location { policy, partition: hash.partition(PART_POWER), hash };
        Object::new(path.clone(), at, coded)
    };
    names.iter().map(object).collect()
}

/// The object as the partition power after this one has it.
pub(super) fn in_next_partition(object: &Object) -> Object {
    let at = Location { partition: object.at.hash.partition(NEXT_POWER), ..object.at };
    Object::new(object.path.clone(), at, object.coded)
}

fn metadata(mark: Mark, typed: bool) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.set(MARK, mark.to_string());
    if typed {
        metadata.set("Content-Type", content_type(mark));
    }
    metadata
}

pub(super) fn put(
    device: &Arc<Device>,
    object: &Object,
    time: Timestamp,
    mark: Mark,
    fragment: Option<(u16, bool)>,
    next_part_power: Option<u32>,
) -> Result<(), DiskError> {
    let body = body(mark);
    let mut writer = device.create(&object.at, &object.path, Some(body.len() as u64))?;
    body.chunks(4096).try_for_each(|piece| writer.write(piece))?;
    let fragment = fragment.map(|(index, durable)| (ssync_types::FragmentIndex::new(index), durable));
    let file = DataFile { timestamp: time, metadata: metadata(mark, true), fragment, next_part_power };
    writer.commit(file).map(|_| ())
}

/// Bodies that one thread writes and publishes together.
pub(super) fn put_together(
    device: &Arc<Device>,
    puts: &[(&Object, Timestamp, Mark)],
) -> Vec<Result<(), DiskError>> {
    let mut sheaf = match device.sheaf() {
        Ok(sheaf) => sheaf,
        Err(error) => return puts.iter().map(|_| Err(error.clone())).collect(),
    };
    let mut add = |(object, timestamp, mark): &(&Object, Timestamp, Mark)| {
        let (body, metadata) = (body(*mark), metadata(*mark, true));
        sheaf.is_vacant(&object.at);
        let mut writer = sheaf.create(&object.at, &object.path, Some(body.len() as u64))?;
        writer.write(&body)?;
        let file = DataFile { timestamp: *timestamp, metadata, fragment: None, next_part_power: None };
        sheaf.add(writer, file).map(|_| ())
    };
    let added: Vec<_> = puts.iter().map(&mut add).collect();
    let mut published = sheaf.publish().into_iter();
    added.into_iter().map(|added| added.and_then(|()| published.next().unwrap())).collect()
}

pub(super) fn post(
    device: &Arc<Device>,
    object: &Object,
    time: Timestamp,
    mark: Mark,
    content_type: Option<Timestamp>,
    next_part_power: Option<u32>,
) -> Result<(), DiskError> {
    let metadata = metadata(mark, content_type.is_some());
    let meta = MetaFile { timestamp: time, metadata, content_type, next_part_power };
    device.write_meta(&object.at, &object.path, &meta)
}

/// A body ready to be published with others.
pub(super) fn member(
    device: &Arc<Device>,
    object: &Object,
    time: Timestamp,
    mark: Option<Mark>,
) -> Result<Member, DiskError> {
    let file = Temporary::create(device, &object.at)?;
    let failed = |error| DiskError::io(&device.name, "write", std::path::Path::new(""), error);
    let body = mark.map(body).unwrap_or_default();
    let mut metadata = mark.map(|mark| metadata(mark, true)).unwrap_or_default();
    metadata.set("X-Timestamp", time.internal());
    if mark.is_some() {
        write_all(&*file.file, &body, 0).map_err(failed)?;
        metadata.set("Content-Length", body.len().to_string());
        metadata.set("ETag", crate::digest::hex(md5::Digest::new_with_prefix(&body)));
    }
    let attributes = Attributes { name: Some(object.path.to_bytes()), metadata };
    attributes::write(&*file.file, &attributes).map_err(failed)?;
    Ok(Member::new(Publication {
        file,
        at: object.at,
        name: if mark.is_some() { name::data(time) } else { name::tombstone(time) },
        needs_body: false,
        then: Aftermath { replaces: None, clean_up: true, next_part_power: None },
    }))
}

/// What one sees of an object; an error says what is half, or not as it should be.
pub(super) fn look(device: &Arc<Device>, object: &Object) -> Result<Sight, String> {
    let options = OpenOptions { expected: Some(object.path.clone()), ..OpenOptions::default() };
    let view = match device.open_object(&object.at, &options) {
        Ok(Found::Object(found)) => seen(*found)?.map_or(View::Damaged, |(seen, _)| View::Object(seen)),
        Ok(Found::Tombstone(time)) => View::Tombstone(time),
        Ok(Found::Nothing) => View::Nothing,
        Ok(Found::Expired(_)) => return Err("has expired".to_owned()),
        Err(DiskError::Damaged { .. }) => View::Damaged,
        Err(error) => return Err(error.to_string()),
    };
    if !object.coded {
        return Ok((view, None));
    }
    let any = OpenOptions { fragment_preferences: Some(Vec::new()), ..options };
    let any = match device.open_object(&object.at, &any) {
        Ok(Found::Object(found)) => seen(*found)?.map(|(seen, index)| (seen.data, index, seen.body)),
        Ok(Found::Tombstone(_) | Found::Nothing) => None,
        other => return Err(format!("as any fragment: {other:?}")),
    };
    Ok((view, any))
}

/// What an object says of itself, and which fragment it is; `None` for one that is damaged.
fn seen(found: OpenObject) -> Result<Option<(Seen, u16)>, String> {
    let fragment = found.fragment.map_or(0, ssync_types::FragmentIndex::get);
    let info = found.info.clone();
    let text = |name: &str| info.metadata.get_str(name).map(str::to_owned);
    let mark = text(MARK).and_then(|mark| mark.parse().ok()).ok_or("has no number in its metadata")?;
    let content_type = text("Content-Type").ok_or("has no content type")?;
    let (mut reader, mut bytes) = (found.into_reader(), Vec::new());
    loop {
        match reader.next_chunk() {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => break,
            Err(DiskError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
    }
    let body =
        mark_of(&bytes).ok_or_else(|| format!("has a body that nobody wrote: {} bytes", bytes.len()))?;
    let (data, time, content_type_time) = (info.data, info.timestamp, info.content_type);
    Ok(Some((Seen { data, time, content_type_time, content_type, mark, body }, fragment)))
}
