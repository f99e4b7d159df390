//! Our side: performs the operations of a history, and says what came of each, in the form of `stock_swift.py`.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use ssync_types::{
    Durability, FragmentIndex, FragmentPreference, HeaderName, Metadata, ObjectPath, Partition, PolicyIndex,
    Suffix, SuffixHash, Timestamp,
};

use super::{
    clocked::{Clock, Clocked},
    damage,
};
use crate::{
    DataFile, Device, DiskError, Found, Location, MetaFile, OpenObject, OpenOptions, Reserve, attributes,
    device::{AtQuarantine, Settings},
    disk::{OpenMode, RealDisk},
    layout,
    tests::bed,
};

/// Times of files at or above this were set by the kernel, not by a test.
const FRESH: u64 = 1_700_000_000;

/// Bytes as text of which each character is one byte.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The reverse.
pub(super) fn raw(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("each character is a byte")).collect()
}

pub(super) fn seconds(seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros((seconds * 1e6).round() as u64)
}

/// A device with its history's settings.
pub(super) struct Ours {
    pub(super) root: PathBuf,
    devices: PathBuf,
    settings: Settings,
    named: bool,
    clock: Clock,
    device: Arc<Device>,
    objects: Vec<ObjectPath>,
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn time(value: &Value) -> Timestamp {
    string(value).parse().unwrap()
}

fn fragment(value: &Value) -> Option<FragmentIndex> {
    value.as_u64().map(|index| FragmentIndex::new(index as u16))
}

fn policy(op: &Value) -> PolicyIndex {
    PolicyIndex::new(number(&op["policy"]) as u32)
}

fn partition(op: &Value) -> Partition {
    Partition::new(number(&op["partition"]) as u32)
}

fn suffixes(value: &Value) -> Vec<Suffix> {
    list(value).iter().filter_map(|name| Suffix::from_name(string(name).as_bytes())).collect()
}

fn metadata(value: &Value) -> Metadata {
    let mut metadata = Metadata::new();
    for (name, value) in value.as_object().unwrap() {
        metadata.insert(HeaderName::new(&raw(name)).unwrap(), raw(string(value)));
    }
    metadata
}

fn headers(metadata: &Metadata) -> Value {
    let pairs = metadata.iter().map(|(name, value)| (text(name.as_bytes()), Value::from(text(value))));
    Value::Object(pairs.collect::<Map<_, _>>())
}

impl Ours {
    pub(super) fn new(history: &Value, devices: &Path) -> Self {
        let root = devices.join("sda");
        fs::create_dir_all(&root).unwrap();
        let mut settings = bed::settings(devices.to_path_buf());
        settings.config.reclaim_age = Duration::from_secs(number(&history["reclaim_age"]));
        settings.config.commit_window = Duration::from_secs(number(&history["commit_window"]));
        settings.config.durability = match number(&history["durability"]) {
            0 => Durability::None,
            1 => Durability::Object,
            _ => Durability::Batch,
        };
        let named = history["named"].as_bool().unwrap();
        let clock = Clock::new(seconds(history["now"].as_f64().unwrap()));
        let objects = list(&history["objects"])
            .iter()
            .map(|name| ObjectPath::parse(raw(string(name))).unwrap())
            .collect();
        let device = Self::open(devices, &settings, &clock, named);
        Self { root, devices: devices.to_path_buf(), settings, named, clock, device, objects }
    }

    fn open(devices: &Path, settings: &Settings, clock: &Clock, named: bool) -> Arc<Device> {
        let inner = RealDisk::open(&devices.join("sda"), false).unwrap();
        let disk = Clocked { inner, clock: clock.clone() };
        let settings = Settings {
            config: settings.config.clone(),
            hash: settings.hash.clone(),
            policies: settings.policies.clone(),
            at_quarantine: AtQuarantine::default(),
            at_commit: Default::default(),
            hashed: Default::default(),
            hashing: Default::default(),
        };
        let device = Device::on("sda".parse().unwrap(), Arc::new(settings), Box::new(disk), Arc::default());
        device.named_temporaries.store(named, Ordering::Relaxed);
        Arc::new(device)
    }

    /// The results of all operations.
    pub(super) fn perform_all(&mut self, ops: &[Value]) -> Vec<Value> {
        ops.iter().map(|op| self.perform(op)).collect()
    }

    fn perform(&mut self, op: &Value) -> Value {
        let result = match string(&op["op"]) {
            "clock" => {
                self.clock.set(seconds(op["now"].as_f64().unwrap()));
                Ok(json!("done"))
            }
            "reserve" => {
                self.settings.config.fallocate_reserve = Reserve::Bytes(number(&op["bytes"]));
                self.device = Self::open(&self.devices, &self.settings, &self.clock, self.named);
                Ok(json!("done"))
            }
            "put" => self.put(op),
            "abandon" => self.abandon(op),
            "post" => self.post(op),
            "delete" => {
                let (at, path) = self.at(op);
                self.device
                    .write_tombstone(&at, path, time(&op["time"]), next_power(op))
                    .map(|()| json!("stored"))
            }
            "commit" => {
                let (at, _) = self.at(op);
                self.device
                    .commit_fragment(
                        &at,
                        fragment(&op["fragment"]).unwrap(),
                        time(&op["time"]),
                        next_power(op),
                    )
                    .map(|()| json!("stored"))
            }
            "open" => self.opened(op, false),
            "check" => self.opened(op, true),
            "hash" => self
                .device
                .suffix_hashes(
                    policy(op),
                    partition(op),
                    &suffixes(&op["rehash"]),
                    op["list"].as_bool().unwrap(),
                )
                .map(|hashes| {
                    hashes.iter().map(|(suffix, hash)| (suffix.to_string(), known(hash))).collect()
                }),
            "mark" => self
                .device
                .invalidate_suffixes(policy(op), partition(op), &suffixes(&op["suffixes"]))
                .map(|()| json!("done")),
            "pickle" => Ok(self.pickle(&layout::partition(policy(op), partition(op)))),
            "offers" => self.offers(op),
            "suffixes" => self
                .device
                .suffixes(policy(op), partition(op))
                .map(|found| found.iter().map(ToString::to_string).collect()),
            "attributes" => Ok(self.attributes(op)),
            "place" => Ok(damage::place(&self.root, op).unwrap()),
            "damage" => {
                Ok(damage::damage(&self.root.join(layout::object(&self.at(op).0)), op, self.clock.now())
                    .unwrap())
            }
            other => panic!("no operation {other}"),
        };
        if ["put", "post", "delete", "commit"].contains(&string(&op["op"])) {
            self.wear(&layout::object(&self.at(op).0));
        }
        result.unwrap_or_else(|error| json!(category(&error)))
    }

    fn at(&self, op: &Value) -> (Location, &ObjectPath) {
        let path = &self.objects[number(&op["object"]) as usize];
        let hash = self.settings.hash.hash(path);
        (Location { policy: policy(op), partition: hash.partition(number(&op["power"]) as u32), hash }, path)
    }

    fn put(&self, op: &Value) -> Result<Value, DiskError> {
        let (at, path) = self.at(op);
        let body = raw(string(&op["body"]));
        let size = op["sized"].as_bool().unwrap().then_some(body.len() as u64);
        let mut writer = self.device.create(&at, path, size)?;
        for piece in body.chunks(50) {
            writer.write(piece)?;
        }
        writer.commit(DataFile {
            timestamp: time(&op["time"]),
            metadata: metadata(&op["metadata"]),
            fragment: fragment(&op["fragment"]).map(|index| (index, op["durable"].as_bool().unwrap())),
            next_part_power: next_power(op),
        })?;
        Ok(json!("stored"))
    }

    fn abandon(&self, op: &Value) -> Result<Value, DiskError> {
        let (at, path) = self.at(op);
        self.device.create(&at, path, None)?.write(&raw(string(&op["body"])))?;
        Ok(json!("done"))
    }

    fn post(&self, op: &Value) -> Result<Value, DiskError> {
        let (at, path) = self.at(op);
        if op["look"].as_bool().unwrap() {
            let options = OpenOptions {
                fragment_preferences: Some(Vec::new()),
                open_expired: true,
                expected: Some(path.clone()),
                ..OpenOptions::default()
            };
            let found = self.device.open_object(&at, &options)?;
            if !matches!(found, Found::Object(_)) {
                return Ok(described(found, false));
            }
        }
        let meta = MetaFile {
            timestamp: time(&op["time"]),
            metadata: metadata(&op["metadata"]),
            content_type: op["type_time"].as_str().map(|time| time.parse().unwrap()),
            next_part_power: next_power(op),
        };
        self.device.write_meta(&at, path, &meta)?;
        Ok(json!("stored"))
    }

    fn opened(&self, op: &Value, check: bool) -> Result<Value, DiskError> {
        let (at, path) = self.at(op);
        let preferences = op["preferences"].as_array().map(|wishes| {
            let wish = |wish: &Value| FragmentPreference {
                timestamp: time(&wish[0]),
                excluded: list(&wish[1]).iter().filter_map(fragment).collect(),
            };
            wishes.iter().map(wish).collect()
        });
        let options = OpenOptions {
            fragment: fragment(&op["fragment"]),
            fragment_preferences: preferences,
            open_expired: op["open_expired"] == true,
            now: op["now"].as_f64().map(|now| Timestamp::from_system_time(seconds(now))),
            private: false,
            expected: (op["by"] == "name").then(|| path.clone()),
        };
        let found = match check {
            true => self.device.open_for_check(&at, &options)?,
            false => self.device.open_object(&at, &options)?,
        };
        Ok(described(found, op["read"] == true))
    }

    pub(super) fn pickle(&self, partition: &Path) -> Value {
        let hashes = self.device.read_hashes(partition);
        let known: Map<_, _> = hashes
            .suffixes
            .iter()
            .map(|(suffix, hash)| (suffix.to_string(), hash.as_ref().map_or(Value::Null, known)))
            .collect();
        json!({"valid": hashes.valid, "hashes": if hashes.valid { known } else { Map::new() }})
    }

    fn offers(&self, op: &Value) -> Result<Value, DiskError> {
        let suffix = Suffix::from_name(string(&op["suffix"]).as_bytes()).unwrap();
        let mut offers: Vec<_> = self
            .device
            .list_suffix(policy(op), partition(op), suffix)?
            .into_iter()
            .map(|object| {
                let index = object.fragment.map(FragmentIndex::get);
                let offer = object.offer;
                let sort = (offer.hash.to_string(), index);
                let times = [offer.data, offer.metadata, offer.content_type].map(Timestamp::internal);
                (sort, json!([offer.hash.to_string(), times[0], times[1], times[2], offer.durable, index]))
            })
            .collect();
        offers.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(offers.into_iter().map(|(_, offer)| offer).collect())
    }

    fn attributes(&self, op: &Value) -> Value {
        let directory = layout::object(&self.at(op).0);
        let names = names(&self.root.join(&directory));
        names
            .iter()
            .map(|name| {
                let path = directory.join(OsStr::from_bytes(name));
                (text(name), file_attributes(&self.device, &path))
            })
            .collect::<Map<_, _>>()
            .into()
    }

    /// Gives files that were just written the time of the test's clock.
    fn wear(&self, directory: &Path) {
        let directory = self.root.join(directory);
        for name in names(&directory) {
            let path = directory.join(OsStr::from_bytes(&name));
            let Ok(modified) = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()) else {
                continue;
            };
            if modified >= UNIX_EPOCH + Duration::from_secs(FRESH) {
                damage::set_modified(&path, self.clock.now()).unwrap();
            }
        }
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }
}

/// Names in a directory, in order.
pub(super) fn names(directory: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect();
    names.sort();
    names
}

/// What a file's attributes say.
pub(super) fn file_attributes(device: &Device, path: &Path) -> Value {
    let read = || -> io::Result<Value> {
        let file = device.disk.open(path, OpenMode::Read)?;
        Ok(match attributes::read(&*file) {
            Ok(read) => json!([read.name.map(|name| text(&name)), headers(&read.metadata)]),
            Err(_) => json!("damaged"),
        })
    };
    read().unwrap_or_else(|_| json!("damaged"))
}

fn next_power(op: &Value) -> Option<u32> {
    op["next_power"].as_u64().map(|power| power as u32)
}

fn known(hash: &SuffixHash) -> Value {
    match hash {
        SuffixHash::Replicated(hex) => json!(hex),
        SuffixHash::Unknown => Value::Null,
        SuffixHash::Fragments(hashes) => {
            let key = |index: &Option<FragmentIndex>| {
                index.map_or_else(|| "-".to_owned(), |index| index.to_string())
            };
            let pairs: BTreeMap<_, _> = hashes.iter().map(|(index, hex)| (key(index), hex)).collect();
            json!(pairs)
        }
    }
}

/// An error's kind, in the words of `stock_swift.py`.
fn category(error: &DiskError) -> &'static str {
    match error {
        DiskError::Damaged { .. } => "quarantined",
        DiskError::Collision { .. } => "collision",
        DiskError::StateChanged { .. } => "changed",
        DiskError::NotFound { .. } => "not found",
        DiskError::Full { .. } => "full",
        _ => "error",
    }
}

fn described(found: Found, read: bool) -> Value {
    match found {
        Found::Object(object) => whole(*object, read),
        Found::Tombstone(time) => json!({"found": "tombstone", "timestamp": time.internal()}),
        Found::Expired(object) => {
            json!({"found": "expired", "timestamp": object.info.timestamp.internal()})
        }
        Found::Nothing => json!("not found"),
    }
}

fn whole(object: OpenObject, read: bool) -> Value {
    let info = &object.info;
    let indexes = |set: &ssync_types::FragmentSet| -> Vec<u16> {
        set.indexes.iter().map(|index| index.get()).collect()
    };
    let fragments: Vec<_> =
        info.fragments.iter().map(|set| json!([set.timestamp.internal(), indexes(set)])).collect();
    let mut result = json!({
        "found": "object",
        "name": text(object.name.as_bytes()),
        "file": text(object.entry.name.as_bytes()),
        "timestamp": info.timestamp.internal(),
        "data": info.data.internal(),
        "content_type": info.content_type.internal(),
        "durable": info.durable.map(Timestamp::internal),
        "length": info.content_length,
        "metadata": headers(&info.metadata),
        "data_metadata": headers(&object.data_metadata),
        "meta": object.meta.as_ref().map(|meta| headers(&meta.metadata)),
        "fragments": fragments,
    });
    if read {
        result["body"] = body(object);
    }
    result
}

fn body(object: OpenObject) -> Value {
    let mut reader = object.into_reader();
    let mut body = Vec::new();
    loop {
        match reader.next_chunk() {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return json!(text(&body)),
            Err(error) => return json!(category(&error)),
        }
    }
}
