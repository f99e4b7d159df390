//! What a device that is full, or nearly, refuses (Swift: diskfile.py BaseDiskFileWriter.open, common/utils fallocate and
//! fs_has_free_space).

use rustix::io::Errno;
use ssync_types::{Metadata, Reason, Refusal};

use super::bed::{Bed, at, path};
use crate::{DiskError, Reserve};

fn begin(bed: &Bed, size: Option<u64>) -> Result<(), DiskError> {
    bed.device.create(&bed.location("o"), &path("o"), size).map(|_| ())
}

#[test]
fn the_reserve_is_kept_to_the_byte() {
    for reserve in [Reserve::Bytes(100), Reserve::Percent(10.0)] {
        let bed = Bed::with(|config| config.fallocate_reserve = reserve);
        for (size, free, fits) in [
            // With a size: more than the reserve must be left.
            (Some(50), 151, true),
            (Some(50), 150, false),
            (Some(50), 20, false),
            // Without one: the reserve must be there.
            (None, 100, true),
            (None, 99, false),
            (Some(0), 100, true),
            (Some(0), 99, false),
        ] {
            bed.watch.set_space(free, 1000);
            match begin(&bed, size) {
                Ok(()) => assert!(fits, "{reserve:?} {size:?} of {free}"),
                Err(error) => {
                    assert!(!fits, "{reserve:?} {size:?} of {free}: {error}");
                    assert_eq!(Refusal::from(error).reason, Reason::DeviceFull);
                }
            }
        }
        assert!(bed.names("objects/312").is_empty(), "what is refused leaves nothing");
    }
}

#[test]
fn without_a_reserve_the_file_system_alone_decides() {
    let bed = Bed::with(|config| config.fallocate_reserve = Reserve::Bytes(0));
    bed.watch.set_space(0, 1000);
    begin(&bed, Some(50)).unwrap();
    begin(&bed, None).unwrap();
    for error in [Errno::NOSPC, Errno::DQUOT] {
        bed.watch.fail("allocate", error);
        assert_eq!(Refusal::from(begin(&bed, Some(50)).unwrap_err()).reason, Reason::DeviceFull);
        begin(&bed, None).unwrap();
        bed.watch.heal();
    }
    for error in [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL] {
        bed.watch.fail("allocate", error);
        begin(&bed, Some(50)).unwrap();
        bed.watch.heal();
    }
    bed.watch.fail("allocate", Errno::IO);
    assert_eq!(Refusal::from(begin(&bed, Some(50)).unwrap_err()).reason, Reason::ObjectIo);
}

/// Swift: disable_fallocate skips the test of what has a size, and that alone.
#[test]
fn without_fallocate_a_size_is_not_looked_at() {
    let bed = Bed::with(|config| {
        config.fallocate_reserve = Reserve::Bytes(100);
        config.disable_fallocate = true;
    });
    bed.watch.set_space(0, 1000);
    bed.watch.fail("allocate", Errno::IO);
    begin(&bed, Some(50)).unwrap();
    assert_eq!(Refusal::from(begin(&bed, None).unwrap_err()).reason, Reason::DeviceFull);
}

#[test]
fn a_deletion_needs_no_reserve_but_some_room() {
    let bed = Bed::with(|config| config.fallocate_reserve = Reserve::Bytes(100));
    bed.watch.set_space(0, 1000);
    bed.delete("o", at(1));
    for (operation, error) in [
        ("make_dir", Errno::NOSPC),
        ("temporary", Errno::NOSPC),
        ("temporary", Errno::DQUOT),
        ("set_attribute", Errno::NOSPC),
        ("set_attribute", Errno::DQUOT),
    ] {
        bed.watch.fail(operation, error);
        let deleted = bed.device.write_tombstone(&bed.location("p"), &path("p"), at(2), None);
        assert_eq!(Refusal::from(deleted.unwrap_err()).reason, Reason::DeviceFull, "{operation} {error}");
        let posted = bed.post("o", at(2)).unwrap_err();
        assert!(matches!(posted, DiskError::NotFound { .. }), "{posted}");
        bed.watch.heal();
    }
    assert!(bed.files("p").is_empty());
}

#[test]
fn a_device_that_fills_up_under_a_body_keeps_what_it_had() {
    let bed = Bed::new();
    bed.put("o", b"abc", at(1));
    for operation in ["write temporary", "set_attribute", "link objects"] {
        bed.watch.fail(operation, Errno::NOSPC);
        let error = bed.put_with("o", b"abcdef", at(2), Metadata::new()).unwrap_err();
        assert_eq!(Refusal::from(error).reason, Reason::DeviceFull, "{operation}");
        bed.watch.heal();
        assert_eq!(bed.body("o").unwrap(), b"abc");
        assert_eq!(bed.files("o").len(), 1);
    }
}
