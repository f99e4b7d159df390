//! The same across a restart: a small file in the recon cache's folder. Whatever is wrong with it, a pass begins anew.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use ssync_types::{Partition, PolicyIndex};

use super::{Mark, Record, Slot, Spot};

const FILE_NAME: &str = "object-replicator.pass";
/// Of the form of this file.
const VERSION: u64 = 2;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most entries of each kind that are taken from it.
const ENTRIES_MAX: usize = 10_000;
/// A pass that was begun before this is not gone on with.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Why it was not written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; after a restart the pass begins anew: check recon_cache_path and who may write there", .path.display())]
pub(crate) struct CourseError {
    path: PathBuf,
    source: io::Error,
}

/// What was remembered, if it is of use now. Blocks.
pub(crate) fn load(folder: &Path, now: SystemTime) -> Option<Record> {
    let mut text = String::new();
    File::open(folder.join(FILE_NAME)).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let record = decode(&serde_json::from_str(&text).ok()?)?;
    let age = now.duration_since(record.begun).ok()?;
    (age <= AGE_MAX).then(|| record.recalled())
}

/// Puts it in place of what was there. A folder that does not exist is not made. Blocks.
pub(crate) fn save(folder: &Path, record: &Record) -> Result<(), CourseError> {
    if !folder.is_dir() {
        return Ok(());
    }
    let path = folder.join(FILE_NAME);
    let temporary = folder.join(format!(".{FILE_NAME}.{}.tmp", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(encode(record).to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    write().map_err(|source| {
        // What is half written is of no use, and not being able to remove it adds nothing.
        drop(fs::remove_file(&temporary));
        CourseError { path, source }
    })
}

/// The pass has come to its end. Blocks.
pub(crate) fn forget(folder: &Path) {
    // A file that stays is of a pass that is done: the next one skips nothing twice, and overwrites it.
    drop(fs::remove_file(folder.join(FILE_NAME)));
}

fn encode(record: &Record) -> Value {
    let mark = |(slot, mark): (&Slot, &Mark)| {
        json!({
            "device": slot.0.as_str(),
            "policy": slot.1.get(),
            "ring": mark.ring,
            "start": mark.start,
            "done": mark.done,
        })
    };
    let spot = |(device, policy, partition): &Spot| json!([device.as_str(), policy.get(), partition.get()]);
    json!({
        "version": VERSION,
        "seed": record.seed,
        "begun": record.begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        "marks": record.marks.iter().map(mark).collect::<Vec<_>>(),
        "under_way": record.under_way.iter().map(spot).collect::<Vec<_>>(),
        "deaths": record.deaths.iter().map(|(at, deaths)| json!([spot(at), deaths])).collect::<Vec<_>>(),
    })
}

fn decode(value: &Value) -> Option<Record> {
    let number = |name: &str| value.get(name)?.as_u64();
    if number("version")? != VERSION {
        return None;
    }
    let marks = value
        .get("marks")?
        .as_array()?
        .iter()
        .take(ENTRIES_MAX)
        .map(mark)
        .collect::<Option<BTreeMap<_, _>>>()?;
    let begun = UNIX_EPOCH.checked_add(Duration::from_secs(number("begun")?))?;
    let entries = |name: &str| Some(value.get(name)?.as_array()?.iter().take(ENTRIES_MAX));
    let under_way = entries("under_way")?.map(spot).collect::<Option<_>>()?;
    let died = |value: &Value| Some((spot(value.get(0)?)?, value.get(1)?.as_u64()?.try_into().ok()?));
    let deaths = entries("deaths")?.map(died).collect::<Option<_>>()?;
    Some(Record { seed: number("seed")?, begun, marks, under_way, deaths, has_died: false })
}

fn spot(value: &Value) -> Option<Spot> {
    let number = |place: usize| value.get(place)?.as_u64();
    let device = value.get(0)?.as_str()?.parse().ok()?;
    let policy = PolicyIndex::new(number(1)?.try_into().ok()?);
    Some((device, policy, Partition::new(number(2)?.try_into().ok()?)))
}

fn mark(value: &Value) -> Option<(Slot, Mark)> {
    let number = |name: &str| value.get(name)?.as_u64();
    let device = value.get("device")?.as_str()?.parse().ok()?;
    let policy = PolicyIndex::new(number("policy")?.try_into().ok()?);
    let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
    let ring = value.get("ring")?.as_array()?.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    Some(((device, policy), Mark { ring, start: number("start")?, done: number("done")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(begun: SystemTime) -> Record {
        let mark = Mark { ring: vec![1, 255, 0], start: u64::MAX, done: u64::MAX - 7 };
        let mut record = Record::new(u64::MAX - 1, begun);
        record.marks = [(("d1".parse().unwrap(), PolicyIndex::new(2)), mark)].into();
        record.under_way = [spot(7), spot(8)].into();
        record.deaths = [(spot(8), 4), (spot(9), 3)].into();
        record
    }

    fn spot(partition: u32) -> Spot {
        ("d1".parse().unwrap(), PolicyIndex::new(2), Partition::new(partition))
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_remembered_comes_back_while_it_is_of_use() {
        let folder = tempfile::tempdir().unwrap();
        let begun = 1_700_000_000;
        save(folder.path(), &record(at(begun))).unwrap();
        let loaded = load(folder.path(), at(begun + 5)).unwrap();
        assert_eq!(loaded, record(at(begun)).recalled());
        assert_eq!(loaded.deaths, [(spot(7), 1), (spot(8), 5), (spot(9), 3)].into());
        assert!(loaded.under_way.is_empty() && loaded.has_died);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        assert_eq!(load(folder.path(), at(begun + AGE_MAX.as_secs() + 1)), None, "too old");
        assert_eq!(load(folder.path(), at(begun - 5)), None, "from the future");
        forget(folder.path());
        assert_eq!(load(folder.path(), at(begun)), None);
        save(&folder.path().join("missing"), &record(at(begun))).unwrap();
        assert!(!folder.path().join("missing").exists());
    }

    #[test]
    fn rubbish_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let now = at(1_700_000_000);
        save(folder.path(), &record(now)).unwrap();
        let path = folder.path().join(FILE_NAME);
        let good = fs::read_to_string(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert_eq!(load(folder.path(), now), None, "cut off at {length}");
        }
        for (from, to) in [
            ("\"version\":2", "\"version\":1"),
            ("\"device\":\"d1\"", "\"device\":\"../d1\""),
            ("255", "256"),
            ("\"policy\":2", "\"policy\":-2"),
            ("\"seed\":", "\"seed\":-"),
            ("[\"d1\",2,7]", "[\"d1\",2]"),
            ("],4]", "],-4]"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from}");
            fs::write(&path, bad).unwrap();
            assert_eq!(load(folder.path(), now), None, "{to}");
        }
        fs::write(&path, [0xff; 1000]).unwrap();
        assert_eq!(load(folder.path(), now), None);
    }
}
