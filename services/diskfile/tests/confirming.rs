//! What licenses a sender to let go.

use std::fs;

use ssync_types::{ObjectKind, Offer};

use super::bed::{Bed, at};
use crate::Confirmation;

fn offer(bed: &Bed, time: u64, kind: ObjectKind) -> Offer {
    Offer::of_one_time(bed.location("o").hash, at(time), Some(kind))
}

fn confirm(bed: &Bed, offer: &Offer) -> Confirmation {
    bed.device.confirm(&bed.location("o"), offer).unwrap()
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

#[test]
fn what_cannot_be_flushed_is_not_confirmed() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.watch.fail("sync objects", rustix::io::Errno::IO);
    assert!(bed.device.confirm(&bed.location("o"), &offer(&bed, 1, ObjectKind::Data)).is_err());
}
