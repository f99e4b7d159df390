//! Where an object went, as the device remembers it.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::io::Errno;
use ssync_types::{
    Assurance, Certainty, Confirmed, PartitionRef, Primary, ReleaseItem, ReleaseOpen, ReleaseOutcome,
    Removal, Timestamp,
};

use super::bed::{Bed, WHOLE, at, path};
use crate::{Device, ReleasedBatch, removal_log::FILES_MAX};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// No time of a log that a test makes is before this.
const START: u64 = 1_700_000_000;

fn bed() -> Bed {
    let bed = Bed::with(|config| config.removal_log_age = AGE);
    set_clock(&bed, Duration::ZERO);
    bed
}

fn set_clock(bed: &Bed, since_start: Duration) {
    bed.watch.set_clock(SystemTime::UNIX_EPOCH + Duration::from_secs(START) + since_start);
}

fn open(bed: &Bed, name: &str) -> ReleaseOpen {
    let primary = |address: &str| Primary { address: address.into(), device: "sdb1".into() };
    ReleaseOpen {
        partition: PartitionRef {
            device: bed.device.name().clone(),
            partition: bed.location(name).partition,
            policy: WHOLE,
            fragment: None,
        },
        ring_digest: Some(vec![7; 32]),
        primaries: vec![primary("10.0.0.7:6200"), primary("[fd00::7]:6200")],
    }
}

fn item(bed: &Bed, name: &str) -> ReleaseItem {
    let place = bed.location(name);
    let listed = bed.device.list_suffix(WHOLE, place.partition, place.hash.suffix()).unwrap();
    let own = listed.into_iter().find(|local| local.offer.hash == place.hash).unwrap();
    let by = |primary, assurance| Confirmed { primary, assurance };
    ReleaseItem {
        offer: own.offer,
        files: own.files,
        confirmed_by: vec![by(0, Assurance::Applied), by(1, Assurance::Superseded(at(9)))],
    }
}

/// Lets go of one object, on a device as `device` has it.
fn release_on(device: &Arc<Device>, bed: &Bed, name: &str, item: ReleaseItem) -> ReleasedBatch {
    let lock = device.lock_partition(WHOLE, bed.location(name).partition, Duration::ZERO).unwrap();
    device.release_batch(&lock, &open(bed, name), &[item]).unwrap()
}

fn put_and_release(bed: &Bed, name: &str) -> ReleasedBatch {
    bed.put(name, b"x", at(1));
    release_on(&bed.device, bed, name, item(bed, name))
}

fn removals(bed: &Bed, name: &str) -> Vec<Removal> {
    bed.device.removals_of(&bed.location(name).hash).unwrap()
}

fn logs(bed: &Bed) -> Vec<String> {
    bed.names("removal-log")
}

#[test]
fn a_removed_object_is_remembered_with_all_that_is_known_of_it() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    bed.post("o", at(2)).unwrap();
    let item = item(&bed, "o");
    let released = release_on(&bed.device, &bed, "o", item.clone());
    assert_eq!(released.results[0].outcome, ReleaseOutcome::Released);
    assert!(released.unrecorded.is_none());
    let open = open(&bed, "o");
    let expected = Removal {
        at: Timestamp::from_seconds(START),
        device: bed.device.name().clone(),
        policy: WHOLE,
        partition: bed.location("o").partition,
        offer: item.offer,
        path: Some(path("o")),
        confirmed_by: vec![
            (open.primaries[0].clone(), Assurance::Applied),
            (open.primaries[1].clone(), Assurance::Superseded(at(9))),
        ],
        ring_digest: open.ring_digest,
        certainty: Certainty::Removed,
    };
    assert_eq!(removals(&bed, "o"), [expected]);
    assert_eq!(removals(&bed, "another"), []);
    let text = fs::read_to_string(bed.real("removal-log").join(&logs(&bed)[0])).unwrap();
    let line = text.lines().find(|line| line.contains(&bed.location("o").hash.to_string())).unwrap();
    assert!(line.contains("removing") && line.contains(" path=/AUTH_test/c/o "), "{line}");
}

/// A crash must not leave an object that is gone and of which nobody knows.
#[test]
fn the_record_is_flushed_before_the_first_file_goes() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    let item = item(&bed, "o");
    bed.watch.take();
    release_on(&bed.device, &bed, "o", item);
    let log = bed.watch.take();
    let place = |operation: &str| {
        log.iter()
            .position(|line| line.starts_with(operation))
            .unwrap_or_else(|| panic!("{operation}: {log:#?}"))
    };
    let unlinked = place("unlink objects/");
    let order = [place("write removal-log/"), place("sync_data removal-log/"), unlinked];
    assert!(order.is_sorted(), "{log:#?}");
    let between = log.get(place("sync_data removal-log/")..unlinked).unwrap();
    assert!(
        between.iter().any(|line| line == "sync_dir removal-log"),
        "the name of the log's file: {log:#?}"
    );
    let named = log.iter().rposition(|line| line == "sync_dir ").unwrap();
    assert!(named < unlinked, "the name of its directory");
}

#[test]
fn what_stayed_is_not_said_to_be_gone() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    let stale = item(&bed, "o");
    bed.post("o", at(2)).unwrap();
    let released = release_on(&bed.device, &bed, "o", stale);
    assert_eq!(released.results[0].outcome, ReleaseOutcome::Changed);
    assert!(released.unrecorded.is_none());
    assert_eq!(removals(&bed, "o"), []);
    assert_eq!(bed.files("o").len(), 2);
}

/// What went wrong may be gone or not: the record says so.
#[test]
fn what_failed_is_told_as_begun() {
    let bed = bed();
    bed.watch.fail("unlink objects", Errno::IO);
    let released = put_and_release(&bed, "o");
    assert!(matches!(released.results[0].outcome, ReleaseOutcome::Failed(_)));
    assert_eq!(
        removals(&bed, "o").iter().map(|removal| removal.certainty).collect::<Vec<_>>(),
        [Certainty::Begun]
    );
    assert_eq!(bed.files("o").len(), 1);
}

#[test]
fn a_removal_whose_end_was_not_written_down_is_told_as_begun() {
    let bed = bed();
    put_and_release(&bed, "o");
    let file = bed.real("removal-log").join(&logs(&bed)[0]);
    let text = fs::read_to_string(&file).unwrap();
    let begun = &text[..text.rfind(" done").unwrap()];
    // The power went: part of a line, then what the file system makes of a size without contents.
    fs::write(&file, format!("{begun}\0\0\0\0")).unwrap();
    assert_eq!(removals(&bed, "o")[0].certainty, Certainty::Begun);
    // The next lines are their own.
    put_and_release(&bed, "p");
    assert_eq!(removals(&bed, "p")[0].certainty, Certainty::Removed);
    assert_eq!(removals(&bed, "o").len(), 1);
}

/// Space is what a drain is for.
#[test]
fn a_log_that_cannot_be_written_stops_no_removal_and_is_told() {
    for (operation, error) in [
        ("write removal-log", Errno::NOSPC),
        ("make_dir removal-log", Errno::NOSPC),
        ("sync_data removal-log", Errno::IO),
        ("open removal-log", Errno::ROFS),
        ("sync_dir removal-log", Errno::IO),
    ] {
        let bed = bed();
        bed.watch.fail(operation, error);
        let released = put_and_release(&bed, "o");
        assert_eq!(released.results[0].outcome, ReleaseOutcome::Released, "{operation}");
        assert!(released.unrecorded.is_some(), "{operation}");
        assert!(bed.files("o").is_empty());
    }
}

#[test]
fn no_log_where_the_operator_wants_none() {
    let bed = Bed::with(|config| config.removal_log_age = Duration::ZERO);
    assert!(put_and_release(&bed, "o").unrecorded.is_none());
    assert!(!bed.real("removal-log").exists());
    assert_eq!(removals(&bed, "o"), []);
}

#[test]
fn each_day_has_a_file_and_what_is_too_old_goes() {
    let bed = bed();
    put_and_release(&bed, "o");
    set_clock(&bed, DAY - Duration::from_secs(1));
    put_and_release(&bed, "o");
    assert_eq!(logs(&bed).len(), 1);
    set_clock(&bed, DAY + Duration::from_secs(1));
    put_and_release(&bed, "o");
    assert_eq!(logs(&bed).len(), 2);
    assert_eq!(removals(&bed, "o").len(), 3);
    // One is too old to be told, and stands in a file with one that is not.
    set_clock(&bed, AGE + Duration::from_secs(1));
    assert_eq!(removals(&bed, "o").len(), 2);
    assert_eq!(bed.device.sweep_temporaries(WHOLE).unwrap(), 0);
    set_clock(&bed, AGE + DAY + Duration::from_secs(1));
    assert_eq!(bed.device.sweep_temporaries(WHOLE).unwrap(), 1);
    assert_eq!(logs(&bed).len(), 1);
    // An append sweeps as well.
    set_clock(&bed, AGE + DAY + DAY + Duration::from_secs(2));
    put_and_release(&bed, "p");
    assert_eq!(logs(&bed).len(), 1);
    assert_eq!(removals(&bed, "p").len(), 1);
}

#[test]
fn it_never_takes_more_than_its_bytes_and_loses_the_oldest_first() {
    const BYTES_MAX: u64 = 4000;
    let bed = Bed::with(|config| config.removal_log_bytes_max = BYTES_MAX);
    set_clock(&bed, Duration::ZERO);
    for number in 0..40 {
        set_clock(&bed, Duration::from_secs(number));
        assert!(put_and_release(&bed, "o").unrecorded.is_none());
        let size: u64 =
            logs(&bed).iter().map(|name| bed.real("removal-log").join(name).metadata().unwrap().len()).sum();
        assert!(size <= BYTES_MAX, "{size}");
    }
    let found = removals(&bed, "o");
    assert!((4..20).contains(&found.len()), "{}", found.len());
    assert_eq!(found.last().unwrap().at.seconds(), START + 39);

    let bed = Bed::with(|config| config.removal_log_bytes_max = 100);
    assert!(put_and_release(&bed, "o").unrecorded.is_some(), "a batch that is larger than the log");
}

#[test]
fn batches_of_the_same_moment_have_times_of_their_own() {
    let bed = bed();
    for _ in 0..3 {
        put_and_release(&bed, "o");
    }
    let times: Vec<_> = removals(&bed, "o").iter().map(|removal| removal.at.ticks()).collect();
    assert_eq!(times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>(), [1, 1]);
    // A device that is opened anew goes on in the same file, though its clock was put back.
    let reopened = bed.reopened();
    bed.put("p", b"x", at(1));
    set_clock(&bed, Duration::from_secs(5));
    let item = item(&bed, "p");
    assert!(release_on(&reopened, &bed, "p", item).unrecorded.is_none());
    assert_eq!(logs(&bed).len(), 1);
    assert_eq!(removals(&bed, "p").len(), 1);
}

#[test]
fn what_is_no_log_among_the_logs_is_left_alone() {
    let bed = bed();
    for name in ["notes.txt", "x.log", ".log", "1700000000.00000"] {
        fs::create_dir_all(bed.real("removal-log")).unwrap();
        fs::write(bed.real("removal-log").join(name), "1700000000.00000 removing ").unwrap();
    }
    fs::create_dir(bed.real("removal-log/1600000000.00000.log")).unwrap();
    set_clock(&bed, 100 * AGE);
    put_and_release(&bed, "o");
    bed.device.sweep_temporaries(WHOLE).unwrap();
    assert_eq!(logs(&bed).len(), 6);
    assert_eq!(removals(&bed, "o").len(), 1);
}

/// Whatever stands in a log, and however long its lines are: what can be read is read.
#[test]
fn lines_without_end_and_of_no_sense_do_not_hide_the_others() {
    let bed = bed();
    put_and_release(&bed, "o");
    let file = bed.real("removal-log").join(&logs(&bed)[0]);
    let sound = fs::read(&file).unwrap();
    let mut noise = vec![b'x'; 1_000_000];
    noise.extend((0..=255).cycle().take(300_000));
    for text in
        [[&noise[..], b"\n", &sound].concat(), [&sound[..], &noise].concat(), [&sound[..]; 2].concat()]
    {
        fs::write(&file, text).unwrap();
        assert_eq!(removals(&bed, "o").len(), 1);
    }
}

fn bytes_of_logs(bed: &Bed) -> u64 {
    logs(bed).iter().map(|name| bed.real("removal-log").join(name).metadata().unwrap().len()).sum()
}

/// A clock that jumps ahead and back again: what was written in between neither takes the room of what comes after, nor gives
/// its time to it, nor has it forgotten.
#[test]
fn a_clock_that_jumped_ahead_spoils_nothing() {
    const BYTES_MAX: u64 = 16_000;
    let bed = Bed::with(|config| {
        config.removal_log_age = AGE;
        config.removal_log_bytes_max = BYTES_MAX;
    });
    set_clock(&bed, Duration::ZERO);
    put_and_release(&bed, "p");
    for number in 0..60 {
        set_clock(&bed, 1000 * DAY + Duration::from_secs(number));
        put_and_release(&bed, "o");
    }
    set_clock(&bed, Duration::from_secs(10));
    for number in 0..3 {
        set_clock(&bed, Duration::from_secs(10 + number));
        assert!(put_and_release(&bed, "q").unrecorded.is_none());
        assert!(bytes_of_logs(&bed) <= BYTES_MAX);
    }
    let times: Vec<_> = removals(&bed, "q").iter().map(|removal| removal.at.seconds()).collect();
    assert_eq!(times, [START + 10, START + 11, START + 12], "each has the time of its clock");
    let young = |name: &&String| name.as_str() < "1750000000";
    assert_eq!(logs(&bed).iter().filter(young).count(), 1, "one file goes on: {:?}", logs(&bed));
    // It grows until it has all the room there is; those of times to come went first.
    for number in 0..60 {
        set_clock(&bed, Duration::from_secs(20 + number));
        put_and_release(&bed, "q");
        assert!(bytes_of_logs(&bed) <= BYTES_MAX);
    }
    assert!(removals(&bed, "o").is_empty());
    assert!(removals(&bed, "q").len() > 4);
}

#[test]
fn what_is_young_is_not_forgotten_for_a_clock_that_was_ahead() {
    let bed = bed();
    put_and_release(&bed, "o");
    set_clock(&bed, AGE);
    put_and_release(&bed, "p");
    // Too little to forget the second, and enough to forget it if it went on from there.
    set_clock(&bed, AGE + DAY);
    put_and_release(&bed, "q");
    set_clock(&bed, AGE);
    put_and_release(&bed, "q");
    assert_eq!(removals(&bed, "p").len(), 1);
    assert_eq!(removals(&bed, "q").len(), 2);
}

/// Files of the log beyond any number it may have, listed in any order.
#[test]
fn of_too_many_files_the_oldest_go() {
    let bed = bed();
    fs::create_dir_all(bed.real("removal-log")).unwrap();
    for number in 0..FILES_MAX + 10 {
        let name = format!("{}.{number:05}.log", START - 1000);
        fs::write(bed.real("removal-log").join(name), "").unwrap();
    }
    put_and_release(&bed, "o");
    let left = logs(&bed);
    assert_eq!(left.len(), FILES_MAX - 1);
    assert_eq!(left[0], format!("{}.00011.log", START - 1000));
    assert_eq!(removals(&bed, "o").len(), 1);
}

#[test]
fn the_latest_are_told_newest_first_whatever_the_object() {
    let bed = bed();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        bed.put(name, b"body", at(1));
        set_clock(&bed, Duration::from_secs(number as u64));
        let one = item(&bed, name);
        release_on(&bed.device, &bed, name, one);
    }
    let (all, odd) = bed.device.latest_removals(10).unwrap();
    let hashes: Vec<_> = all.iter().map(|removal| removal.offer.hash).collect();
    assert_eq!(hashes, ["c", "b", "a"].map(|name| bed.location(name).hash));
    assert!(all.iter().all(|removal| removal.certainty == Certainty::Removed) && odd == 0, "{all:?}");
    assert_eq!(all[0].confirmed_by.len(), 2);
    let (two, _) = bed.device.latest_removals(2).unwrap();
    assert_eq!(two, all[..2]);
    let log = fs::read_dir(bed.real("removal-log")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text + "what is this .\nand this is cut").unwrap();
    assert_eq!(bed.device.latest_removals(2).unwrap(), (two, 1));
}
