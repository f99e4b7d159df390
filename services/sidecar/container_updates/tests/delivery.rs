//! What becomes of updates on their way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ssync_types::{ListingOp, Metadata, ObjectPath, PendingUpdate, PolicyIndex, Reason, Refusal};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::super::{Deliveries, Limits, Plan, Target, Update};
use crate::tests::fake_store::FakeStore;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits {
        deliveries: 3,
        host_deliveries: 3,
        connect: SECOND,
        answer: 3 * SECOND,
        wait: SECOND / 10,
        grace: SECOND / 10,
        keep: 3 * SECOND,
        keep_grace: SECOND,
    }
}

pub(super) fn deliveries(store: Arc<FakeStore>) -> Deliveries {
    Deliveries::new(store, limits(), CancellationToken::new())
}

/// A container's server that answers so after a while; it tells the first line of each request.
async fn server(answer: &'static str, after: Duration) -> (String, mpsc::Receiver<String>) {
    server_that_waits(answer, move || sleep(after)).await
}

/// The same, with an answer for each permit.
async fn server_that_is_let(answer: &'static str) -> (String, mpsc::Receiver<String>, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let permitted = Arc::clone(&permits);
    let due = move || {
        let permitted = Arc::clone(&permitted);
        async move { permitted.acquire().await.unwrap().forget() }
    };
    let (host, requests) = server_that_waits(answer, due).await;
    (host, requests, permits)
}

async fn server_that_waits<D>(
    answer: &'static str,
    due: impl Fn() -> D + Send + 'static,
) -> (String, mpsc::Receiver<String>)
where
    D: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (heard, requests) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, answer, due(), heard.clone()));
        }
    });
    (host, requests)
}

async fn serve(
    mut stream: TcpStream,
    answer: &'static str,
    due: impl Future<Output = ()>,
    heard: mpsc::Sender<String>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8(request).unwrap();
    heard.send(text.lines().next().unwrap().to_owned()).await.unwrap();
    due.await;
    drop(stream.write_all(answer.as_bytes()).await);
}

const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

fn update(host: Option<&str>) -> Update {
    let mut headers = Metadata::new();
    headers.set("X-Timestamp", "0000000005.00000");
    let update = PendingUpdate {
        device: "sda".parse().unwrap(),
        policy: PolicyIndex::new(0),
        op: ListingOp::Put,
        path: ObjectPath::of("a", "c", "o").unwrap(),
        headers,
        container_path: None,
        db_state: None,
    };
    let target = host.and_then(|host| Target::of(host.as_bytes(), b"sdc", b"77"));
    Update { target, update }
}

fn listing(hosts: &[&str]) -> Plan {
    Plan { queue: Vec::new(), listing: hosts.iter().map(|host| update(Some(host))).collect() }
}

#[tokio::test]
async fn what_is_taken_is_not_kept() {
    let store = Arc::new(FakeStore::default());
    let (host, mut requests) = server(CREATED, Duration::ZERO).await;
    let plan = Plan { queue: vec![update(Some(&host))], ..listing(&[&host, &host]) };
    deliveries(store.clone()).carry_out(plan).await.unwrap();
    for _ in 0..3 {
        assert_eq!(requests.recv().await.unwrap(), "PUT /sdc/77/a/c/o HTTP/1.1");
    }
    assert_eq!(store.state().pending, []);
}

#[tokio::test]
async fn what_is_not_taken_is_kept() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let (busy, _requests) = server("HTTP/1.1 503 Busy\r\n\r\n", Duration::ZERO).await;
    let (mute, _requests) = server("", Duration::ZERO).await;
    let (other, _requests) = server("220 smtp.example.org\r\n\r\n", Duration::ZERO).await;
    for host in [unused.as_str(), &busy, &mute, &other, "nonsense"] {
        let store = Arc::new(FakeStore::default());
        deliveries(store.clone()).carry_out(listing(&[host])).await.unwrap();
        assert_eq!(store.state().pending, [update(None).update], "{host}");
    }
    let store = Arc::new(FakeStore::default());
    deliveries(store.clone()).carry_out(Plan { queue: vec![update(None)], listing: vec![] }).await.unwrap();
    assert_eq!(store.state().pending.len(), 1);
}

#[tokio::test]
async fn a_redirection_is_kept_with_its_shard() {
    let answer = "HTTP/1.1 301 Moved Permanently\r\nLocation: /.shards_a/c-0/o\r\n\
        X-Backend-Redirect-Timestamp: 1700000000.00000\r\n\r\n";
    for (answer, shard) in
        [(answer, Some(&b".shards_a/c-0"[..])), ("HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\n", None)]
    {
        let store = Arc::new(FakeStore::default());
        let (host, _requests) = server(answer, Duration::ZERO).await;
        deliveries(store.clone()).carry_out(listing(&[&host])).await.unwrap();
        let kept = store.state().pending[0].container_path.clone();
        assert_eq!(kept.as_ref().map(ssync_types::ContainerPath::as_bytes), shard);
    }
}

#[tokio::test]
async fn a_client_waits_for_listings_a_while_and_for_the_queue_to_the_end() {
    let store = Arc::new(FakeStore::default());
    let (slow, mut requests, answers) = server_that_is_let(CREATED).await;
    let patient = Limits { answer: 1000 * SECOND, ..limits() };
    let deliveries = Deliveries::new(store.clone(), patient, CancellationToken::new());
    // No answer was sent yet.
    let carried = timeout(30 * SECOND, deliveries.carry_out(listing(&[&slow, &slow]))).await;
    carried.expect("a client does not wait for listings to the end").unwrap();
    assert!(timeout(3 * patient.wait, deliveries.finish()).await.is_err(), "both go on");
    answers.add_permits(2);
    deliveries.finish().await;
    let carried = deliveries.carry_out(Plan { queue: vec![update(Some(&slow))], listing: vec![] });
    tokio::pin!(carried);
    assert!(timeout(3 * patient.wait, &mut carried).await.is_err(), "a client waits for the queue");
    answers.add_permits(1);
    carried.await.unwrap();
    for _ in 0..3 {
        requests.recv().await.unwrap();
    }
    assert_eq!(store.state().pending, []);
}

#[tokio::test]
async fn what_is_too_many_is_kept_at_once() {
    let store = Arc::new(FakeStore::default());
    let (slow, mut requests) = server(CREATED, SECOND / 2).await;
    let deliveries = deliveries(store.clone());
    deliveries.carry_out(listing(&[&slow, &slow, &slow, &slow, &slow])).await.unwrap();
    // Two of them, and one file.
    assert_eq!(store.state().pending, [update(None).update]);
    deliveries.finish().await;
    for _ in 0..3 {
        requests.recv().await.unwrap();
    }
    // There is room again.
    deliveries.carry_out(listing(&[&slow])).await.unwrap();
    requests.recv().await.unwrap();
    assert_eq!(store.state().pending.len(), 1);
}

#[tokio::test]
async fn a_silent_server_leaves_places_to_others() {
    let store = Arc::new(FakeStore::default());
    let (silent, mut unanswered) = server(CREATED, 1000 * SECOND).await;
    let (quick, mut requests) = server(CREATED, Duration::ZERO).await;
    let limits = Limits { host_deliveries: 2, ..limits() };
    let deliveries = Deliveries::new(store.clone(), limits, CancellationToken::new());
    deliveries.carry_out(listing(&[&silent, &silent, &silent, &quick])).await.unwrap();
    requests.recv().await.unwrap();
    for _ in 0..2 {
        unanswered.recv().await.unwrap();
    }
    assert_eq!(store.state().pending, [update(None).update]);
}

#[tokio::test]
async fn a_drain_leaves_to_the_updater_what_does_not_end() {
    let store = Arc::new(FakeStore::default());
    let (slow, mut requests) = server(CREATED, 1000 * SECOND).await;
    let patient = Limits { answer: 1000 * SECOND, ..limits() };
    let drain = CancellationToken::new();
    let deliveries = Deliveries::new(store.clone(), patient, drain.clone());
    deliveries.carry_out(listing(&[&slow])).await.unwrap();
    requests.recv().await.unwrap();
    assert_eq!(store.state().pending, []);
    drain.cancel();
    timeout(10 * SECOND, deliveries.finish()).await.expect("a drain ends");
    assert_eq!(store.state().pending, [update(None).update]);
}

#[tokio::test]
async fn what_can_be_neither_delivered_nor_kept_is_no_success() {
    let store = Arc::new(FakeStore::default());
    store.state().refuse_pending = Some(Refusal::new(Reason::DeviceFull, "sda is full"));
    let (busy, _requests) = server("HTTP/1.1 503 Busy\r\n\r\n", Duration::ZERO).await;
    for plan in [listing(&[&busy]), Plan { queue: vec![update(None)], listing: vec![] }] {
        let refusal = deliveries(store.clone()).carry_out(plan).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::DeviceFull);
    }
}

/// A store that refuses so for a while.
fn away(reason: Reason, during: Duration) -> Arc<FakeStore> {
    let store = Arc::new(FakeStore::default());
    store.state().refuse_pending = Some(Refusal::new(reason, "away"));
    let back = Arc::clone(&store);
    tokio::spawn(async move {
        tokio::time::sleep(during).await;
        back.state().refuse_pending = None;
    });
    store
}

#[tokio::test]
async fn a_store_that_is_away_for_a_moment_keeps_it_all_the_same() {
    for reason in [Reason::Unreachable, Reason::Draining, Reason::ReceiverBusy, Reason::DeviceLocked] {
        let store = away(reason, SECOND / 3);
        let (busy, _requests) = server("HTTP/1.1 503 Busy\r\n\r\n", Duration::ZERO).await;
        let deliveries = deliveries(store.clone());
        // The client waits for the entry of the queue, and not for the listing.
        deliveries.carry_out(Plan { queue: vec![update(None)], ..listing(&[&busy]) }).await.unwrap();
        deliveries.finish().await;
        assert_eq!(store.state().pending, [update(None).update, update(None).update], "{reason:?}");
    }
}

#[tokio::test]
async fn a_store_that_stays_away_is_not_asked_for_ever() {
    let begun = Instant::now();
    let store = away(Reason::Unreachable, 1000 * SECOND);
    let plan = Plan { queue: vec![update(None)], listing: vec![] };
    let drain = CancellationToken::new();
    let patient = Limits { keep: 1000 * SECOND, ..limits() };
    let deliveries = Deliveries::new(store, patient, drain.clone());
    let stop = async {
        tokio::time::sleep(SECOND / 2).await;
        drain.cancel();
        deliveries.finish().await;
    };
    let (refused, ()) = tokio::join!(deliveries.carry_out(plan), stop);
    assert_eq!(refused.unwrap_err().reason, Reason::Unreachable);
    assert!(begun.elapsed() > SECOND / 2 && begun.elapsed() < 4 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn all_deliveries_have_one_grace() {
    let store = Arc::new(FakeStore::default());
    let (slow, mut requests) = server(CREATED, 1000 * SECOND).await;
    let drain = CancellationToken::new();
    let patient = Limits { answer: 1000 * SECOND, grace: 4 * SECOND, ..limits() };
    let deliveries = Deliveries::new(store.clone(), patient, drain.clone());
    drain.cancel();
    // Nothing is under way.
    deliveries.finish().await;
    sleep(3 * SECOND).await;
    let begun = Instant::now();
    // It has what is left of the grace; and the next has nothing, and is not begun.
    deliveries.carry_out(listing(&[&slow])).await.unwrap();
    requests.recv().await.unwrap();
    deliveries.finish().await;
    assert!(begun.elapsed() < patient.grace, "{:?}", begun.elapsed());
    deliveries.carry_out(listing(&[&slow])).await.unwrap();
    assert_eq!(store.state().pending, [update(None).update, update(None).update]);
    assert!(requests.try_recv().is_err());
}
