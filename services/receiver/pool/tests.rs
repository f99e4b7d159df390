//! The threads of a device, and a device that hangs.

use std::{sync::mpsc, thread};

use ssync_diskfile::{Devices, DiskConfig};
use ssync_types::HashPathConfig;

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
        while pool.shared.lock().crews.of(Lane::Request).resting() == 0 {
            thread::yield_now();
        }
        let (open, gate) = mpsc::channel::<()>();
        let (answer, answered) = mpsc::channel();
        pool.push(Lane::Request, None, 0, move |_| gate.recv().unwrap());
        pool.push(Lane::Request, None, 0, move |_| answer.send(()).unwrap());
        assert_eq!(answered.recv_timeout(Duration::from_secs(5)), Ok(()), "round {round}");
        open.send(()).unwrap();
    }
}

/// One that is woken wakes the next: none of them would have come by itself.
#[tokio::test]
async fn as_many_threads_wake_as_there_is_work_for() {
    const THREADS: usize = 3;
    let pool = pool(THREADS as u32);
    let (answer, answered) = mpsc::channel();
    // The first round starts them, and the others wake them.
    for round in 0..20 {
        let gates: Vec<_> = (0..THREADS)
            .map(|_| {
                let (open, gate) = mpsc::channel::<()>();
                let answer = answer.clone();
                pool.push(Lane::Request, None, 0, move |_| {
                    answer.send(()).unwrap();
                    gate.recv().unwrap();
                });
                open
            })
            .collect();
        for _ in 0..THREADS {
            assert_eq!(answered.recv_timeout(Duration::from_secs(20)), Ok(()), "round {round}");
        }
        gates.iter().for_each(|open| open.send(()).unwrap());
        while pool.shared.lock().crews.of(Lane::Request).resting() < THREADS {
            thread::yield_now();
        }
    }
}

#[tokio::test]
async fn a_device_stays_open_until_it_cannot_be_opened() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("d1")).unwrap();
    let config = DiskConfig { devices: root.path().to_owned(), mount_check: false, ..DiskConfig::default() };
    let devices = Devices::new(config, HashPathConfig::new("", "x").unwrap(), [].into());
    let device = devices.open(&"d1".parse().unwrap()).unwrap();
    let weak = Arc::downgrade(&device);
    let pool = pool(1);
    pool.run_opened(Lane::Request, 0, move || Ok(device), drop).await.unwrap();
    assert!(weak.upgrade().is_some());
    let away = || Err(Refusal::new(Reason::DeviceUnmounted, "away"));
    let refused = pool.run_opened(Lane::Request, 0, away, drop).await;
    assert_eq!(refused.unwrap_err().reason, Reason::DeviceUnmounted);
    assert!(weak.upgrade().is_none(), "what is unmounted is not held on to");
}

#[tokio::test]
async fn a_panic_costs_one_job() {
    let pool = pool(1);
    let lost = pool.run(Lane::Request, || panic!("on purpose")).await;
    assert_eq!(lost.unwrap_err().reason, Reason::Internal);
    assert_eq!(pool.run(Lane::Request, || 7).await.unwrap(), 7);
}

/// Work that stands still holds all threads of `held`, and more of it waits: what came of the same work in the other lane?
async fn runs_beside(held: Lane, other: Lane) -> Result<usize, Refusal> {
    const MANY: usize = 200;
    let pool = pool(2);
    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    for _ in 0..MANY {
        let gate = Arc::clone(&gate);
        pool.push(held, None, 0, move |_| {
            // That nobody opens it any more opens it too.
            let _ = gate.lock().unwrap().recv();
        });
    }
    let mut ran = 0;
    for _ in 0..MANY {
        let work = timeout(Duration::from_secs(5), pool.run(other, || 1)).await;
        ran += work.expect("it waits behind the other lane")?;
    }
    assert!(pool.waiting() >= MANY - 2, "the others wait as before");
    drop(open);
    Ok(ran)
}

#[tokio::test]
async fn clients_are_served_whatever_replication_has_begun() {
    assert_eq!(runs_beside(Lane::Replication, Lane::Request).await.unwrap(), 200);
}

#[tokio::test]
async fn replication_goes_on_whatever_clients_ask() {
    assert_eq!(runs_beside(Lane::Request, Lane::Replication).await.unwrap(), 200);
}

fn niceness() -> i32 {
    rustix::process::getpriority_process(None).unwrap()
}

#[tokio::test]
async fn replication_gives_way_to_clients_and_they_never_to_it() {
    let own = niceness();
    let pool = pool(1);
    let replication = pool.run(Lane::Replication, niceness).await.unwrap();
    assert!(replication > own || own == 19, "{replication} is not beyond {own}");
    // Its first thread is begun by one of replication.
    let (answer, answered) = mpsc::channel();
    let asked = Arc::clone(&pool);
    let ask = move || asked.push(Lane::Request, None, 0, move |_| answer.send(niceness()).unwrap());
    pool.run(Lane::Replication, ask).await.unwrap();
    assert_eq!(answered.recv_timeout(Duration::from_secs(5)), Ok(own));
}

#[tokio::test]
async fn what_has_not_begun_when_the_device_hangs_is_refused_and_what_has_is_finished() {
    let pool = Arc::new(DevicePool::new("d1".parse().unwrap(), 1, Duration::from_millis(50)));
    let (open, gate) = mpsc::channel::<()>();
    let begun = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.run(Lane::Request, move || gate.recv().unwrap()).await }
    });
    while pool.shared.lock().pulse.under_way() == 0 {
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
async fn long_work_may_take_longer_than_other_work() {
    let pool = DevicePool::new("d1".parse().unwrap(), 2, Duration::from_millis(20));
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

/// Tells which thread drops it.
struct Telltale(mpsc::Sender<Option<String>>);

impl Drop for Telltale {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().name().map(str::to_owned));
    }
}

fn telltale() -> (Telltale, mpsc::Receiver<Option<String>>) {
    let (told, tells) = mpsc::channel();
    (Telltale(told), tells)
}

fn dropped_by(tells: &mpsc::Receiver<Option<String>>) -> Option<String> {
    tells.recv_timeout(Duration::from_secs(5)).unwrap()
}

#[tokio::test]
async fn what_refused_or_cancelled_work_holds_is_let_go_of_by_a_thread_of_the_device() {
    let pool = Arc::new(DevicePool::new("d1".parse().unwrap(), 1, Duration::from_millis(50)));
    let (open, gate) = mpsc::channel::<()>();
    pool.push(Lane::Request, None, 0, move |_| gate.recv().unwrap());
    let (cancelled, by_cancelled) = telltale();
    let held = pool.hold(cancelled);
    let future = pool.run(Lane::Request, move || drop(held.into_inner()));
    assert!(timeout(Duration::from_millis(1), future).await.is_err());
    while pool.hangs_for().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (refused, by_refused) = telltale();
    let held = pool.hold(refused);
    assert!(pool.run(Lane::Request, move || drop(held.into_inner())).await.is_err());
    let (idle, by_idle) = telltale();
    drop(pool.hold(idle));
    assert!(by_refused.try_recv().is_err() && by_idle.try_recv().is_err(), "while the device hangs");
    open.send(()).unwrap();
    for tells in [by_cancelled, by_refused, by_idle] {
        assert_eq!(dropped_by(&tells).as_deref(), Some("disk-d1"));
    }
}

#[tokio::test]
async fn a_thread_of_the_device_lets_go_at_once() {
    let pool = pool(1);
    let (value, tells) = telltale();
    let held = pool.hold(value);
    let told = pool.run(Lane::Request, move || {
        drop(held);
        tells.try_recv()
    });
    assert_eq!(told.await.unwrap().unwrap().as_deref(), Some("disk-d1"));
}

#[tokio::test]
async fn long_work_that_never_ends_is_not_waited_for_for_ever() {
    let pool = Arc::new(DevicePool::new("d1".parse().unwrap(), 8, Duration::from_millis(20)));
    let mut gates = Vec::new();
    for _ in 0..2 {
        let (open, gate) = mpsc::channel::<()>();
        gates.push(open);
        let pool = Arc::clone(&pool);
        tokio::spawn(async move { pool.run_long(move || gate.recv().unwrap()).await });
    }
    while pool.shared.lock().pulse.under_way() < 2 {
        tokio::task::yield_now().await;
    }
    // Other work ends meanwhile: the device is not refused, but what needs one of those two threads is.
    let others = async {
        loop {
            pool.run(Lane::Request, || ()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let refusal = tokio::select! {
        late = pool.run_long(|| ()) => late.unwrap_err(),
        () = others => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(5)) => panic!("it waits for ever"),
    };
    assert_eq!(refusal.reason, Reason::DeviceUnmounted);
    assert_eq!(pool.hangs_for(), None);
    // With nothing but long work the device hangs.
    let (open, gate) = mpsc::channel::<()>();
    let pool = Arc::new(DevicePool::new("d1".parse().unwrap(), 8, Duration::from_millis(20)));
    let long = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.run_long(move || gate.recv().unwrap()).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        let refusal = pool.look(|| ()).await.unwrap_err();
        assert!(refusal.message.contains("device d1 hangs"), "{refusal}");
    }
    open.send(()).unwrap();
    long.await.unwrap().unwrap();
    assert_eq!(pool.hangs_for(), None);
}

#[tokio::test]
async fn without_a_device_timeout_no_device_hangs_and_nobody_spins() {
    let pool = Arc::new(DevicePool::new("d1".parse().unwrap(), 1, Duration::ZERO));
    let (open, gate) = mpsc::channel::<()>();
    pool.push(Lane::Request, None, 0, move |_| gate.recv().unwrap());
    let mut waits = Box::pin(pool.run(Lane::Request, || ()));
    let polls = std::cell::Cell::new(0);
    let counted = std::future::poll_fn(|context| {
        polls.set(polls.get() + 1);
        waits.as_mut().poll(context)
    });
    assert!(timeout(Duration::from_millis(200), counted).await.is_err());
    assert!(polls.get() < 10, "polled {} times", polls.get());
    assert_eq!(pool.hangs_for(), None);
    open.send(()).unwrap();
    waits.await.unwrap();
}

#[tokio::test]
async fn who_has_an_answer_does_not_find_the_device_hanging_because_of_it() {
    use futures_util::FutureExt as _;
    let pool = pool(1);
    let (open, gate) = mpsc::channel::<()>();
    let mut answer = Box::pin(pool.run(Lane::Request, move || gate.recv().unwrap()));
    assert!(timeout(Duration::from_millis(50), answer.as_mut()).await.is_err());
    let early = {
        // The end cannot be noted meanwhile.
        let _state = pool.shared.lock();
        open.send(()).unwrap();
        thread::sleep(Duration::from_millis(50));
        answer.as_mut().now_or_never().is_some()
    };
    assert!(!early, "answered before its end was noted");
    answer.await.unwrap();
}

#[tokio::test]
async fn what_begins_once_an_end_was_told_may_be_what_hangs() {
    let pool = Arc::new(DevicePool::new("d1".parse().unwrap(), 2, Duration::from_millis(50)));
    let ((told, tells), (begins, begun)) = (mpsc::channel(), mpsc::channel());
    let ((go, gate), (open, hangs)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
    pool.push(Lane::Replication, None, 0, move |done_with_disk| {
        done_with_disk();
        told.send(()).unwrap();
        gate.recv().unwrap();
    });
    tells.recv().unwrap();
    pool.push(Lane::Replication, None, 0, move |_| {
        begins.send(()).unwrap();
        hangs.recv().unwrap();
    });
    begun.recv().unwrap();
    go.send(()).unwrap();
    while pool.shared.lock().pulse.under_way() > 1 {
        thread::yield_now();
    }
    let seen = async {
        while pool.hangs_for().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), seen).await.expect("its thread ended after the next had begun");
    open.send(()).unwrap();
}
