//! A ring that follows its file.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use super::testdata;
use crate::{Ring, RingEvent, RingFile};

fn put(from: &str, to: &Path, age: u64) {
    let new = to.with_extension("new");
    fs::copy(testdata(from), &new).unwrap();
    set_age(&new, age);
    fs::rename(new, to).unwrap();
}

fn set_age(path: &Path, age: u64) {
    let modified = SystemTime::now() - Duration::from_secs(age);
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn follows_its_file_and_keeps_the_old_ring_when_the_new_one_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object.ring.gz");
    put("rings-v1/object.ring.gz", &path, 100);
    let file = RingFile::open(&path, None, Duration::ZERO).unwrap();
    let first = *file.ring().digest();
    assert!(file.refresh().is_none());

    // An earlier time is another time, too.
    put("uneven/v2.ring.gz", &path, 200);
    assert!(matches!(file.refresh(), Some(RingEvent::Reloaded(reloaded)) if reloaded == path));
    let second = *file.ring().digest();
    assert_ne!(first, second);
    assert_eq!(second, *Ring::load(&path).unwrap().digest());

    fs::write(&path, b"no ring").unwrap();
    set_age(&path, 50);
    assert!(
        matches!(file.refresh(), Some(RingEvent::Kept(error)) if error.to_string().contains("object.ring.gz"))
    );
    assert!(file.refresh().is_none(), "a bad file is told of once");
    assert_eq!(*file.ring().digest(), second);

    fs::remove_file(&path).unwrap();
    assert!(matches!(file.refresh(), Some(RingEvent::Kept(_))));
    assert!(file.refresh().is_none());
    assert_eq!(*file.ring().digest(), second);

    put("rings-v1/object.ring.gz", &path, 10);
    assert!(matches!(file.refresh(), Some(RingEvent::Reloaded(_))));
    assert_eq!(*file.ring().digest(), first);
}

#[test]
fn looks_only_when_it_is_time_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object.ring.gz");
    put("rings-v1/object.ring.gz", &path, 100);
    let file = RingFile::open(&path, None, RingFile::CHECK_INTERVAL).unwrap();
    put("uneven/v1.ring.gz", &path, 50);
    assert!(file.refresh().is_none());
}

#[test]
fn a_policy_may_fix_the_number_of_replicas() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object-1.ring.gz");
    put("rings-v1/object-1.ring.gz", &path, 100);
    assert!(RingFile::open(&path, Some(4), Duration::ZERO).is_err());
    let file = RingFile::open(&path, Some(3), Duration::ZERO).unwrap();
    put("rings-v1/object.ring.gz", &path, 50);
    assert!(
        matches!(file.refresh(), Some(RingEvent::Kept(error)) if error.to_string().contains("needs 3 replicas, and it has 2"))
    );
    assert_eq!(file.ring().replica_count(), 3.0);
}
