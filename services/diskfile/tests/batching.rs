//! Several publications at once (`durability = batch`).

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
};

use rustix::io::Errno;
use ssync_types::{Durability, Metadata};

use super::bed::{Bed, at, path};
use crate::{
    DiskError, Location, attributes,
    attributes::Attributes,
    layout, name,
    publish::{Aftermath, Member, Publication},
    temporary::Temporary,
};

fn batch_bed() -> Bed {
    Bed::with(|config| config.durability = Durability::Batch)
}

/// A body of no bytes, ready to be published.
fn member(bed: &Bed, at: &Location, object: &str, seconds: u64) -> Member {
    let mut metadata = Metadata::new();
    metadata.set("X-Timestamp", super::bed::at(seconds).internal());
    metadata.set("Content-Length", "0");
    metadata.set("ETag", "d41d8cd98f00b204e9800998ecf8427e");
    let file = Temporary::create(&bed.device, at).unwrap();
    attributes::write(&*file.file, &Attributes { name: Some(path(object).to_bytes()), metadata }).unwrap();
    Member::new(Publication {
        file,
        at: *at,
        name: name::data(super::bed::at(seconds)),
        needs_body: false,
        then: Aftermath { replaces: None, clean_up: true, next_part_power: None },
    })
}

/// Objects of one partition, so many that some share a suffix.
fn neighbours(bed: &Bed, count: usize) -> Vec<String> {
    let partition = bed.location("o").partition;
    (0..)
        .map(|n| format!("n{n}"))
        .filter(|name| bed.location(name).partition == partition)
        .take(count)
        .collect()
}

fn commit(bed: &Bed, names: &[String], seconds: u64) -> Vec<Result<(), DiskError>> {
    let mut batch: Vec<_> =
        names.iter().map(|name| member(bed, &bed.location(name), name, seconds)).collect();
    bed.watch.take();
    bed.device.prepare(&mut batch);
    bed.device.commit(&mut batch);
    batch.into_iter().map(Member::into_outcome).collect()
}

#[test]
fn shares_its_notes_and_its_flushes() {
    let bed = batch_bed();
    let names = neighbours(&bed, 8);
    assert!(commit(&bed, &names, 1).iter().all(Result::is_ok));
    let log = bed.watch.take();
    let count = |operation: &str| log.iter().filter(|line| *line == operation).count();
    let partition = layout::partition(super::bed::WHOLE, bed.location("o").partition);
    let partition = partition.display();
    assert_eq!(count(&format!("write {partition}/hashes.invalid")), 1, "{log:#?}");
    assert_eq!(count("sync temporary"), 8);
    // For its notes, and for the directories of suffixes.
    assert_eq!(count(&format!("sync_dir {partition}")), 2, "{log:#?}");
    assert_eq!(count("sync_dir objects"), 1, "{log:#?}");
    let all_before = |before: &str, after: &str| {
        let last = log.iter().rposition(|line| line.starts_with(before)).unwrap();
        last < log.iter().position(|line| line.starts_with(after)).unwrap()
    };
    assert!(all_before("sync temporary", "link "), "{log:#?}");
    assert!(all_before(&format!("sync {partition}/hashes.invalid"), "link "), "{log:#?}");
    for name in &names {
        assert_eq!(bed.object(name).info.data, at(1));
        assert!(bed.notes(name).contains(&bed.suffix(name).to_string()));
    }
}

#[test]
fn what_fails_costs_itself_and_leaves_nothing() {
    let bed = batch_bed();
    let names = neighbours(&bed, 3);
    let target = layout::object(&bed.location(&names[1]));
    bed.watch.fail(&format!("link {}", target.display()), Errno::IO);
    let outcomes = commit(&bed, &names, 1);
    assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok(), "{outcomes:?}");
    assert_eq!(bed.files(&names[1]), [""; 0]);
    assert!(!bed.real(target).exists(), "the directory that was made for it");
    assert_eq!(bed.object(&names[2]).info.data, at(1));
}

#[test]
fn a_note_that_cannot_be_flushed_publishes_nothing_of_its_partition() {
    let bed = batch_bed();
    let mut names = neighbours(&bed, 2);
    let elsewhere = (0..).map(|n| format!("e{n}"));
    let far = |name: &String| bed.location(name).partition != bed.location("o").partition;
    names.push(elsewhere.into_iter().find(far).unwrap());
    let partition = layout::partition(super::bed::WHOLE, bed.location("o").partition);
    bed.watch.fail(&format!("sync {}/hashes.invalid", partition.display()), Errno::IO);
    let outcomes = commit(&bed, &names, 1);
    assert!(outcomes[0].is_err() && outcomes[1].is_err() && outcomes[2].is_ok(), "{outcomes:?}");
    assert!(bed.files(&names[0]).is_empty() && bed.files(&names[1]).is_empty());
}

#[test]
fn versions_of_one_object_in_one_batch_leave_the_newest() {
    let bed = batch_bed();
    let mut batch: Vec<_> =
        [2, 3, 1].into_iter().map(|seconds| member(&bed, &bed.location("o"), "o", seconds)).collect();
    bed.device.prepare(&mut batch);
    bed.device.commit(&mut batch);
    assert!(batch.into_iter().all(|member| member.into_outcome().is_ok()));
    assert_eq!(bed.files("o"), ["0000000003.00000.data"]);
}

#[test]
fn threads_that_publish_at_once_all_hear_of_it() {
    const THREADS: usize = 16;
    const EACH: u64 = 40;
    let bed = Arc::new(batch_bed());
    let names = Arc::new(neighbours(&bed, THREADS));
    let ready = Arc::new(Barrier::new(THREADS));
    let threads = (0..THREADS).map(|n| {
        let (bed, names, ready) = (Arc::clone(&bed), Arc::clone(&names), Arc::clone(&ready));
        thread::spawn(move || {
            ready.wait();
            // Each has an object of its own, and all have one in common.
            for seconds in 1..=EACH {
                bed.put(&names[n], b"own", at(seconds));
                bed.put("o", b"common", at(seconds * THREADS as u64 + n as u64));
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    for name in &*names {
        assert_eq!(bed.files(name), [format!("{}.data", at(EACH).internal())]);
    }
    assert_eq!(bed.object("o").info.data, at(EACH * THREADS as u64 + THREADS as u64 - 1));
    let hashes = bed.hashes(bed.location("o").partition);
    assert_eq!(bed.hash_of(&names[0]).as_ref(), hashes.get(&bed.suffix(&names[0])));
}

/// One thread leads and its flush does not come back; another publishes all the same, since more than one may lead, and a
/// check of what is being published waits.
#[test]
fn a_check_waits_for_what_is_being_flushed() {
    let bed = Arc::new(batch_bed());
    bed.put("o", b"old", at(1));
    let (release, gate) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel::<()>();
    let object = layout::object(&bed.location("o"));
    bed.watch.before(&format!("sync_dir {}", object.display()), move || {
        entered.send(()).unwrap();
        gate.recv().unwrap();
    });
    let writer = {
        let bed = Arc::clone(&bed);
        thread::spawn(move || bed.put("o", b"new", at(2)))
    };
    inside.recv().unwrap();
    let (checked, check) = mpsc::channel();
    let checker = {
        let bed = Arc::clone(&bed);
        thread::spawn(move || {
            let found = bed.device.open_for_check(&bed.location("o"), &crate::OpenOptions::default());
            checked
                .send(matches!(found, Ok(crate::Found::Object(object)) if object.info.data == at(2)))
                .unwrap();
        })
    };
    bed.put("elsewhere", b"x", at(2));
    assert!(check.try_recv().is_err(), "the name is there, and not flushed");
    release.send(()).unwrap();
    assert!(check.recv().unwrap());
    writer.join().unwrap();
    checker.join().unwrap();
}

#[test]
fn a_leader_that_panics_leaves_nobody_waiting() {
    let bed = Arc::new(batch_bed());
    bed.watch.before("sync temporary", || panic!("on purpose"));
    let thread = {
        let bed = Arc::clone(&bed);
        thread::spawn(move || bed.put("o", b"x", at(1)))
    };
    assert!(thread.join().is_err());
    bed.put("o", b"x", at(2));
    assert_eq!(bed.object("o").info.data, at(2));
}

#[test]
fn small_objects_do_not_wait_for_large_bodies() {
    const LARGE: usize = 6;
    let bed = Arc::new(batch_bed());
    let (entered, inside) = mpsc::channel::<()>();
    let gates: Vec<_> = (0..LARGE)
        .map(|_| {
            let (release, gate) = mpsc::channel::<()>();
            let entered = entered.clone();
            bed.watch.before("sync temporary", move || {
                entered.send(()).unwrap();
                gate.recv().unwrap();
            });
            release
        })
        .collect();
    let writers: Vec<_> = (0..LARGE)
        .map(|n| {
            let bed = Arc::clone(&bed);
            thread::spawn(move || bed.put(&format!("large{n}"), &vec![b'x'; 1 << 20], at(1)))
        })
        .collect();
    (0..LARGE).for_each(|_| inside.recv().unwrap());
    bed.put("small", b"x", at(1));
    drop(gates.into_iter().map(|release| release.send(()).unwrap()).collect::<Vec<_>>());
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(bed.object("large0").info.content_length, 1 << 20);
}

/// Puts a newer body in the place of an older one. Its note is consumed before it has its name, and from then on some calls fail.
fn put_without_notes(bed: &Bed, failing: &'static [&'static str]) -> Result<(), DiskError> {
    bed.put("o", b"old", at(1));
    let (device, watch) = (Arc::clone(&bed.device), bed.watch.clone());
    let partition = bed.location("o").partition;
    bed.watch.before("sync temporary", move || {
        device.suffix_hashes(super::bed::WHOLE, partition, &[], false).unwrap();
        failing.iter().for_each(|operation| watch.fail(operation, Errno::IO));
    });
    let put = bed.put_with("o", b"new", at(2), Metadata::new());
    bed.watch.heal();
    put
}

#[test]
fn a_name_that_no_hash_would_know_of_is_taken_back() {
    let bed = batch_bed();
    let failing = &["write objects/312/hashes.invalid", "unlink objects/312/hashes.pkl"];
    let new = put_without_notes(&bed, failing);
    assert!(matches!(new, Err(DiskError::Io { .. })), "{new:?}");
    assert_eq!(bed.files("o"), ["0000000001.00000.data"]);
    bed.put("o", b"new", at(2));
    assert_eq!(bed.files("o"), ["0000000002.00000.data"]);
}

#[test]
fn a_name_of_which_no_note_can_be_made_takes_the_old_hashes_away() {
    let bed = batch_bed();
    put_without_notes(&bed, &["write objects/312/hashes.invalid"]).unwrap();
    let known = bed.hash_of("o");
    let (partition, suffix) = (bed.location("o").partition, bed.suffix("o"));
    let anew = bed.device.suffix_hashes(super::bed::WHOLE, partition, &[suffix], false).unwrap();
    assert_eq!(known.as_ref(), anew.get(&suffix));
    assert_eq!(bed.files("o"), ["0000000002.00000.data"]);
}
