//! Addresses that are free, taken, or left behind.

use std::os::unix::net::UnixListener as Abandoned;

use tokio::net::TcpStream;

use super::*;

fn quick() -> ListenOptions {
    ListenOptions { bind_timeout: Duration::ZERO, ..ListenOptions::default() }
}

fn any_port() -> BindAddress {
    "127.0.0.1:0".parse().unwrap()
}

#[tokio::test]
async fn a_tcp_caller_is_known_by_address_and_probed_when_idle() {
    let listener = Listener::bind(&any_port(), &quick()).await.unwrap();
    let address = listener.address().socket_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (socket, peer) = listener.accept().await.unwrap();
    assert_eq!((peer.remote, peer.local), (client.local_addr().ok(), Some(address)));
    assert!(peer.is_local());
    let Socket::Tcp(stream) = socket else { panic!("not TCP") };
    assert!(stream.nodelay().unwrap());
    assert!(rustix::net::sockopt::socket_keepalive(&stream).unwrap());
    assert_eq!(rustix::net::sockopt::tcp_keepidle(&stream).unwrap(), Duration::from_secs(600));
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Listener::bind(&any_port(), &quick()).await.unwrap();
    let error = Listener::bind(first.address(), &quick()).await.unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&first.address().to_string()));
}

#[tokio::test]
async fn an_address_that_becomes_free_in_time_is_taken() {
    let first = Listener::bind(&any_port(), &quick()).await.unwrap();
    let address = first.address().clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(300)).await;
        drop(first);
    });
    let patient = ListenOptions { bind_timeout: Duration::from_secs(20), ..quick() };
    assert_eq!(Listener::bind(&address, &patient).await.unwrap().address(), &address);
}

#[tokio::test]
async fn a_socket_left_by_a_dead_process_is_replaced_a_live_one_and_a_file_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    drop(Abandoned::bind(&path).unwrap());
    assert!(path.exists());

    let address = BindAddress::Unix(path.clone());
    let options = ListenOptions { unix_mode: 0o600, ..quick() };
    let listener = Listener::bind(&address, &options).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Listener::bind(&address, &options).await, Err(ListenError::InUse { .. })));
    // Trying to bind has asked the live one too: take that connection first.
    listener.accept().await.unwrap();
    let _client = UnixStream::connect(&path).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!((peer.route, peer.is_local()), (Route::Unix, true));

    drop(listener);
    assert!(!path.exists(), "the socket must go with its listener");
    fs::write(&path, b"data").unwrap();
    assert!(matches!(Listener::bind(&address, &options).await, Err(ListenError::NotASocket(_))));
    assert_eq!(fs::read(&path).unwrap(), b"data");
}

#[tokio::test]
async fn a_listener_leaves_the_socket_of_another_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let address = BindAddress::Unix(path.clone());
    let old = Listener::bind(&address, &quick()).await.unwrap();
    fs::remove_file(&path).unwrap();
    let _new = Listener::bind(&address, &quick()).await.unwrap();
    drop(old);
    assert!(path.exists());
}

/// A manager keeps the socket without waiting at it, and workers serve it one after the other.
#[tokio::test]
async fn the_file_of_a_socket_that_is_kept_stays_until_that_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = Listener::bind(&BindAddress::Unix(path.clone()), &ListenOptions::default()).await.unwrap();
    let kept = listener.into_socket().unwrap();
    UnixStream::connect(&path).await.expect("whoever connects waits for a worker");
    drop(kept);
    assert!(!path.exists());
}
