//! Opening and reading, and cleaning.

use std::{fs, time::Duration};

use ssync_types::{Metadata, ObjectKind, Reason, Refusal, Timestamp};

use super::bed::{Bed, WHOLE, ago, at, path};
use crate::{DiskError, Found, OpenOptions, SuffixLook, ToSend};

#[test]
fn reads_back_body_and_ranges() {
    let bed = Bed::with(|config| config.disk_chunk_size = 7);
    let body: Vec<u8> = (0..100).collect();
    bed.put("o", &body, at(1));
    assert_eq!(bed.body("o").unwrap(), body);
    let object = bed.object("o");
    assert_eq!(&object.read_at(10, 5).unwrap()[..], &body[10..15]);
    assert_eq!(&object.read_at(98, 50).unwrap()[..], &body[98..]);
    assert!(object.read_at(100, 1).unwrap().is_empty());
    assert_eq!(object.info.content_length, 100);
    assert_eq!(object.info.durable, Some(at(1)));
    assert_eq!(object.files.len(), 1);
}

/// What was asked of the disk, without the names.
fn asked(bed: &Bed) -> Vec<String> {
    let calls = bed.watch.take();
    calls.iter().filter_map(|call| call.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn each_thing_is_asked_of_the_disk_once() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let at = bed.location("o");
    asked(&bed);
    bed.object("o").read_at(0, 3).unwrap();
    assert_eq!(asked(&bed), ["open_dir", "list", "open", "attribute", "attribute", "read"]);
    bed.device.open_for_check(&at, &OpenOptions::default()).unwrap();
    assert_eq!(asked(&bed), ["open_dir", "list", "open", "attribute", "attribute"]);
    bed.device.list_suffix(at.policy, at.partition, at.hash.suffix()).unwrap();
    assert_eq!(asked(&bed), ["open_dir", "list", "open_dir", "list"]);
    bed.device.suffix_hashes(at.policy, at.partition, &[at.hash.suffix()], false).unwrap();
    let within = |call: &String| call.contains(&at.hash.suffix().to_string());
    let calls: Vec<_> = bed.watch.take().into_iter().filter(within).collect();
    assert_eq!(calls.len(), 4, "{calls:?}");
    bed.delete("o", super::bed::at(2));
    asked(&bed);
    assert!(matches!(bed.device.open_to_send(&at).unwrap(), ToSend::Deletion(..)));
    assert_eq!(asked(&bed), ["open_dir", "list", "open", "attribute", "attribute"]);
}

#[test]
fn suffixes_are_listed_until_there_is_enough() {
    let bed = Bed::new();
    for number in 0..20 {
        bed.put(&format!("o{number}"), b"abc", at(1));
    }
    let partition = bed.location("o0").partition;
    let names = (0..20).map(|number| bed.location(&format!("o{number}")));
    let here: Vec<_> = names.filter(|at| at.partition == partition).map(|at| at.hash).collect();
    let suffixes = bed.device.suffixes(WHOLE, partition).unwrap();
    let list = |enough, longest| {
        bed.device.list_suffixes_until(WHOLE, partition, &suffixes, enough, longest).unwrap()
    };
    let long = Duration::from_secs(3600);
    let all: Vec<_> = list(usize::MAX, long).into_iter().flat_map(|(_, objects)| objects.unwrap()).collect();
    assert_eq!(all.len(), here.len());
    assert!(all.iter().all(|object| here.contains(&object.offer.hash)));
    assert_eq!(list(1, long).len(), 1);
    assert_eq!(list(usize::MAX, Duration::ZERO).len(), 1, "one at least, or it would never end");
    assert!(bed.device.list_suffixes_until(WHOLE, partition, &[], 1, long).unwrap().is_empty());
    // One that cannot be read costs itself alone.
    bed.watch.fail("open_dir", rustix::io::Errno::IO);
    assert!(list(1, long).iter().all(|(_, objects)| objects.is_err()));
    assert_eq!(list(1, long).len(), suffixes.len());
}

#[test]
fn an_open_body_outlives_its_replacement() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let object = bed.object("o");
    bed.put("o", b"defg", at(2));
    assert_eq!(&object.read_at(0, 10).unwrap()[..], b"abc");
}

#[test]
fn tells_tombstones_from_nothing() {
    let bed = Bed::new();
    assert!(matches!(bed.open("o").unwrap(), Found::Nothing));
    bed.put("o", b"abc", at(1));
    bed.delete("o", at(1));
    assert!(matches!(bed.open("o").unwrap(), Found::Tombstone(time) if time == at(1)));
    assert_eq!(bed.files("o"), ["0000000001.00000.ts"]);
}

#[test]
fn a_tombstone_tells_its_name_to_a_sender() {
    let bed = Bed::new();
    let deleted = || bed.device.deleted_object(&bed.location("o")).unwrap();
    assert_eq!(deleted(), None);
    bed.put("o", b"abc", at(1));
    assert_eq!(deleted(), None);
    bed.delete("o", at(2));
    assert_eq!(deleted(), Some((path("o"), at(2))));
    // One that lies where its name does not belong tells nobody.
    let other = bed.object_dir("p");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::rename(bed.object_dir("o"), other).unwrap();
    assert_eq!(bed.device.deleted_object(&bed.location("p")).unwrap(), None);
}

#[test]
fn a_collision_moves_nothing() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let options = OpenOptions { expected: Some(path("p")), ..OpenOptions::default() };
    let error = bed.device.open_object(&bed.location("o"), &options).unwrap_err();
    assert_eq!(Refusal::from(error).reason, Reason::Collision);
    assert_eq!(bed.files("o").len(), 1);
}

#[test]
fn expiry_is_judged_by_the_time_given() {
    let bed = Bed::new();
    let mut metadata = Metadata::new();
    metadata.set("X-Delete-At", "100");
    bed.put_with("o", b"abc", at(1), metadata).unwrap();
    let open = |now, open_expired| {
        let options = OpenOptions { now: Some(now), open_expired, ..OpenOptions::default() };
        bed.device.open_object(&bed.location("o"), &options).unwrap()
    };
    assert!(matches!(open(Timestamp::new(9_999_999, 0).unwrap(), false), Found::Object(_)));
    assert!(matches!(open(at(100), false), Found::Expired(object) if object.info.timestamp == at(1)));
    assert!(matches!(open(at(100), true), Found::Object(_)));
}

#[test]
fn a_plain_open_cleans_nothing_and_a_check_does() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(2));
    fs::write(bed.object_dir("o").join("0000000001.00000.data"), "").unwrap();
    bed.object("o");
    assert_eq!(bed.files("o").len(), 2);
    let found = bed.device.open_for_check(&bed.location("o"), &OpenOptions::default()).unwrap();
    assert!(matches!(found, Found::Object(_)));
    assert_eq!(bed.files("o"), ["0000000002.00000.data"]);
}

#[test]
fn tombstones_and_strays_go_when_they_are_old_enough() {
    let bed = Bed::with(|config| config.reclaim_age = Duration::from_secs(1000));
    bed.delete("old", ago(1010));
    bed.delete("young", ago(990));
    assert!(!bed.object_dir("old").exists(), "reclaimed by its own cleaning");
    assert_eq!(bed.files("young").len(), 1);
    for (name, age) in [("old", 1010), ("young", 990)] {
        fs::create_dir_all(bed.object_dir(name)).unwrap();
        fs::write(bed.object_dir(name).join(format!("{}.meta", ago(age))), "").unwrap();
        bed.device.open_for_check(&bed.location(name), &OpenOptions::default()).unwrap();
    }
    assert!(!bed.object_dir("old").exists());
    assert!(bed.files("young").iter().any(|file| file.ends_with(".meta")));
}

#[test]
fn lists_what_a_sender_offers() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    bed.post("o", at(3)).unwrap();
    let at_o = bed.location("o");
    let listing = bed.device.partitions(WHOLE).unwrap();
    assert_eq!((listing.partitions, listing.unexpected), (vec![at_o.partition], vec![]));
    assert_eq!(bed.device.suffixes(WHOLE, at_o.partition).unwrap(), [at_o.hash.suffix()]);
    let objects = bed.device.list_suffix(WHOLE, at_o.partition, at_o.hash.suffix()).unwrap();
    let [object] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!(object.offer.hash, at_o.hash);
    assert_eq!((object.offer.data, object.offer.metadata, object.offer.content_type), (at(1), at(3), at(1)));
    assert_eq!(object.offer.kind, Some(ObjectKind::Data));
    let names: Vec<_> = object.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["0000000001.00000.data", "0000000003.00000.meta"]);
    bed.delete("o", at(4));
    let objects = bed.device.list_suffix(WHOLE, at_o.partition, at_o.hash.suffix()).unwrap();
    assert_eq!(objects[0].offer.kind, Some(ObjectKind::Tombstone));
}

#[test]
fn a_look_tells_the_same_with_sizes_and_changes_nothing() {
    let bed = Bed::new();
    let at_o = bed.location("o");
    let look = || bed.device.look_at_suffix(WHOLE, at_o.partition, at_o.hash.suffix()).unwrap();
    assert_eq!(look(), SuffixLook::default(), "no such suffix");
    bed.put("o", b"abc", at(1));
    bed.post("o", at(3)).unwrap();
    fs::write(bed.object_dir("o").join("0000000000.50000.data"), "obsolete").unwrap();
    let before = bed.files("o");
    let seen = look();
    assert_eq!(bed.files("o"), before, "what is obsolete stays");
    assert_eq!((seen.objects[0].1, seen.unread), (3, 0));
    let offers = bed.device.list_suffix(WHOLE, at_o.partition, at_o.hash.suffix()).unwrap();
    assert_eq!(seen.objects[0].0.offer, offers[0].offer);
    assert_ne!(bed.files("o"), before, "a listing clears it away");
    bed.delete("o", at(4));
    assert_eq!(
        look().objects.len(),
        bed.device.list_suffix(WHOLE, at_o.partition, at_o.hash.suffix()).unwrap().len()
    );
}

#[test]
fn what_is_no_partition_is_reported_apart() {
    let bed = Bed::new();
    for name in ["12", "007", "x", "3.5"] {
        fs::create_dir_all(bed.real("objects").join(name)).unwrap();
    }
    fs::write(bed.real("objects/auditor_status_ALL.json"), "{}").unwrap();
    fs::write(bed.real("objects/99"), "").unwrap();
    let listing = bed.device.partitions(WHOLE).unwrap();
    assert_eq!(listing.partitions.iter().map(|p| p.get()).collect::<Vec<_>>(), [12]);
    assert_eq!(listing.files.iter().map(|p| p.get()).collect::<Vec<_>>(), [99]);
    assert_eq!(listing.unexpected, ["007", "3.5", "x"]);
}

#[test]
fn a_suffix_without_files_is_marked_for_removal() {
    let bed = Bed::new();
    fs::create_dir_all(bed.object_dir("o")).unwrap();
    let at_o = bed.location("o");
    assert!(bed.device.list_suffix(WHOLE, at_o.partition, at_o.hash.suffix()).unwrap().is_empty());
    assert_eq!(bed.notes("o"), "e31\n");
    assert!(!bed.object_dir("o").exists());
}

#[test]
fn links_do_not_lead_out_of_a_device() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let outside = tempfile::tempdir().unwrap();
    let suffix = bed.object_dir("o").parent().unwrap().to_path_buf();
    fs::rename(&suffix, outside.path().join("e31")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("e31"), &suffix).unwrap();
    assert!(bed.open("o").is_err());
    assert!(bed.put_with("o", b"x", at(2), Metadata::new()).is_err());
    assert_eq!(
        fs::read_dir(outside.path().join("e31").join(bed.location("o").hash.to_string())).unwrap().count(),
        1
    );
}

#[test]
fn an_unknown_policy_is_named() {
    let bed = Bed::new();
    let error = bed.device.partitions(ssync_types::PolicyIndex::new(7)).unwrap_err();
    assert!(error.to_string().contains("policy 7"));
    assert_eq!(Refusal::from(error).reason, Reason::PolicyUnknown);
}

/// A sender once passed on what the newest file's name said of the content type, while the metadata beside it had the type of
/// another file: the receiver stored it under a wrong time, and a handoff let go on that.
#[test]
fn the_time_of_a_content_type_is_that_of_the_metadata_beside_it() {
    for named in [None, Some(at(11))] {
        let bed = Bed::new();
        bed.put("o", b"abc", at(10));
        bed.post_with_type("o", at(12), Some(at(12))).unwrap();
        bed.post_with_type("o", at(15), named).unwrap();
        assert_eq!(bed.files("o").len(), 3, "body and two POSTs");
        let object = bed.object("o");
        let meta = object.meta.as_ref().unwrap();
        assert_eq!((meta.timestamp, meta.content_type), (at(15), Some(at(12))), "{named:?}");
        assert_eq!(meta.metadata.get_str("Content-Type"), Some("text/12"));
        assert_eq!(object.info.content_type, at(12));
    }
}

/// The bytes that the page cache was told to forget, in the order in which that was said.
fn forgotten(bed: &Bed) -> Vec<(u64, u64)> {
    let log = bed.watch.take();
    let said = log.iter().filter_map(|line| line.strip_prefix("drop_cache objects"));
    said.map(|line| {
        let mut words = line.rsplit(' ').map(|word| word.parse::<u64>().unwrap_or(u64::MAX));
        let (length, offset) = (words.next().unwrap(), words.next().unwrap());
        (offset, offset + length)
    })
    .collect()
}

/// Swift: BaseDiskFileReader._inner_iter and _drop_cache, for whole bodies and for ranges.
#[test]
fn a_large_body_does_not_stay_in_the_page_cache_and_a_small_one_may() {
    const MIB: usize = 1 << 20;
    let bed = Bed::with(|config| config.keep_cache_size = 3 * MIB as u64);
    for (size, range) in
        [(3 * MIB, None), (3 * MIB, Some((100, 2 * MIB))), (3 * MIB - 1, None), (3 * MIB - 1, Some((0, 5)))]
    {
        bed.put("o", &vec![7; size], at(1));
        let object = bed.object("o");
        let mut reader = match range {
            None => object.into_reader(),
            Some((first, end)) => object.into_ranges_reader(vec![(first as u64, end as u64)]),
        };
        bed.watch.take();
        let mut read = 0;
        while let Some(piece) = reader.next_chunk().unwrap() {
            read += piece.len();
        }
        let (first, end) = range.unwrap_or((0, size));
        assert_eq!(read, end - first);
        let forgotten = forgotten(&bed);
        if size < 3 * MIB {
            assert_eq!(forgotten, [], "{size} {range:?}");
            continue;
        }
        assert!(forgotten.len() > 1, "on the way, not at the end alone: {forgotten:?}");
        let ends = forgotten.iter().map(|piece| piece.1);
        let begins = forgotten.iter().map(|piece| piece.0);
        assert_eq!((begins.clone().next(), ends.clone().next_back()), (Some(first as u64), Some(end as u64)));
        assert!(begins.skip(1).eq(ends.take(forgotten.len() - 1)), "without a gap: {forgotten:?}");
        fs::remove_dir_all(bed.object_dir("o")).unwrap();
    }
}

/// Swift: server.py GET.
#[test]
fn what_a_single_user_reads_stays_only_where_the_operator_says_so() {
    for (private, all, manifests, manifest, stays) in [
        (false, false, false, "", true),
        (true, false, false, "", false),
        (true, true, false, "", true),
        (true, false, true, "", false),
        (true, false, true, "True", true),
        (true, false, false, "True", false),
    ] {
        let bed = Bed::with(|config| {
            config.keep_cache_private = all;
            config.keep_cache_slo_manifest = manifests;
        });
        let mut metadata = Metadata::new();
        metadata.set("X-Static-Large-Object", manifest);
        bed.put_with("o", b"0123456789", at(1), metadata).unwrap();
        let options = OpenOptions { private, ..OpenOptions::default() };
        let Ok(Found::Object(object)) = bed.device.open_object(&bed.location("o"), &options) else {
            panic!()
        };
        let mut reader = object.into_reader();
        bed.watch.take();
        while reader.next_chunk().unwrap().is_some() {}
        assert_eq!(forgotten(&bed).is_empty(), stays, "{private} {all} {manifests} {manifest}");
    }
}

#[test]
fn a_part_of_a_body_is_read_and_not_checked_but_all_of_it_is() {
    let bed = Bed::new();
    bed.put("o", b"0123456789", at(1));
    let read = |first, end| {
        let mut reader = bed.object("o").into_ranges_reader(vec![(first, end)]);
        let mut body = Vec::new();
        while let Some(piece) = reader.next_chunk()? {
            body.extend_from_slice(&piece);
        }
        Ok::<_, DiskError>(body)
    };
    assert_eq!(read(2, 5).unwrap(), b"234");
    assert_eq!(read(8, 100).unwrap(), b"89");
    assert_eq!(read(10, 20).unwrap(), b"");
    assert_eq!(read(5, 2).unwrap(), b"");
    fs::write(bed.object_dir("o").join("0000000001.00000.data"), "012345678X").unwrap();
    assert_eq!(read(2, 5).unwrap(), b"234");
    assert!(bed.object_dir("o").exists());
    assert!(read(0, 10).is_err());
    assert!(!bed.object_dir("o").exists());
}
