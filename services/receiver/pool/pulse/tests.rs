//! When a device hangs, and when it is only slow.

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const THREADS: usize = 4;
const SHORT: Kind = Kind::Short { bytes: 0 };

struct Device {
    pulse: Pulse,
    start: Instant,
}

impl Device {
    fn new() -> Self {
        Self { pulse: Pulse::default(), start: Instant::now() }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn begin(&mut self, second: u64, kind: Kind) -> u64 {
        let now = self.at(second);
        self.pulse.begin(Lane::Request, kind, now)
    }

    fn begin_in(&mut self, lane: Lane, second: u64) -> u64 {
        let now = self.at(second);
        self.pulse.begin(lane, SHORT, now)
    }

    /// One of this kind ends.
    fn end(&mut self, second: u64, number: u64, kind: Kind) {
        let now = self.at(second);
        self.pulse.end(number, kind, now);
    }

    /// Seconds for which it hangs then.
    fn hangs(&self, second: u64) -> Option<u64> {
        self.pulse.hangs_for(PATIENCE, THREADS, self.at(second)).map(|age| age.as_secs())
    }
}

#[test]
fn it_hangs_when_nothing_has_ended_since_an_operation_that_takes_too_long_began() {
    let mut device = Device::new();
    assert_eq!(device.hangs(1000), None);
    let first = device.begin(0, SHORT);
    device.begin(1, SHORT);
    assert_eq!((device.hangs(59), device.hangs(60), device.hangs(70)), (None, Some(60), Some(70)));
    device.end(70, first, SHORT);
    assert_eq!(device.hangs(70), None);
}

#[test]
fn one_that_stands_still_while_others_end_does_not_speak_for_the_device() {
    let mut device = Device::new();
    device.begin(0, SHORT);
    let other = device.begin(30, SHORT);
    device.end(50, other, SHORT);
    assert_eq!(device.hangs(1000), None, "also when nothing else comes");
    // What comes then tells.
    device.begin(1000, SHORT);
    assert_eq!((device.hangs(1059), device.hangs(1060)), (None, Some(60)));
}

#[test]
fn it_hangs_when_all_threads_are_taken_and_nothing_ends() {
    let mut device = Device::new();
    let numbers: Vec<u64> = (0..=THREADS).map(|_| device.begin(0, SHORT)).collect();
    device.end(10, numbers[0], SHORT);
    assert_eq!((device.hangs(69), device.hangs(70)), (None, Some(60)));
    device.end(71, numbers[1], SHORT);
    assert_eq!(device.hangs(1000), None, "a thread is free to try it");
}

#[test]
fn a_look_that_ends_is_no_sign_of_life_and_one_that_does_not_end_tells() {
    let mut device = Device::new();
    device.begin(0, SHORT);
    let look = device.begin(40, Kind::Look);
    device.end(41, look, Kind::Look);
    assert_eq!(device.hangs(60), Some(60));
    let mut device = Device::new();
    device.begin(0, Kind::Look);
    assert_eq!(device.hangs(60), Some(60));
}

#[test]
fn work_that_did_not_come_to_the_disk_is_no_sign_of_life() {
    let mut device = Device::new();
    device.begin(0, SHORT);
    let refused = device.begin(40, SHORT);
    device.end(41, refused, Kind::Look);
    assert_eq!(device.hangs(60), Some(60));
}

#[test]
fn long_work_may_take_longer_but_not_for_ever() {
    let mut device = Device::new();
    device.begin(0, Kind::Long);
    assert_eq!((device.hangs(599), device.hangs(600)), (None, Some(600)));
    // It does not lend its patience to others, and its end is a sign of life.
    let mut device = Device::new();
    let long = device.begin(0, Kind::Long);
    device.begin(1, SHORT);
    assert_eq!(device.hangs(61), Some(60));
    device.end(61, long, Kind::Long);
    assert_eq!(device.hangs(61), None);
}

#[test]
fn flushes_that_may_end_together_get_the_time_that_all_their_bytes_take() {
    let mut device = Device::new();
    let bytes = 512 * 1024 * 1024;
    device.begin(0, Kind::Short { bytes });
    // Another one waits for the same disk.
    device.begin(0, SHORT);
    assert_eq!((device.hangs(123), device.hangs(124)), (None, Some(124)));
    for _ in 0..32 {
        device.begin(0, Kind::Short { bytes: u64::MAX / 8 });
    }
    assert_eq!((device.hangs(599), device.hangs(600)), (None, Some(600)), "and no more than long work");
}

#[test]
fn it_hangs_when_all_threads_of_one_lane_are_taken_and_none_of_that_lane_ends() {
    let mut device = Device::new();
    let update = device.begin_in(Lane::Replication, 0);
    for _ in 0..THREADS {
        device.begin_in(Lane::Replication, 0);
    }
    device.end(10, update, SHORT);
    // What clients have from the page cache says nothing of the disk.
    let request = device.begin(60, SHORT);
    device.end(61, request, SHORT);
    assert_eq!((device.hangs(69), device.hangs(70)), (None, Some(60)));
}

#[test]
fn a_device_that_was_at_rest_does_not_hang_when_work_comes_for_all_its_threads() {
    let mut device = Device::new();
    let first = device.begin(0, SHORT);
    device.end(1, first, SHORT);
    for _ in 0..THREADS {
        device.begin(1000, SHORT);
    }
    assert_eq!((device.hangs(1000), device.hangs(1059), device.hangs(1060)), (None, None, Some(60)));
}
