//! A device that hangs, among others.

use std::{collections::BTreeMap, fs, sync::Arc};

use ssync_diskfile::{Devices, DiskConfig, PolicyKind};
use ssync_ring::{Ring, RingDevice};
use ssync_statsd::Statsd;
use ssync_types::{DeviceName, HashPathConfig, PolicyIndex};

use super::*;

/// When a file in `tmp` is old.
const RECLAIM_AGE: Duration = Duration::from_secs(1);

/// A node with three devices, each a primary of both partitions.
fn node(root: &std::path::Path) -> (ReplicatorConfig, PolicyPlaces, LocalDevices) {
    let config = ReplicatorConfig { bind_ip: [127, 0, 0, 1].into(), ..ReplicatorConfig::default() };
    let device = |id: u32| {
        fs::create_dir_all(root.join(format!("d{id}/objects/1"))).unwrap();
        Some(RingDevice::local(id, 1, ([127, 0, 0, 1], config.bind_port).into(), &format!("d{id}")).unwrap())
    };
    let ring = Ring::new((0..3).map(device).collect(), 1, vec![vec![0, 0], vec![1, 1], vec![2, 2]]).unwrap();
    let policy = PolicyPlaces { policy: PolicyIndex::new(0), name: "gold".into(), ring: Arc::new(ring) };
    let disk = DiskConfig {
        devices: root.to_owned(),
        mount_check: false,
        reclaim_age: RECLAIM_AGE,
        ..DiskConfig::default()
    };
    let policies = BTreeMap::from([(PolicyIndex::new(0), PolicyKind::Replication)]);
    let devices = Devices::new(disk, HashPathConfig::new("a", "b").unwrap(), policies);
    (config, policy, LocalDevices::new(Arc::new(devices)))
}

#[tokio::test(start_paused = true)]
async fn a_device_that_hangs_is_left_out_and_the_others_are_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let (config, policy, devices) = node(root.path());
    let names: Vec<DeviceName> = ["d0", "d1"].map(|name| name.parse().unwrap()).into();
    names.iter().for_each(|name| devices.hang(name));
    let (meter, overrides) = (Meter::new(Statsd::disabled()), Overrides::default());
    let begin = tokio::time::Instant::now();
    let looking = collect(&config, vec![policy], &devices, &overrides, &meter, Upkeep::Tidy);
    let collected = timeout(10 * COLLECT_WAIT_MAX, looking).await.expect("comes to an end");
    assert!(begin.elapsed() < 2 * COLLECT_WAIT_MAX, "both are waited for at the same time");
    let found: Vec<_> = collected.primaries.iter().map(|job| job.device.to_string()).collect();
    assert_eq!(found, ["d2"]);
    let stats = meter.snapshot();
    assert_eq!((stats.devices_failed, stats.partitions), (2, 1));
    assert!(!stats.complete());
}

#[tokio::test]
async fn what_lies_in_the_way_is_tidied_and_what_is_unknown_is_left() {
    let root = tempfile::tempdir().unwrap();
    let (config, policy, devices) = node(root.path());
    let device = root.path().join("d0");
    let (file, unknown) = (device.join("objects/0"), device.join("objects/notes"));
    fs::write(&file, b"").unwrap();
    fs::create_dir(&unknown).unwrap();
    fs::create_dir(device.join("tmp")).unwrap();
    let (old, new) = (device.join("tmp/old"), device.join("tmp/new"));
    fs::write(&old, b"").unwrap();
    std::thread::sleep(RECLAIM_AGE + Duration::from_millis(100));
    fs::write(&new, b"").unwrap();
    let (meter, overrides) = (Meter::new(Statsd::disabled()), Overrides::default());
    let look = collect(&config, vec![policy.clone()], &devices, &overrides, &meter, Upkeep::LookOnly).await;
    assert_eq!(look.primaries.len(), 3);
    assert_eq!([&file, &unknown, &old, &new].map(|path| path.exists()), [true; 4], "a look changes nothing");
    let collected = collect(&config, vec![policy], &devices, &overrides, &meter, Upkeep::Tidy).await;
    assert_eq!(collected.primaries.len(), 3, "partition 1 of each device");
    assert_eq!([&file, &unknown, &old, &new].map(|path| path.exists()), [false, true, false, true]);
}

#[tokio::test]
async fn what_is_no_partition_counts_against_the_whole_ring_as_in_swift() {
    let root = tempfile::tempdir().unwrap();
    let (config, policy, devices) = node(root.path());
    fs::create_dir(root.path().join("d0/objects/notes")).unwrap();
    fs::write(root.path().join("d0/objects/auditor_status_ALL.json"), "{}").unwrap();
    let (meter, overrides) = (Meter::new(Statsd::disabled()), Overrides::default());
    collect(&config, vec![policy], &devices, &overrides, &meter, Upkeep::Tidy).await;
    let stats = meter.snapshot();
    assert_eq!((stats.failure, stats.devices_failed), (3, 0), "one for each device of the ring");
    let by_device = meter.by_device();
    let failures: Vec<u64> = by_device.values().map(|stats| stats.failure).collect();
    assert_eq!(failures, [3, 0, 0], "by the device that it lies on");
}

/// A device that was last served so long ago.
fn was_served(root: &std::path::Path, device: &str, ago: Duration) {
    let sign = fs::File::create(root.join(device).join(".ssync-served")).unwrap();
    sign.set_modified(SystemTime::now() - ago).unwrap();
    let hashes = fs::File::create(root.join(device).join("objects/1/hashes.pkl")).unwrap();
    hashes.set_modified(SystemTime::now() - ago).unwrap();
}

#[tokio::test]
async fn nothing_is_pushed_from_a_device_that_was_away_for_long_unless_the_operator_says_so() {
    let root = tempfile::tempdir().unwrap();
    let (mut config, policy, devices) = node(root.path());
    let overrides = Overrides::default();
    was_served(root.path(), "d1", Duration::from_secs(7200));
    was_served(root.path(), "d2", Duration::from_secs(1800));
    let looked = |collected: Collected| {
        let mut found: Vec<_> = collected.primaries.iter().map(|job| job.device.to_string()).collect();
        found.sort();
        found
    };
    for upkeep in [Upkeep::LookOnly, Upkeep::Tidy, Upkeep::Tidy] {
        let meter = Meter::new(Statsd::disabled());
        let collected = collect(&config, vec![policy.clone()], &devices, &overrides, &meter, upkeep).await;
        assert_eq!(looked(collected), ["d0", "d2"]);
        let reserve = root.path().join("d0/.ssync-reserve");
        assert_eq!(reserve.exists(), upkeep == Upkeep::Tidy, "room for letting go of objects");
        let stats = meter.snapshot();
        assert_eq!((stats.devices_away, stats.devices_failed, stats.failure), (1, 1, 3));
        assert!(!stats.complete());
    }
    config.push_returned_devices = true;
    for _ in 0..2 {
        let meter = Meter::new(Statsd::disabled());
        let collected =
            collect(&config, vec![policy.clone()], &devices, &overrides, &meter, Upkeep::Tidy).await;
        assert_eq!(looked(collected), ["d0", "d1", "d2"]);
        config.push_returned_devices = false;
    }
}

#[tokio::test]
async fn a_device_whose_absence_cannot_be_read_is_held_back() {
    let root = tempfile::tempdir().unwrap();
    let (config, policy, devices) = node(root.path());
    // It can be opened, and not read.
    fs::create_dir(root.path().join("d1/.ssync-away")).unwrap();
    let (meter, overrides) = (Meter::new(Statsd::disabled()), Overrides::default());
    let collected = collect(&config, vec![policy], &devices, &overrides, &meter, Upkeep::Tidy).await;
    let mut found: Vec<_> = collected.primaries.iter().map(|job| job.device.to_string()).collect();
    found.sort_unstable();
    assert_eq!(found, ["d0", "d2"]);
    assert!(!meter.snapshot().complete());
}
