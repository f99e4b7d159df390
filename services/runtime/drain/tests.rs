//! The order of a shutdown, and its signals.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::*;

async fn shutdown(notice: Duration, deadline: Duration) -> (Shutdown, Drain, Health) {
    let (drain, health) = (Drain::new(), Health::new(["x.Y"]).await);
    health.set_ready().await;
    let patience = Duration::from_secs(7);
    let (limit, of) = ("drain_timeout", (drain.clone(), health.clone()));
    (Shutdown { drain: of.0, health: of.1, notice, deadline, limit, patience }, drain, health)
}

#[tokio::test(start_paused = true)]
async fn health_fails_before_work_is_refused_and_work_ends_before_the_drain() {
    let notice = Duration::from_secs(5);
    let (shutdown, drain, health) = shutdown(notice, Duration::from_secs(60)).await;
    let finished = Arc::new(AtomicBool::new(false));
    let (draining, flag) = (drain.draining(), Arc::clone(&finished));
    drain.spawn(async move {
        draining.await;
        sleep(Duration::from_secs(3)).await;
        flag.store(true, Ordering::SeqCst);
    });
    let going_down = tokio::spawn(shutdown.run());
    sleep(notice / 2).await;
    assert!(!health.is_ready());
    assert!(!drain.is_draining());
    sleep(notice).await;
    assert!(drain.is_draining());
    assert_eq!(going_down.await.unwrap(), Drained::Clean);
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_dropped_at_the_deadline() {
    let (shutdown, drain, _) = shutdown(Duration::ZERO, Duration::from_secs(2)).await;
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    let stuck = drain.spawn(async move {
        let _inner = inner;
        std::future::pending::<()>().await;
    });
    assert_eq!(shutdown.run().await, Drained::TimedOut { tasks: 1 });
    timeout(Duration::from_secs(1), stuck).await.unwrap().unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_the_waiting_at_once() {
    let (shutdown, drain, _) = shutdown(Duration::from_secs(600), Duration::from_secs(600)).await;
    drain.spawn(std::future::pending());
    let going_down = tokio::spawn(shutdown.run());
    sleep(Duration::from_secs(1)).await;
    let before = tokio::time::Instant::now();
    drain.kill();
    assert!(matches!(going_down.await.unwrap(), Drained::Killed { .. }));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn cancelling_a_token_that_was_given_away_drains_nothing() {
    let drain = Drain::new();
    drain.token().cancel();
    assert!(!drain.is_draining());
    let token = drain.token();
    drain.begin();
    assert!(token.is_cancelled());
}

/// What is sent to the whole group of a manager and its worker comes to the worker twice.
#[tokio::test]
async fn a_second_signal_ends_a_service_at_once_and_a_worker_after_its_patience() {
    let patience = Duration::from_millis(500);
    for (manners, wanted) in [(Manners::Service, Duration::ZERO), (Manners::SwiftWorker, patience)] {
        let (mut shutdown, drain, _) = shutdown(Duration::ZERO, Duration::from_secs(600)).await;
        shutdown.patience = patience;
        drain.spawn(std::future::pending());
        let signals = Signals::catch(manners).unwrap();
        let going_down = tokio::spawn(shutdown.run_with("a test", signals));
        drain.draining().await;
        let before = tokio::time::Instant::now();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        let drained = timeout(Duration::from_secs(20), going_down).await.unwrap().unwrap();
        assert!(matches!(drained, Drained::Killed { .. }), "{manners:?}");
        assert!(before.elapsed() >= wanted, "{manners:?}: {:?}", before.elapsed());
    }
}
