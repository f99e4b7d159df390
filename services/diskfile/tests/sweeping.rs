//! What the replicator tidies up beside the objects.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use ssync_types::{Partition, PolicyIndex, Reason, Refusal};

use super::bed::{Bed, CODED, WHOLE, at};

const AGE: Duration = Duration::from_secs(1000);

fn bed() -> Bed {
    Bed::with(|config| config.reclaim_age = AGE)
}

fn aged(bed: &Bed, file: &str) {
    fs::create_dir_all(bed.real(file).parent().unwrap()).unwrap();
    fs::write(bed.real(file), "left by a crash").unwrap();
    fs::File::open(bed.real(file)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

/// Swift: unlink_older_than of `tmp`.
#[test]
fn old_files_in_tmp_go() {
    let bed = bed();
    aged(&bed, "tmp/tmpabc");
    aged(&bed, "tmp/held/abc");
    aged(&bed, "tmp-1/tmpabc");
    fs::create_dir(bed.real("tmp/directory")).unwrap();
    let now = SystemTime::now();
    let sweep = |policy| bed.device.sweep_temporaries(policy).unwrap();
    assert_eq!(sweep(WHOLE), 0, "its name is young: it may be an object that is being let go of");
    bed.watch.set_clock(now + AGE - Duration::from_secs(10));
    assert_eq!(sweep(WHOLE), 0);
    bed.watch.set_clock(now + AGE + Duration::from_secs(10));
    assert_eq!((sweep(WHOLE), sweep(WHOLE)), (2, 0));
    assert_eq!(bed.names("tmp"), ["directory", "held"]);
    assert!(bed.names("tmp/held").is_empty());
    assert_eq!(bed.names("tmp-1"), ["tmpabc"], "each policy has its own");
    assert_eq!(sweep(CODED), 1);
    assert!(bed.device.sweep_temporaries(PolicyIndex::new(7)).is_err());
}

#[test]
fn a_policy_without_tmp_has_nothing_to_sweep_and_a_clock_that_goes_behind_sweeps_nothing() {
    let bed = bed();
    assert_eq!(bed.device.sweep_temporaries(WHOLE).unwrap(), 0);
    assert!(bed.names("").is_empty());
    aged(&bed, "tmp/tmpabc");
    bed.watch.set_clock(SystemTime::UNIX_EPOCH);
    assert_eq!(bed.device.sweep_temporaries(WHOLE).unwrap(), 0);
}

/// What Swift's daemons and mkfs leave among the partitions is told from partitions (row 42, spec 1.18).
#[test]
fn only_directories_with_a_partitions_number_are_partitions() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    for file in ["7", "auditor_status_ALL.json", "auditor_status_ZBF.json", "relink.objects.json", "x.tmp"] {
        fs::write(bed.real(Path::new("objects").join(file)), "").unwrap();
    }
    for directory in ["lost+found", "007", "-1", "9999999999", "6"] {
        fs::create_dir(bed.real(Path::new("objects").join(directory))).unwrap();
    }
    std::os::unix::fs::symlink("6", bed.real("objects/5")).unwrap();
    let listing = bed.device.partitions(WHOLE).unwrap();
    assert_eq!(listing.partitions, [6, 312].map(Partition::new));
    assert_eq!(listing.files, [5, 7].map(Partition::new));
    assert_eq!(listing.unexpected, ["-1", "007", "9999999999", "lost+found", "relink.objects.json", "x.tmp"]);
}

/// Swift: replicate, 'Removing partition directory which was a file'.
#[test]
fn a_file_in_the_place_of_a_partition_can_be_removed_and_nothing_else() {
    let bed = bed();
    bed.put("o", b"x", at(1));
    fs::write(bed.real("objects/7"), "").unwrap();
    std::os::unix::fs::symlink("312", bed.real("objects/5")).unwrap();
    let remove = |number| bed.device.remove_partition_file(WHOLE, Partition::new(number));
    remove(7).unwrap();
    remove(7).unwrap();
    for number in [312, 5] {
        assert_eq!(Refusal::from(remove(number).unwrap_err()).reason, Reason::ObjectIo);
    }
    assert_eq!(bed.names("objects"), ["312", "5"]);
    assert_eq!(bed.body("o").unwrap(), b"x");
}
