//! A handoff lets go of exactly what was confirmed.

use std::{fs, os::unix::fs::MetadataExt as _, thread, time::Duration};

use rustix::io::Errno;
use ssync_types::{Reason, Refusal, ReleaseFile, ReleaseItem, ReleaseOutcome};

use super::bed::{Bed, WHOLE, at, release_item, release_open};
use crate::PartitionLock;

fn lock(bed: &Bed) -> PartitionLock {
    bed.device.lock_partition(WHOLE, bed.location("o").partition, Duration::ZERO).unwrap()
}

fn confirmed(bed: &Bed) -> Vec<ReleaseFile> {
    let at_o = bed.location("o");
    bed.device.list_suffix(WHOLE, at_o.partition, at_o.hash.suffix()).unwrap().remove(0).files
}

fn item(bed: &Bed, files: &[ReleaseFile]) -> ReleaseItem {
    release_item(bed.location("o").hash, files)
}

fn release(bed: &Bed, files: &[ReleaseFile]) -> ReleaseOutcome {
    bed.device.release_together(&lock(bed), &[item(bed, files)]).remove(0).outcome
}

#[test]
fn removes_the_files_and_the_empty_directories_and_tells_the_hashes_first() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.post("o", at(2)).unwrap();
    bed.hash_of("o");
    let files = confirmed(&bed);
    bed.watch.take();
    assert_eq!(release(&bed, &files), ReleaseOutcome::Released);
    let log = bed.watch.take();
    let place = |operation: &str| log.iter().position(|line| line.starts_with(operation)).unwrap();
    assert!(place("write objects/312/hashes.invalid") < place("unlink"));
    assert!(place("unlink objects/312/e31") < place("sync_dir objects/312"));
    assert!(!bed.object_dir("o").parent().unwrap().exists());
    assert_eq!(bed.hash_of("o"), None);
    assert_eq!(release(&bed, &files), ReleaseOutcome::Changed, "there is nothing to let go of any more");
}

/// Power cuts found it: the oldest metadata went first, and the body was left with the newest metadata but without the content
/// type that an older one had set, as it had never been.
#[test]
fn what_is_left_after_each_removal_is_an_object_that_there_was() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.post_with_type("o", at(2), Some(at(2))).unwrap();
    bed.post("o", at(3)).unwrap();
    let files = confirmed(&bed);
    bed.watch.take();
    assert_eq!(release(&bed, &files), ReleaseOutcome::Released);
    let removed: Vec<_> = bed.watch.take();
    let removed = removed.iter().filter_map(|line| line.strip_prefix("unlink objects/")?.rsplit_once('/'));
    let removed: Vec<_> = removed.map(|(_, name)| name).collect();
    assert_eq!(removed, ["0000000003.00000.meta", "0000000002.00000+0.meta", "0000000001.00000.data"]);
}

#[test]
fn touches_nothing_when_a_file_came_went_or_was_replaced() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    bed.post("o", at(2)).unwrap();
    assert_eq!(release(&bed, &files), ReleaseOutcome::Changed);
    assert_eq!(bed.files("o").len(), 2);

    let both = confirmed(&bed);
    assert_eq!(release(&bed, &both[..1]), ReleaseOutcome::Changed);
    assert_eq!(release(&bed, &[]), ReleaseOutcome::Changed);
    let data = bed.object_dir("o").join("0000000001.00000.data");
    let inode = fs::metadata(&data).unwrap().ino();
    fs::copy(&data, bed.object_dir("o").join("copy")).unwrap();
    fs::rename(bed.object_dir("o").join("copy"), &data).unwrap();
    assert_ne!(fs::metadata(&data).unwrap().ino(), inode);
    assert_eq!(release(&bed, &both), ReleaseOutcome::Changed, "the same name is not the same file");
    assert_eq!(bed.files("o").len(), 2);
}

/// What is let go of together costs one note and the flushes of few directories; one that changed keeps only itself.
#[test]
fn objects_share_their_flushes() {
    let bed = Bed::new();
    let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let partition = bed.location("n0").partition;
    let names: Vec<_> = names.iter().filter(|name| bed.location(name).partition == partition).collect();
    let mut others: Vec<String> = (100..)
        .map(|number| format!("n{number}"))
        .filter(|name| bed.location(name).partition == partition)
        .take(4)
        .collect();
    others.extend(names.into_iter().cloned());
    let items: Vec<_> = others
        .iter()
        .map(|name| {
            bed.put(name, b"x", at(1));
            let hash = bed.location(name).hash;
            let listed = bed.device.list_suffix(WHOLE, partition, hash.suffix()).unwrap();
            release_item(hash, &listed.into_iter().find(|local| local.offer.hash == hash).unwrap().files)
        })
        .collect();
    bed.post(&others[0], at(2)).unwrap();
    let lock = bed.device.lock_partition(WHOLE, partition, Duration::ZERO).unwrap();
    bed.watch.take();
    let results = bed.device.release_together(&lock, &items);
    let flushes = bed.watch.take().into_iter().filter(|line| line.starts_with("sync")).collect::<Vec<_>>();
    assert!(items.len() >= 5 && flushes.len() <= 4, "{flushes:?}");
    for (name, result) in others.iter().zip(results) {
        let stays = *name == others[0];
        assert_eq!(result.outcome, if stays { ReleaseOutcome::Changed } else { ReleaseOutcome::Released });
        assert_eq!(bed.files(name).len(), if stays { 2 } else { 0 });
    }
}

#[test]
fn a_junk_file_beside_the_object_stops_it() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    fs::write(bed.object_dir("o").join("junk"), "").unwrap();
    assert_eq!(release(&bed, &files), ReleaseOutcome::Changed);
    assert_eq!(bed.files("o").len(), 2);
}

#[test]
fn another_object_of_the_suffix_keeps_the_suffix() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    let neighbour = bed.object_dir("o").parent().unwrap().join("00000000000000000000000000000e31");
    fs::create_dir(&neighbour).unwrap();
    fs::write(neighbour.join("0000000001.00000.data"), "").unwrap();
    assert_eq!(release(&bed, &files), ReleaseOutcome::Released);
    assert!(neighbour.join("0000000001.00000.data").exists());
}

#[test]
fn a_lock_of_another_device_does_not_do() {
    let (bed, other) = (Bed::new(), Bed::new());
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    let open = release_open(&bed.location("o"));
    assert!(bed.device.release_batch(&lock(&other), &open, &[item(&bed, &files)]).is_err());
    assert_eq!(bed.files("o").len(), 1);
}

#[test]
fn nobody_publishes_while_files_are_let_go_of() {
    let bed = std::sync::Arc::new(Bed::new());
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    let slot = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (inner, result) = (std::sync::Arc::clone(&bed), std::sync::Arc::clone(&slot));
    bed.watch.before("unlink objects", move || {
        let thread = thread::spawn(move || inner.post("o", at(2)).is_ok());
        thread::sleep(Duration::from_millis(200));
        assert!(!thread.is_finished());
        *result.lock().unwrap() = Some(thread);
    });
    assert_eq!(release(&bed, &files), ReleaseOutcome::Released);
    let posting = slot.lock().unwrap().take().unwrap();
    assert!(!posting.join().unwrap(), "the POST is told that the body is gone");
}

#[test]
fn no_post_is_ever_lost_to_a_release() {
    // Either the POST is there with its body, or the POST was told that the body is gone.
    for _ in 0..20 {
        let bed = Bed::new();
        bed.put("o", b"x", at(1));
        let files = confirmed(&bed);
        let (posted, released) = thread::scope(|scope| {
            let posting = scope.spawn(|| bed.post("o", at(2)).is_ok());
            (release(&bed, &files), posting.join().unwrap())
        });
        match (released, posted) {
            (true, ReleaseOutcome::Changed) => assert_eq!(bed.files("o").len(), 2),
            (false, ReleaseOutcome::Released) => assert!(bed.files("o").is_empty()),
            other => panic!("{other:?} with {:?}", bed.files("o")),
        }
    }
}

#[test]
fn what_another_program_adds_meanwhile_brings_the_object_back() {
    // While the directory is there still, and when it is gone already.
    for moment in ["remove_dir objects/312/e31/4e27", "sync_dir objects/312"] {
        let bed = Bed::new();
        bed.put("o", b"x", at(1));
        let files = confirmed(&bed);
        let directory = bed.object_dir("o");
        bed.watch.before(moment, move || {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("0000000002.00000.meta"), "").unwrap();
        });
        assert_eq!(release(&bed, &files), ReleaseOutcome::Changed, "{moment}");
        assert_eq!(bed.files("o"), ["0000000001.00000.data", "0000000002.00000.meta"], "{moment}");
        assert!(bed.names("tmp/held").is_empty());
    }
}

#[test]
fn a_failure_leaves_the_object_whole() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    for operation in ["hard_link tmp", "unlink objects", "remove_dir objects", "sync_dir objects/312"] {
        bed.watch.fail(operation, Errno::IO);
        assert!(matches!(release(&bed, &files), ReleaseOutcome::Failed(_)), "{operation}");
        bed.watch.heal();
        assert_eq!(bed.body("o").unwrap(), b"x", "{operation}");
        assert!(bed.names("tmp/held").is_empty());
    }
}

#[test]
fn what_cannot_be_put_back_is_kept() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    for operation in ["remove_dir objects/312/e31/4e27", "hard_link objects"] {
        bed.watch.fail(operation, Errno::IO);
    }
    assert!(matches!(release(&bed, &files), ReleaseOutcome::Failed(_)));
    assert!(bed.names("tmp/held").is_empty(), "what is there is removed when it is old");
    let kept = bed.names("quarantined/objects");
    assert!(kept.len() == 1 && kept[0].starts_with("4e2772c453cbe15a19b26fbfbb223e31-"), "{kept:?}");
    assert_eq!(bed.names(format!("quarantined/objects/{}", kept[0])), ["0000000001.00000.data"]);
}

#[test]
fn an_empty_partition_goes_with_its_bookkeeping_and_only_an_empty_one() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.hash_of("o");
    assert!(!bed.device.remove_empty_partition(lock(&bed)).unwrap());
    assert_eq!(bed.body("o").unwrap(), b"x");
    assert_eq!(release(&bed, &confirmed(&bed)), ReleaseOutcome::Released);
    fs::create_dir(bed.partition_dir("o").join("abc")).unwrap();
    fs::write(bed.partition_dir("o").join("unknown"), "").unwrap();
    assert!(!bed.device.remove_empty_partition(lock(&bed)).unwrap());
    fs::remove_file(bed.partition_dir("o").join("unknown")).unwrap();
    assert!(bed.device.remove_empty_partition(lock(&bed)).unwrap());
    assert!(!bed.partition_dir("o").exists());
    bed.put("o", b"y", at(2));
    assert!(bed.hash_of("o").is_some());
}

/// Lets go of an object while another program hashes the partition, just before it is removed; from then on some calls fail.
fn release_hashed_meanwhile(bed: &Bed, failing: &'static [&'static str], error: Errno) -> ReleaseOutcome {
    let files = confirmed(bed);
    let (other, partition, watch) = (bed.other_process(), bed.location("o").partition, bed.watch.clone());
    bed.watch.before("unlink objects/312/e31", move || {
        assert_eq!(other.suffix_hashes(WHOLE, partition, &[], false).unwrap().len(), 1);
        failing.iter().for_each(|operation| watch.fail(operation, error));
    });
    let outcome = release(bed, &files);
    bed.watch.heal();
    outcome
}

/// Before, the answer was that it had failed, though the object was gone; and the hash that spoke of it stayed.
#[test]
fn where_no_second_note_can_be_made_the_hashes_go() {
    for error in [Errno::IO, Errno::NOSPC] {
        let bed = Bed::new();
        bed.put("o", b"x", at(1));
        let outcome = release_hashed_meanwhile(&bed, &["write objects/312/hashes.invalid"], error);
        assert_eq!(outcome, ReleaseOutcome::Released);
        assert!(bed.files("o").is_empty());
        assert_eq!(bed.hash_of("o"), None);
    }
}

/// A hash that speaks of an object that is gone would be believed. The object comes back, and that is what is answered.
#[test]
fn where_not_even_the_hashes_can_be_removed_the_object_stays() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let failing = &["write objects/312/hashes.invalid", "unlink objects/312/hashes.pkl"];
    assert!(matches!(release_hashed_meanwhile(&bed, failing, Errno::IO), ReleaseOutcome::Failed(_)));
    assert_eq!(bed.body("o").unwrap(), b"x");
    assert!(bed.hash_of("o").is_some());
    assert!(bed.names("tmp/held").is_empty());
    assert_eq!(release(&bed, &confirmed(&bed)), ReleaseOutcome::Released);
}

/// There were no hashes and no notes when the calculation began, and none when it ended: that alone did not tell that an object
/// had gone meanwhile.
#[test]
fn hashes_that_were_calculated_before_an_unnoted_release_are_not_kept() {
    let bed = std::sync::Arc::new(Bed::new());
    bed.put("o", b"x", at(1));
    let files = confirmed(&bed);
    // It comes after the object, and is none, so that nobody waits for it.
    let neighbour = bed.object_dir("o").parent().unwrap().join("zz");
    fs::create_dir(&neighbour).unwrap();
    fs::write(neighbour.join("0000000001.00000.data"), "").unwrap();
    fs::remove_file(bed.partition_dir("o").join("hashes.invalid")).unwrap();
    let inner = std::sync::Arc::clone(&bed);
    bed.watch.before("open_dir objects/312/e31/zz", move || {
        inner.watch.fail("write objects/312/hashes.invalid", Errno::NOSPC);
        assert_eq!(release(&inner, &files), ReleaseOutcome::Released);
        inner.watch.heal();
    });
    let known = bed.hash_of("o");
    let partition = bed.location("o").partition;
    let anew = bed.device.suffix_hashes(WHOLE, partition, &[bed.suffix("o")], true).unwrap();
    assert_eq!(known.as_ref(), anew.get(&bed.suffix("o")));
    assert!(bed.files("o").is_empty());
}

#[test]
fn one_object_twice_in_a_batch_is_refused() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let item = item(&bed, &confirmed(&bed));
    let open = release_open(&bed.location("o"));
    let refused = bed.device.release_batch(&lock(&bed), &open, &[item.clone(), item.clone()]).unwrap_err();
    assert_eq!(Refusal::from(refused).reason, Reason::InvalidArgument);
    assert_eq!(bed.body("o").unwrap(), b"x");
    assert!(bed.names("removal-log").is_empty());
    assert!(bed.device.release_batch(&lock(&bed), &open, &[item]).is_ok());
    assert!(bed.files("o").is_empty());
}
