//! Publishing: the order of rule S1, and what is left when something goes wrong.

use std::{fs, os::unix::fs::MetadataExt as _, time::Duration};

use rustix::io::Errno;
use ssync_types::{Durability, Metadata, Reason, Refusal};

use super::bed::{Bed, WHOLE, at, path};
use crate::{DataFile, DiskError, MetaFile, Reserve, layout};

const E31: &str = "objects/312/e31/4e2772c453cbe15a19b26fbfbb223e31";

/// Where the first operation that begins so stands.
fn position(log: &[String], operation: &str) -> usize {
    log.iter()
        .position(|line| line.starts_with(operation))
        .unwrap_or_else(|| panic!("no {operation} in {log:#?}"))
}

fn reason(error: DiskError) -> Reason {
    Refusal::from(error).reason
}

#[test]
fn publishes_in_the_order_of_s1() {
    let bed = Bed::new();
    bed.put("o", b"old", at(1));
    bed.watch.take();
    bed.put("o", b"new", at(2));
    let log = bed.watch.take();
    let order = [
        "set_attribute temporary".to_owned(),
        "write objects/312/hashes.invalid".to_owned(),
        "sync temporary".to_owned(),
        "sync objects/312/hashes.invalid".to_owned(),
        format!("link {E31}/0000000002.00000.data"),
        format!("sync_dir {E31}"),
        format!("unlink {E31}/0000000001.00000.data"),
    ];
    let places: Vec<_> = order.iter().map(|operation| position(&log, operation)).collect();
    assert!(places.is_sorted(), "{places:?} in {log:#?}");
    assert_eq!(bed.files("o"), ["0000000002.00000.data"]);
    assert_eq!(bed.notes("o"), "e31\ne31\n");
}

#[test]
fn flushes_every_directory_that_is_new() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let log = bed.watch.take();
    let link = position(&log, "link ");
    for directory in [E31, "objects/312/e31", "objects/312", "objects", ""] {
        let flushed = log.iter().rposition(|line| *line == format!("sync_dir {directory}"));
        assert!(flushed.is_some_and(|at| at > link), "{directory:?} in {log:#?}");
    }
}

#[test]
fn flushes_the_name_of_a_directory_that_somebody_else_has_just_made() {
    let bed = Bed::new();
    fs::create_dir_all(bed.object_dir("o")).unwrap();
    bed.put("o", b"x", at(1));
    let log = bed.watch.take();
    for directory in ["objects/312/e31", "objects/312", "objects"] {
        assert!(log.contains(&format!("sync_dir {directory}")), "{directory} in {log:#?}");
    }
    bed.put("o", b"x", at(2));
    let log = bed.watch.take();
    assert!(!log.contains(&"sync_dir objects".to_owned()), "known to be flushed: {log:#?}");
}

#[test]
fn durability_none_flushes_nothing() {
    let bed = Bed::with(|config| config.durability = Durability::None);
    bed.put("o", b"x", at(1));
    let log = bed.watch.take();
    assert!(!log.iter().any(|line| line.starts_with("sync")), "{log:#?}");
}

#[test]
fn a_failed_flush_publishes_nothing_and_leaves_nothing() {
    let bed = Bed::new();
    bed.watch.fail("sync temporary", Errno::IO);
    assert_eq!(reason(bed.put_with("o", b"x", at(1), Metadata::new()).unwrap_err()), Reason::ObjectIo);
    assert!(!bed.object_dir("o").exists());
    assert!(!bed.object_dir("o").parent().unwrap().exists());
}

#[test]
fn a_directory_that_cannot_be_flushed_is_no_success() {
    let bed = Bed::new();
    bed.watch.fail("sync_dir", Errno::IO);
    assert_eq!(reason(bed.put_with("o", b"x", at(1), Metadata::new()).unwrap_err()), Reason::ObjectIo);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    for named in [false, true] {
        let bed = Bed::new();
        if named {
            bed.watch.fail("temporary", Errno::OPNOTSUPP);
        }
        let mut writer = bed.device.create(&bed.location("o"), &path("o"), Some(3)).unwrap();
        writer.write(b"abc").unwrap();
        assert_eq!((writer.written(), writer.md5_hex().as_str()), (3, "900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(bed.names("tmp").len(), usize::from(named));
        drop(writer);
        assert!(!bed.object_dir("o").exists());
        assert!(bed.names("tmp").is_empty());
    }
}

#[test]
fn without_nameless_files_a_name_in_tmp_serves() {
    let bed = Bed::new();
    bed.watch.fail("temporary", Errno::OPNOTSUPP);
    bed.put("o", b"abc", at(1));
    bed.put("o", b"abcd", at(2));
    assert_eq!(bed.body("o").unwrap(), b"abcd");
    assert!(bed.names("tmp").is_empty());
    let tried = bed.watch.take().iter().filter(|line| line.starts_with("temporary")).count();
    assert_eq!(tried, 1, "the file system is asked once");
}

#[test]
fn the_same_name_is_replaced_and_at_no_time_absent() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    bed.watch.take();
    bed.put("o", b"abcd", at(1));
    assert_eq!(bed.body("o").unwrap(), b"abcd");
    let target = format!("{E31}/0000000001.00000.data");
    assert!(!bed.watch.take().contains(&format!("unlink {target}")));
    assert!(bed.names("tmp").is_empty());
}

#[test]
fn a_directory_removed_meanwhile_is_made_again() {
    let bed = Bed::new();
    let directory = bed.object_dir("o");
    bed.watch.before("link ", move || fs::remove_dir(directory).unwrap());
    bed.put("o", b"abc", at(1));
    assert_eq!(bed.body("o").unwrap(), b"abc");
}

#[test]
fn a_note_that_was_taken_too_early_is_made_again() {
    let bed = Bed::new();
    let (other, partition) = (bed.other_process(), bed.location("o").partition);
    bed.watch.before("link ", move || {
        other.suffix_hashes(super::bed::WHOLE, partition, &[], false).unwrap();
    });
    bed.put("o", b"abc", at(1));
    assert_eq!(bed.notes("o"), "e31\n");
    assert!(bed.hash_of("o").is_some());
}

#[test]
fn a_hash_waits_for_a_name_that_is_being_published() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let hashed = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (device, partition, slot) =
        (std::sync::Arc::clone(&bed.device), bed.location("o").partition, std::sync::Arc::clone(&hashed));
    bed.watch.before("sync_dir ", move || {
        let thread = std::thread::spawn(move || {
            device.suffix_hashes(super::bed::WHOLE, partition, &[], false).unwrap()
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!thread.is_finished(), "it counted a name that is not flushed");
        *slot.lock().unwrap() = Some(thread);
    });
    bed.put("o", b"abc", at(2));
    let early = hashed.lock().unwrap().take().unwrap().join().unwrap();
    assert_eq!(early.get(&bed.suffix("o")).cloned(), bed.hash_of("o"));
}

#[test]
fn metadata_is_stored_with_what_the_writer_knows() {
    let bed = Bed::new();
    let mut metadata = Metadata::new();
    metadata.set("X-Object-Meta-Colour", "blue");
    metadata.set("Content-Length", "999");
    bed.put_with("o", b"abc", at(1), metadata).unwrap();
    let object = bed.object("o");
    assert_eq!(object.name, path("o"));
    for (name, value) in [
        ("X-Timestamp", "0000000001.00000"),
        ("Content-Length", "3"),
        ("ETag", "900150983cd24fb0d6963f7d28e17f72"),
        ("X-Object-Meta-Colour", "blue"),
    ] {
        assert_eq!(object.data_metadata.get_str(name), Some(value), "{name}");
    }
}

#[test]
fn a_wrong_etag_or_a_name_of_another_object_is_refused() {
    let bed = Bed::new();
    let mut metadata = Metadata::new();
    metadata.set("ETag", "00000000000000000000000000000000");
    assert_eq!(reason(bed.put_with("o", b"abc", at(1), metadata).unwrap_err()), Reason::InvalidArgument);
    let wrong = bed.device.create(&bed.location("o"), &path("p"), None).unwrap_err();
    assert_eq!(reason(wrong), Reason::InvalidArgument);
    assert!(bed.names("").is_empty() || !bed.object_dir("o").exists());
}

#[test]
fn a_device_that_is_gone_gets_nothing() {
    let bed = Bed::new();
    let mut writer = bed.device.create(&bed.location("o"), &path("o"), None).unwrap();
    writer.write(b"abc").unwrap();
    let (place, aside) = (bed.real(""), bed.real("").parent().unwrap().join("aside"));
    fs::rename(&place, &aside).unwrap();
    fs::create_dir(&place).unwrap();
    let file =
        DataFile { timestamp: at(1), metadata: Metadata::new(), fragment: None, next_part_power: None };
    assert_eq!(reason(writer.commit(file).unwrap_err()), Reason::DeviceUnmounted);
    let created = bed.device.create(&bed.location("o"), &path("o"), None);
    assert_eq!(reason(created.unwrap_err()), Reason::DeviceUnmounted);
    assert!(fs::read_dir(&place).unwrap().next().is_none());
}

#[test]
fn the_reserve_stops_bodies_and_posts_but_not_deletions() {
    let bed = Bed::with(|config| config.fallocate_reserve = Reserve::Percent(100.0));
    for size in [None, Some(0), Some(10)] {
        let refused = bed.device.create(&bed.location("o"), &path("o"), size).unwrap_err();
        assert_eq!(reason(refused), Reason::DeviceFull, "{size:?}");
    }
    bed.delete("o", at(2));
    assert_eq!(bed.files("o"), ["0000000002.00000.ts"]);
}

#[test]
fn metadata_too_large_for_the_file_system_is_a_full_device() {
    let bed = Bed::new();
    bed.watch.fail("set_attribute", Errno::NOSPC);
    assert_eq!(reason(bed.put_with("o", b"abc", at(1), Metadata::new()).unwrap_err()), Reason::DeviceFull);
    bed.watch.heal();
    assert!(bed.files("o").is_empty());
}

#[test]
fn a_post_needs_a_body_when_it_begins_and_when_it_publishes() {
    let bed = Bed::new();
    assert_eq!(reason(bed.post("o", at(2)).unwrap_err()), Reason::NotFound);
    bed.put("o", b"abc", at(1));
    let data = bed.object_dir("o").join("0000000001.00000.data");
    bed.watch.before("sync temporary", move || fs::remove_file(data).unwrap());
    assert_eq!(reason(bed.post("o", at(2)).unwrap_err()), Reason::StateChanged);
    assert!(bed.files("o").is_empty());
}

#[test]
fn a_post_with_a_content_type_has_its_time_in_the_name() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    let mut metadata = Metadata::new();
    metadata.set("Content-Type", "image/png");
    let meta = MetaFile { timestamp: at(3), metadata, content_type: Some(at(2)), next_part_power: None };
    bed.device.write_meta(&bed.location("o"), &path("o"), &meta).unwrap();
    assert_eq!(bed.files("o"), ["0000000001.00000.data", "0000000003.00000-186a0.meta"]);
    bed.post("o", at(4)).unwrap();
    assert_eq!(bed.files("o").len(), 3, "the older one holds the content type");
    let object = bed.object("o");
    assert_eq!(object.info.metadata.get_str("Content-Type"), Some("image/png"));
    assert_eq!((object.info.timestamp, object.info.content_type), (at(4), at(2)));
    assert_eq!(object.meta.as_ref().unwrap().metadata.get_str("Content-Type"), Some("image/png"));
}

#[test]
fn while_the_partition_power_grows_a_file_is_linked_and_cleaned_in_both_places() {
    let bed = Bed::new();
    let put = |time, power| {
        let mut writer = bed.device.create(&bed.location("o"), &path("o"), None).unwrap();
        writer.write(b"abc").unwrap();
        let metadata = Metadata::new();
        writer
            .commit(DataFile { timestamp: at(time), metadata, fragment: None, next_part_power: Some(power) })
            .unwrap();
    };
    put(1, 11);
    put(2, 11);
    let here = bed.location("o");
    let next = crate::Location { partition: here.hash.partition(11), ..here };
    let inode = |at| fs::metadata(bed.real(layout::object(at)).join("0000000002.00000.data")).unwrap().ino();
    assert_eq!(inode(&here), inode(&next));
    assert_eq!(bed.names(layout::object(&next)), ["0000000002.00000.data"]);
}

/// Python: os.open and mkdir give 0777, open 0666, all less the umask; mkstemp gives 0600.
#[test]
fn files_and_directories_have_the_modes_that_swift_gives() {
    use std::os::unix::fs::PermissionsExt as _;
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    bed.hash_of("o");
    let _lock = bed.device.lock_partition(WHOLE, bed.location("o").partition, Duration::ZERO).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    fs::create_dir(bed.real("masked")).unwrap();
    let masked = |wanted: u32| wanted & mode(&bed.real("masked"));
    let partition = bed.partition_dir("o");
    for (path, expected) in [
        (bed.object_dir("o").join("0000000001.00000.data"), masked(0o777)),
        (bed.object_dir("o"), masked(0o777)),
        (partition.clone(), masked(0o777)),
        (partition.join(".lock"), masked(0o777)),
        (partition.join(".lock-replication"), masked(0o777)),
        (partition.join("hashes.invalid"), masked(0o666)),
        (partition.join("hashes.pkl"), 0o600),
    ] {
        assert_eq!(mode(&path), expected, "{}: {:o}", path.display(), mode(&path));
    }
    bed.watch.fail("temporary", rustix::io::Errno::OPNOTSUPP);
    bed.put("o", b"x", at(2));
    assert_eq!(mode(&bed.object_dir("o").join("0000000002.00000.data")), 0o600);
}
