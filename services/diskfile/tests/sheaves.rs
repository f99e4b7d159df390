//! Bodies that one thread writes and publishes together.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rustix::io::Errno;
use ssync_types::{Durability, Metadata, Timestamp};

use super::bed::{Bed, WHOLE, at, path};
use crate::{DataFile, DiskError, Reserve, Sheaf, layout};

fn bed() -> Bed {
    Bed::with(|config| config.durability = Durability::Batch)
}

/// Objects of the partition of `o`, each in a suffix of its own.
fn neighbours(bed: &Bed, count: usize) -> Vec<String> {
    let partition = bed.location("o").partition;
    let mut suffixes = vec![bed.suffix("o")];
    (0..)
        .map(|n| format!("n{n}"))
        .filter(|name| {
            let new = bed.location(name).partition == partition && !suffixes.contains(&bed.suffix(name));
            suffixes.extend(new.then(|| bed.suffix(name)));
            new
        })
        .take(count)
        .collect()
}

fn file(time: Timestamp) -> DataFile {
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "text/plain");
    DataFile { timestamp: time, metadata, fragment: None, next_part_power: None }
}

/// As a session does it: it looks first whether there is anything.
fn add(bed: &Bed, sheaf: &mut Sheaf, name: &str, time: Timestamp) -> Result<(), DiskError> {
    sheaf.is_vacant(&bed.location(name));
    let mut writer = sheaf.create(&bed.location(name), &path(name), Some(4))?;
    writer.write(b"body")?;
    sheaf.add(writer, file(time)).map(|_| ())
}

fn put_all(bed: &Bed, names: &[String], time: Timestamp) -> Vec<Result<(), DiskError>> {
    let mut sheaf = bed.device.sheaf().unwrap();
    names.iter().for_each(|name| add(bed, &mut sheaf, name, time).unwrap());
    sheaf.publish()
}

fn partition(bed: &Bed) -> PathBuf {
    layout::partition(WHOLE, bed.location("o").partition)
}

fn directory(bed: &Bed, name: &str) -> PathBuf {
    layout::object(&bed.location(name))
}

#[test]
fn what_its_objects_have_in_common_is_done_once() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    let names = neighbours(&bed, 8);
    bed.watch.take();
    bed.watch.take_mount_looks();
    assert!(put_all(&bed, &names, at(1)).iter().all(Result::is_ok));
    let log = bed.watch.take();
    assert_eq!(bed.watch.take_mount_looks(), 2, "before the first write and before the first name");
    let partition = partition(&bed);
    let count = |operation: &str| log.iter().filter(|line| line.starts_with(operation)).count();
    let of_partition = |operation: &str| {
        log.iter().filter(|line| **line == format!("{operation} {}", partition.display())).count()
    };
    assert_eq!((of_partition("open_dir"), of_partition("sync_dir")), (1, 1), "{log:#?}");
    assert_eq!(count(&format!("write {}/hashes.invalid", partition.display())), 1, "{log:#?}");
    assert_eq!(count(&format!("sync {}/hashes.invalid", partition.display())), 1, "{log:#?}");
    assert_eq!(count("list"), 0, "there is nothing to clean: {log:#?}");
    for name in &names {
        let suffix = layout::suffix(WHOLE, bed.location(name).partition, bed.suffix(name));
        let own = |operation: &str| count(&format!("{operation} {}", suffix.display()));
        // The suffix was looked for in vain, and opened when it was made; the object's directory when the name was given.
        assert_eq!((own("make_dir"), own("open_dir"), own("sync_dir")), (2, 3, 2), "{log:#?}");
        assert_eq!((own("temporary"), own("link")), (1, 1), "{log:#?}");
        assert_eq!(bed.body(name).unwrap(), b"body");
        assert!(bed.notes(name).contains(&bed.suffix(name).to_string()));
    }
}

/// S1, S3: what is answered for is flushed, and nothing is named before it is.
#[test]
fn all_is_flushed_before_it_is_named_and_again_before_it_is_answered_for() {
    let bed = bed();
    let names = neighbours(&bed, 4);
    let outcomes = put_all(&bed, &names, at(1));
    assert!(outcomes.iter().all(Result::is_ok));
    let log = bed.watch.take();
    let last = |operation: &str| log.iter().rposition(|line| line.starts_with(operation)).unwrap();
    let first = |operation: &str| log.iter().position(|line| line.starts_with(operation)).unwrap();
    assert!(last("sync temporary") < first("link "), "{log:#?}");
    assert!(last(&format!("sync {}/hashes.invalid", partition(&bed).display())) < first("link "), "{log:#?}");
    assert_eq!(log.iter().filter(|line| **line == "sync temporary").count(), 4);
    for name in &names {
        let directory = directory(&bed, name);
        let above = directory.parent().unwrap();
        for flushed in [directory.as_path(), above, above.parent().unwrap()] {
            let flush = format!("sync_dir {}", flushed.display());
            let at = log.iter().rposition(|line| *line == flush).unwrap_or_else(|| panic!("no {flush}"));
            assert!(at > last("link "), "{log:#?}");
        }
    }
}

#[test]
fn without_durability_nothing_is_flushed_and_with_that_of_objects_each_goes_alone() {
    for (durability, flushes) in [(Durability::None, 0), (Durability::Object, 2)] {
        let bed = Bed::with(|config| config.durability = durability);
        let names = neighbours(&bed, 2);
        assert!(put_all(&bed, &names, at(1)).iter().all(Result::is_ok));
        let log = bed.watch.take();
        let count = |operation: &str| log.iter().filter(|line| line.starts_with(operation)).count();
        assert_eq!(count("sync temporary"), flushes, "{log:#?}");
        assert_eq!(count("sync_dir") == 0, flushes == 0, "{log:#?}");
        let first = |operation: String| log.iter().position(|line| line.starts_with(&operation)).unwrap();
        if flushes > 0 {
            let flushed = first(format!("sync_dir {}", directory(&bed, &names[0]).display()));
            assert!(flushed < first(format!("link {}", directory(&bed, &names[1]).display())), "{log:#?}");
        }
    }
}

#[test]
fn a_bad_object_costs_itself() {
    let bed = bed();
    let names = neighbours(&bed, 5);
    let bad = |place: usize| directory(&bed, &names[place]).display().to_string();
    // It cannot be begun, be named, or have its directory flushed; another has the wrong MD5.
    bed.watch.fail(&format!("temporary {}", bad(0)), Errno::NOSPC);
    bed.watch.fail(&format!("link {}", bad(1)), Errno::IO);
    bed.watch.fail(&format!("sync_dir {}", bad(2)), Errno::IO);
    let mut sheaf = bed.device.sheaf().unwrap();
    assert!(matches!(add(&bed, &mut sheaf, &names[0], at(1)), Err(DiskError::Full { .. })));
    add(&bed, &mut sheaf, &names[1], at(1)).unwrap();
    add(&bed, &mut sheaf, &names[2], at(1)).unwrap();
    let mut writer = sheaf.create(&bed.location(&names[3]), &path(&names[3]), None).unwrap();
    writer.write(b"body").unwrap();
    let mut wrong = file(at(1));
    wrong.metadata.set("ETag", "d41d8cd98f00b204e9800998ecf8427e");
    assert!(matches!(sheaf.add(writer, wrong), Err(DiskError::Invalid(_))));
    add(&bed, &mut sheaf, &names[4], at(1)).unwrap();
    let outcomes = sheaf.publish();
    let right: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(right, [false, false, true], "{outcomes:?}");
    assert_eq!(bed.body(&names[4]).unwrap(), b"body");
    for place in [0, 1, 3] {
        assert!(!bed.object_dir(&names[place]).exists(), "object {place} leaves nothing");
    }
}

#[test]
fn a_file_that_cannot_be_flushed_costs_itself() {
    let bed = bed();
    let names = neighbours(&bed, 3);
    let mut sheaf = bed.device.sheaf().unwrap();
    names.iter().for_each(|name| add(&bed, &mut sheaf, name, at(1)).unwrap());
    let watch = bed.watch.clone();
    bed.watch.before("sync temporary", || ());
    // The second one.
    bed.watch.before("sync temporary", move || watch.fail("sync temporary", Errno::IO));
    let watch = bed.watch.clone();
    bed.watch.before("sync temporary", move || watch.heal());
    let right: Vec<_> = sheaf.publish().iter().map(Result::is_ok).collect();
    assert_eq!(right, [true, false, true]);
    assert!(!bed.object_dir(&names[1]).exists());
    assert_eq!(bed.body(&names[2]).unwrap(), b"body");
}

#[test]
fn the_reserve_is_kept_and_no_space_is_taken_before_the_bytes_are_written() {
    let bed = Bed::with(|config| config.fallocate_reserve = Reserve::Bytes(100));
    bed.watch.fail("allocate", Errno::IO);
    let mut sheaf = bed.device.sheaf().unwrap();
    bed.watch.set_space(105, 1000);
    add(&bed, &mut sheaf, "o", at(1)).unwrap();
    bed.watch.set_space(104, 1000);
    assert!(matches!(add(&bed, &mut sheaf, "p", at(1)), Err(DiskError::Full { .. })));
    assert!(sheaf.publish()[0].is_ok());
    assert!(!bed.object_dir("p").exists());
}

/// Rule S7.
#[test]
fn nothing_is_named_on_a_device_that_was_unmounted_in_the_middle() {
    let bed = bed();
    let names = neighbours(&bed, 3);
    let mut sheaf = bed.device.sheaf().unwrap();
    names.iter().for_each(|name| add(&bed, &mut sheaf, name, at(1)).unwrap());
    bed.watch.unmount_after(0);
    let outcomes = sheaf.publish();
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Err(DiskError::Unmounted { .. }))),
        "{outcomes:?}"
    );
    assert!(bed.watch.take().iter().all(|line| !line.starts_with("link ")));
    assert!(matches!(bed.device.sheaf(), Err(DiskError::Unmounted { .. })));
}

#[test]
fn one_that_is_given_up_leaves_nothing() {
    let bed = bed();
    let names = neighbours(&bed, 3);
    let mut sheaf = bed.device.sheaf().unwrap();
    names.iter().for_each(|name| add(&bed, &mut sheaf, name, at(1)).unwrap());
    drop(sheaf);
    assert!(names.iter().all(|name| !bed.object_dir(name).parent().unwrap().exists()));
}

/// Somebody who calculates hashes removes empty directories.
#[test]
fn directories_that_were_removed_meanwhile_are_made_again_and_flushed() {
    let bed = bed();
    let names = neighbours(&bed, 2);
    let mut sheaf = bed.device.sheaf().unwrap();
    names.iter().for_each(|name| add(&bed, &mut sheaf, name, at(1)).unwrap());
    let gone = bed.object_dir(&names[0]);
    fs::remove_dir(&gone).unwrap();
    fs::remove_dir(gone.parent().unwrap()).unwrap();
    // Somebody else makes it again.
    fs::create_dir(gone.parent().unwrap()).unwrap();
    bed.watch.take();
    assert!(sheaf.publish().iter().all(Result::is_ok));
    let log = bed.watch.take();
    for name in &names {
        assert_eq!(bed.body(name).unwrap(), b"body");
    }
    let directory = directory(&bed, &names[0]);
    let of_suffix = |operation: &str| format!("{operation} {}", directory.parent().unwrap().display());
    let position = |line: String| log.iter().rposition(|other| *other == line);
    let opened = position(of_suffix("open_dir")).expect("the one that is there now is opened");
    assert!(position(of_suffix("sync_dir")).is_some_and(|flushed| flushed > opened), "{log:#?}");
}

/// Stock Swift's auditor moves damaged objects away while others are being written.
#[test]
fn a_directory_that_was_moved_away_meanwhile_gets_no_name() {
    let bed = bed();
    let names = neighbours(&bed, 1);
    let mut sheaf = bed.device.sheaf().unwrap();
    add(&bed, &mut sheaf, &names[0], at(1)).unwrap();
    let away = bed.real("quarantined");
    fs::rename(bed.object_dir(&names[0]), &away).unwrap();
    assert!(sheaf.publish().iter().all(Result::is_ok));
    assert_eq!(fs::read_dir(away).unwrap().count(), 0);
    assert_eq!(bed.body(&names[0]).unwrap(), b"body");
}

/// The same between opening it and giving the name, in a sheaf and alone: the name is given where nobody looks for it.
#[test]
fn a_name_in_a_directory_that_is_just_being_moved_away_is_none() {
    let bed = bed();
    let away = bed.real("quarantined");
    let moves = |bed: &Bed, name: &str| {
        let (place, away) = (bed.object_dir(name), away.clone());
        bed.watch.before(&format!("link {}", directory(bed, name).display()), move || {
            fs::rename(place, away).unwrap();
        });
    };
    let name = &neighbours(&bed, 1)[0];
    let mut sheaf = bed.device.sheaf().unwrap();
    add(&bed, &mut sheaf, name, at(1)).unwrap();
    moves(&bed, name);
    assert!(matches!(sheaf.publish()[..], [Err(DiskError::StateChanged { .. })]));
    assert_eq!(fs::read_dir(&away).unwrap().count(), 1);
    fs::remove_dir_all(&away).unwrap();
    moves(&bed, "o");
    let alone = bed.put_with("o", b"x", at(1), Metadata::new());
    assert!(matches!(alone, Err(DiskError::StateChanged { .. })), "{alone:?}");
    assert_eq!(fs::read_dir(&away).unwrap().count(), 1);
}

/// What cannot be looked at any more has its name all the same: hashes that were calculated in between are of before.
#[test]
fn what_has_a_name_is_noted_although_its_place_cannot_be_looked_at() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    let name = neighbours(&bed, 1).remove(0);
    let mut sheaf = bed.device.sheaf().unwrap();
    add(&bed, &mut sheaf, &name, at(1)).unwrap();
    let (other, location) = (bed.other_process(), bed.location("o"));
    bed.watch.before(&format!("link {}", directory(&bed, &name).display()), move || {
        other.suffix_hashes(WHOLE, location.partition, &[], true).unwrap();
    });
    bed.watch.fail(&format!("stat {}", directory(&bed, &name).parent().unwrap().display()), Errno::MFILE);
    assert!(matches!(sheaf.publish()[..], [Err(DiskError::Io { .. })]));
    bed.watch.heal();
    let hash = bed.hash_of(&name);
    let alone = Bed::with(|config| config.durability = Durability::Batch);
    alone.put(&name, b"body", at(1));
    assert_eq!(hash, alone.hash_of(&name));
}

/// An operator may have put a partition or a suffix elsewhere on the device.
#[test]
fn a_partition_and_a_suffix_behind_links_take_a_sheaf() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    let name = neighbours(&bed, 1).remove(0);
    bed.put(&name, b"x", at(1));
    let suffix = bed.object_dir(&name).parent().unwrap().to_path_buf();
    for place in [suffix.as_path(), suffix.parent().unwrap()] {
        let moved = place.with_file_name("moved");
        fs::rename(place, &moved).unwrap();
        std::os::unix::fs::symlink("moved", place).unwrap();
    }
    let outcomes = put_all(&bed, std::slice::from_ref(&name), at(2));
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert_eq!(bed.body(&name).unwrap(), b"body");
}

/// A suffix that cannot be listed goes to quarantine as a whole. What gets its name there is not where it is looked for.
#[test]
fn a_suffix_that_was_moved_away_meanwhile_costs_what_is_in_it() {
    for remade in [false, true] {
        let bed = bed();
        let names = neighbours(&bed, 3);
        let mut sheaf = bed.device.sheaf().unwrap();
        names.iter().for_each(|name| add(&bed, &mut sheaf, name, at(1)).unwrap());
        let suffix = bed.object_dir(&names[1]).parent().unwrap().to_path_buf();
        fs::rename(&suffix, bed.real("quarantined")).unwrap();
        if remade {
            fs::create_dir_all(bed.object_dir(&names[1])).unwrap();
        }
        let outcomes = sheaf.publish();
        assert!(matches!(outcomes[1], Err(DiskError::StateChanged { .. })), "{outcomes:?}");
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
        assert_eq!(bed.files(&names[1]), [""; 0]);
        assert_eq!(bed.body(&names[2]).unwrap(), b"body");
        // Once more, and it is there.
        assert!(put_all(&bed, &names[1..2], at(1))[0].is_ok());
        assert_eq!(bed.body(&names[1]).unwrap(), b"body");
    }
}

#[test]
fn a_partition_that_was_moved_away_meanwhile_costs_all_of_it() {
    let bed = bed();
    let names = neighbours(&bed, 2);
    let mut sheaf = bed.device.sheaf().unwrap();
    names.iter().for_each(|name| add(&bed, &mut sheaf, name, at(1)).unwrap());
    fs::rename(bed.partition_dir("o"), bed.real("away")).unwrap();
    let outcomes = sheaf.publish();
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert!(!bed.partition_dir("o").exists());
}

/// The age of a directory tells nothing while who made it has not come to flushing its name.
#[test]
fn who_writes_beside_a_sheaf_that_stands_still_flushes_what_that_has_made() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    let name = &neighbours(&bed, 1)[0];
    let mut sheaf = bed.device.sheaf().unwrap();
    add(&bed, &mut sheaf, name, at(1)).unwrap();
    bed.watch.set_clock(SystemTime::now() + Duration::from_secs(100));
    bed.watch.take();
    bed.put(name, b"x", at(2));
    let log = bed.watch.take();
    for directory in directory(&bed, name).ancestors().take(3) {
        let flush = format!("sync_dir {}", directory.display());
        assert!(log.contains(&flush), "no {flush} in {log:#?}");
    }
    assert!(sheaf.publish()[0].is_ok());
    let suffix = directory(&bed, name).parent().unwrap().to_path_buf();
    assert!(!bed.device.unflushed.has(&suffix));
}

#[test]
fn where_something_is_it_is_not_vacant() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    let names = neighbours(&bed, 1);
    let mut sheaf = bed.device.sheaf().unwrap();
    assert!(!sheaf.is_vacant(&bed.location("o")));
    assert!(sheaf.is_vacant(&bed.location(&names[0])));
    add(&bed, &mut sheaf, &names[0], at(1)).unwrap();
    assert!(!sheaf.is_vacant(&bed.location(&names[0])));
    bed.watch.fail("open_dir", Errno::IO);
    let mut sheaf = bed.device.sheaf().unwrap();
    assert!(!sheaf.is_vacant(&bed.location(&names[0])), "nobody knows");
}

/// A writer whose directory was made by another one cleans; so does the one who made it, when it is not alone there.
#[test]
fn what_another_writer_put_into_a_new_directory_is_cleaned() {
    for (first, second) in [(1, 2), (2, 1)] {
        let bed = bed();
        let mut sheaf = bed.device.sheaf().unwrap();
        add(&bed, &mut sheaf, "o", at(first)).unwrap();
        bed.put("o", b"another", at(second));
        assert!(sheaf.publish().iter().all(Result::is_ok));
        assert_eq!(bed.files("o"), ["0000000002.00000.data"]);
    }
}

/// What a process of Swift's has put there is not looked for. It does not count if it is older, and hashing removes it.
#[test]
fn what_another_program_put_into_a_new_directory_goes_when_the_suffix_is_hashed() {
    let bed = bed();
    bed.hashes(bed.location("o").partition);
    let mut sheaf = bed.device.sheaf().unwrap();
    add(&bed, &mut sheaf, "o", at(2)).unwrap();
    let other = bed.other_process();
    let mut writer = other.create(&bed.location("o"), &path("o"), Some(5)).unwrap();
    writer.write(b"older").unwrap();
    writer.commit(file(at(1))).unwrap();
    assert!(sheaf.publish().iter().all(Result::is_ok));
    assert_eq!(bed.files("o"), ["0000000001.00000.data", "0000000002.00000.data"]);
    assert_eq!(bed.body("o").unwrap(), b"body");
    let hash = bed.hash_of("o");
    assert_eq!(bed.files("o"), ["0000000002.00000.data"]);
    let alone = Bed::with(|config| config.durability = Durability::Batch);
    alone.put("o", b"body", at(2));
    assert_eq!(hash, alone.hash_of("o"));
}
