//! Primaries and handoffs are Swift's, for every partition.

use serde_json::Value;
use ssync_types::{ObjectHash, Partition};

use super::{device, handoffs, primaries, testdata};
use crate::Ring;

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn expected(file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(testdata(file)).unwrap()).unwrap()
}

fn check(ring: &Ring, expected: &Value) {
    let parts = expected["parts"].as_object().unwrap();
    assert_eq!(ring.partition_count(), parts.len() as u64);
    assert_eq!(ring.replica_count(), expected["replicas"].as_f64().unwrap());
    for (part, nodes) in parts {
        let part = part.parse().unwrap();
        assert_eq!(primaries(ring, part), ids(&nodes["nodes"]), "primaries of {part}");
        assert_eq!(handoffs(ring, part), ids(&nodes["handoffs"]), "handoffs of {part}");
    }
}

#[test]
fn small_rings_of_both_versions() {
    for version in ["rings-v1", "rings-v2"] {
        let all = expected(&format!("{version}/expected.json"));
        for name in ["object", "object-1"] {
            let ring = Ring::load(&testdata(&format!("{version}/{name}.ring.gz"))).unwrap();
            check(&ring, &all[name]);
            for (ours, theirs) in ring.devices().zip(all[name]["devs"].as_array().unwrap()) {
                assert_eq!(ours.device.as_str(), theirs["device"]);
                assert_eq!(
                    (ours.ip.as_str(), u64::from(ours.port)),
                    (theirs["ip"].as_str().unwrap(), theirs["port"].as_u64().unwrap())
                );
                assert_eq!(theirs["replication_ip"], ours.replication_ip);
                assert_eq!(theirs["replication_port"], ours.replication_port);
                assert_eq!(
                    (u64::from(ours.region), u64::from(ours.zone)),
                    (theirs["region"].as_u64().unwrap(), theirs["zone"].as_u64().unwrap())
                );
            }
        }
    }
}

/// Three regions, uneven weights, two devices removed, a third replica of two fifths of the partitions, growing.
#[test]
fn an_uneven_ring_of_both_versions() {
    let rings =
        ["v1", "v2"].map(|version| Ring::load(&testdata(&format!("uneven/{version}.ring.gz"))).unwrap());
    for ring in &rings {
        check(ring, &expected("uneven/expected.json"));
        assert_eq!((ring.part_power(), ring.next_part_power()), (5, Some(6)));
        assert!(ring.version().is_some());
        assert_eq!(ring.devices().count(), 12);
        assert!(ring.device(3).is_none());
        assert_eq!(ring.device(4).unwrap().meta, "grpc_port=7004");
    }
    assert_eq!(rings[0].digest(), rings[1].digest());
}

/// The example of the specification, executed with Swift's own code.
#[test]
fn a_third_replica_of_ten_partitions() {
    let row = |r: u16, length: u16| (0..length).map(|part| (3 * part + 3 * r) % 8).collect();
    let ring =
        Ring::new((0..8).map(|id| Some(device(id))).collect(), 4, vec![row(0, 16), row(1, 16), row(2, 10)])
            .unwrap();
    let examples: [(u32, &[u32], &[u32]); 4] = [
        (0, &[0, 3, 6], &[4, 7, 2, 5, 1]),
        (9, &[3, 6, 1], &[4, 7, 2, 5, 0]),
        (10, &[6, 1], &[2, 5, 7, 0, 3, 4]),
        (15, &[5, 0], &[3, 6, 1, 4, 7, 2]),
    ];
    for (part, nodes, others) in examples {
        assert_eq!(
            (primaries(&ring, part), handoffs(&ring, part)),
            (nodes.to_vec(), others.to_vec()),
            "{part}"
        );
    }
    assert_eq!(ring.replica_count(), 2.625);
    assert_eq!(
        handoffs(&ring, 0)[..2],
        ring.handoffs(Partition::new(0)).take(2).map(|d| d.id).collect::<Vec<_>>()
    );
}

#[test]
fn a_partition_beyond_the_ring_has_no_primary() {
    let ring = Ring::load(&testdata("rings-v1/object.ring.gz")).unwrap();
    assert!(ring.has_partition(Partition::new(3)));
    for beyond in [4, 5, u32::MAX] {
        assert!(!ring.has_partition(Partition::new(beyond)));
        assert!(primaries(&ring, beyond).is_empty());
        assert!((0..3).all(|id| !ring.is_primary(id, Partition::new(beyond))));
    }
}

#[test]
fn finds_devices() {
    let ring = Ring::load(&testdata("rings-v1/object.ring.gz")).unwrap();
    assert_eq!(ring.find("127.0.0.22", 6420, "sdb1").unwrap().id, 1);
    assert_eq!(ring.find("127.0.0.22", 6421, "sdb1").unwrap().id, 1);
    assert!(ring.find("127.0.0.22", 6421, "sdb2").is_none());
    assert!(ring.find("127.0.0.22", 6411, "sdb1").is_none());
    let ours = crate::LocalAddresses::new(Some("127.0.0.23"), Some(6431)).unwrap();
    assert_eq!(ring.local_devices(&ours).map(|device| device.id).collect::<Vec<_>>(), [2]);
    for part in 0..4 {
        for id in 0..4 {
            assert_eq!(ring.is_primary(id, Partition::new(part)), primaries(&ring, part).contains(&id));
        }
    }
}

#[test]
fn an_object_belongs_to_the_head_of_its_hash() {
    let ring = Ring::load(&testdata("uneven/v1.ring.gz")).unwrap();
    let hash: ObjectHash = "4e2772c453cbe15a19b26fbfbb223e31".parse().unwrap();
    assert_eq!(ring.partition_of(&hash).get(), 0x4e >> 3);
}

/// One device for both replicas is one primary, and then nobody is left.
#[test]
fn a_device_counts_once() {
    let ring = Ring::new(vec![Some(device(0))], 0, vec![vec![0], vec![0]]).unwrap();
    assert_eq!((primaries(&ring, 0), handoffs(&ring, 0)), (vec![0], vec![]));
    assert_eq!(ring.replica_count(), 2.0);
}
