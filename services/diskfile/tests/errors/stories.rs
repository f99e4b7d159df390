//! What was found by failing every call, each with its story.

use std::time::Duration;

use rustix::io::Errno;
use ssync_types::{Durability, FragmentIndex, Reason, Refusal};

use super::bench::{Bench, Setup, State, at, data_file, unnoted, view};
use crate::{
    Confirmation, Found, OpenOptions, layout,
    simulation::{Again, Faults, Model, SimDisk},
    tests::bed::{WHOLE, path},
};

fn bench(state: State) -> (SimDisk, Bench) {
    let disk = Bench::build(Setup { state, nameless: true, durability: Durability::Object });
    let bench = Bench::on(&disk, Durability::Object, None);
    (disk, bench)
}

fn fail(disk: &SimDisk, call: &str, error: Errno) {
    disk.set_faults(Faults::default().named(call, error, Again::Always));
}

fn reason<T: std::fmt::Debug>(result: Result<T, crate::DiskError>) -> Reason {
    Refusal::from(result.unwrap_err()).reason
}

/// As Swift still does: whatever attribute could not be read was taken for missing, and what was missing for damage. With no
/// memory left for a moment, healthy objects went to quarantine, tombstones counted as not there, and a confirm said that the
/// object is lacking.
#[test]
fn attributes_that_cannot_be_read_for_want_of_memory_are_no_damage() {
    for error in [Errno::NOMEM, Errno::ACCESS, Errno::STALE, Errno::INTR] {
        let (disk, bench) = bench(State::Exists);
        fail(&disk, "attribute", error);
        let opened = bench.device.open_object(&bench.at("o"), &OpenOptions::default());
        assert_eq!(reason(opened), Reason::ObjectIo, "{error}");
        let offer = ssync_types::Offer::of_one_time(bench.at("o").hash, at(10), None);
        assert_ne!(bench.device.confirm(&bench.at("o"), &offer, None).ok(), Some(Confirmation::Confirmed));
        assert!(!disk.paths().iter().any(|path| path.starts_with("quarantined")), "{error}");

        let (disk, bench) = self::bench(State::Deleted);
        fail(&disk, "attribute", error);
        assert_eq!(reason(bench.device.deleted_object(&bench.at("o"))), Reason::ObjectIo, "{error}");
        assert_eq!(
            reason(bench.device.open_object(&bench.at("o"), &OpenOptions::default())),
            Reason::ObjectIo,
            "{error}"
        );
    }
    // What the disk itself cannot give back is damage, as in Swift.
    for error in [Errno::IO, Errno::UCLEAN, Errno::NODATA] {
        let (disk, bench) = bench(State::Exists);
        fail(&disk, "attribute", error);
        let opened = bench.device.open_object(&bench.at("o"), &OpenOptions::default());
        assert_eq!(reason(opened), Reason::ObjectDamaged, "{error}");
    }
}

/// A damaged object whose directory could not be listed once more was reported as changed meanwhile, and a damaged tombstone
/// as nothing though it stayed where it was.
#[test]
fn what_is_damaged_and_cannot_be_listed_has_not_changed() {
    let (disk, bench) = bench(State::Rotten);
    let Ok(Found::Object(object)) = bench.device.open_object(&bench.at("o"), &OpenOptions::default()) else {
        panic!()
    };
    fail(&disk, "list", Errno::MFILE);
    let mut reader = object.into_reader();
    let error = std::iter::from_fn(|| reader.next_chunk().transpose()).find_map(Result::err).unwrap();
    assert_eq!(Refusal::from(error).reason, Reason::ObjectIo);
}

/// The notes of a partition that was being removed went before its hashes, or after them in a directory that was not flushed.
/// Cut off in between, what was left were hashes that nobody doubted, of objects that were gone.
#[test]
fn hashes_of_an_emptied_partition_go_before_the_notes_on_them() {
    let (disk, bench) = bench(State::Emptied);
    let partition = layout::partition(WHOLE, bench.partition());
    let lock = || bench.device.lock_partition(WHOLE, bench.partition(), Duration::ZERO).unwrap();
    for file in [layout::HASHES, layout::INVALIDATIONS, layout::LOCK] {
        fail(&disk, &format!("unlink {}", partition.join(file).display()), Errno::IO);
        assert_eq!(reason(bench.device.remove_empty_partition(lock())), Reason::ObjectIo);
        disk.set_faults(Faults::default());
        assert_eq!(unnoted(&disk), [""; 0], "{file}");
        for seed in 0..20 {
            assert_eq!(unnoted(&disk.crash(Model::Weak, seed)), [""; 0], "{file} {seed}");
        }
    }
    assert!(bench.device.remove_empty_partition(lock()).unwrap());
}

/// A durable mark whose directory could not be flushed was found there at the next try, which said that all was well: a power
/// cut took the mark of a fragment that was acknowledged. No flush makes it good while the device stays mounted.
#[test]
fn a_mark_that_could_not_be_flushed_is_not_acknowledged_before_the_device_is_mounted_again() {
    let (disk, bench) = bench(State::Coded);
    let commit =
        |bench: &Bench| bench.device.commit_fragment(&bench.coded("o"), FragmentIndex::new(3), at(20), None);
    fail(&disk, "sync_dir", Errno::IO);
    assert_eq!(reason(commit(&bench)), Reason::ObjectIo);
    disk.set_faults(Faults::default());
    assert_eq!(reason(commit(&bench)), Reason::ObjectIo);
    commit(&Bench::on(&disk, Durability::Object, None)).unwrap();
    let wanted = view(&disk);
    for seed in 0..20 {
        assert_eq!(view(&disk.crash(Model::Weak, seed)), wanted, "{seed}");
    }
}

/// Linux tells of a write-back that failed once. A writer that went on after a failed flush would have had the next one
/// succeed, and published a body with a hole.
#[test]
fn a_body_whose_flush_failed_is_never_published() {
    let (disk, bench) = bench(State::Exists);
    let mut writer = bench.device.create(&bench.at("o"), &path("o"), None).unwrap();
    fail(&disk, "sync_data", Errno::IO);
    assert_eq!(reason(writer.write(&vec![1; 1 << 20])), Reason::ObjectIo);
    disk.set_faults(Faults::default());
    assert_eq!(reason(writer.write(b"more")), Reason::ObjectIo);
    let before = view(&disk);
    assert_eq!(reason(writer.commit(data_file(at(50), None, None))), Reason::ObjectIo);
    assert_eq!(view(&disk), before);
    assert_eq!((disk.open_handles(), disk.locks()), (0, 0));
}

/// A file that somebody had written and not flushed: the flush for a confirm failed, the next one had nothing left to write
/// and succeeded, and the sender let go of the only copy that was on a disk.
#[test]
fn a_flush_that_failed_is_not_made_good_by_the_next_one() {
    let (disk, bench) = bench(State::Unflushed);
    let offer =
        ssync_types::Offer::of_one_time(bench.at("o").hash, at(30), Some(ssync_types::ObjectKind::Data));
    let confirm = || bench.device.confirm(&bench.at("o"), &offer, None);
    fail(&disk, "sync objects", Errno::IO);
    assert_eq!(reason(confirm()), Reason::ObjectIo);
    disk.set_faults(Faults::default());
    assert_eq!(reason(confirm()), Reason::ObjectIo);
    assert!(
        (0..20).any(|seed| view(&disk.crash(Model::Weak, seed))["o"] != view(&disk)["o"]),
        "it is not on disk"
    );
    // Another file has nothing to do with it.
    bench.put(&bench.at("o"), "o", super::bench::BODY, at(30), None).unwrap();
    assert_eq!(confirm().unwrap(), Confirmation::Confirmed);
}
