//! Files that are no ring, or no longer one.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::{device, testdata};
use crate::{DEVICES_MAX, Ring, RingError};

const FILES: [&str; 4] =
    ["rings-v1/object.ring.gz", "rings-v2/object.ring.gz", "uneven/v1.ring.gz", "uneven/v2.ring.gz"];

fn load(bytes: &[u8]) -> Result<Ring, RingError> {
    Ring::read(Path::new("object.ring.gz"), bytes)
}

/// Loads a ring of this content, compressed.
fn load_content(content: &[u8]) -> Result<Ring, RingError> {
    load(&compressed(content))
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn content(file: &str) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(fs::File::open(testdata(file)).unwrap()).read_to_end(&mut content).unwrap();
    content
}

fn v1(json: &str, table: &[u8]) -> Vec<u8> {
    [b"R1NG\x00\x01", &(json.len() as u32).to_be_bytes()[..], json.as_bytes(), table].concat()
}

#[test]
fn every_truncation_names_the_file() {
    for file in FILES {
        let whole = fs::read(testdata(file)).unwrap();
        for length in 0..whole.len() {
            let error = load(&whole[..length]).unwrap_err();
            assert!(matches!(error, RingError::File { .. }), "{file} cut to {length}: {error}");
            assert!(error.to_string().contains("object.ring.gz: is no usable ring"), "{error}");
        }
    }
}

/// The content itself cut, and compressed again: gzip is sound, the ring is not. A fractional ring may lose partitions of
/// its last replica in such a cut of version 1, which nothing in the file can tell.
#[test]
fn truncated_content_is_no_ring() {
    let v1 = content("rings-v1/object.ring.gz");
    let last_row = 4 * 2;
    for length in 0..v1.len() - last_row {
        assert!(load_content(&v1[..length]).is_err(), "cut to {length}");
    }
    let v2 = content("uneven/v2.ring.gz");
    for length in 0..v2.len() {
        assert!(load_content(&v2[..length]).is_err(), "cut to {length}");
    }
}

/// A ring that somebody compressed again, with which Swift fails, is read.
#[test]
fn recompression_does_no_harm() {
    for file in FILES {
        let original = Ring::load(&testdata(file)).unwrap();
        assert_eq!(load_content(&content(file)).unwrap().digest(), original.digest());
    }
}

#[test]
fn a_changed_section_does_not_match_its_checksum() {
    let whole = content("uneven/v2.ring.gz");
    let region = whole.windows(9).position(|window| window == b"\"region\":").unwrap();
    for at in [20, region + 10, whole.len() - 2000] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        let error = load_content(&changed).unwrap_err().to_string();
        assert!(error.contains("sha256 checksum"), "{at}: {error}");
    }
}

/// Any damage is an error or a ring, never a panic.
#[test]
fn damage_never_panics() {
    let mut random = 0x5eed_u64;
    for file in FILES {
        let whole = content(file);
        for _ in 0..300 {
            let mut changed = whole.clone();
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = random as usize % changed.len();
                changed[at] = (random >> 32) as u8;
            }
            if let Ok(ring) = load_content(&changed) {
                let _ = (super::primaries(&ring, 0), super::handoffs(&ring, 0));
            }
        }
    }
}

#[test]
fn refuses_what_does_not_fit_together() {
    let dev = |id: u32, name: &str| {
        format!(r#"{{"id":{id},"region":1,"zone":1,"ip":"::1","port":1,"device":"{name}"}}"#)
    };
    let (sdb, evil) = (dev(0, "sdb"), dev(0, "../etc"));
    let json = |devs: &str, rest: &str| format!(r#"{{"devs":[{devs}],{rest}}}"#);
    let rest = r#""part_shift":31,"replica_count":1"#;
    assert!(load_content(&v1(&json(&sdb, rest), &[0, 0, 0, 0])).is_ok());
    let refused = [
        (json(&sdb, rest), &[0, 0, 1, 0][..], "device 1, which it does not have"),
        (json("null", rest), &[0, 0, 0, 0], "device 0, which it does not have"),
        (json(&dev(1, "sdb"), rest), &[0; 4], "device 1 stands at place 0"),
        (json(&evil, rest), &[0; 4], "is no device name"),
        (json(&sdb, rest), &[0; 8], "2 of 1 replicas"),
        (json(&sdb, rest), &[0; 2], "covers 1 of 2 partitions"),
        (json(&sdb, rest), &[0; 3], "no number of replicas"),
        (json(&sdb, r#""part_shift":33,"replica_count":1"#), &[0; 4], "part shift is 33"),
        (json(&sdb, r#""part_shift":0,"replica_count":1"#), &[0; 4], "covers 2 of 4294967296 partitions"),
        (json(&sdb, r#""part_shift":32,"replica_count":9000"#), &[0; 18000], "no number of replicas"),
        (json(&sdb, r#""part_shift":31,"replica_count":1,"byteorder":"odd""#), &[0; 4], "byte order"),
        (json(&sdb, r#""part_shift":31"#), &[0; 4], "description is damaged"),
        (json("7", rest), &[0; 4], "description is damaged"),
    ];
    for (json, table, problem) in refused {
        let error = load_content(&v1(&json, table)).unwrap_err().to_string();
        assert!(error.contains(problem), "{error} is not about {problem}");
    }
    let whole = [&b"R1NG\x00\x03"[..], &b"R0NG\x00\x01"[..], b"R1NG\0", b"(dp0\n"];
    for content in whole {
        assert!(matches!(load_content(content), Err(RingError::File { .. })));
    }
    assert!(matches!(Ring::load(&testdata("none")), Err(RingError::Io { .. })));
}

/// A file of half a megabyte may hold a hundred million devices that are none, each of which would take 150 bytes.
#[test]
fn refuses_more_than_fits_the_memory() {
    let json = |devices: usize| {
        let nulls = "null,".repeat(devices - 1);
        format!(r#"{{"devs":[{nulls}null],"part_shift":32,"replica_count":1}}"#)
    };
    let problem = |content: &[u8]| load_content(content).unwrap_err().to_string();
    let most = problem(&v1(&json(DEVICES_MAX), &[0, 0]));
    assert!(most.contains("device 0, which it does not have"), "{most}");
    let more = problem(&v1(&json(DEVICES_MAX + 1), &[0, 0]));
    assert!(more.contains("more than 1048576 devices"), "{more}");

    let mut v2 = content("rings-v2/object.ring.gz");
    let start = v2.len() as u64;
    v2.extend((2_u64 << 20).to_be_bytes());
    v2.extend(vec![b' '; 2 << 20]);
    v2.extend([start.to_be_bytes(), [0; 8]].concat());
    assert!(problem(&v2).contains("its index has 2097152 bytes"), "{}", problem(&v2));
}

/// A replica of 0.3 of the one partition.
#[test]
fn a_replica_may_be_too_small_for_a_row() {
    let device = r#"{"id":0,"region":1,"zone":1,"ip":"::1","port":1,"device":"d"}"#;
    let json = |replicas: u32| format!(r#"{{"devs":[{device}],"part_shift":32,"replica_count":{replicas}}}"#);
    assert_eq!(load_content(&v1(&json(2), &[0, 0])).unwrap().replica_count(), 1.0);
    assert!(load_content(&v1(&json(3), &[0, 0])).is_err());
    assert!(load_content(&v1(&json(1), &[])).is_err());
}

#[test]
fn reads_the_byte_order_that_the_file_names() {
    let devs: Vec<String> = (0..2)
        .map(|id| {
            format!(r#"{{"id":{id},"region":1,"zone":{id},"ip":"10.0.0.{id}","port":1,"device":"d{id}"}}"#)
        })
        .collect();
    let json =
        format!(r#"{{"byteorder":"big","devs":[{}],"part_shift":32,"replica_count":1}}"#, devs.join(","));
    let ring = load_content(&v1(&json, &[0, 1])).unwrap();
    assert_eq!(super::primaries(&ring, 0), [1]);
    let device = ring.device(1).unwrap();
    assert_eq!((device.replication_ip.as_str(), device.replication_port), ("10.0.0.1", 1));
}

#[test]
fn a_digest_changes_with_what_it_covers() {
    let make = |change: fn(&mut crate::RingDevice), rows: Vec<Vec<u16>>| {
        let mut devices: Vec<_> = (0..2).map(device).collect();
        change(&mut devices[1]);
        *Ring::new(devices.into_iter().map(Some).collect(), 1, rows).unwrap().digest()
    };
    let rows = || vec![vec![0, 1], vec![1]];
    let first = make(|_| {}, rows());
    assert_eq!(make(|device| device.weight = 1.0, rows()), first);
    for other in [
        make(|device| device.port += 1, rows()),
        make(|device| device.ip.push('1'), rows()),
        make(|device| device.zone += 1, rows()),
        make(|_| {}, vec![vec![0, 1], vec![0]]),
        make(|_| {}, vec![vec![0, 1], vec![1, 1]]),
    ] {
        assert_ne!(other, first);
    }
}
