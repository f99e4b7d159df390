//! One port, and TLS: who is taken, who is refused, and who only wants to keep others out.

use ssync_tls::{
    ClientStream, PeerRules, Reloaded, Tls,
    testing::{Authority, Issued},
};
use ssync_types::SubjectName;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_stream::StreamExt as _;

use super::*;
use crate::{ListenOptions, listen::PREFACE};

const PATIENCE: Duration = Duration::from_secs(20);
const HOST: &str = "127.0.0.1";
/// What a handshake begins with.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00";

/// A port with TLS, and what comes of it.
struct Bed {
    address: std::net::SocketAddr,
    incoming: Incoming,
    drain: Drain,
    server: Tls,
    folder: TempDir,
    authority: Authority,
}

/// A side's TLS, and the folder that its files are in.
fn tls(issued: &Issued) -> (Tls, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (issued.tls(folder.path(), PeerRules::default(), true), folder)
}

async fn listener() -> Listener {
    Listener::bind(&"127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).await.unwrap()
}

/// HTTP that is served is answered so.
fn served() -> Route {
    Route::handle(|mut connection: Connection| async move {
        connection.write_all(b"served").await.ok();
        connection.shutdown().await.ok();
    })
}

impl Bed {
    async fn new(options: PortOptions) -> Self {
        let authority = Authority::new("ca");
        let (server, folder) = tls(&authority.issue(&[HOST]));
        let drain = Drain::new();
        let (queue, incoming) = connection_queue();
        let options = PortOptions { tls: TlsRoute::Accept(server.clone()), ..options };
        let port = Port::new(listener().await, options, Route::Queue(queue), served());
        let address = port.address().socket_addr().unwrap();
        drain.spawn(port.serve(drain.clone()));
        Self { address, incoming, drain, server, folder, authority }
    }

    /// Nothing but TLS is taken, and handshakes have little time.
    async fn tls_only(handshakes: HandshakeLimits) -> Self {
        Self::new(PortOptions { plain: Plain::Nobody, handshakes, ..PortOptions::default() }).await
    }

    fn client(&self) -> (Tls, TempDir) {
        tls(&self.authority.issue(&["node-7.example"]))
    }

    async fn connect(&self, client: &Tls) -> Result<ClientStream<TcpStream>, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        let mut stream = client.connect(HOST, stream).await.map_err(|error| error.to_string())?;
        stream.write_all(PREFACE).await.map_err(|error| error.to_string())?;
        Ok(stream)
    }

    async fn next(&mut self) -> Connection {
        timeout(PATIENCE, self.incoming.next()).await.expect("a connection").unwrap().unwrap()
    }

    /// Whether nobody was let in.
    async fn is_empty(&mut self) -> bool {
        timeout(Duration::from_millis(100), self.incoming.next()).await.is_err()
    }
}

/// All that comes until the other end closes; an error is an end as well.
async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("it is never closed");
    String::from_utf8_lossy(&read).into_owned()
}

/// The answer to a request without TLS.
async fn plainly(address: std::net::SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    rest(&mut stream).await
}

fn brief() -> HandshakeLimits {
    HandshakeLimits { timeout: Duration::from_millis(400), ..HandshakeLimits::default() }
}

#[tokio::test]
async fn what_comes_by_tls_brings_its_names_and_serves_both_ways() {
    let mut bed = Bed::new(PortOptions::default()).await;
    let (client, _folder) = bed.client();
    let mut stream = bed.connect(&client).await.unwrap();
    let mut connection = bed.next().await;
    let identity = connection.peer().identity.clone().expect("an identity");
    assert_eq!(identity.names, [SubjectName::Dns("node-7.example".into())]);
    let mut read = [0; PREFACE.len()];
    connection.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, PREFACE);
    connection.write_all(b"settings").await.unwrap();
    connection.flush().await.unwrap();
    let mut answer = [0; 8];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"settings");
    // Beside it, the port is what it was.
    assert_eq!(plainly(bed.address, b"GET / HTTP/1.1\r\n\r\n").await, "served");
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_lets_nobody_in() {
    let mut bed = Bed::new(PortOptions::default()).await;
    let other = Authority::new("other").issue(&["node-7.example"]).believing(&bed.authority);
    let expired = bed.authority.expired(&["node-7.example"]);
    for (issued, why) in [(other, "another authority"), (expired, "expired")] {
        let (client, _folder) = tls(&issued);
        if let Ok(mut stream) = bed.connect(&client).await {
            assert!(stream.read_u8().await.is_err(), "{why}: it was taken");
        }
        assert!(bed.is_empty().await, "{why}");
    }
}

#[tokio::test]
async fn without_tls_a_tls_only_address_says_why_not() {
    let mut bed = Bed::tls_only(HandshakeLimits::default()).await;
    let put = b"PUT /sdb1/7/a/c/o HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".as_slice();
    let ssync = b"SSYNC /sdb1/7 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
    for sent in [put, ssync, PREFACE.as_slice(), b"REPLICATE /sdb1/7 HTTP/1.1\r\n\r\n"] {
        let answer = plainly(bed.address, sent).await;
        let shown = String::from_utf8_lossy(sent);
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{shown}: {answer}");
        assert!(answer.contains("Upgrade: TLS/1.3") && answer.contains("require_tls"), "{shown}: {answer}");
    }
    assert!(bed.is_empty().await);
}

#[tokio::test]
async fn http_is_served_to_those_who_are_listed() {
    // Nobody is listed, and this host is always served.
    let here = Plain::Http { from: Vec::new(), grpc: false };
    let mut bed = Bed::new(PortOptions { plain: here, ..PortOptions::default() }).await;
    assert_eq!(plainly(bed.address, b"GET / HTTP/1.1\r\n\r\n").await, "served");
    assert!(plainly(bed.address, PREFACE).await.starts_with("HTTP/1.1 426 "));
    assert!(bed.is_empty().await);
    let (client, _folder) = bed.client();
    let _stream = bed.connect(&client).await.unwrap();
    assert!(bed.next().await.peer().identity.is_some());
}

/// Behind a proxy on this host everybody comes from here, so who comes from here is nobody in particular.
#[tokio::test]
async fn http_is_refused_to_those_who_are_not_listed() {
    for (from, expected) in [("10.0.0.0/8", "HTTP/1.1 403 "), ("127.0.0.0/8", "served")] {
        let options = ListenOptions { trust_loopback: false, ..ListenOptions::default() };
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &options).await.unwrap();
        let plain = Plain::Http { from: vec![from.parse().unwrap()], grpc: false };
        let options = PortOptions { plain, ..PortOptions::default() };
        let port = Port::new(listener, options, Route::Close("not here"), served());
        let (address, drain) = (port.address().socket_addr().unwrap(), Drain::new());
        drain.spawn(port.serve(drain.clone()));
        let answer = plainly(address, b"PUT /sdb1/7/a/c/o HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with(expected), "{from}: {answer}");
    }
}

/// As many as one address may have under way, and more: who comes from another is let in all the same.
#[tokio::test]
async fn a_flood_of_handshakes_from_one_address_keeps_nobody_else_out() {
    let mut bed = Bed::tls_only(HandshakeLimits { per_address_max: 4, ..HandshakeLimits::default() }).await;
    let mut flood = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(bed.address).await.unwrap();
        stream.write_all(HELLO).await.ok();
        flood.push(stream);
    }
    // All but four are closed, and at once: not when their time is over.
    let mut open = 0;
    for stream in &mut flood {
        let ended = timeout(Duration::from_millis(300), stream.read(&mut [0; 1])).await;
        open += usize::from(ended.is_err());
    }
    assert_eq!(open, 4);
    let (client, _folder) = bed.client();
    let honest = TcpSocket::new_v4().unwrap();
    honest.bind(([127, 0, 0, 9], 0).into()).unwrap();
    let honest = honest.connect(bed.address).await.unwrap();
    let mut honest = client.connect(HOST, honest).await.unwrap();
    honest.write_all(PREFACE).await.unwrap();
    assert!(bed.next().await.peer().identity.is_some());
}

#[tokio::test]
async fn who_is_slow_at_any_point_of_a_handshake_is_closed() {
    let mut bed = Bed::tls_only(brief()).await;
    let (client, _folder) = bed.client();
    for begin in [&b""[..], &HELLO[..1], HELLO] {
        let mut stream = TcpStream::connect(bed.address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "{begin:?}");
    }
    // A byte at a time is no progress.
    let mut drip = TcpStream::connect(bed.address).await.unwrap();
    let dripping = async {
        for byte in HELLO.iter().chain(std::iter::repeat(&0)) {
            if drip.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    timeout(PATIENCE, dripping).await.expect("it goes on for ever");
    // Nor is a good certificate, and then nothing.
    let stream = TcpStream::connect(bed.address).await.unwrap();
    let mut stream = client.connect(HOST, stream).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    // Nor something else inside.
    let stream = TcpStream::connect(bed.address).await.unwrap();
    let mut stream = client.connect(HOST, stream).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    assert!(bed.is_empty().await);
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load() {
    let mut bed = Bed::tls_only(HandshakeLimits::default()).await;
    let (client, _folder) = bed.client();
    let mut running = bed.connect(&client).await.unwrap();
    let mut at_work = bed.next().await;
    for round in 0_u8..30 {
        if round % 10 == 5 {
            bed.authority.issue(&[HOST]).write(bed.folder.path());
            assert_eq!(bed.server.reload(), Reloaded::Taken);
        }
        let _new = bed.connect(&client).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(bed.next().await.peer().identity.is_some());
        running.write_all(&[round]).await.unwrap();
        let mut byte = [0; 1];
        if round == 0 {
            at_work.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        }
        timeout(PATIENCE, at_work.read_exact(&mut byte)).await.unwrap().unwrap();
        assert_eq!(byte, [round], "the connection from before goes on");
    }
    // Another authority altogether: those from before are refused from now on, and what runs goes on.
    Authority::new("next").issue(&[HOST]).write(bed.folder.path());
    assert_eq!(bed.server.reload(), Reloaded::Taken);
    assert!(bed.connect(&client).await.is_err());
    running.write_all(b"!").await.unwrap();
    timeout(PATIENCE, at_work.read_exact(&mut [0; 1])).await.unwrap().unwrap();
}

/// The process that ends the handshake gives up; who does not close all the same holds no place in the one in front.
#[tokio::test]
async fn who_is_closed_behind_a_process_of_ours_is_closed_in_front() {
    let behind = PortOptions {
        takes_forwarded: true,
        plain: Plain::OwnSocket,
        handshakes: brief(),
        ..PortOptions::default()
    };
    let mut bed = Bed::new(behind).await;
    let target: BindAddress = bed.address.into();
    let options = PortOptions {
        tls: TlsRoute::Forward(target.clone()),
        plain: Plain::Nobody,
        connections_max: 1,
        ..PortOptions::default()
    };
    let front = Port::new(listener().await, options, Route::Forward(target), served());
    bed.address = front.address().socket_addr().unwrap();
    bed.drain.spawn(front.serve(bed.drain.clone()));
    let mut silent = TcpStream::connect(bed.address).await.unwrap();
    silent.write_all(&HELLO[..1]).await.unwrap();
    let (client, _folder) = bed.client();
    let honest = timeout(PATIENCE, bed.connect(&client)).await.expect("its place is never given back");
    honest.unwrap();
    assert!(bed.next().await.peer().identity.is_some());
    assert_eq!(rest(&mut silent).await, "");
}

/// A sidecar passes bytes on; the handshake ends where gRPC is served, and its holder is not local.
#[tokio::test]
async fn tls_goes_through_another_process_of_ours() {
    let mut bed =
        Bed::new(PortOptions { takes_forwarded: true, plain: Plain::OwnSocket, ..PortOptions::default() })
            .await;
    let target: BindAddress = bed.address.into();
    let options = PortOptions {
        tls: TlsRoute::Forward(target.clone()),
        plain: Plain::Nobody,
        ..PortOptions::default()
    };
    let front = Port::new(listener().await, options, Route::Forward(target), served());
    let behind = std::mem::replace(&mut bed.address, front.address().socket_addr().unwrap());
    bed.drain.spawn(front.serve(bed.drain.clone()));
    let (client, _folder) = bed.client();
    let _stream = bed.connect(&client).await.unwrap();
    let connection = bed.next().await;
    assert_eq!(connection.peer().route, PeerRoute::Forwarded);
    assert!(connection.peer().identity.is_some() && !connection.peer().is_local());
    // Not past it, and not without TLS.
    for address in [bed.address, behind] {
        assert!(plainly(address, PREFACE).await.starts_with("HTTP/1.1 426 "), "{address}");
    }
    let passed_on = [b"SSYNC-PEER 1 10.0.0.9:1 10.0.0.7:6200\r\n".as_slice(), PREFACE].concat();
    assert!(plainly(behind, &passed_on).await.starts_with("HTTP/1.1 426 "));
}
