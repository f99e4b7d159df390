//! Order, marks, and what becomes of them.

use std::time::UNIX_EPOCH;

use ssync_types::Partition;

use super::*;
use crate::{
    Overrides, PolicyPlaces,
    testing::{Cluster, policy},
};

const PARTITIONS: usize = 32;

fn rings() -> (PolicyPlaces, PolicyPlaces) {
    let other: Vec<u16> = (0..PARTITIONS).map(|partition| 1 + (partition % 2) as u16).collect();
    (policy(3, &[&[0; PARTITIONS], &[1; PARTITIONS]]), policy(3, &[&[0; PARTITIONS], &other]))
}

/// The jobs of a node that has all partitions.
async fn jobs(ring: PolicyPlaces) -> Vec<Job> {
    let cluster = Cluster::new(ring);
    for partition in 0..PARTITIONS {
        std::fs::create_dir_all(cluster.objects(0).join(partition.to_string())).unwrap();
    }
    let jobs = cluster.replicator(0).jobs(&Overrides::default()).await.primaries;
    assert_eq!(jobs.len(), PARTITIONS);
    jobs
}

fn order(jobs: &[Job]) -> Vec<Partition> {
    jobs.iter().map(|job| job.partition).collect()
}

/// The record of a pass in which the jobs at these places of its order were done.
async fn interrupted(done: &[usize]) -> (Record, Vec<Partition>) {
    let mut jobs = jobs(rings().0).await;
    let mut course = Course::over(&mut jobs, None, 7, UNIX_EPOCH);
    done.iter().for_each(|&place| course.done(&jobs[place]));
    (course.record().clone(), order(&jobs))
}

#[tokio::test]
async fn the_same_seed_gives_the_same_order_and_another_one_another() {
    let (mut one, mut two, mut three) = (jobs(rings().0).await, jobs(rings().0).await, jobs(rings().0).await);
    two.reverse();
    let seeds = [(&mut one, 1), (&mut two, 1), (&mut three, 2)];
    for (jobs, seed) in seeds {
        assert_eq!(Course::over(jobs, None, seed, UNIX_EPOCH).seed(), seed);
    }
    assert_eq!(order(&one), order(&two));
    assert_ne!(order(&one), order(&three));
}

#[tokio::test]
async fn an_interrupted_pass_goes_on_behind_what_is_done_without_a_gap() {
    // The job at place 4 was still under way: it and all behind it are done again or for the first time.
    let (record, whole) = interrupted(&[0, 2, 1, 3, 5, 6]).await;
    let mut again = jobs(rings().0).await;
    let mut course = Course::over(&mut again, Some(record), 8, UNIX_EPOCH);
    assert_eq!(order(&again), whole[4..]);
    assert_eq!(course.seed(), 7);
    again.iter().for_each(|job| course.done(job));
    // All was done when it was stopped: that is no reason to do nothing.
    let mut next = jobs(rings().0).await;
    let record = course.record().clone();
    assert_eq!(Course::over(&mut next, Some(record), 8, UNIX_EPOCH).seed(), 8);
    assert_eq!(next.len(), PARTITIONS);
}

#[tokio::test]
async fn where_the_ring_is_another_one_nothing_is_skipped_and_what_was_done_comes_last() {
    let (record, whole) = interrupted(&[0, 1, 2]).await;
    let mut again = jobs(rings().1).await;
    let mut course = Course::over(&mut again, Some(record), 8, UNIX_EPOCH);
    let rotated: Vec<_> = whole[3..].iter().chain(&whole[..3]).copied().collect();
    assert_eq!(order(&again), rotated);
    course.done(&again[0]);
    let record = course.record().clone();
    let mut third = jobs(rings().1).await;
    Course::over(&mut third, Some(record), 8, UNIX_EPOCH);
    assert_eq!(order(&third), rotated[1..], "and with this ring it goes on");
}

#[tokio::test]
async fn a_device_that_was_not_there_is_done_from_the_beginning() {
    let (mut record, _) = interrupted(&[0, 1, 2]).await;
    let marks = std::mem::take(&mut record.marks);
    record.marks =
        marks.into_values().map(|mark| (("d9".parse().unwrap(), PolicyIndex::new(0)), mark)).collect();
    let mut again = jobs(rings().0).await;
    let course = Course::over(&mut again, Some(record), 8, UNIX_EPOCH);
    assert_eq!(again.len(), PARTITIONS);
    assert_eq!(course.record().marks.len(), 1, "what is gone is forgotten");
}

#[tokio::test]
async fn what_the_daemon_died_at_twice_comes_last_and_is_not_waited_for() {
    let (mut record, whole) = interrupted(&[0, 1]).await;
    for deaths in 1..=3 {
        // It dies as soon as it has begun the first that is left.
        let mut again = jobs(rings().0).await;
        let mut course = Course::over(&mut again, Some(record), 8, UNIX_EPOCH);
        assert_eq!(course.is_careful(), deaths > 1);
        let poison = again.iter().position(|job| job.partition == whole[2]).unwrap();
        assert_eq!(poison, if deaths > 2 { again.len() - 1 } else { 0 }, "after {} deaths", deaths - 1);
        assert_eq!(again.len(), PARTITIONS - 2);
        again[..poison].iter().for_each(|job| course.done(job));
        course.begins(&again[poison]);
        record = course.record().clone().recalled();
    }
    // All but that one was done: the next pass begins, and has it last again.
    let mut next = jobs(rings().0).await;
    let mut course = Course::over(&mut next, Some(record), 9, UNIX_EPOCH);
    assert_eq!((course.seed(), next.len()), (9, PARTITIONS));
    assert_eq!(next.last().unwrap().partition, whole[2]);
    let poison = next.pop().unwrap();
    course.begins(&poison);
    course.ended(&poison.at(&poison.device));
    course.done(&poison);
    let record = course.record();
    assert!(record.deaths.is_empty() && record.under_way.is_empty(), "it was not the cause");
}
