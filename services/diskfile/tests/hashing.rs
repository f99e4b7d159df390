//! Suffix hashes: Swift's own values, and the two files that keep them.

use std::{fs, path::PathBuf};

use rustix::io::Errno;
use ssync_types::{FragmentIndex, Metadata, Partition, Suffix, SuffixHash, Timestamp};

use super::bed::{Bed, CODED, WHOLE, at, path};
use crate::{MetaFile, hashes::Hashes};

const ONE_DATA: &str = "3e9785500a5fa2e1d89a06987beeee58";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn whole(hex: &str) -> Option<SuffixHash> {
    Some(SuffixHash::Replicated(hex.to_owned()))
}

/// Swift's own bytes: `updated` is not looked at.
fn hashes_file(bed: &Bed) -> Vec<u8> {
    fs::read(bed.partition_dir("o").join("hashes.pkl")).unwrap_or_default()
}

#[test]
fn of_one_body() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    assert_eq!(bed.hash_of("o"), whole(ONE_DATA));
}

#[test]
fn of_body_metadata_and_content_type() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "image/png");
    let content_type = Some(time("1380144471.11111"));
    let meta =
        MetaFile { timestamp: time("1380144472.22222"), metadata, content_type, next_part_power: None };
    bed.device.write_meta(&bed.location("o"), &path("o"), &meta).unwrap();
    assert_eq!(bed.hash_of("o"), whole("8e86e2b4adbfb47468cac7a4aefa33b8"));
}

#[test]
fn of_fragments() {
    let bed = Bed::new();
    bed.put_fragment("o", at(2), 3, true);
    bed.put_fragment("o", at(3), 1, false);
    let partition = bed.location("o").partition;
    let hashes = bed.device.suffix_hashes(CODED, partition, &[], false).unwrap();
    // MD5 of the times alone, and of "0000000002.00000.durable".
    let expected = [
        (None, "c11bf78dfc2b7d64872770333b7d6859"),
        (Some(FragmentIndex::new(1)), "7faca0419ca59ca9483d680ea120bbc6"),
        (Some(FragmentIndex::new(3)), "8eae3ed984ef255afd48e6524f0cc675"),
    ];
    let expected = expected.into_iter().map(|(index, hex)| (index, hex.to_owned())).collect();
    assert_eq!(hashes.get(&bed.suffix("o")), Some(&SuffixHash::Fragments(expected)));
    // What was kept is what was calculated.
    assert_eq!(bed.device.suffix_hashes(CODED, partition, &[], false).unwrap(), hashes);
}

#[test]
fn a_partition_that_is_not_there_is_not_made() {
    let bed = Bed::new();
    let number = Partition::new(5);
    assert!(bed.hashes(number).is_empty());
    bed.device.invalidate_suffixes(WHOLE, number, &[Suffix::from_low_bits(1)]).unwrap();
    assert!(bed.device.suffixes(WHOLE, number).unwrap().is_empty());
    assert!(bed.device.list_suffix(WHOLE, number, Suffix::from_low_bits(1)).unwrap().is_empty());
    assert!(bed.names("").is_empty());
}

#[test]
fn every_change_shows_and_nothing_is_written_when_nothing_changed() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    assert_eq!(bed.hash_of("o"), whole(ONE_DATA));
    assert_eq!(bed.notes("o"), "");
    let file = hashes_file(&bed);
    assert_eq!(bed.hash_of("o"), whole(ONE_DATA));
    assert_eq!(hashes_file(&bed), file);
    bed.delete("o", time("1380144471.00000"));
    assert!(bed.hash_of("o").is_some_and(|hash| Some(hash) != whole(ONE_DATA)));
}

#[test]
fn an_emptied_suffix_has_no_hash_and_no_directory() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    assert!(bed.hash_of("o").is_some());
    fs::remove_dir_all(bed.object_dir("o")).unwrap();
    assert!(bed.hash_of("o").is_some(), "nobody has reported it");
    bed.device.invalidate_suffixes(WHOLE, bed.location("o").partition, &[bed.suffix("o")]).unwrap();
    assert_eq!(bed.hash_of("o"), None);
    assert!(!bed.object_dir("o").parent().unwrap().exists());
}

#[test]
fn a_suffix_asked_for_is_calculated_anew_and_unreported_ones_are_found_on_request() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    bed.hash_of("o");
    let (partition, file) = (bed.location("o").partition, bed.object_dir("o").join("1380144470.00000.data"));
    let elsewhere = bed.partition_dir("o").join("abc/4e2772c453cbe15a19b26fbfbb223abc");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::rename(file, elsewhere.join("1380144470.00000.data")).unwrap();
    assert_eq!(bed.hash_of("o"), whole(ONE_DATA));
    let rehashed = bed.device.suffix_hashes(WHOLE, partition, &[bed.suffix("o")], false).unwrap();
    assert!(rehashed.is_empty());
    let listed = bed.device.suffix_hashes(WHOLE, partition, &[], true).unwrap();
    assert_eq!(listed.get(&Suffix::from_low_bits(0xabc)).cloned(), whole(ONE_DATA));
}

#[test]
fn a_file_of_hashes_that_is_damaged_or_poisoned_is_made_anew() {
    let poisoned = ssync_pickle::write(&ssync_pickle::Value::Dict(vec![(
        ssync_pickle::Value::text("../x"),
        ssync_pickle::Value::text(ONE_DATA),
    )]));
    for bad in [&b""[..], b"junk", b"cos\nsystem\n(S'true'\ntR.", &poisoned] {
        let bed = Bed::new();
        bed.put("o", b"x", time("1380144470.00000"));
        fs::write(bed.partition_dir("o").join("hashes.pkl"), bad).unwrap();
        assert_eq!(bed.hash_of("o"), whole(ONE_DATA));
        assert_ne!(hashes_file(&bed), bad);
    }
}

#[test]
fn junk_among_the_notes_is_passed_over() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    bed.hash_of("o");
    bed.put("o", b"x", time("1380144471.00000"));
    fs::write(bed.partition_dir("o").join("hashes.invalid"), b"\xff\xfe\n../\nzzz\n\ne31\nabcd").unwrap();
    assert!(bed.hash_of("o").is_some_and(|hash| Some(hash) != whole(ONE_DATA)));
    assert_eq!(bed.notes("o"), "");
    let partition = bed.location("o").partition;
    assert_eq!(bed.hashes(partition).len(), 1);
}

#[test]
fn notes_stay_until_the_hashes_have_them() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.hash_of("o");
    bed.put("o", b"x", at(2));
    bed.watch.fail("rename objects/312/hashes.pkl", rustix::io::Errno::IO);
    let partition = bed.location("o").partition;
    let _ = bed.device.suffix_hashes(WHOLE, partition, &[], false);
    assert_eq!(bed.notes("o"), "e31\n");
    bed.watch.heal();
    assert!(bed.hash_of("o").is_some());
    assert_eq!(bed.notes("o"), "");
    let rest: Vec<_> = bed.names("objects/312").into_iter().filter(|name| name.ends_with(".tmp")).collect();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn new_hashes_are_flushed_and_those_that_are_known_are_not_written_again() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    let (partition, suffix) = (bed.location("o").partition, bed.suffix("o"));
    let written = |rehash: &[Suffix], list| {
        bed.watch.take();
        let hashes = bed.device.suffix_hashes(WHOLE, partition, rehash, list).unwrap();
        assert_eq!(hashes.get(&suffix).cloned(), whole(ONE_DATA));
        let calls = bed.watch.take();
        let count = |name: &str| calls.iter().filter(|call| call.starts_with(name)).count();
        (hashes.fresh.contains(&suffix), count("rename "), count("sync "), count("sync_dir "))
    };
    // That notes were taken over: file and name; and what was calculated then: the file. Nothing above is flushed.
    assert_eq!(written(&[], false), (true, 2, 2, 1));
    assert_eq!(written(&[], false), (false, 0, 0, 0));
    assert_eq!(written(&[suffix], false), (true, 0, 0, 0), "it is the same");
    assert_eq!(written(&[], true), (false, 1, 1, 0), "the time of the file tells that somebody was here");
}

#[test]
fn hashes_that_somebody_else_wrote_meanwhile_are_not_overwritten() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    let (other, partition) = (bed.other_process(), bed.location("o").partition);
    let elsewhere = bed.partition_dir("o").join("abc/4e2772c453cbe15a19b26fbfbb223abc");
    bed.watch.before("list objects/312/e31", move || {
        fs::create_dir_all(&elsewhere).unwrap();
        fs::write(elsewhere.join("1380144470.00000.data"), "").unwrap();
        other.suffix_hashes(WHOLE, partition, &[], true).unwrap();
    });
    assert_eq!(bed.hashes(partition).len(), 2, "started over, with the other's");
}

#[test]
fn a_file_where_an_object_should_be_goes_to_quarantine_and_the_rest_is_hashed() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    fs::write(bed.object_dir("o").parent().unwrap().join("junk"), "").unwrap();
    assert_eq!(bed.hash_of("o"), whole(ONE_DATA));
    assert_eq!(bed.names("quarantined/objects"), ["junk"]);
}

/// A partition that nobody hashed for long has a note for each change.
#[test]
fn notes_of_any_number_are_taken_in() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    bed.hash_of("o");
    bed.delete("o", time("1380144471.00000"));
    // More than 16 MiB; the suffix itself is named where two pieces meet, and behind a line that has no end.
    let mut notes = b"abc\n".repeat(5 << 20);
    notes.splice((1 << 16) - 2..(1 << 16) + 2, *b"\ne31");
    notes.extend(b"x".repeat(200_000));
    notes.extend(b"e31\n");
    fs::write(bed.partition_dir("o").join("hashes.invalid"), notes).unwrap();
    assert!(bed.hash_of("o").is_some_and(|hash| Some(hash) != whole(ONE_DATA)));
    assert!(bed.notes("o").is_empty(), "they are taken away");
}

/// Swift: yield_hashes invalidates a suffix that has no files, _hash_suffix_dir forgets one that is no directory.
#[test]
fn a_file_in_the_place_of_a_suffix_holds_nothing_and_is_forgotten() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    assert!(bed.hash_of("o").is_some());
    let (partition, suffix) = (bed.location("o").partition, bed.suffix("o"));
    fs::remove_dir_all(bed.partition_dir("o").join("e31")).unwrap();
    for file in [true, false] {
        let place = bed.partition_dir("o").join("e31");
        if file {
            fs::write(&place, "").unwrap();
        } else {
            fs::remove_file(&place).unwrap();
            fs::write(bed.partition_dir("o").join("hashes.invalid"), "").unwrap();
        }
        assert!(bed.device.list_suffix(WHOLE, partition, suffix).unwrap().is_empty());
        assert_eq!(bed.notes("o"), "e31\n", "file {file}");
        assert_eq!(bed.hash_of("o"), None);
    }
}

/// Swift answers None for it, which equals no peer's hash: whoever asks must see that there is something.
#[test]
fn a_suffix_that_cannot_be_read_is_unknown_until_it_can() {
    let bed = Bed::new();
    bed.put("o", b"x", time("1380144470.00000"));
    bed.watch.fail("list objects/312/e31/", rustix::io::Errno::IO);
    assert_eq!(bed.hash_of("o"), Some(SuffixHash::Unknown));
    assert_eq!(bed.hash_of("o"), Some(SuffixHash::Unknown));
    bed.watch.heal();
    assert_eq!(bed.hash_of("o"), whole(ONE_DATA));
}

/// A pass writes `hashes.pkl` twice, and ext4 gives the second file the inode of the first; others' notes hide that one is gone.
#[test]
fn a_note_that_was_taken_while_others_make_notes_is_made_again() {
    let bed = Bed::new();
    let partition = bed.location("o").partition;
    bed.put("o", b"one", at(1));
    bed.hashes(partition);
    let before = bed.hash_of("o").unwrap();
    let device = std::sync::Arc::clone(&bed.device);
    bed.watch.before("sync temporary", move || {
        device.suffix_hashes(WHOLE, partition, &[], false).unwrap();
        device.invalidate_suffixes(WHOLE, partition, &[Suffix::from_low_bits(0x123)]).unwrap();
    });
    bed.put("o", b"two", at(2));
    assert_ne!(bed.hash_of("o").unwrap(), before, "the hash tells of a body that is gone");
}

/// Rewrites the `hashes.pkl` beside the object; gives its path.
fn change_hashes(bed: &Bed, change: impl FnOnce(&mut Hashes)) -> PathBuf {
    let file = bed.partition_dir("o").join("hashes.pkl");
    let mut hashes = Hashes::decode(&fs::read(&file).unwrap());
    change(&mut hashes);
    fs::write(&file, hashes.encode()).unwrap();
    file
}

/// A time that is no number never equals itself. Swift calculates such a partition's hashes until it has called itself too
/// often; here they were calculated 16 times by each request, and never written.
#[test]
fn a_time_that_is_no_number_is_replaced() {
    let bed = Bed::new();
    let partition = bed.location("o").partition;
    bed.put("o", b"one", at(1));
    let good = bed.hashes(partition);
    let file = change_hashes(&bed, |hashes| hashes.updated = f64::NAN);
    bed.watch.take();
    let suffix = bed.suffix("o");
    assert_eq!(bed.device.suffix_hashes(WHOLE, partition, &[suffix], false).unwrap(), good);
    let listing = format!("list objects/312/{suffix}");
    assert_eq!(bed.watch.take().iter().filter(|line| **line == listing).count(), 1);
    assert!(Hashes::decode(&fs::read(&file).unwrap()).valid);
}

/// One such entry spoiled the whole answer: peers refuse a hash in upper case.
#[test]
fn a_hash_in_upper_case_is_calculated_anew() {
    let bed = Bed::new();
    let partition = bed.location("o").partition;
    bed.put("o", b"one", at(1));
    let good = bed.hashes(partition);
    change_hashes(&bed, |hashes| {
        for hash in hashes.suffixes.values_mut() {
            let Some(SuffixHash::Replicated(hex)) = hash else { panic!("{hash:?}") };
            *hex = "3E9785500A5FA2E1D89A06987BEEEE58".to_owned();
        }
    });
    assert_eq!(bed.hashes(partition), good);
}

/// A directory that is damaged goes to quarantine, alone or with its suffix, and a peer may send the object again at once: what
/// was found in the one says nothing about the other.
#[test]
fn what_is_obsolete_is_removed_where_it_was_found() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let directory = bed.object_dir("o");
    let old = directory.join("0000000001.00000.data");
    let bytes = fs::read(&old).unwrap();
    let new = directory.join("0000000002.00000.data");
    fs::write(&new, &bytes).unwrap();
    let away = bed.real("quarantined");
    let (place, kept, moved) = (directory.clone(), old.clone(), away.clone());
    bed.watch.before(&format!("unlink {}", old.strip_prefix(bed.real("")).unwrap().display()), move || {
        fs::rename(&place, moved).unwrap();
        fs::create_dir(&place).unwrap();
        fs::write(kept, bytes).unwrap();
    });
    bed.hash_of("o");
    assert_eq!(bed.files("o"), ["0000000001.00000.data"], "it is another's only file");
    assert_eq!(fs::read_dir(away).unwrap().count(), 1);
}

/// The same of what cannot be listed: it may be whole by now.
#[test]
fn what_cannot_be_listed_goes_to_quarantine_only_where_it_was_found() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let directory = bed.object_dir("o");
    let suffix = directory.parent().unwrap().to_path_buf();
    let list = format!("list {}", directory.strip_prefix(bed.real("")).unwrap().display());
    let away = bed.real("away");
    let (place, moved) = (suffix.clone(), away.clone());
    bed.watch.fail(&list, Errno::UCLEAN);
    bed.watch.before(&list, move || {
        fs::rename(&place, &moved).unwrap();
        fs::create_dir(&place).unwrap();
        fs::create_dir(&directory).unwrap();
        fs::copy(
            moved.join(directory.file_name().unwrap()).join("0000000001.00000.data"),
            directory.join("0000000001.00000.data"),
        )
        .unwrap();
    });
    bed.hash_of("o");
    assert_eq!(bed.files("o"), ["0000000001.00000.data"], "it is not the one that could not be listed");
    assert!(away.exists());
}
