//! Damage, and what goes to quarantine.

use std::{fs, path::Path};

use rustix::{fs::XattrFlags, io::Errno};
use ssync_types::{Metadata, Reason, Refusal};

use super::bed::{Bed, WHOLE, at};
use crate::{Found, OpenOptions, layout};

fn set(file: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(file, name, value, XattrFlags::empty()).unwrap();
}

/// Damages an object, opens it, and expects it in quarantine.
fn is_quarantined(damage: impl FnOnce(&Path)) {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    damage(&bed.object_dir("o").join("0000000001.00000.data"));
    let error = bed.open("o").unwrap_err();
    assert!(error.to_string().contains("quarantine"), "{error}");
    assert_eq!(Refusal::from(error).reason, Reason::ObjectDamaged);
    assert!(!bed.object_dir("o").exists());
    let hash = bed.location("o").hash.to_string();
    assert_eq!(bed.names("quarantined/objects"), std::slice::from_ref(&hash));
    assert_eq!(bed.names(Path::new("quarantined/objects").join(hash)), ["0000000001.00000.data"]);
    assert_eq!(bed.notes("o"), "e31\ne31\n");
}

#[test]
fn unreadable_metadata() {
    is_quarantined(|file| {
        rustix::fs::removexattr(file, "user.swift.metadata_checksum").unwrap();
        set(file, "user.swift.metadata", b"junk");
    });
    is_quarantined(|file| rustix::fs::removexattr(file, "user.swift.metadata").unwrap());
}

#[test]
fn a_wrong_checksum() {
    is_quarantined(|file| set(file, "user.swift.metadata_checksum", b"00000000000000000000000000000000"));
}

#[test]
fn a_missing_checksum_is_no_damage() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let file = bed.object_dir("o").join("0000000001.00000.data");
    rustix::fs::removexattr(&file, "user.swift.metadata_checksum").unwrap();
    assert_eq!(bed.body("o").unwrap(), b"abc");
}

#[test]
fn metadata_in_pieces_of_before_2014_is_read() {
    let bed = Bed::new();
    let mut metadata = Metadata::new();
    metadata.set("X-Object-Meta-Long", "x".repeat(700));
    bed.put_with("o", b"abc", at(1), metadata).unwrap();
    let file = bed.object_dir("o").join("0000000001.00000.data");
    let mut pickle = vec![0; 4096];
    let length = rustix::fs::getxattr(&file, "user.swift.metadata", &mut pickle[..]).unwrap();
    pickle.truncate(length);
    for (index, piece) in pickle.chunks(254).enumerate() {
        let name =
            if index == 0 { "user.swift.metadata".to_owned() } else { format!("user.swift.metadata{index}") };
        set(&file, &name, piece);
    }
    assert_eq!(bed.object("o").info.metadata.get("X-Object-Meta-Long").unwrap().len(), 700);
}

/// Swift: `if metadata_checksum`.
#[test]
fn an_empty_checksum_is_none() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    set(&bed.object_dir("o").join("0000000001.00000.data"), "user.swift.metadata_checksum", b"");
    assert_eq!(bed.body("o").unwrap(), b"abc");
}

/// Swift: DiskFileXattrNotSupported, which the object server answers with 507.
#[test]
fn a_file_system_without_attributes_is_as_one_without_room() {
    for operation in ["set_attribute", "attribute"] {
        let bed = Bed::new();
        bed.put("o", b"abc", at(1));
        bed.watch.fail(operation, Errno::NOTSUP);
        let error = match operation {
            "attribute" => bed.open("o").unwrap_err(),
            _ => bed.put_with("o", b"abc", at(2), Metadata::new()).unwrap_err(),
        };
        assert_eq!(Refusal::from(error.clone()).reason, Reason::DeviceFull, "{operation}: {error}");
        bed.watch.heal();
        assert_eq!(bed.body("o").unwrap(), b"abc", "it is left where it is");
    }
}

/// Swift: _verify_data_file says DiskFileExpired before it looks at the size.
#[test]
fn what_has_expired_need_not_be_whole() {
    let bed = Bed::new();
    let mut metadata = Metadata::new();
    metadata.set("X-Delete-At", "5");
    bed.put_with("o", b"abc", at(1), metadata).unwrap();
    fs::write(bed.object_dir("o").join("0000000001.00000.data"), "ab").unwrap();
    let open = |open_expired| {
        let options = OpenOptions { open_expired, ..OpenOptions::default() };
        bed.device.open_object(&bed.location("o"), &options)
    };
    let Found::Expired(object) = open(false).unwrap() else { panic!() };
    assert_eq!(object.info.timestamp, at(1));
    assert_eq!(Refusal::from(open(true).unwrap_err()).reason, Reason::ObjectDamaged);
}

/// Python's numbers have no end.
#[test]
fn a_time_beyond_all_numbers_never_comes() {
    let bed = Bed::new();
    let mut metadata = Metadata::new();
    metadata.set("X-Delete-At", "99999999999999999999");
    bed.put_with("o", b"abc", at(1), metadata).unwrap();
    assert_eq!(bed.body("o").unwrap(), b"abc");
}

#[test]
fn a_size_that_does_not_match() {
    is_quarantined(|file| fs::write(file, "abcd").unwrap());
}

#[test]
fn no_name_and_a_bad_delete_at_and_a_foreign_name() {
    let pickle = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(key, value)| (ssync_pickle::Value::bytes(*key), ssync_pickle::Value::bytes(*value)));
        ssync_pickle::write(&ssync_pickle::Value::Dict(pairs.collect()))
    };
    let with = |pairs: &[(&str, &str)]| {
        let pickle = pickle(pairs);
        move |file: &Path| {
            rustix::fs::removexattr(file, "user.swift.metadata_checksum").unwrap();
            set(file, "user.swift.metadata", &pickle);
        }
    };
    let good = [("name", "/AUTH_test/c/o"), ("X-Timestamp", "1"), ("Content-Length", "3")];
    is_quarantined(with(&good[1..]));
    is_quarantined(with(&good[..2]));
    is_quarantined(with(&[good[0], good[1], good[2], ("X-Delete-At", "soon")]));
    is_quarantined(with(&[good[0], good[1], ("Content-Length", "three")]));

    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    with(&[("name", "/AUTH_test/c/other"), good[1], good[2]])(
        &bed.object_dir("o").join("0000000001.00000.data"),
    );
    let error = bed.device.open_object(&bed.location("o"), &OpenOptions::default()).unwrap_err();
    assert_eq!(
        Refusal::from(error).reason,
        Reason::ObjectDamaged,
        "opened by hash: the name must hash to it"
    );
}

#[test]
fn a_body_that_rotted_is_found_when_it_was_read_to_the_end() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    fs::write(bed.object_dir("o").join("0000000001.00000.data"), "abd").unwrap();
    let error = bed.body("o").unwrap_err();
    assert!(error.to_string().contains("MD5"), "{error}");
    assert!(!bed.object_dir("o").exists());
}

#[test]
fn what_has_been_replaced_meanwhile_stays() {
    let bed = Bed::with(|config| config.disk_chunk_size = 2);
    bed.put("o", b"abc", at(1));
    fs::write(bed.object_dir("o").join("0000000001.00000.data"), "abd").unwrap();
    let Found::Object(object) = bed.open("o").unwrap() else { panic!() };
    let mut reader = object.into_reader();
    assert_eq!(reader.next_chunk().unwrap().unwrap(), "ab", "and the last piece is not given");
    bed.put("o", b"good", at(2));
    assert_eq!(Refusal::from(reader.next_chunk().unwrap_err()).reason, Reason::StateChanged);
    assert_eq!(bed.body("o").unwrap(), b"good");
}

#[test]
fn bad_sectors_under_a_body() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let target = layout::object(&bed.location("o"));
    bed.watch.fail(&format!("read {}", target.display()), Errno::IO);
    assert_eq!(Refusal::from(bed.body("o").unwrap_err()).reason, Reason::ObjectDamaged);
    assert!(!bed.object_dir("o").exists());
}

#[test]
fn a_directory_that_cannot_be_listed_and_then_the_whole_suffix() {
    for (whole_suffix, expected) in [(false, "4e2772c453cbe15a19b26fbfbb223e31"), (true, "e31")] {
        let bed = Bed::new();
        bed.put("o", b"abc", at(1));
        let directory = layout::object(&bed.location("o"));
        bed.watch.fail(&format!("list {}", directory.display()), Errno::UCLEAN);
        if whole_suffix {
            bed.watch.fail("rename quarantined/objects/4e27", Errno::UCLEAN);
        }
        assert_eq!(Refusal::from(bed.open("o").unwrap_err()).reason, Reason::ObjectDamaged);
        assert_eq!(bed.names("quarantined/objects"), [expected]);
    }
}

#[test]
fn a_file_in_the_place_of_a_directory() {
    let bed = Bed::new();
    fs::create_dir_all(bed.object_dir("o").parent().unwrap()).unwrap();
    fs::write(bed.object_dir("o"), "what is this").unwrap();
    assert_eq!(Refusal::from(bed.open("o").unwrap_err()).reason, Reason::ObjectDamaged);
    assert!(matches!(bed.open("o").unwrap(), Found::Nothing));
    assert_eq!(bed.names("quarantined/objects").len(), 1);
}

#[test]
fn a_file_in_the_place_of_a_suffix() {
    let bed = Bed::new();
    let suffix = bed.object_dir("o").parent().unwrap().to_owned();
    fs::create_dir_all(suffix.parent().unwrap()).unwrap();
    for write in [false, true] {
        fs::write(&suffix, "what is this").unwrap();
        let error = match write {
            true => bed.put_with("o", b"abc", at(1), Metadata::new()).unwrap_err(),
            false => bed.open("o").unwrap_err(),
        };
        assert_eq!(Refusal::from(error).reason, Reason::ObjectDamaged);
        assert!(!suffix.exists());
    }
    assert_eq!(bed.names("quarantined/objects"), ["e31"]);
    bed.put("o", b"abc", at(1));
    // A damaged object alone is no reason to move a whole suffix.
    let directory = layout::object(&bed.location("o"));
    bed.watch.fail("rename quarantined/objects/4e27", Errno::IO);
    bed.watch.fail(&format!("list {}", directory.display()), Errno::NOTDIR);
    assert_eq!(Refusal::from(bed.open("o").unwrap_err()).reason, Reason::ObjectIo);
    assert!(bed.object_dir("o").exists());
}

/// The replicator removes it; until then everything that concerns the partition fails, and nothing is made elsewhere.
#[test]
fn a_file_in_the_place_of_a_partition() {
    let bed = Bed::new();
    fs::create_dir(bed.real("objects")).unwrap();
    fs::write(bed.partition_dir("o"), "").unwrap();
    let at_disk = |error| assert_eq!(Refusal::from(error).reason, Reason::ObjectIo);
    at_disk(bed.open("o").unwrap_err());
    at_disk(bed.put_with("o", b"abc", at(1), Metadata::new()).unwrap_err());
    at_disk(bed.device.suffix_hashes(WHOLE, bed.location("o").partition, &[], false).unwrap_err());
    assert_eq!(bed.names(""), ["objects"]);
}

#[test]
fn a_second_quarantine_of_an_object_gets_a_name_of_its_own() {
    let bed = Bed::new();
    for time in [1, 2] {
        bed.put("o", b"abc", at(time));
        fs::write(bed.object_dir("o").join(format!("000000000{time}.00000.data")), "").unwrap();
        assert!(bed.open("o").is_err());
    }
    let names = bed.names("quarantined/objects");
    assert_eq!(names.len(), 2);
    assert_eq!(names[1].len(), 32 + 1 + 32);
}

#[test]
fn a_damaged_tombstone_is_as_if_it_were_not_there() {
    let bed = Bed::new();
    bed.delete("o", at(1));
    set(&bed.object_dir("o").join("0000000001.00000.ts"), "user.swift.metadata_checksum", b"x");
    assert!(matches!(bed.open("o").unwrap(), Found::Nothing));
    assert!(!bed.object_dir("o").exists());
}

#[test]
fn a_file_that_vanishes_between_listing_and_opening_means_try_again() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let file = bed.object_dir("o").join("0000000001.00000.data");
    bed.watch.before("open objects/312/e31", move || fs::remove_file(file).unwrap());
    assert_eq!(Refusal::from(bed.open("o").unwrap_err()).reason, Reason::StateChanged);
}
