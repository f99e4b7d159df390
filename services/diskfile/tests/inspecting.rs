//! What an inspector sees of what was planted, and that it leaves everything as it was.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ssync_types::{Partition, Suffix, Timestamp};

use super::bed::{Bed, WHOLE, ago};
use crate::{FlawKind, Location, OnRecord, SuffixInspection, layout};

/// Everything below a directory: name, inode, size, time of its contents.
fn tree(root: &Path) -> Vec<(PathBuf, u64, u64, i64, i64)> {
    let mut all = Vec::new();
    let mut places = vec![root.to_path_buf()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).unwrap() {
            let (path, stat) = {
                let entry = entry.unwrap();
                (entry.path(), entry.metadata().unwrap())
            };
            all.push((path.clone(), stat.ino(), stat.size(), stat.mtime(), stat.mtime_nsec()));
            if stat.is_dir() {
                places.push(path);
            }
        }
    }
    all.sort();
    all
}

/// Nobody has written there for an hour.
fn quiet(bed: &Bed) {
    let hour = SystemTime::now() - Duration::from_secs(3600);
    for (path, ..) in tree(&bed.real("")) {
        if path.is_dir() {
            fs::File::open(path).unwrap().set_modified(hour).unwrap();
        }
    }
}

fn put(bed: &Bed, time: Timestamp) -> Location {
    bed.put("o", b"body", time);
    bed.location("o")
}

struct Scene {
    bed: Bed,
    at: Location,
}

impl Scene {
    /// An object, hashed.
    fn new() -> Self {
        let bed = Bed::new();
        let at = put(&bed, ago(7200));
        bed.device.suffix_hashes(WHOLE, at.partition, &[], true).unwrap();
        quiet(&bed);
        Self { bed, at }
    }

    fn look(&self) -> SuffixInspection {
        let before = tree(&self.bed.real(""));
        let found =
            self.bed.device.inspect_suffix(WHOLE, self.at.partition, self.at.hash.suffix(), None).unwrap();
        assert_eq!(tree(&self.bed.real("")), before, "a look changes nothing");
        found
    }

    fn directory(&self) -> PathBuf {
        self.bed.real("").join(layout::object(&self.at))
    }

    fn file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.directory()).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|found| found == "data")).unwrap()
    }

    fn kinds(&self) -> Vec<FlawKind> {
        self.look().flaws.into_iter().map(|flaw| flaw.kind).collect()
    }
}

#[test]
fn a_whole_object_has_no_flaw_and_the_hash_on_record() {
    let scene = Scene::new();
    let found = scene.look();
    assert_eq!((found.objects, found.bytes, found.tombstones), (1, 4, 0));
    assert!(found.flaws.is_empty() && !found.changing, "{found:?}");
    let records = scene.bed.device.records(WHOLE, scene.at.partition).unwrap();
    assert!(found.hash.is_some());
    assert_eq!(records.of(scene.at.hash.suffix()), OnRecord::Known(found.hash));
    assert_eq!(records.suffixes().collect::<Vec<_>>(), [scene.at.hash.suffix()]);
}

#[test]
fn what_is_published_without_a_note_differs_from_the_record_and_with_one_is_stale() {
    let scene = Scene::new();
    let data = scene.file();
    let newer = scene.directory().join(format!("{}.data", ago(60).internal()));
    fs::copy(&data, &newer).unwrap();
    quiet(&scene.bed);
    let found = scene.look();
    let records = |scene: &Scene| scene.bed.device.records(WHOLE, scene.at.partition).unwrap();
    let OnRecord::Known(known) = records(&scene).of(scene.at.hash.suffix()) else { panic!("known") };
    assert_ne!(known, found.hash);
    let partition = scene.bed.real("").join(layout::partition(WHOLE, scene.at.partition));
    fs::write(partition.join(layout::INVALIDATIONS), format!("{}\n", scene.at.hash.suffix())).unwrap();
    assert_eq!(records(&scene).of(scene.at.hash.suffix()), OnRecord::Stale);
    fs::write(partition.join(layout::HASHES), "junk").unwrap();
    assert_eq!(records(&scene).of(scene.at.hash.suffix()), OnRecord::Nothing);
}

#[test]
fn what_was_written_a_moment_ago_is_changing() {
    let scene = Scene::new();
    fs::File::open(scene.directory()).unwrap().set_modified(SystemTime::now()).unwrap();
    assert!(scene.look().changing);
}

#[test]
fn each_flaw_is_named() {
    let scene = Scene::new();
    let data = scene.file();
    fs::write(&data, "longer than before").unwrap();
    assert!(
        matches!(&scene.kinds()[..], [FlawKind::Damaged(how)] if how.contains("18 bytes") && how.contains("say 4"))
    );

    let scene = Scene::new();
    rustix::fs::removexattr(scene.file(), c"user.swift.metadata").unwrap();
    assert!(matches!(&scene.kinds()[..], [FlawKind::Damaged(_)]));

    let scene = Scene::new();
    fs::rename(scene.file(), scene.directory().join(format!("{}.data", ago(7000).internal()))).unwrap();
    assert!(matches!(&scene.kinds()[..], [FlawKind::Damaged(how)] if how.contains("another time")));

    let scene = Scene::new();
    fs::write(scene.directory().join(".x.data.AbCdEf"), "").unwrap();
    fs::write(scene.directory().parent().unwrap().join("no-object"), "").unwrap();
    let kinds = scene.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == FlawKind::Stray).count(), 2, "{kinds:?}");

    let scene = Scene::new();
    let old = scene.directory().join(format!("{}.ts", ago(9000).internal()));
    fs::write(old, "").unwrap();
    assert_eq!(scene.kinds(), [FlawKind::Superseded]);
}

#[test]
fn an_object_in_anothers_place_and_one_of_tomorrow_are_named() {
    let scene = Scene::new();
    let elsewhere = scene.directory().parent().unwrap().join("00000000000000000000000000000fff");
    fs::rename(scene.directory(), elsewhere).unwrap();
    let kinds = scene.kinds();
    assert!(kinds.contains(&FlawKind::Misplaced), "{kinds:?}");
    assert!(
        kinds.iter().any(|kind| matches!(kind, FlawKind::Damaged(how) if how.contains("says that it is of")))
    );

    let bed = Bed::new();
    let tomorrow = Timestamp::from_system_time(SystemTime::now() + Duration::from_secs(86_400));
    let at = put(&bed, tomorrow);
    assert_eq!(Scene { bed, at }.kinds(), [FlawKind::Ahead]);
}

#[test]
fn an_old_tombstone_is_due_and_its_suffix_changes_by_itself() {
    let bed = Bed::with(|config| config.reclaim_age = Duration::from_secs(3600));
    bed.delete("o", ago(60));
    let at = bed.location("o");
    bed.watch.set_clock(SystemTime::now() + Duration::from_secs(7200));
    quiet(&bed);
    let found = Scene { bed, at }.look();
    assert_eq!((found.tombstones, found.changing), (1, true));
    assert_eq!(found.flaws[0].kind, FlawKind::Reclaimable);
}

#[test]
fn a_partition_has_its_suffixes_and_what_is_no_business_there() {
    let scene = Scene::new();
    let partition = scene.bed.real("").join(layout::partition(WHOLE, scene.at.partition));
    fs::write(partition.join("tmpAbCdEf.tmp"), "").unwrap();
    let found = scene.bed.device.inspect_partition(WHOLE, scene.at.partition).unwrap();
    assert_eq!(found.suffixes, [scene.at.hash.suffix()]);
    assert_eq!(found.flaws.len(), 1, "{found:?}");
    fs::create_dir(scene.bed.real("").join("objects/007")).unwrap();
    let (numbers, flaws) = scene.bed.device.partition_numbers(WHOLE).unwrap();
    assert_eq!((numbers, flaws.len()), (vec![scene.at.partition], 1), "007 is no number in Swift's spelling");
    let nothing = scene.bed.device.inspect_suffix(WHOLE, Partition::new(1), Suffix::from_low_bits(1), None);
    assert_eq!(nothing.unwrap(), SuffixInspection::default());
}
