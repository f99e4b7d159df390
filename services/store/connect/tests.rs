//! Tests of the probe, against peers that say the right thing, the wrong thing, or nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ssync_tls::{PeerRules, testing::Authority};
use tokio::net::TcpListener;

use super::*;

/// What Swift 2.38.3 on Python 3.11 answers the preface with.
const STOCK: &[u8] = b"HTTP/1.1 505 Invalid HTTP version (2.0)\r\nServer: BaseHTTP/0.6 Python/3.11.7\r\nConnection: close\r\n\r\n";
const SETTINGS: &[u8] = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64";
const LIMIT: Duration = Duration::from_millis(300);

/// A peer that answers every connection with `answer`, in pieces of `piece` bytes, and then hangs up or not.
async fn peer(answer: &'static [u8], piece: usize, hang_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut preface = [0; PREFACE.len()];
            stream.read_exact(&mut preface).await.unwrap();
            assert_eq!(preface, PREFACE);
            for bytes in answer.chunks(piece) {
                stream.write_all(bytes).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            if !hang_up {
                tokio::spawn(async move {
                    let _ = stream.read_u8().await;
                });
            }
        }
    });
    address
}

#[tokio::test]
async fn only_a_505_marks_a_peer_as_stock() {
    for piece in [1, 7, 4096] {
        assert_eq!(probe(&peer(STOCK, piece, true).await, LIMIT, None).await, Ok(PeerKind::StockSwift));
        assert_eq!(probe(&peer(SETTINGS, piece, false).await, LIMIT, None).await, Ok(PeerKind::Grpc));
    }
    let others: [&[u8]; 10] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        b"HTTP/1.1 5050 x\r\n\r\n",
        b"HTTP/1.1 505",
        b"HTTP/1.1 4260 x\r\n\r\n",
        b"HTTP/2 505 x\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46 and so on",
        b"\x00\x00\x06\x04\x01\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
        b"\x00\x00\x05\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
    ];
    for answer in others {
        let refusal = probe(&peer(answer, 4096, true).await, LIMIT, None).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::Unreachable, "{answer:?}");
    }
}

#[tokio::test]
async fn silence_resets_and_endless_lines_are_errors_that_name_the_peer() {
    let endless: &'static [u8] =
        Box::leak(format!("HTTP/1.1 505 {}", "x".repeat(4096)).into_boxed_str().into_boxed_bytes());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    for address in
        [peer(b"", 1, false).await, peer(b"", 1, true).await, peer(endless, 4096, false).await, closed]
    {
        let refusal = probe(&address, LIMIT, None).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::Unreachable);
        assert!(refusal.message.contains(&address), "{}", refusal.message);
    }
}

#[tokio::test]
async fn a_stock_peer_is_remembered_for_a_while_and_a_failure_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let book = PeerBook::new(LIMIT, Duration::from_millis(400));

    let answer = async |bytes: &[u8]| {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let _ = stream.shutdown().await;
        stream
    };
    let (kind, _held) = tokio::join!(book.kind(&address), answer(b"garbage, not an answer"));
    assert!(kind.is_err());
    let (kind, _held) = tokio::join!(book.kind(&address), answer(STOCK));
    assert_eq!(kind, Ok(PeerKind::StockSwift));
    // Nobody accepts now, so only memory can answer.
    assert_eq!(book.kind(&address).await, Ok(PeerKind::StockSwift));
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Upgraded in the meantime.
    let (kind, _held) = tokio::join!(book.kind(&address), answer(SETTINGS));
    assert_eq!(kind, Ok(PeerKind::Grpc));
}

#[test]
fn the_book_has_an_end() {
    let book = PeerBook::new(LIMIT, Duration::from_secs(300));
    for peer in 0..PEERS_MAX + 10 {
        book.remember(&format!("10.0.0.1:{peer}"));
    }
    assert_eq!(book.stock.lock().unwrap().len(), PEERS_MAX);
    assert!(book.is_known_stock("10.0.0.1:0"));
    book.forget("10.0.0.1:0");
    assert!(!book.is_known_stock("10.0.0.1:0"));
}

/// What one of ours answers that takes nothing but TLS.
const TLS_ONLY: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.3\r\n\r\n";

fn tls(authority: &Authority, names: &[&str], required: bool) -> (tempfile::TempDir, Tls) {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority.issue(names).tls(folder.path(), PeerRules::default(), required);
    (folder, tls)
}

/// A peer that takes TLS and, unless it is all that it takes, plain gRPC.
async fn tls_peer(server: Tls, plain: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut first = [0; 1];
                stream.peek(&mut first).await.unwrap();
                if first == [0x16] {
                    let Ok((mut inside, _)) = server.accept(stream).await else { return };
                    inside.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
                    inside.write_all(SETTINGS).await.unwrap();
                    let _ = inside.read_u8().await;
                } else {
                    stream.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
                    stream.write_all(plain).await.unwrap();
                    let _ = stream.read_u8().await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn who_has_certificates_speaks_tls_with_everyone_who_has_them_too() {
    let authority = Authority::new("ca");
    let (_a, server) = tls(&authority, &["127.0.0.1"], false);
    let (_b, client) = tls(&authority, &["client.example"], false);
    for plain in [SETTINGS, TLS_ONLY] {
        let address = tls_peer(server.clone(), plain).await;
        assert_eq!(probe(&address, LIMIT, Some(&client)).await, Ok(PeerKind::GrpcByTls));
    }
    // Without certificates: as before, or told what is lacking.
    let address = tls_peer(server.clone(), SETTINGS).await;
    assert_eq!(probe(&address, LIMIT, None).await, Ok(PeerKind::Grpc));
    let refusal = probe(&tls_peer(server, TLS_ONLY).await, LIMIT, None).await.unwrap_err();
    assert!(refusal.message.contains("tls_certificate"), "{refusal}");
    // A peer without them.
    for piece in [1, 4096] {
        assert_eq!(
            probe(&peer(STOCK, piece, true).await, LIMIT, Some(&client)).await,
            Ok(PeerKind::StockSwift)
        );
    }
}

#[tokio::test]
async fn a_bad_certificate_is_no_reason_to_do_without_tls() {
    let authority = Authority::new("ca");
    let (_b, client) = tls(&authority, &["client.example"], false);
    let (_a, stranger) = tls(&Authority::new("other"), &["127.0.0.1"], false);
    let (_c, misnamed) = tls(&authority, &["127.0.0.2"], false);
    for (server, why) in [(stranger, "UnknownIssuer"), (misnamed, "not valid for name")] {
        let refusal = probe(&tls_peer(server, SETTINGS).await, LIMIT, Some(&client)).await.unwrap_err();
        assert!(refusal.message.contains(why), "{refusal}");
    }
}

/// Who can break connections has nothing of it.
#[tokio::test]
async fn a_peer_that_has_spoken_tls_is_never_spoken_to_without() {
    let authority = Authority::new("ca");
    let (_a, server) = tls(&authority, &["127.0.0.1"], false);
    let (_b, client) = tls(&authority, &["client.example"], false);
    let address = tls_peer(server, SETTINGS).await;
    // In the way: passes on what has no TLS, and breaks off what has, once it is told to.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap().to_string();
    let breaks = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&breaks);
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let (address, told) = (address.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                let mut first = [0; 1];
                caller.peek(&mut first).await.unwrap();
                if first == [0x16] && told.load(Ordering::Relaxed) {
                    return;
                }
                let mut peer = tokio::net::TcpStream::connect(&address).await.unwrap();
                tokio::io::copy_bidirectional(&mut caller, &mut peer).await.ok();
            });
        }
    });
    let book = PeerBook::new(LIMIT, Duration::from_secs(300)).with_tls(Some(client.clone()));
    assert_eq!(book.kind(&between).await, Ok(PeerKind::GrpcByTls));
    breaks.store(true, Ordering::Relaxed);
    let refusal = book.kind(&between).await.unwrap_err();
    assert!(refusal.message.contains("has spoken TLS before"), "{refusal}");
    // For one that is met for the first time this is how a peer without certificates looks.
    let stranger = PeerBook::new(LIMIT, Duration::from_secs(300)).with_tls(Some(client));
    assert_eq!(stranger.kind(&between).await, Ok(PeerKind::Grpc));
}

/// Nobody accepts or refuses TLS there.
#[tokio::test]
async fn where_tls_is_required_nothing_else_is_tried() {
    let authority = Authority::new("ca");
    let (_b, required) = tls(&authority, &["client.example"], true);
    let (_c, optional) = tls(&authority, &["client.example"], false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // All that came: a connection that is closed before it is read may lose the answer.
            let mut sent = [0; 4096];
            let _ = stream.read(&mut sent).await;
            let answer = if sent[0] == 0x16 { STOCK } else { SETTINGS };
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    assert_eq!(probe(&address, LIMIT, Some(&optional)).await, Ok(PeerKind::Grpc));
    let refusal = probe(&address, LIMIT, Some(&required)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unreachable);
}
