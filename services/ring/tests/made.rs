//! Rings that we make.

use std::{collections::BTreeSet, fs};

use super::{device, handoffs, primaries, testdata};
use crate::{Ring, RingDevice};

fn nodes(count: u32, devices_each: u32) -> Vec<RingDevice> {
    (0..count * devices_each)
        .map(|id| {
            let node = id / devices_each;
            RingDevice::local(id, node + 1, ([127, 0, 0, 1], 6200 + node as u16).into(), &format!("d{id}"))
                .unwrap()
        })
        .collect()
}

#[test]
fn replicas_are_apart_and_loads_are_even() {
    for (count, each, replicas) in [(3, 2, 3), (3, 1, 3), (4, 2, 3), (5, 1, 2), (1, 4, 3), (2, 3, 3)] {
        let ring = Ring::balanced(nodes(count, each), 6, replicas).unwrap();
        let mut loads = vec![0; (count * each) as usize];
        for part in 0..64 {
            let ids: BTreeSet<u32> = primaries(&ring, part).into_iter().collect();
            assert_eq!(ids.len(), replicas);
            let zones: BTreeSet<u32> = ids.iter().map(|&id| ring.device(id).unwrap().zone).collect();
            assert_eq!(zones.len(), replicas.min(count as usize), "{count} nodes");
            ids.iter().for_each(|&id| loads[id as usize] += 1);
            assert_eq!(handoffs(&ring, part).len() + replicas, loads.len());
        }
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 1, "{loads:?}");
    }
}

#[test]
fn weight_is_a_share_and_none_is_nothing() {
    let mut devices = nodes(4, 1);
    devices[1].weight = 50.0;
    devices[3].weight = 0.0;
    let ring = Ring::balanced(devices, 6, 1).unwrap();
    let held = |id| (0..64).filter(|&part| primaries(&ring, part) == [id]).count();
    assert_eq!((held(3), held(0) + held(1) + held(2)), (0, 64));
    assert!((12..=13).contains(&held(1)), "{}", held(1));
}

#[test]
fn refuses_what_cannot_be_balanced() {
    for (count, power, replicas) in [(2, 4, 3), (2, 4, 0), (2, 17, 1), (0, 4, 1)] {
        assert!(Ring::balanced(nodes(count, 1), power, replicas).is_err());
    }
    let mut numbered_wrong = nodes(2, 1);
    numbered_wrong.swap(0, 1);
    assert!(Ring::balanced(numbered_wrong, 4, 1).is_err());
}

#[test]
fn refuses_parts_that_make_no_ring() {
    let one = || vec![Some(device(0))];
    for rows in [vec![], vec![vec![0]], vec![vec![0, 7]], vec![vec![0], vec![0, 0]], vec![vec![0, 0], vec![]]]
    {
        assert!(Ring::new(one(), 1, rows.clone()).is_err(), "{rows:?}");
    }
    assert!(Ring::new(one(), 33, vec![vec![0]]).is_err());
    assert!(Ring::new(vec![Some(device(1))], 1, vec![vec![0, 0]]).is_err());
    assert!(Ring::new(one(), 1, vec![vec![0, u16::MAX]]).is_ok());
}

/// What was read is written as it was read; and equal rings are equal files.
#[test]
fn written_rings_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("object.ring.gz");
    let made = Ring::balanced(nodes(3, 2), 6, 3).unwrap();
    let read = ["rings-v1/object-1.ring.gz", "uneven/v1.ring.gz", "uneven/v2.ring.gz"]
        .map(|name| Ring::load(&testdata(name)).unwrap());
    for ring in [made].iter().chain(&read) {
        fs::write(&file, ring.to_v1().unwrap()).unwrap();
        let again = Ring::load(&file).unwrap();
        assert_eq!(again.digest(), ring.digest());
        assert!(again.devices().eq(ring.devices()));
        assert_eq!((again.version(), again.next_part_power()), (ring.version(), ring.next_part_power()));
        assert_eq!(again.to_v1().unwrap(), ring.to_v1().unwrap());
    }
}
