//! A device that is wholly full: a handoff there has to drain, and what cannot be done has to be told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ssync_types::{Durability, ReleaseItem, ReleaseOutcome};

use super::bench::{BODY, Bench, Setup, State, at, unnoted};
use crate::{
    DiskError, PartitionLock, ReleasedBatch,
    disk::Disk as _,
    layout,
    simulation::{Model, SimDisk},
    tests::bed::{WHOLE, release_item, release_open},
};

/// More than anything here needs.
const PLENTY: usize = 10_000;

/// What the device has when it fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    reserve: bool,
    /// `hashes.pkl` of the partition.
    hashes: bool,
    /// The lock file of an earlier drain.
    lock: bool,
    /// Blocks that are free.
    blocks: usize,
}

struct Handoff {
    disk: SimDisk,
    bench: Bench,
    names: Vec<String>,
    items: Vec<ReleaseItem>,
}

impl Handoff {
    /// Objects of one partition, one of them with metadata of its own, on a device without room.
    fn on_full_device(left: Left) -> Self {
        let disk =
            Bench::build(Setup { state: State::Fresh, nameless: true, durability: Durability::Object });
        let bench = Bench::on(&disk, Durability::Object, None);
        // Swift makes it on every device.
        bench.disk.make_dir(&layout::temporary(WHOLE)).unwrap();
        let inside =
            (0..).map(|n| format!("n{n}")).filter(|name| bench.at(name).partition == bench.partition());
        let names: Vec<String> = std::iter::once("o".to_owned()).chain(inside.take(5)).collect();
        for name in &names {
            // Longer than a block, so that draining makes room.
            bench.put(&bench.at(name), name, &BODY.repeat(500), at(10), None).unwrap();
        }
        bench.post(&bench.at("o"), at(20), None, None).unwrap();
        if left.hashes {
            bench.device.suffix_hashes(WHOLE, bench.partition(), &[], true).unwrap();
        }
        if left.lock {
            drop(bench.device.lock_partition(WHOLE, bench.partition(), Duration::ZERO).unwrap());
        }
        if left.reserve {
            bench.device.keep_reserve().unwrap();
        }
        let items =
            names.iter().map(|name| release_item(bench.at(name).hash, &bench.files_of(name))).collect();
        bench.device.sync().unwrap();
        disk.leave_blocks(left.blocks);
        Self { disk, bench, names, items }
    }

    /// The lock, as the receiver takes it.
    fn lock(&self) -> Result<PartitionLock, DiskError> {
        let (device, partition) = (&self.bench.device, self.bench.partition());
        let take = || Arc::clone(device).lock_partition(WHOLE, partition, Duration::ZERO);
        match take() {
            Err(DiskError::Full { .. }) if device.make_room(WHOLE, partition).unwrap() => take(),
            taken => taken,
        }
    }

    fn release(&self, lock: &PartitionLock) -> ReleasedBatch {
        let open = release_open(&self.bench.at(&self.names[0]));
        self.bench.device.release_batch(lock, &open, &self.items).unwrap()
    }

    fn objects(&self) -> BTreeSet<String> {
        self.disk.paths().into_iter().filter(|path| is_file_of_object(path)).collect()
    }

    /// Whether it is all as the outcomes say, and stays so whatever is cut off.
    fn check(&self, released: &ReleasedBatch, left: Left) {
        self.disk.leave_blocks(PLENTY);
        let here = self.objects();
        for (item, result) in self.items.iter().zip(&released.results) {
            let inside = layout::object(&crate::Location {
                policy: WHOLE,
                partition: self.bench.partition(),
                hash: item.offer.hash,
            });
            let count = here.iter().filter(|path| path.starts_with(&inside.display().to_string())).count();
            match &result.outcome {
                ReleaseOutcome::Released => assert_eq!(count, 0, "{left:?}"),
                _ => assert_eq!(count, item.files.len(), "{left:?}: {result:?}"),
            }
        }
        assert!(!self.disk.paths().iter().any(|path| path.starts_with("tmp/held/") && !path.ends_with('/')));
        assert_eq!(unnoted(&self.disk), [""; 0], "{left:?}");
        for seed in 0..2 {
            let cut = self.disk.crash(Model::Weak, seed);
            assert_eq!(unnoted(&cut), [""; 0], "{left:?}, cut {seed}");
            let back: BTreeSet<_> = cut.paths().into_iter().filter(|path| is_file_of_object(path)).collect();
            assert_eq!(back, here, "{left:?}, cut {seed}: what was answered lasts");
        }
    }
}

fn is_file_of_object(path: &str) -> bool {
    path.ends_with(".data") || path.ends_with(".meta")
}

fn all_released(released: &ReleasedBatch) -> bool {
    released.results.iter().all(|result| result.outcome == ReleaseOutcome::Released)
}

/// Not a block is free: neither for a lock, nor for the names by which objects are held, for their record, or a note.
#[test]
fn a_handoff_on_a_full_device_drains() {
    for hashes in [false, true] {
        for lock in [false, true] {
            let left = Left { reserve: true, hashes, lock, blocks: 0 };
            let handoff = Handoff::on_full_device(left);
            let lock = handoff.lock().unwrap();
            let released = handoff.release(&lock);
            assert!(all_released(&released), "{left:?}: {:?}", released.results);
            assert!(released.unrecorded.is_none(), "{left:?}: {:?}", released.unrecorded);
            assert!(handoff.objects().is_empty());
            handoff.check(&released, left);
            assert!(handoff.bench.device.remove_empty_partition(lock).unwrap());
        }
    }
}

/// What goes is held by names in a directory of their own, and the reserve is there for these alone where nothing else took it.
#[test]
fn what_goes_is_held_on_the_reserve() {
    for hashes in [false, true] {
        for blocks in 0..3 {
            let left = Left { reserve: true, hashes, lock: true, blocks };
            let handoff = Handoff::on_full_device(left);
            let results = handoff.bench.device.release_together(&handoff.lock().unwrap(), &handoff.items);
            let released = ReleasedBatch { results, unrecorded: None };
            assert!(all_released(&released), "{left:?}: {:?}", released.results);
            handoff.check(&released, left);
        }
    }
}

/// A device that filled up before there was any reserve: the partition's hashes give what room there is.
#[test]
fn a_handoff_without_a_reserve_drains_on_the_room_of_its_hashes() {
    // It does for an object of one file, which makes room for all the others, and at last for the one of two.
    let left = Left { reserve: false, hashes: true, lock: true, blocks: 0 };
    let handoff = Handoff::on_full_device(left);
    let released = handoff.release(&handoff.lock().unwrap());
    assert!(all_released(&released), "{:?}", released.results);
    handoff.check(&released, left);
}

/// From no room at all to plenty: each outcome is the truth, and no hash is believed that is not.
#[test]
fn on_a_device_that_is_nearly_full_each_outcome_is_the_truth() {
    let (mut some, mut none) = (0, 0);
    for blocks in (0..12).chain((12..30).step_by(3)) {
        for hashes in [false, true] {
            let left = Left { reserve: false, hashes, lock: true, blocks };
            let handoff = Handoff::on_full_device(left);
            let released = handoff.release(&handoff.lock().unwrap());
            let gone = released.results.iter().filter(|result| result.outcome == ReleaseOutcome::Released);
            match gone.count() {
                0 => none += 1,
                _ => some += 1,
            }
            handoff.check(&released, left);
        }
    }
    assert!(some > 20 && none > 0, "{some} {none}");
}

#[test]
fn a_full_device_keeps_no_reserve_and_a_drained_one_does_again() {
    let left = Left { reserve: true, hashes: true, lock: true, blocks: 0 };
    let handoff = Handoff::on_full_device(left);
    let is_kept = || handoff.disk.paths().iter().any(|path| path == layout::RESERVE);
    handoff.bench.device.keep_reserve().unwrap();
    assert!(is_kept(), "what is there needs no more room");
    handoff.release(&handoff.lock().unwrap());
    assert!(!is_kept());
    handoff.disk.leave_blocks(100);
    assert!(matches!(handoff.bench.device.keep_reserve(), Err(DiskError::Full { .. })));
    assert!(!is_kept(), "part of it is of no use");
    handoff.disk.leave_blocks(PLENTY);
    handoff.bench.device.keep_reserve().unwrap();
    assert!(is_kept());
}
