//! Protocols told apart by their first bytes, however these come.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// Sends the parts one by one, closes, and gives back what was found and every byte that can be read then.
async fn sniffed(
    parts: &[&[u8]],
    may_be_forwarded: bool,
) -> Result<(Protocol, Option<Preamble>, Vec<u8>), SniffError> {
    let (mut client, server) = duplex(1024);
    let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
    let sender = tokio::spawn(async move {
        for part in parts {
            client.write_all(&part).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut sniffed = sniff(server, may_be_forwarded, PATIENCE).await?;
    let mut read = Vec::new();
    sniffed.stream.read_to_end(&mut read).await.unwrap();
    sender.await.unwrap();
    Ok((sniffed.protocol, sniffed.preamble, read))
}

#[tokio::test(start_paused = true)]
async fn the_preface_is_grpc_however_it_is_split_and_is_read_again_whole() {
    let sent = [PREFACE.as_slice(), b"\0\0\0\x04\0\0\0\0\0"].concat();
    let bytes: Vec<&[u8]> = sent.chunks(1).collect();
    for parts in [vec![sent.as_slice()], bytes, vec![&sent[..3], &sent[3..20], &sent[20..]]] {
        let (protocol, preamble, read) = sniffed(&parts, false).await.unwrap();
        assert_eq!((protocol, preamble), (Protocol::Grpc, None));
        assert_eq!(read, sent);
    }
}

#[tokio::test(start_paused = true)]
async fn everything_else_is_http_but_tls() {
    for request in [
        "PUT /d/0/a/c/o HTTP/1.1\r\n",
        "PRI * HTTP/1.1\r\n\r\n",
        "SSYNC /d/0 HTTP/1.1\r\n",
        "\0\0garbage",
        "P ",
        "\r\n",
    ] {
        let (protocol, _, read) = sniffed(&[request.as_bytes()], false).await.unwrap();
        assert_eq!(protocol, Protocol::Http, "{request:?}");
        assert_eq!(read, request.as_bytes());
        let (protocol, _, read) = sniffed(&[request.as_bytes()], true).await.unwrap();
        assert_eq!(protocol, Protocol::Http, "{request:?}");
        assert_eq!(read, request.as_bytes());
    }
    assert_eq!(sniffed(&[b"\x16\x03\x01"], false).await.unwrap().0, Protocol::Tls);
}

/// An HTTP client that waits for an answer after its request must not wait for ours.
#[tokio::test(start_paused = true)]
async fn it_decides_without_a_byte_more_than_it_needs() {
    let (mut client, server) = duplex(64);
    client.write_all(b"PU").await.unwrap();
    let sniffed = sniff(server, true, PATIENCE).await.unwrap();
    assert_eq!(sniffed.protocol, Protocol::Http);
    assert_eq!(sniffed.stream.pending(), b"PU");
    drop(client);
}

/// What is looked at is held in memory for each connection.
#[tokio::test(start_paused = true)]
async fn it_never_looks_at_more_than_the_preface_or_a_line() {
    for (head, most) in [("GET /", PREFACE.len()), ("SSYNC-PEER 1 unix\r\nGET /", PREAMBLE_MAX)] {
        let (mut client, server) = duplex(4096);
        client.write_all(&[head.as_bytes(), &[b'x'; 2048]].concat()).await.unwrap();
        let sniffed = sniff(server, true, PATIENCE).await.unwrap();
        assert!(sniffed.stream.pending().len() <= most, "{} bytes", sniffed.stream.pending().len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_given_up_after_its_time_however_it_trickles() {
    let (mut client, server) = duplex(64);
    let trickle = tokio::spawn(async move {
        for byte in PREFACE.iter().take(20) {
            client.write_all(&[*byte]).await.ok();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let before = tokio::time::Instant::now();
    let error = sniff(server, false, PATIENCE).await.unwrap_err();
    assert!(matches!(error, SniffError::Timeout(seen, PATIENCE) if (1..=11).contains(&seen)), "{error}");
    assert_eq!(before.elapsed(), PATIENCE);
    trickle.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_early_says_so() {
    assert!(matches!(sniffed(&[], false).await, Err(SniffError::Closed(0))));
    assert!(matches!(sniffed(&[b"PRI * HT"], false).await, Err(SniffError::Closed(8))));
}

#[tokio::test(start_paused = true)]
async fn a_preamble_is_taken_off_where_one_may_come_and_only_there() {
    let sent = [b"SSYNC-PEER 1 10.0.0.9:5 10.0.0.7:6200\r\n".as_slice(), PREFACE, b"more"].concat();
    let bytes: Vec<&[u8]> = sent.chunks(1).collect();
    for parts in [vec![sent.as_slice()], bytes] {
        let (protocol, preamble, read) = sniffed(&parts, true).await.unwrap();
        assert_eq!(protocol, Protocol::Grpc);
        assert_eq!(preamble.unwrap().to_string(), "SSYNC-PEER 1 10.0.0.9:5 10.0.0.7:6200\r\n");
        assert_eq!(read, [PREFACE.as_slice(), b"more"].concat());
    }
    let (protocol, preamble, read) = sniffed(&[&sent], false).await.unwrap();
    assert_eq!((protocol, preamble), (Protocol::Http, None));
    assert_eq!(read, sent);
}

#[tokio::test(start_paused = true)]
async fn a_preamble_comes_once_and_has_an_end() {
    let twice = [b"SSYNC-PEER 1 unix\r\nSSYNC-PEER 1 unix\r\n".as_slice()].concat();
    let (protocol, preamble, read) = sniffed(&[&twice], true).await.unwrap();
    assert_eq!((protocol, preamble), (Protocol::Http, Some(Preamble::Unix)));
    assert_eq!(read, b"SSYNC-PEER 1 unix\r\n");
    let endless = [b"SSYNC-PEER 1 ".as_slice(), &[b'x'; 1024]].concat();
    assert!(matches!(sniffed(&[&endless], true).await, Err(SniffError::Preamble(_))));
    assert!(matches!(sniffed(&[b"SSYNC-PEER 9 unix\r\n"], true).await, Err(SniffError::Preamble(_))));
}
