//! What moves from ring to ring, and how much that is.

use ssync_ring::{Ring, RingDevice};

use super::{Moves, amount::estimate, compare};

fn device(id: u8, zone: u32) -> RingDevice {
    let local = RingDevice::local(id.into(), 1, ([10, 0, 0, id], 6200).into(), &format!("d{id}")).unwrap();
    RingDevice { zone, ..local }
}

fn ring(devices: &[(u8, u32)], rows: &[&[u16]]) -> Ring {
    let most = devices.iter().map(|(id, _)| *id).max().unwrap();
    let slot = |id: u8| devices.iter().find(|(known, _)| *known == id).map(|(id, zone)| device(*id, *zone));
    let power = rows[0].len().ilog2();
    Ring::new((0..=most).map(slot).collect(), power, rows.iter().map(|row| row.to_vec()).collect()).unwrap()
}

fn moved(now: &Ring, new: &Ring) -> Moves {
    compare(now, new, |device| device.id == 0).unwrap()
}

#[test]
fn a_ring_moves_nothing_to_itself() {
    let one = ring(&[(0, 1), (1, 2)], &[&[0, 1], &[1, 0]]);
    let moves = moved(&one, &one);
    assert_eq!((moves.replicas, moves.moving, moves.of_all, moves.crowded), (4, 0, 0, (0, 0)));
}

#[test]
fn what_leaves_and_arrives_is_counted_by_device() {
    let now = ring(&[(0, 1), (1, 2), (2, 3)], &[&[0, 0, 1, 2], &[1, 2, 2, 0]]);
    let new = ring(&[(0, 1), (1, 2), (2, 3), (3, 4)], &[&[3, 3, 1, 2], &[1, 2, 2, 3]]);
    let moves = moved(&now, &new);
    assert_eq!((moves.replicas, moves.moving, moves.of_several, moves.of_all), (8, 3, 0, 0));
    let first = &moves.devices[0];
    assert_eq!(
        (first.name.as_str(), first.arriving, first.before, first.after),
        ("10.0.0.3:6200/d3", 3, 0, 3)
    );
    let own = moves.devices.iter().find(|device| device.own.is_some()).unwrap();
    assert_eq!((own.leaving, own.before, own.after), (3, 3, 0));
    let leaving: Vec<u32> = moves.leaving.values().flatten().map(|partition| partition.get()).collect();
    assert_eq!(leaving, [0, 1, 3]);
}

#[test]
fn a_partition_that_loses_all_its_devices_and_one_that_is_crowded_are_told() {
    let now = ring(&[(0, 1), (1, 2), (2, 1), (3, 2)], &[&[0, 0], &[1, 1]]);
    let new = ring(&[(0, 1), (1, 2), (2, 1), (3, 2)], &[&[2, 0], &[3, 2]]);
    let moves = moved(&now, &new);
    assert_eq!((moves.of_several, moves.of_all), (1, 1));
    assert_eq!(moves.crowded, (0, 1), "both replicas of partition 1 are in zone 1 then");
}

#[test]
fn a_ring_of_another_policy_is_refused() {
    let now = ring(&[(0, 1), (1, 2)], &[&[0, 1], &[1, 0]]);
    let power = ring(&[(0, 1), (1, 2)], &[&[0, 1, 0, 1], &[1, 0, 1, 0]]);
    assert!(compare(&now, &power, |_| false).unwrap_err().contains("partition power is 2"));
    let other = ring(&[(5, 1), (6, 2)], &[&[5, 6], &[6, 5]]);
    assert!(compare(&now, &other, |_| false).unwrap_err().contains("none of the devices"));
}

#[test]
fn what_was_counted_is_exact_and_an_estimate_covers_the_truth() {
    let all: Vec<f64> = (0..100).map(|number| f64::from(number % 10)).collect();
    let exact = estimate(all.iter().copied(), 100);
    assert_eq!((exact.amount, exact.margin), (450.0, 0.0));
    let half = estimate(all.iter().copied().take(50), 100);
    assert!((half.amount - 450.0).abs() <= half.margin && half.margin < 100.0, "{half:?}");
    let one = estimate([5.0].into_iter(), 100);
    assert_eq!((one.amount, one.margin), (500.0, 500.0));
    assert_eq!(estimate([].into_iter(), 0).amount, 0.0);
}
