//! The threads of a device, and a device that hangs.

use std::sync::mpsc;

use super::*;

fn pool(threads: u32) -> Arc<DevicePool> {
    Arc::new(DevicePool::new("d1".parse().unwrap(), threads, Duration::from_secs(60)))
}

#[tokio::test]
async fn runs_as_many_at_once_as_it_has_threads() {
    let pool = pool(2);
    let (first, first_gate) = mpsc::channel::<()>();
    let (second, second_gate) = mpsc::channel::<()>();
    // Each waits for the other: with one thread neither would end.
    let one = pool.run(Lane::Request, move || {
        second.send(()).unwrap();
        first_gate.recv().unwrap();
    });
    let two = pool.run(Lane::Replication, move || {
        first.send(()).unwrap();
        second_gate.recv().unwrap();
    });
    let (one, two) = tokio::join!(one, two);
    assert!(one.is_ok() && two.is_ok());
}

#[tokio::test]
async fn no_job_waits_for_a_thread_that_was_woken_for_another() {
    for round in 0..50 {
        let pool = pool(2);
        pool.run(Lane::Request, || ()).await.unwrap();
        while pool.shared.lock().idle == 0 {
            thread::yield_now();
        }
        let (open, gate) = mpsc::channel::<()>();
        let (answer, answered) = mpsc::channel();
        pool.push(Lane::Request, None, move || gate.recv().unwrap());
        pool.push(Lane::Request, None, move || answer.send(()).unwrap());
        assert_eq!(answered.recv_timeout(Duration::from_secs(5)), Ok(()), "round {round}");
        open.send(()).unwrap();
    }
}

#[tokio::test]
async fn a_panic_costs_one_job() {
    let pool = pool(1);
    let lost = pool.run(Lane::Request, || panic!("on purpose")).await;
    assert_eq!(lost.unwrap_err().reason, Reason::Internal);
    assert_eq!(pool.run(Lane::Request, || 7).await.unwrap(), 7);
}

#[tokio::test]
async fn requests_do_not_wait_behind_all_of_replication() {
    let pool = pool(1);
    let (order, seen) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    pool.push(Lane::Replication, None, move || gate.recv().unwrap());
    for n in 0..4 {
        let order = order.clone();
        pool.push(Lane::Replication, None, move || order.send(n).unwrap());
    }
    pool.push(Lane::Request, None, move || order.send(100).unwrap());
    open.send(()).unwrap();
    let order: Vec<i32> = tokio::task::spawn_blocking(move || seen.iter().collect()).await.unwrap();
    let place = order.iter().position(|&n| n == 100).unwrap();
    assert!(place <= 1, "{order:?}");
}

#[tokio::test]
async fn what_has_not_begun_when_the_device_hangs_is_refused_and_what_has_is_finished() {
    let pool = Arc::new(DevicePool::new("d1".parse().unwrap(), 1, Duration::from_millis(50)));
    let (open, gate) = mpsc::channel::<()>();
    let begun = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.run(Lane::Request, move || gate.recv().unwrap()).await }
    });
    while pool.shared.lock().under_way.is_empty() {
        tokio::task::yield_now().await;
    }
    // One waits while it becomes clear, the others come later.
    for _ in 0..3 {
        let refusal = pool.run(Lane::Request, || ()).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::DeviceUnmounted);
        assert!(refusal.message.contains("device d1 hangs"), "{refusal}");
    }
    assert!(pool.run_long(|| ()).await.is_err());
    open.send(()).unwrap();
    begun.await.unwrap().unwrap();
    pool.run(Lane::Request, || ()).await.unwrap();
    assert_eq!(pool.hangs_for(), None);
}

#[tokio::test]
async fn long_work_does_not_tell_that_the_device_hangs() {
    let pool = DevicePool::new("d1".parse().unwrap(), 2, Duration::from_millis(10));
    let (open, gate) = mpsc::channel::<()>();
    let long = pool.run_long(move || gate.recv().unwrap());
    let short = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let short = pool.run(Lane::Request, || ()).await;
        open.send(()).unwrap();
        short
    };
    let (long, short) = tokio::join!(long, short);
    assert!(long.is_ok() && short.is_ok());
}
