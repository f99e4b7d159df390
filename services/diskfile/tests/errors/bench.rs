//! A device on a simulated disk, in one of several states, with one call that is to go wrong.

use std::{
    cell::Cell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::io::Errno;
use ssync_types::{Durability, FragmentIndex, Metadata, Partition, PolicyIndex, Refusal, Timestamp};

use crate::{
    DataFile, Device, DiskConfig, DiskError, Found, Location, MetaFile, OpenOptions,
    device::Settings,
    disk::{Disk as _, OpenMode, write_all},
    layout,
    simulation::{Again, Faults, Options, SimDisk},
    tests::bed::{CODED, WHOLE, path, release_item, settings},
};

/// Some time before the simulated clock begins.
const MORNING: u64 = 1_699_990_000;
/// The partition power, and the one that it is raised to.
const POWER: u32 = 10;
pub(super) const NEXT_POWER: u32 = 11;
/// Old enough for a directory's name to count as flushed, whoever made it.
const SETTLED: Duration = Duration::from_secs(100);

pub(super) const BODY: &[u8] = b"a body of several bytes";

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(MORNING + seconds)
}

/// What a device holds before something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Fresh,
    /// An object of time 10 and a neighbour, their hashes known.
    Exists,
    /// The same, and notes are pending that the neighbour has changed.
    Noted,
    /// A body, the metadata of a POST, the content type of another, and an older body that could not be removed.
    Rich,
    /// An object newer than all that comes.
    Newer,
    /// A tombstone of time 10.
    Deleted,
    /// A tombstone that is old enough to go, and a neighbour.
    Reclaimable,
    /// A durable fragment, and a newer one that waits for its mark.
    Coded,
    /// A body that is longer than its metadata says.
    Damaged,
    /// A body that has not the MD5 that its metadata says.
    Rotten,
    /// An object that somebody put there and did not flush.
    Unflushed,
    /// A partition in which there is nothing any more; its hashes still know of it.
    Emptied,
}

/// How a device is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) state: State,
    /// The file system can make files without names.
    pub(super) nameless: bool,
    pub(super) durability: Durability,
}

/// What goes wrong, by the number of the call, counted from where the operation proper begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Error(u64, Errno, Again),
    Short(u64),
}

/// What an operation says when it has succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Promise {
    /// The result, spelled out.
    pub(super) lines: Vec<String>,
    /// Objects that are on disk now as they are after the undisturbed operation.
    pub(super) kept: Vec<String>,
}

pub(super) type Answer = Result<Promise, Refusal>;

pub(super) struct Bench {
    pub(super) disk: SimDisk,
    pub(super) device: Arc<Device>,
    fault: Cell<Option<Fault>>,
    /// The number of the first call of the operation proper.
    begun: Cell<u64>,
}

/// Small, so that a body has several pieces.
const CHUNK: usize = 16;

fn device_on(disk: &SimDisk, durability: Durability, disk_chunk_size: usize) -> Arc<Device> {
    let settings = settings(PathBuf::from("/nowhere"));
    let config = DiskConfig {
        reclaim_age: Duration::from_secs(604_800),
        mb_per_sync: 1,
        disk_chunk_size,
        durability,
        ..settings.config
    };
    let settings = Settings { config, ..settings };
    Arc::new(Device::on("sda".parse().unwrap(), Arc::new(settings), Box::new(disk.clone()), Arc::default()))
}

impl Bench {
    /// A device in a state, all of it flushed but where the state says otherwise.
    pub(super) fn build(setup: Setup) -> SimDisk {
        let disk = SimDisk::new(Options { nameless: setup.nameless, ..Options::default() });
        let bench = Self::on(&disk, Durability::Object, None);
        bench.fill(setup.state);
        if setup.state != State::Unflushed {
            bench.device.sync().unwrap();
        }
        disk
    }

    pub(super) fn on(disk: &SimDisk, durability: Durability, fault: Option<Fault>) -> Self {
        let device = device_on(disk, durability, CHUNK);
        Self { disk: disk.clone(), device, fault: Cell::new(fault), begun: Cell::new(0) }
    }

    /// To look at what is there.
    fn looking_at(disk: &SimDisk) -> Self {
        let device = device_on(disk, Durability::None, 4096);
        Self { disk: disk.clone(), device, fault: Cell::new(None), begun: Cell::new(0) }
    }

    /// From here on things go wrong; what was before was only to get there.
    pub(super) fn arm(&self) {
        let calls = self.disk.counts().calls;
        self.begun.set(calls);
        self.disk.start_log();
        match self.fault.take() {
            Some(Fault::Error(number, error, again)) => {
                self.disk.set_faults(Faults::default().at(calls + number, error, again));
            }
            Some(Fault::Short(number)) => self.disk.set_faults(Faults::default().short_at(calls + number)),
            None => {}
        }
    }

    /// Nothing goes wrong any more. Gives what was done, and how many calls that were.
    pub(super) fn disarm(&self) -> (Vec<String>, u64) {
        self.disk.set_faults(Faults::default());
        (self.disk.take_log(), self.disk.counts().calls - self.begun.get())
    }

    // === What it holds ===

    fn fill(&self, state: State) {
        let neighbour = self.neighbour();
        let put = |name: &str, time| self.put(&self.at(name), name, BODY, time, None).unwrap();
        if !matches!(state, State::Fresh | State::Coded | State::Emptied) {
            put(&neighbour, at(5));
        }
        match state {
            State::Fresh => return,
            State::Exists | State::Noted | State::Damaged | State::Rotten | State::Unflushed => {
                put("o", at(10));
            }
            State::Newer => put("o", at(1000)),
            State::Deleted => self.delete(&self.at("o"), at(10), None).unwrap(),
            State::Reclaimable => {
                self.delete(&self.at("o"), Timestamp::from_seconds(1_600_000_000), None).unwrap();
            }
            State::Emptied => {
                put("o", at(10));
                self.hash("o");
                let lock = self.device.lock_partition(WHOLE, self.at("o").partition, Duration::ZERO).unwrap();
                let item = release_item(self.at("o").hash, &self.files_of("o"));
                self.device.release_together(&lock, &[item]);
                return;
            }
            State::Rich => {
                put("o", at(8));
                self.disk.set_faults(Faults::default().named("unlink objects", Errno::IO, Again::Always));
                put("o", at(10));
                self.disk.set_faults(Faults::default());
                self.post(&self.at("o"), at(15), Some(at(15)), None).unwrap();
                self.post(&self.at("o"), at(20), None, None).unwrap();
            }
            State::Coded => {
                self.put(&self.coded("o"), "o", BODY, at(10), Some((2, true))).unwrap();
                self.put(&self.coded("o"), "o", BODY, at(20), Some((3, false))).unwrap();
            }
        }
        let file = layout::object(&self.at("o")).join(format!("{}.data", at(10).internal()));
        match state {
            State::Rich => {
                // Once more, since every cleaning takes it away.
                self.disk.set_faults(Faults::default().named("unlink objects", Errno::IO, Again::Always));
                put("o", at(9));
                self.disk.set_faults(Faults::default());
                self.disk.advance(SETTLED);
            }
            State::Damaged => {
                write_all(&*self.disk.open(&file, OpenMode::Append).unwrap(), b"more", 0).unwrap();
            }
            State::Rotten => self.rot(&file),
            State::Exists | State::Reclaimable => self.disk.advance(SETTLED),
            State::Unflushed => {
                self.device.sync().unwrap();
                let late = Self::on(&self.disk, Durability::None, None);
                late.put(&self.at("o"), "o", BODY, at(30), None).unwrap();
                return;
            }
            _ => {}
        }
        for policy in [WHOLE, CODED] {
            self.device.suffix_hashes(policy, self.at("o").partition, &[], true).unwrap();
        }
        if state == State::Noted {
            put(&neighbour, at(6));
        }
    }

    /// Other bytes, as many, in a file's place, with its attributes.
    fn rot(&self, file: &Path) {
        let opened = self.disk.open(file, OpenMode::Read).unwrap();
        let names = ["user.swift.metadata", "user.swift.metadata_checksum"];
        let attributes = names.map(|name| (name, opened.attribute(name).unwrap()));
        drop(opened);
        let attributes = attributes.each_ref().map(|(name, value)| (*name, value.as_slice()));
        self.disk.plant(file, &vec![b'x'; BODY.len()], &attributes);
    }

    // === Names ===

    fn of_policy(&self, name: &str, policy: PolicyIndex, power: u32) -> Location {
        let hash = self.device.settings.hash.hash(&path(name));
        Location { policy, partition: hash.partition(power), hash }
    }

    pub(super) fn at(&self, name: &str) -> Location {
        self.of_policy(name, WHOLE, POWER)
    }

    pub(super) fn coded(&self, name: &str) -> Location {
        self.of_policy(name, CODED, POWER)
    }

    pub(super) fn partition(&self) -> Partition {
        self.at("o").partition
    }

    /// Another object of the partition of `o`.
    pub(super) fn neighbour(&self) -> String {
        // The first of its kind, found once for all tests.
        static FOUND: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let search = || {
            (0..).map(|n| format!("n{n}")).find(|name| self.at(name).partition == self.partition()).unwrap()
        };
        FOUND.get_or_init(search).clone()
    }

    // === What is done to it ===

    pub(super) fn put(
        &self,
        to: &Location,
        name: &str,
        body: &[u8],
        time: Timestamp,
        fragment: Option<(u16, bool)>,
    ) -> Result<(), DiskError> {
        self.put_all(to, name, body, Some(body.len() as u64), data_file(time, fragment, None))
    }

    pub(super) fn put_all(
        &self,
        to: &Location,
        name: &str,
        body: &[u8],
        size: Option<u64>,
        file: DataFile,
    ) -> Result<(), DiskError> {
        let mut writer = self.device.create(to, &path(name), size)?;
        for piece in body.chunks(600 << 10) {
            writer.write(piece)?;
        }
        writer.commit(file).map(|_| ())
    }

    pub(super) fn post(
        &self,
        to: &Location,
        time: Timestamp,
        content_type: Option<Timestamp>,
        next_part_power: Option<u32>,
    ) -> Result<(), DiskError> {
        let mut metadata = Metadata::new();
        metadata.set("X-Object-Meta-Posted", time.internal());
        if let Some(time) = content_type {
            metadata.set("Content-Type", format!("text/{}", time.seconds()));
        }
        let meta = MetaFile { timestamp: time, metadata, content_type, next_part_power };
        self.device.write_meta(to, &path("o"), &meta)
    }

    pub(super) fn delete(
        &self,
        to: &Location,
        time: Timestamp,
        next_part_power: Option<u32>,
    ) -> Result<(), DiskError> {
        self.device.write_tombstone(to, &path("o"), time, next_part_power)
    }

    /// The files of an object, as an offer has them.
    pub(super) fn files_of(&self, name: &str) -> Vec<ssync_types::ReleaseFile> {
        let at = self.at(name);
        let listed = self.device.list_suffix(at.policy, at.partition, at.hash.suffix()).unwrap();
        listed
            .into_iter()
            .find(|object| object.offer.hash == at.hash)
            .map(|object| object.files)
            .unwrap_or_default()
    }

    fn hash(&self, name: &str) {
        self.device.suffix_hashes(WHOLE, self.at(name).partition, &[], true).unwrap();
    }
}

pub(super) fn data_file(
    timestamp: Timestamp,
    fragment: Option<(u16, bool)>,
    next_part_power: Option<u32>,
) -> DataFile {
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "text/plain");
    let fragment = fragment.map(|(index, durable)| (FragmentIndex::new(index), durable));
    DataFile { timestamp, metadata, fragment, next_part_power }
}

/// An object, spelled out, its body read to the end.
fn spell(found: Result<Found, DiskError>) -> String {
    let mut object = match found {
        Ok(Found::Object(object) | Found::Expired(object)) => object,
        Ok(other) => return format!("{other:?}"),
        Err(error) => return error.to_string(),
    };
    // A durable fragment may have its other name still.
    object.info.fragments.iter_mut().for_each(|set| set.indexes.dedup());
    let mut text = format!("{} {:?} {:?} {:?} ", object.name, object.info, object.meta, object.fragment);
    let mut reader = object.into_reader();
    loop {
        match reader.next_chunk() {
            Ok(Some(piece)) => text.push_str(&String::from_utf8_lossy(&piece)),
            Ok(None) => return text,
            Err(error) => return format!("{text}{error}"),
        }
    }
}

/// What clients would see of every object. Looks at a copy: looking can change things.
pub(super) fn view(disk: &SimDisk) -> BTreeMap<String, String> {
    let bench = Bench::looking_at(&disk.snapshot());
    let mut view = BTreeMap::new();
    let mut look = |name: String, at: Location, options: OpenOptions| {
        view.insert(name, spell(bench.device.open_object(&at, &options)));
    };
    for name in ["o".to_owned(), "p".to_owned(), bench.neighbour()] {
        look(name.clone(), bench.at(&name), OpenOptions::default());
    }
    look("o, next power".to_owned(), bench.of_policy("o", WHOLE, NEXT_POWER), OpenOptions::default());
    look("o, durable".to_owned(), bench.coded("o"), OpenOptions::default());
    for index in [2, 3] {
        let options = OpenOptions {
            fragment: Some(FragmentIndex::new(index)),
            fragment_preferences: Some(Vec::new()),
            ..OpenOptions::default()
        };
        look(format!("o#{index}"), bench.coded("o"), options);
    }
    view
}

/// Hashes that differ from what they are when all is calculated anew: a change that nobody took a note of.
pub(super) fn unnoted(disk: &SimDisk) -> Vec<String> {
    let known = Bench::looking_at(&disk.snapshot());
    let anew = Bench::looking_at(&disk.snapshot());
    let next = known.of_policy("o", WHOLE, NEXT_POWER).partition;
    let mut wrong = Vec::new();
    for policy in [WHOLE, CODED] {
        // Swift leaves the partition of the next power to the relinker, and its notes too.
        let partitions = known.device.partitions(policy).unwrap().partitions;
        for partition in partitions.into_iter().filter(|partition| *partition != next) {
            let _ = anew.disk.unlink(&layout::partition(policy, partition).join(layout::HASHES));
            let known = known.device.suffix_hashes(policy, partition, &[], false).unwrap();
            let anew = anew.device.suffix_hashes(policy, partition, &[], true).unwrap();
            if known != anew {
                wrong.push(format!("{policy}/{partition}: {known:?}, anew {anew:?}"));
            }
        }
    }
    wrong
}
