//! Locks among threads, and with other processes.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use ssync_types::{Reason, Refusal};

use super::bed::{Bed, WHOLE, at};
use crate::{DiskError, layout};

const NOW: Duration = Duration::ZERO;

fn reason(result: Result<impl std::fmt::Debug, DiskError>) -> Reason {
    Refusal::from(result.unwrap_err()).reason
}

#[test]
fn a_partition_has_one_holder_and_is_free_when_that_is_gone() {
    let bed = Bed::new();
    let (other, partition) = (bed.other_process(), bed.location("o").partition);
    let lock = bed.device.lock_partition(WHOLE, partition, NOW).unwrap();
    assert!(bed.partition_dir("o").join(".lock-replication").exists());
    assert_eq!(
        reason(other.lock_partition(WHOLE, partition, Duration::from_millis(50))),
        Reason::PartitionLocked
    );
    assert_eq!(reason(bed.device.lock_partition(WHOLE, partition, NOW)), Reason::PartitionLocked);
    drop(lock);
    other.lock_partition(WHOLE, partition, NOW).unwrap();
}

#[test]
fn a_lock_is_waited_for() {
    let bed = Bed::new();
    let partition = bed.location("o").partition;
    let lock = bed.device.lock_partition(WHOLE, partition, NOW).unwrap();
    let waiting = thread::spawn({
        let device = bed.other_process();
        move || device.lock_partition(WHOLE, partition, Duration::from_secs(20)).is_ok()
    });
    thread::sleep(Duration::from_millis(100));
    drop(lock);
    assert!(waiting.join().unwrap());
}

#[test]
fn a_device_has_as_many_locks_as_slots() {
    let bed = Bed::new();
    assert!(bed.device.lock_device(0, NOW).unwrap().is_none());
    let first = bed.device.lock_device(2, NOW).unwrap();
    let _second = bed.device.lock_device(2, NOW).unwrap();
    assert!(first.is_some());
    assert_eq!(bed.names(""), [".lock", ".lock-1"]);
    assert_eq!(reason(bed.device.lock_device(2, NOW)), Reason::DeviceLocked);
    drop(first);
    assert!(bed.device.lock_device(2, NOW).unwrap().is_some());
}

#[test]
fn a_lock_file_that_loses_its_name_while_it_is_locked_does_not_do() {
    let bed = Bed::new();
    let partition = bed.location("o").partition;
    let file = bed.partition_dir("o").join(".lock-replication");
    bed.watch.before("try_lock", move || fs::remove_file(file).unwrap());
    let _lock = bed.device.lock_partition(WHOLE, partition, Duration::from_secs(5)).unwrap();
    assert_eq!(reason(bed.other_process().lock_partition(WHOLE, partition, NOW)), Reason::PartitionLocked);
}

#[test]
fn writers_of_one_partition_do_not_lose_notes() {
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let bed = &bed;
            scope.spawn(move || (0..5).for_each(|round| bed.put("o", b"x", at(2 + writer * 5 + round))));
        }
    });
    assert_eq!(bed.notes("o").lines().count(), 21);
    assert_eq!(bed.files("o"), ["0000000021.00000.data"]);
}

/// The first of them waited its time and gave up, the second began to wait its own then, and so on.
#[test]
fn threads_that_wait_for_the_same_lock_give_up_at_the_same_time() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let bed = Bed::new();
    bed.put("o", b"x", at(1));
    let partition = layout::partition(WHOLE, bed.location("o").partition);
    let (other, began) = (bed.other_process(), Instant::now());
    let held = other.lock_hashes(&partition).unwrap();
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let locked = bed.device.lock_hashes_within(&partition, TIMEOUT).map(|_| ());
                assert_eq!(reason(locked), Reason::PartitionLocked);
            });
        }
    });
    assert!(began.elapsed() >= TIMEOUT, "{:?}", began.elapsed());
    assert!(began.elapsed() < TIMEOUT * 2, "{:?}", began.elapsed());
    drop(held);
    assert!(bed.device.lock_hashes_within(&partition, NOW).unwrap().is_some());
}
