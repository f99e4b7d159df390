//! One port for two protocols, and connections that are passed on.

use std::io::Write as _;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    runtime::Runtime,
    time::timeout,
};
use tokio_stream::StreamExt as _;

use super::*;
use crate::{
    ListenOptions,
    listen::{PREFACE, Preamble},
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn listener(address: &str) -> Listener {
    Listener::bind(&address.parse().unwrap(), &ListenOptions::default()).await.unwrap()
}

/// Answers with the route and locality of the caller, then with what it sent.
fn echo() -> Route {
    Route::handle(|mut connection: Connection| async move {
        let peer = connection.peer().clone();
        let head = format!("{:?} {} {peer}\n", peer.route, peer.is_local());
        connection.write_all(head.as_bytes()).await.ok();
        let (mut from, mut to) = tokio::io::split(&mut connection);
        tokio::io::copy(&mut from, &mut to).await.ok();
        connection.shutdown().await.ok();
    })
}

/// The answer to `sent`, once this side has closed.
async fn ask(address: &BindAddress, sent: &[u8]) -> (String, Option<std::net::SocketAddr>) {
    let mut stream = TcpStream::connect(address.socket_addr().unwrap()).await.unwrap();
    let local = stream.local_addr().ok();
    stream.write_all(sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().ok();
    (String::from_utf8(answer).unwrap(), local)
}

#[tokio::test]
async fn one_port_gives_grpc_to_the_queue_and_the_rest_to_the_handler() {
    let drain = Drain::new();
    let (queue, mut incoming) = connection_queue();
    let port = Port::new(listener("127.0.0.1:0").await, PortOptions::default(), Route::Queue(queue), echo());
    let address = port.address().clone();
    let serving = tokio::spawn(port.serve(drain.clone()));

    let (answer, local) = ask(&address, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer, format!("Tcp true {}\nGET / HTTP/1.1\r\n\r\n", local.unwrap()));

    let mut client = TcpStream::connect(address.socket_addr().unwrap()).await.unwrap();
    client.write_all(PREFACE).await.unwrap();
    let mut connection = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap().unwrap();
    let mut read = [0; PREFACE.len()];
    connection.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, PREFACE);

    let (answer, _) = ask(&address, b"\x16\x03\x01\x02").await;
    assert_eq!(answer, "", "TLS is closed");

    drain.begin();
    timeout(PATIENCE, serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(address.socket_addr().unwrap()).await.is_err(), "a drained port is closed");
    drop((client, connection));
    assert_eq!(drain.finish(PATIENCE).await, crate::Drained::Clean);
}

/// Two processes: the front one owns the port, the back one the service. Whoever comes through the front one is never local.
#[tokio::test]
async fn a_forwarded_caller_keeps_its_address_and_is_not_local() {
    let folder = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", folder.path().join("r.sock").display());
    for back_address in [unix.as_str(), "127.0.0.1:0"] {
        let drain = Drain::new();
        let options = PortOptions { takes_forwarded: true, ..PortOptions::default() };
        let back = Port::new(listener(back_address).await, options, echo(), echo());
        let target = back.address().clone();
        drain.spawn(back.serve(drain.clone()));
        let front = Port::new(
            listener("127.0.0.1:0").await,
            PortOptions::default(),
            Route::Forward(target.clone()),
            echo(),
        );
        let address = front.address().clone();
        drain.spawn(front.serve(drain.clone()));

        let sent = [PREFACE.as_slice(), b"frames"].concat();
        let (answer, local) = ask(&address, &sent).await;
        let wanted =
            format!("Forwarded false {}\n{}", local.unwrap(), String::from_utf8(sent.clone()).unwrap());
        assert_eq!(answer, wanted, "{back_address}");

        if target.socket_addr().is_some() {
            let (answer, _) = ask(&target, &sent).await;
            assert!(answer.starts_with("Tcp true "), "straight to the receiver: {answer}");
            let forged = [b"SSYNC-PEER 1 127.0.0.1:1 127.0.0.1:2\r\n".as_slice(), PREFACE].concat();
            let (answer, _) = ask(&target, &forged).await;
            assert!(answer.starts_with("Forwarded false 127.0.0.1:1\n"), "{answer}");
        }
        drain.begin();
        assert_eq!(drain.finish(PATIENCE).await, crate::Drained::Clean);
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_closes_the_connection() {
    let drain = Drain::new();
    let nobody = BindAddress::Unix("/nonexistent/receiver.sock".into());
    let port =
        Port::new(listener("127.0.0.1:0").await, PortOptions::default(), Route::Forward(nobody), echo());
    let address = port.address().clone();
    drain.spawn(port.serve(drain.clone()));
    assert_eq!(ask(&address, PREFACE).await.0, "");
    assert!(ask(&address, b"GET / HTTP/1.1\r\n").await.0.contains("GET"), "the port goes on");
}

#[tokio::test]
async fn more_connections_than_admitted_wait_their_turn() {
    let drain = Drain::new();
    let options = PortOptions { connections_max: 1, ..PortOptions::default() };
    let port = Port::new(listener("127.0.0.1:0").await, options, echo(), echo());
    let address = port.address().clone();
    drain.spawn(port.serve(drain.clone()));

    let mut first = TcpStream::connect(address.socket_addr().unwrap()).await.unwrap();
    first.write_all(b"GET").await.unwrap();
    let mut byte = [0; 1];
    first.read_exact(&mut byte).await.unwrap();
    let second = tokio::spawn(async move { ask(&address, b"GET").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!second.is_finished());
    drop(first);
    assert!(timeout(PATIENCE, second).await.unwrap().unwrap().0.ends_with("GET"));
}

/// How a connection that begins so is taken, and by which queue.
async fn taken(
    address: &str,
    takes_forwarded: bool,
    preamble: Option<Preamble>,
) -> (&'static str, PeerRoute) {
    let ((ours, mut from_ours), (peers, mut from_peers)) = (connection_queue(), connection_queue());
    let drain = Drain::new();
    let options = PortOptions { takes_forwarded, ..PortOptions::default() };
    let port = Port::new(listener(address).await, options, Route::Queues { ours, peers }, echo());
    let mut begin = preamble.map_or_else(String::new, |line| line.to_string()).into_bytes();
    begin.extend_from_slice(PREFACE);
    let (_tcp, _unix);
    match port.address().clone() {
        BindAddress::Tcp(at) => {
            let mut client = TcpStream::connect(at).await.unwrap();
            client.write_all(&begin).await.unwrap();
            _tcp = client;
        }
        BindAddress::Unix(at) => {
            let mut client = UnixStream::connect(at).await.unwrap();
            client.write_all(&begin).await.unwrap();
            _unix = client;
        }
    }
    drain.spawn(port.serve(drain.clone()));
    let either = async {
        tokio::select! {
            connection = from_ours.next() => ("ours", connection.unwrap().unwrap().peer().route),
            connection = from_peers.next() => ("peers", connection.unwrap().unwrap().peer().route),
        }
    };
    timeout(PATIENCE, either).await.unwrap()
}

#[tokio::test]
async fn what_brings_clients_requests_goes_elsewhere_than_peers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = |name: &str| format!("unix:{}", folder.path().join(name).display());
    let (tcp, passed_on) = ("127.0.0.1:0", Some(Preamble::Unix));
    assert_eq!(taken(tcp, false, None).await, ("peers", PeerRoute::Tcp));
    assert_eq!(taken(tcp, true, None).await, ("ours", PeerRoute::Tcp));
    assert_eq!(taken(tcp, true, passed_on).await, ("peers", PeerRoute::Forwarded));
    assert_eq!(taken(&socket("a"), true, None).await, ("ours", PeerRoute::Unix));
    assert_eq!(taken(&socket("b"), true, passed_on).await, ("peers", PeerRoute::Forwarded));
    assert_eq!(taken(&socket("c"), false, None).await, ("ours", PeerRoute::Unix));
}

#[test]
fn a_connection_asks_nothing_of_the_runtime_that_accepted_it() {
    let (accepts, serves) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (queue, mut incoming) = connection_queue();
    let mut client = accepts.block_on(async {
        let drain = Drain::new();
        let port =
            Port::new(listener("127.0.0.1:0").await, PortOptions::default(), Route::Queue(queue), echo());
        let address = port.address().socket_addr().unwrap();
        drain.spawn(port.serve(drain.clone()));
        std::net::TcpStream::connect(address).unwrap()
    });
    client.write_all(PREFACE).unwrap();
    let read = serves.block_on(async {
        let mut connection = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap().unwrap();
        // Not here: it waits for its threads.
        std::thread::spawn(move || drop(accepts)).join().unwrap();
        client.write_all(b"frame").unwrap();
        let mut read = [0; PREFACE.len() + 5];
        timeout(PATIENCE, connection.read_exact(&mut read)).await.unwrap().map(|_| read)
    });
    assert!(read.unwrap().ends_with(b"frame"));
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_holds_up_no_drain() {
    let drain = Drain::new();
    let options = PortOptions { sniff_timeout: Duration::from_millis(100), ..PortOptions::default() };
    let port = Port::new(listener("127.0.0.1:0").await, options, echo(), echo());
    let address = port.address().socket_addr().unwrap();
    drain.spawn(port.serve(drain.clone()));
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(timeout(PATIENCE, silent.read(&mut [0; 1])).await.unwrap().unwrap(), 0);

    let drain = Drain::new();
    let port = Port::new(listener("127.0.0.1:0").await, PortOptions::default(), echo(), echo());
    let address = port.address().socket_addr().unwrap();
    drain.spawn(port.serve(drain.clone()));
    let _silent = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drain.begin();
    assert_eq!(drain.finish(PATIENCE).await, crate::Drained::Clean);
}

/// They wait in the system's queue, and their callers have sent already.
#[tokio::test]
async fn who_has_connected_before_a_drain_is_served() {
    let drain = Drain::new();
    let port = Port::new(listener("127.0.0.1:0").await, PortOptions::default(), echo(), echo());
    let address = port.address().socket_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        waiting.push(stream);
    }
    drain.begin();
    drain.spawn(port.serve(drain.clone()));
    for mut stream in waiting {
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.ends_with("GET / HTTP/1.1\r\n\r\n"), "{answer}");
    }
    assert_eq!(drain.finish(PATIENCE).await, crate::Drained::Clean);
    assert!(TcpStream::connect(address).await.is_err(), "it listens still");
}

/// A caller keeps its connection for the next call; neither end knows that the process between them goes down.
#[tokio::test]
async fn a_drain_ends_what_is_passed_on_when_it_is_idle_and_not_before() {
    let drain = Drain::new();
    let options = PortOptions { takes_forwarded: true, ..PortOptions::default() };
    // The process behind goes on.
    let behind = Drain::new();
    let back = Port::new(listener("127.0.0.1:0").await, options, echo(), echo());
    let target = back.address().clone();
    behind.spawn(back.serve(behind.clone()));
    let front =
        Port::new(listener("127.0.0.1:0").await, PortOptions::default(), Route::Forward(target), echo());
    let address = front.address().socket_addr().unwrap();
    drain.spawn(front.serve(drain.clone()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(PREFACE).await.unwrap();
    let mut answer = [0; 1024];
    assert_ne!(timeout(PATIENCE, client.read(&mut answer)).await.unwrap().unwrap(), 0);
    drain.begin();
    let ended = tokio::spawn(async move { drain.finish(PATIENCE).await });
    for _ in 0..8 {
        client.write_all(b"frame").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!ended.is_finished(), "it is at work");
    }
    assert_eq!(timeout(PATIENCE / 2, ended).await.unwrap().unwrap(), crate::Drained::Clean);
    timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await.unwrap().ok();
    behind.begin();
    assert_eq!(behind.finish(PATIENCE).await, crate::Drained::Clean);
}
