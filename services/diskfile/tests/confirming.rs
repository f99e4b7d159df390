//! What licenses a sender to let go.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::io::Errno;
use ssync_types::{FragmentIndex, Metadata, ObjectKind, Offer, Reason, Refusal};

use super::bed::{Bed, CODED, WHOLE, at, path};
use crate::{Confirmation, Device, DiskError, layout};

fn offer(bed: &Bed, time: u64, kind: ObjectKind) -> Offer {
    Offer::of_one_time(bed.location("o").hash, at(time), Some(kind))
}

fn confirm(bed: &Bed, offer: &Offer) -> Confirmation {
    bed.device.confirm(&bed.location("o"), offer, None).unwrap()
}

#[test]
fn a_body_that_is_here_is_flushed_before_the_answer() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.watch.take();
    assert_eq!(confirm(&bed, &offer(&bed, 1, ObjectKind::Data)), Confirmation::Confirmed);
    let log = bed.watch.take();
    for operation in ["sync objects/312/e31/4e27", "sync_dir objects/312/e31/4e27"] {
        assert!(log.iter().any(|line| line.starts_with(operation)), "{operation} in {log:#?}");
    }
    assert!(log.contains(&"sync_dir objects/312/e31".to_owned()), "{log:#?}");
}

#[test]
fn newer_is_as_good_and_older_or_nothing_is_not() {
    let bed = Bed::new();
    assert_eq!(confirm(&bed, &offer(&bed, 1, ObjectKind::Data)), Confirmation::Lacking);
    bed.put("o", b"x", at(2));
    assert_eq!(confirm(&bed, &offer(&bed, 1, ObjectKind::Data)), Confirmation::Superseded(at(2)));
    assert_eq!(confirm(&bed, &offer(&bed, 3, ObjectKind::Data)), Confirmation::Lacking);
    assert_eq!(confirm(&bed, &offer(&bed, 2, ObjectKind::Tombstone)), Confirmation::Lacking);
    bed.delete("o", at(3));
    assert_eq!(confirm(&bed, &offer(&bed, 2, ObjectKind::Data)), Confirmation::Superseded(at(3)));
    assert_eq!(confirm(&bed, &offer(&bed, 3, ObjectKind::Tombstone)), Confirmation::Confirmed);
}

#[test]
fn a_damaged_copy_confirms_nothing() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    fs::write(bed.object_dir("o").join("0000000001.00000.data"), "longer").unwrap();
    assert_eq!(confirm(&bed, &offer(&bed, 1, ObjectKind::Data)), Confirmation::Lacking);
    assert!(!bed.object_dir("o").exists(), "it is in quarantine");
}

/// Stock Swift's server writes to the same device and takes away what it replaced.
#[test]
fn what_is_replaced_while_it_is_looked_at_is_looked_at_again() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    replace_before_opening(&bed, 1..2);
    assert_eq!(confirm(&bed, &offer(&bed, 1, ObjectKind::Data)), Confirmation::Superseded(at(2)));
    bed.watch.take();
    replace_before_opening(&bed, 2..10);
    let found = bed.device.confirm(&bed.location("o"), &offer(&bed, 2, ObjectKind::Data), None);
    assert!(matches!(found, Err(DiskError::StateChanged { .. })), "{found:?}");
}

/// Stock Swift's auditor moves a damaged object away, and a replicator brings it again.
#[test]
fn what_is_moved_away_while_it_is_flushed_is_looked_at_again() {
    for again in [false, true] {
        let bed = Bed::new();
        bed.put("o", b"x", at(1));
        let (place, away, other) = (bed.object_dir("o"), bed.real("quarantined"), bed.other_process());
        let location = bed.location("o");
        bed.watch.before("sync objects", move || {
            fs::rename(&place, &away).unwrap();
            if again {
                other.write_tombstone(&location, &path("o"), at(3), None).unwrap();
            }
        });
        let expected = if again { Confirmation::Superseded(at(3)) } else { Confirmation::Lacking };
        assert_eq!(confirm(&bed, &offer(&bed, 1, ObjectKind::Data)), expected);
    }
}

/// Each time that one of these seconds' bodies is to be opened, the next second's takes its place.
fn replace_before_opening(bed: &Bed, seconds: std::ops::Range<u64>) {
    for second in seconds {
        let file = |second: u64| format!("{}.data", at(second));
        let directory = bed.object_dir("o");
        let opening = format!("open {}/{}", layout::object(&bed.location("o")).display(), file(second));
        bed.watch.before(&opening, move || {
            fs::rename(directory.join(file(second)), directory.join(file(second + 1))).unwrap();
        });
    }
}

#[test]
fn what_cannot_be_flushed_is_not_confirmed() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.watch.fail("sync objects", Errno::IO);
    assert!(bed.device.confirm(&bed.location("o"), &offer(&bed, 1, ObjectKind::Data), None).is_err());
}

fn is_doubtful<T: std::fmt::Debug>(result: Result<T, DiskError>) -> bool {
    match result {
        Err(DiskError::Doubtful { .. }) => true,
        other => {
            eprintln!("{other:?}");
            false
        }
    }
}

/// The device was closed when its last session ended, and the doubt went with it; the next session's flush succeeded, and the
/// sender let go of the only copy.
#[test]
fn a_flush_that_failed_is_remembered_while_nobody_uses_the_device() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let (at, offer) = (bed.location("o"), offer(&bed, 1, ObjectKind::Data));
    bed.watch.fail("sync objects", Errno::IO);
    assert!(bed.device.confirm(&at, &offer, None).is_err());
    bed.watch.heal();
    assert!(is_doubtful(bed.device.confirm(&at, &offer, None)));
    assert!(is_doubtful(bed.reopened().confirm(&at, &offer, None)));
}

/// The second flush of a directory succeeds too. A write that had failed was confirmed, and a second try acknowledged.
#[test]
fn names_in_a_directory_whose_flush_failed_are_on_no_disk() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let (place, offer) = (bed.location("o"), offer(&bed, 2, ObjectKind::Data));
    let put = |time| bed.put_with("o", b"xx", at(time), Metadata::new());
    bed.watch.fail(&format!("sync_dir {}", layout::object(&place).display()), Errno::IO);
    assert!(matches!(put(2), Err(DiskError::Io { .. })));
    bed.watch.heal();
    for device in [&bed.device, &bed.reopened()] {
        assert!(is_doubtful(device.confirm(&place, &offer, None)));
    }
    assert!(is_doubtful(put(2)));
    assert!(is_doubtful(put(3)));
    assert!(is_doubtful(bed.post("o", at(4))));
    bed.hashes(place.partition);
    assert!(bed.files("o").contains(&"0000000001.00000.data".to_owned()), "what replaces it may not last");
    // Another directory has nothing to do with it.
    fs::remove_dir_all(bed.object_dir("o")).unwrap();
    put(2).unwrap();
    assert_eq!(confirm(&bed, &offer), Confirmation::Confirmed);
}

fn fail_directory(bed: &Bed, directory: impl AsRef<Path>) {
    let flush = || Err(Errno::IO.into());
    let stat = bed.device.disk.stat(directory.as_ref()).unwrap();
    bed.device.doubts.flush(directory.as_ref(), &stat, flush).unwrap_err();
}

/// A directory's name counts as flushed when it is old, whoever made it: not where the flush of it has failed.
#[test]
fn names_below_a_directory_whose_flush_failed_do_not_last_with_age() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let (place, offer) = (bed.location("o"), offer(&bed, 1, ObjectKind::Data));
    bed.watch.set_clock(SystemTime::now() + Duration::from_secs(3600));
    assert_eq!(bed.reopened().confirm(&place, &offer, None).unwrap(), Confirmation::Confirmed);
    fail_directory(&bed, "objects");
    assert!(is_doubtful(bed.reopened().confirm(&place, &offer, None)));
    assert_eq!(bed.device.confirm(&place, &offer, None).unwrap(), Confirmation::Confirmed, "flushed before");
    assert!(is_doubtful(bed.put_with("p", b"x", at(1), Metadata::new())), "a new partition");
    bed.put("o", b"x", at(2));
}

/// The file was made by a write that failed then; the next one did not make it, and did not flush its name.
#[test]
fn a_note_in_a_directory_whose_flush_failed_is_on_no_disk() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    fs::remove_file(bed.partition_dir("o").join("hashes.invalid")).unwrap();
    fail_directory(&bed, layout::partition(WHOLE, bed.location("o").partition));
    let before = bed.files("o");
    assert!(is_doubtful(bed.put_with("o", b"x", at(2), Metadata::new())));
    assert_eq!(bed.files("o"), before);
}

/// The second try found the mark, flushed the directory with success, and acknowledged.
#[test]
fn a_mark_whose_flush_failed_is_on_no_disk() {
    let bed = Bed::new();
    bed.put_fragment("o", at(1), 3, false);
    let place = bed.of_policy("o", CODED);
    let commit = |device: &Device| device.commit_fragment(&place, FragmentIndex::new(3), at(1), None);
    bed.watch.fail(&format!("sync_dir {}", layout::object(&place).display()), Errno::IO);
    assert!(matches!(commit(&bed.device), Err(DiskError::Io { .. })));
    bed.watch.heal();
    assert!(is_doubtful(commit(&bed.device)));
    assert!(is_doubtful(commit(&bed.reopened())));
}

/// The flush of a device failed, and that of the next request succeeded.
#[test]
fn a_device_whose_flush_failed_stays_in_doubt() {
    let bed = Bed::new();
    bed.watch.fail("sync_all", Errno::IO);
    assert!(matches!(bed.device.sync(), Err(DiskError::Io { .. })));
    bed.watch.heal();
    let refusal = Refusal::from(bed.reopened().sync().unwrap_err());
    assert_eq!(refusal.reason, Reason::ObjectIo);
    assert!(refusal.message.contains("mount it again"), "{refusal}");
    assert!(is_doubtful(bed.put_with("o", b"x", at(1), Metadata::new())));
}
