//! What holds for any ring file, checked by the fuzz targets and by a test of their corpora (tests/fuzz).

use std::{collections::HashSet, path::Path};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use ssync_types::Partition;

use crate::{Ring, load::parse};

/// How many partitions of a ring, and how many handoffs of each, are looked at.
const LOOKS: usize = 16;

/// A ring file as it is on the disk.
pub fn ring_file(data: &[u8]) {
    if let Ok(ring) = Ring::read(Path::new("fuzzed"), data) {
        check(&ring);
    }
}

/// What a ring file holds once it is decompressed.
pub fn ring_content(data: &[u8]) {
    if let Ok(ring) = parse(data).and_then(Ring::of) {
        check(&ring);
    }
}

/// A ring that says of itself, of its devices and of their assignments what the input says in that order, with a zero byte
/// between them, as version 1 and as version 2 with the right checksums: both are the same ring.
pub fn ring_parts(data: &[u8]) {
    let mut parts = data.splitn(3, |b| *b == 0);
    let (Some(head), Some(devices), Some(table)) = (parts.next(), parts.next(), parts.next()) else { return };
    let v1 = parse(&as_v1(head, devices, table)).and_then(Ring::of);
    let v2 = parse(&as_v2(head, devices, table)).and_then(Ring::of);
    v1.iter().chain(&v2).for_each(check);
    // Version 2 may have four bytes for a device.
    if let (Ok(v1), Ok(v2)) = (v1, v2)
        && v1
            .rows()
            .iter()
            .map(crate::assignments::Row::len)
            .eq(v2.rows().iter().map(crate::assignments::Row::len))
    {
        assert_eq!(v1.digest(), v2.digest());
        assert_eq!((v1.version(), v1.next_part_power()), (v2.version(), v2.next_part_power()));
    }
}

fn as_v1(head: &[u8], devices: &[u8], table: &[u8]) -> Vec<u8> {
    let rest = head.strip_prefix(b"{").unwrap_or(head);
    let json = [br#"{"byteorder":"big","devs":"#, devices, b",", rest].concat();
    [b"R1NG\0\x01", &(json.len() as u32).to_be_bytes()[..], &json, table].concat()
}

fn as_v2(head: &[u8], devices: &[u8], table: &[u8]) -> Vec<u8> {
    let mut content = b"R1NG\0\x02".to_vec();
    let mut index = serde_json::Map::new();
    for (name, part) in [("metadata", head), ("devices", devices), ("assignments", table)] {
        let start = content.len();
        content.extend((part.len() as u64).to_be_bytes());
        content.extend(part);
        let checksum: String =
            Sha256::digest(&content[start..]).iter().map(|byte| format!("{byte:02x}")).collect();
        index.insert(format!("swift/ring/{name}"), json!([0, start, 0, content.len(), "sha256", checksum]));
    }
    let start = content.len() as u64;
    let index = serde_json::Value::Object(index).to_string();
    content.extend((index.len() as u64).to_be_bytes());
    content.extend(index.as_bytes());
    content.extend(start.to_be_bytes());
    content.extend(0_u64.to_be_bytes());
    content
}

/// What it names is there, each device once, and as a file of version 1 it is the same ring.
fn check(ring: &Ring) {
    let first = (0..LOOKS as u64).chain([ring.partition_count() - 1]);
    for partition in first.filter_map(|number| u32::try_from(number).ok()).map(Partition::new) {
        let primaries = ring.primaries(partition);
        assert!(ring.has_partition(partition) || primaries.is_empty());
        let mut seen = HashSet::new();
        for (place, primary) in primaries.iter().enumerate() {
            assert_eq!(primary.index, place);
            assert!(ring.is_primary(primary.device.id, partition));
            assert!(seen.insert(primary.device.id));
        }
        for device in ring.handoffs(partition).take(LOOKS) {
            assert!(seen.insert(device.id), "device {} is named twice", device.id);
            assert_eq!(ring.device(device.id), Some(device));
        }
    }
    let replicas = ring.replica_count();
    assert!((ring.rows().len() - 1) as f64 <= replicas && replicas <= ring.rows().len() as f64);
    // Version 1 has no room for some device numbers.
    let Ok(file) = ring.to_v1() else { return };
    let again = Ring::read(Path::new("written"), &file[..]).expect("a ring that we write");
    assert_eq!(again.digest(), ring.digest());
    assert!(again.devices().eq(ring.devices()), "{ring:?} became {again:?}");
    assert_eq!((again.version(), again.next_part_power()), (ring.version(), ring.next_part_power()));
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn corpora() {
    replay::replay("ring_file", ring_file);
    replay::replay("ring_content", ring_content);
    replay::replay("ring_parts", ring_parts);
}
