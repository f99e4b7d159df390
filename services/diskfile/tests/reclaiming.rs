//! What is removed because it is old, to the tick (Swift: diskfile.py cleanup_ondisk_files, is_reclaimable, is_file_older).

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ssync_types::PolicyIndex;

use super::bed::{Bed, CODED, WHOLE, at, path};
use crate::{OpenOptions, layout};

const AGE: u64 = 1000;
const WINDOW: u64 = 60;
/// The time that the names say.
const WRITTEN: u64 = 1_000_000;
const TICK: Duration = Duration::from_micros(10);

fn seconds(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn bed() -> Bed {
    Bed::with(|config| {
        config.reclaim_age = Duration::from_secs(AGE);
        config.commit_window = Duration::from_secs(WINDOW);
    })
}

/// What is left of the object once it was looked at.
fn left(bed: &Bed, policy: PolicyIndex) -> Vec<String> {
    let here = bed.of_policy("o", policy);
    bed.device.open_for_check(&here, &OpenOptions::default()).unwrap();
    bed.names(layout::object(&here))
}

#[test]
fn a_tombstone_stays_until_it_is_older_than_reclaim_age() {
    let bed = bed();
    bed.watch.set_clock(seconds(WRITTEN));
    bed.delete("o", at(WRITTEN));
    for (now, count) in [
        // Of a clock that goes ahead of this one.
        (seconds(WRITTEN - 5000), 1),
        (seconds(WRITTEN + AGE), 1),
        (seconds(WRITTEN + AGE) + TICK, 0),
    ] {
        bed.watch.set_clock(now);
        assert_eq!(left(&bed, WHOLE).len(), count, "{now:?}");
    }
}

#[test]
fn a_tombstone_that_is_too_old_when_it_comes_takes_the_body_with_it() {
    let bed = bed();
    bed.watch.set_clock(seconds(WRITTEN));
    bed.put("o", b"x", at(WRITTEN));
    bed.watch.set_clock(seconds(WRITTEN + 2 * AGE));
    bed.delete("o", at(WRITTEN + 1));
    assert!(!bed.object_dir("o").exists());
}

#[test]
fn metadata_without_a_body_stays_as_long() {
    let bed = bed();
    bed.watch.set_clock(seconds(WRITTEN));
    bed.put("o", b"x", at(WRITTEN - 1));
    bed.post("o", at(WRITTEN)).unwrap();
    fs::remove_file(bed.object_dir("o").join("0000999999.00000.data")).unwrap();
    bed.watch.set_clock(seconds(WRITTEN + AGE));
    assert_eq!(left(&bed, WHOLE), ["0001000000.00000.meta"]);
    bed.watch.set_clock(seconds(WRITTEN + AGE) + TICK);
    assert!(left(&bed, WHOLE).is_empty());
}

#[test]
fn a_fragment_without_its_mark_stays_as_long_as_it_may_be_committed() {
    let now = seconds(WRITTEN + 2 * AGE);
    for (modified, window, count) in [
        (now - Duration::from_secs(WINDOW), WINDOW, 1),
        (now - Duration::from_secs(WINDOW) - Duration::from_nanos(1), WINDOW, 0),
        // Written by a clock that goes ahead of this one.
        (now + Duration::from_secs(5000), WINDOW, 1),
        (now + Duration::from_secs(5000), 0, 0),
        (now, 0, 0),
    ] {
        let bed = Bed::with(|config| {
            config.reclaim_age = Duration::from_secs(AGE);
            config.commit_window = Duration::from_secs(window);
        });
        bed.watch.set_clock(seconds(WRITTEN));
        bed.put_fragment("o", at(WRITTEN), 1, false);
        let directory = bed.real(layout::object(&bed.of_policy("o", CODED)));
        let file = fs::File::open(directory.join("0001000000.00000#1.data")).unwrap();
        file.set_modified(modified).unwrap();
        bed.watch.set_clock(now);
        assert_eq!(left(&bed, CODED).len(), count, "{modified:?}, {window} s");
    }
}

#[test]
fn a_fragment_of_the_time_of_reclaim_age_stays_however_old_its_file() {
    let bed = bed();
    bed.put_fragment("o", at(WRITTEN), 1, false);
    let directory = bed.real(layout::object(&bed.of_policy("o", CODED)));
    fs::File::open(directory.join("0001000000.00000#1.data")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    bed.watch.set_clock(seconds(WRITTEN + AGE));
    assert_eq!(left(&bed, CODED).len(), 1);
    bed.watch.set_clock(seconds(WRITTEN + AGE) + TICK);
    assert!(left(&bed, CODED).is_empty());
}

/// An old mark of a time whose fragments are durable already needs no window.
#[test]
fn fragments_older_than_the_durable_ones_go_at_once() {
    let bed = bed();
    bed.watch.set_clock(seconds(WRITTEN));
    bed.put_fragment("o", at(WRITTEN - 2), 1, false);
    bed.put_fragment("o", at(WRITTEN - 1), 2, true);
    assert_eq!(left(&bed, CODED), ["0000999999.00000#2#d.data"]);
    bed.device.write_tombstone(&bed.of_policy("o", CODED), &path("o"), at(WRITTEN), None).unwrap();
    assert_eq!(left(&bed, CODED), ["0001000000.00000.ts"]);
}
