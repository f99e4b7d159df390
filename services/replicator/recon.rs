//! The cache file by which swift-recon learns of the last pass (Swift: common/recon.py dump_recon_cache).

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde_json::{Map, Value, json};
use ssync_types::DeviceName;

use crate::stats::PassStats;

const FILE_NAME: &str = "object.recon";
const PER_DISK: &str = "object_replication_per_disk";
/// How long Swift waits for the file's lock.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(10);
/// Largest file taken for a recon cache.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Why the cache was not written.
#[derive(Debug, thiserror::Error)]
#[error("recon cache {}: {source}; check recon_cache_path and who may write there", .path.display())]
pub(crate) struct ReconError {
    path: PathBuf,
    source: io::Error,
}

/// The keys of a pass. With `devices`, the same of each of them too, as Swift's replicator_workers leave it.
pub(crate) fn entries(
    stats: &PassStats,
    devices: Option<&BTreeMap<DeviceName, PassStats>>,
    end: SystemTime,
) -> Map<String, Value> {
    let mut entries = of_one(stats, stats.elapsed, end);
    if let Some(devices) = devices {
        let device = |(name, of_device): (&DeviceName, &PassStats)| {
            (name.to_string(), Value::Object(of_one(of_device, stats.elapsed, end)))
        };
        entries.insert(PER_DISK.into(), Value::Object(devices.iter().map(device).collect()));
    }
    entries
}

fn of_one(stats: &PassStats, elapsed: Duration, end: SystemTime) -> Map<String, Value> {
    let minutes = elapsed.as_secs_f64() / 60.0;
    let last = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let replication_stats = json!({
        "attempted": stats.attempted,
        "failure": stats.failure,
        "failure_nodes": stats.failure_nodes,
        "hashmatch": stats.hashmatch,
        "remove": stats.remove,
        "rsync": stats.rsync,
        "success": stats.success,
        "suffix_count": stats.suffix_count,
        "suffix_hash": stats.suffix_hash,
        "suffix_sync": stats.suffix_sync,
    });
    let mut entries = Map::new();
    entries.insert("replication_stats".into(), replication_stats);
    if stats.paused > 0 {
        // What was only looked at has not been replicated: who asks how long ago that was is told of the pass that did.
        return entries;
    }
    for (name, value) in [
        ("replication_time", minutes),
        ("replication_last", last),
        ("object_replication_time", minutes),
        ("object_replication_last", last),
    ] {
        entries.insert(name.into(), json!(value));
    }
    entries
}

/// Merges the entries into the cache of `folder`, under its lock, in place of the old file. A folder that does not exist
/// is not made. Blocks.
pub(crate) fn dump(folder: &Path, entries: Map<String, Value>) -> Result<(), ReconError> {
    let path = folder.join(FILE_NAME);
    if !folder.is_dir() {
        return Ok(());
    }
    replace(folder, &path, entries).map_err(|source| ReconError { path, source })
}

fn replace(folder: &Path, path: &Path, entries: Map<String, Value>) -> io::Result<()> {
    let mut cache = locked(path)?;
    let mut text = String::new();
    (&mut cache).take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    // As Swift: a cache that is no JSON is begun anew.
    let mut merged = serde_json::from_str::<Map<String, Value>>(&text).unwrap_or_default();
    forget_devices(&mut merged, &entries);
    merge(&mut merged, entries);
    let temporary = folder.join(format!(".{FILE_NAME}.{}.tmp", std::process::id()));
    let written = write_new(&temporary, &merged).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Devices that are this node's no more (Swift: replicator.py aggregate_recon_update).
fn forget_devices(cache: &mut Map<String, Value>, entries: &Map<String, Value>) {
    let now = entries.get(PER_DISK).and_then(Value::as_object);
    if let (Some(now), Some(known)) = (now, cache.get_mut(PER_DISK).and_then(Value::as_object_mut)) {
        known.retain(|device, _| now.contains_key(device));
    }
}

/// The cache file, locked. Who waited for the lock may hold a file that was replaced meanwhile, so it looks again.
fn locked(path: &Path) -> io::Result<File> {
    let give_up = Instant::now() + LOCK_WAIT_MAX;
    loop {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_current(&file, path)? => return Ok(file),
            Ok(()) | Err(Errno::AGAIN) if Instant::now() < give_up => thread::sleep(LOCK_POLL),
            Ok(()) | Err(Errno::AGAIN) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn is_current(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    match fs::metadata(path) {
        Ok(named) => Ok(named.ino() == file.metadata()?.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_new(path: &Path, cache: &Map<String, Value>) -> io::Result<()> {
    let mut file = File::create(path)?;
    // A JSON map of this crate keeps its keys in order, as Swift's cache does.
    serde_json::to_writer(&mut file, cache)?;
    file.write_all(b"\n")
}

/// A map is merged key by key, one level deep, and an empty value takes its key out (Swift: put_recon_cache_entry).
fn merge(cache: &mut Map<String, Value>, entries: Map<String, Value>) {
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    for (key, value) in entries {
        match value {
            Value::Object(inner) if inner.is_empty() => {
                cache.remove(&key);
            }
            Value::Object(inner) => {
                let old = cache.entry(key).or_insert_with(|| json!({}));
                if !old.is_object() {
                    *old = json!({});
                }
                for (name, value) in inner {
                    match old.as_object_mut() {
                        Some(old) if is_empty(&value) => drop(old.remove(&name)),
                        Some(old) => drop(old.insert(name, value)),
                        None => {}
                    }
                }
            }
            value => drop(cache.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path) -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(FILE_NAME)).unwrap()).unwrap()
    }

    #[test]
    fn keeps_what_others_wrote_and_replaces_our_keys() {
        let folder = tempfile::tempdir().unwrap();
        let old = r#"{"async_pending": 3, "replication_stats": {"attempted": 1, "old": 2}}"#;
        fs::write(folder.path().join(FILE_NAME), old).unwrap();
        let mut stats = PassStats { attempted: 7, elapsed: Duration::from_secs(90), ..PassStats::default() };
        stats.fail("10.0.0.1", &"d1".parse().unwrap());
        dump(folder.path(), entries(&stats, None, UNIX_EPOCH + Duration::from_secs(1000))).unwrap();
        let seen = read(folder.path());
        assert_eq!(seen["async_pending"], 3);
        assert_eq!(seen["replication_stats"]["attempted"], 7);
        assert_eq!(seen["replication_stats"]["failure_nodes"]["10.0.0.1"]["d1"], 1);
        assert_eq!(
            (&seen["replication_time"], &seen["object_replication_last"]),
            (&json!(1.5), &json!(1000.0))
        );
        stats.failure_nodes.clear();
        dump(folder.path(), entries(&stats, None, UNIX_EPOCH)).unwrap();
        let seen = read(folder.path());
        assert!(seen["replication_stats"].get("failure_nodes").is_none());
        assert_eq!(seen["replication_stats"]["old"], 2, "as Swift, which merges one level deep");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn begins_anew_after_rubbish_and_makes_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "{not json").unwrap();
        dump(folder.path(), entries(&PassStats::default(), None, UNIX_EPOCH)).unwrap();
        assert_eq!(read(folder.path())["replication_stats"]["attempted"], 0);
        let missing = folder.path().join("missing");
        dump(&missing, Map::new()).unwrap();
        assert!(!missing.exists());
    }

    #[test]
    fn devices_come_and_go_with_the_ring() {
        let folder = tempfile::tempdir().unwrap();
        let stats = PassStats { elapsed: Duration::from_secs(60), ..PassStats::default() };
        let pass = |names: &[&str]| {
            let devices = names
                .iter()
                .map(|name| (name.parse().unwrap(), PassStats { attempted: 2, ..PassStats::default() }));
            let devices: BTreeMap<DeviceName, PassStats> = devices.collect();
            dump(folder.path(), entries(&stats, Some(&devices), UNIX_EPOCH)).unwrap();
            read(folder.path())
        };
        let seen = pass(&["d1", "d2"]);
        assert_eq!(seen["object_replication_per_disk"]["d2"]["replication_stats"]["attempted"], 2);
        assert_eq!(seen["object_replication_per_disk"]["d2"]["object_replication_time"], 1.0);
        assert_eq!(seen["replication_time"], 1.0);
        let seen = pass(&["d2"]);
        let devices: Vec<_> = seen["object_replication_per_disk"].as_object().unwrap().keys().collect();
        assert_eq!(devices, ["d2"]);
    }
}
